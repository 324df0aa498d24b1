"""Python code in README and docs runs; the links lead somewhere; commands that are named exist."""

import os
import re
import shutil
from pathlib import Path

import pytest

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
