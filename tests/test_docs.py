"""Python code in README and docs runs; the links lead somewhere; commands that are named exist."""

import inspect
import os
import re
import shutil
from pathlib import Path

import pytest

import xaudio.plugin
import xaudio.testing

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page, run_folder, recording, tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    if not blocks:
        pytest.skip("no Python on this page")
    monkeypatch.chdir(tmp_path)
    os.symlink(run_folder, "RUN")
    shutil.copy(recording, "other.wav")
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("face", [xaudio, xaudio.plugin, xaudio.testing], ids=lambda face: face.__name__)
def test_the_reference_has_each_public_name_once(face):
    listed = re.findall(r"^\.\. (?:autofunction|autoclass|py:data):: ([\w.]+)$", (ROOT / "docs/reference.md").read_text(), re.M)
    names = [name.rpartition(".")[2] for name in listed if name.rpartition(".")[0] == face.__name__]
    others = set() if face is not xaudio.plugin else set(xaudio.__all__)  # these stand among what users see
    assert sorted(names) == sorted(set(face.__all__) - others)


def test_public_functions_and_records_say_what_each_parameter_is():
    silent = []
    for face in (xaudio, xaudio.plugin, xaudio.testing):
        for name in face.__all__:
            for parameter in parameters_of(getattr(face, name)):
                if not re.search(rf"^(?:[\w*]+, )*\**{parameter}\b", documented_parameters(getattr(face, name)), re.M):
                    silent.append(f"{face.__name__}.{name}: {parameter}")
    assert not silent


def parameters_of(thing):
    thing = inspect.unwrap(thing) if callable(thing) else thing
    if inspect.isfunction(thing):
        return list(inspect.signature(thing).parameters)
    fields = getattr(thing, "__dataclass_fields__", None) or getattr(thing, "_fields", ())
    return [name for name in fields if not name.startswith("_")] if inspect.isclass(thing) else []


def documented_parameters(thing):
    """The section of a docstring, without the lines that describe each."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n--|\Z)", inspect.getdoc(inspect.unwrap(thing)) or "", re.M | re.S)
    return "" if section is None else re.sub(r"^ .*\n?", "", section[1], flags=re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_option_names_in_the_docs_exist():
    """Every name:option=value of a plugin in the documentation is one that the registry takes."""
    from xaudio.explanation.views import VIEWS
    from xaudio.registry.loading import KINDS, registry
    from xaudio.registry.options import options_of
    from xaudio_probe.changes import CHANGES, PER_CLASS

    found = [(name, registry().factory(kind, name)) for kind in KINDS for name in registry().names(kind)]
    plugins: dict[str, set[str]] = {}
    for name, factory in [*found, *VIEWS.items(), *CHANGES.items()]:  # a renderer and a benchmark may share a name
        plugins.setdefault(name, set()).update(options_of(factory))
    text = "\n".join(page.read_text() for page in PAGES)
    found = re.findall(r"\b([a-z][\w-]*):(\w+)=", text)
    assert found
    for name, option in found:
        if name in PER_CLASS:
            continue  # an option may be the name of a class
        if name in plugins:
            assert option in plugins[name], f"{name}:{option}"
        else:
            assert name == "smooth", name  # the plugin that the guide writes
