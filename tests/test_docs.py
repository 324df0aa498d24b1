"""Python code in README and docs runs; the links lead somewhere; commands that are named exist."""

import importlib.util
import inspect
import os
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import xaudio.plugin
import xaudio.testing

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("shown", ROOT / "docs" / "shown.py")
shown = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shown)
NOT_INSTALLED = ("torchcrepe",)
"""Packages that a page shows a network of, and no extra asks for."""

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


REFERENCE = {"architecture.md", "changelog.md", "commands.md", "formats.md", "reference.md"}
"""Pages to look something up in, which need no picture and no output."""
MEASURED = {"rules.md", "speed.md"}
"""Pages of tables, whose commands take hours."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_and_commands_run_and_print_what_the_page_says(page, run_command, run_folder, recording, tmp_path, monkeypatch):
    text = page.read_text()
    blocks = [block for block in shown.blocks_of(text) if block.mark != "run by hand"]
    if not blocks:
        pytest.skip("nothing on this page is run")
    if missing := [package for package in NOT_INSTALLED if f"import {package}\n" in text and not find_spec(package)]:
        pytest.skip(f"the page shows a network of the package {missing[0]}, which is not installed")
    monkeypatch.chdir(tmp_path)
    shown.recordings(tmp_path)
    os.symlink(run_folder, "RUN")
    shutil.copy(recording, "other.wav")
    if "huggingface:path=model" in text:
        _save_hugging_face("model")

    def command(line, status):
        return run_command(*shlex.split(line)[1:], status=status).stdout

    names: dict[str, object] = {}
    for block in blocks:
        output = shown.printed(block, names, command, page.name)
        expected = output if block.shown is None else block.shown
        assert shown.is_alike(expected, output), f"{block.code}\nprints\n{output}\nand not\n{expected}"


@pytest.mark.parametrize("page", [page for page in PAGES if "example-" not in page.parent.name], ids=lambda page: page.name)
def test_pages_have_a_picture_and_the_output_that_is_expected(page):
    text = page.read_text()
    outputs = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    assert outputs or page.name in REFERENCE | MEASURED or page.name == "README.md", "no output of a command or of code"
    assert "?\n" not in outputs, "an output that docs/shown.py has not written"
    pictures = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", text)
    assert pictures or page.name in REFERENCE | {"speed.md"}
    for words, target in pictures:
        assert len(words.split()) >= 2, f"{target}: no words for those who do not see it"
        assert "landing/" in target or (page.parent / target).stat().st_size <= 61_000, target


MOST_WORDS = 35
"""Of a sentence."""


def sentences(text):
    """The sentences of a page, without code; those of a list, a table and a quotation begin anew with each entry."""
    text = re.sub(r"^```.*?^```|^ {4}.*?$|<!--.*?-->", "", text, flags=re.M | re.S)
    text = re.sub(r"^( *(?:[-*+]|\d+\.) |\||#)", r"\n\n\1", text.replace("|", "\n\n"), flags=re.M)
    for block in re.split(r"\n\s*\n", text):
        plain = re.sub(r"`[^`]*`", "code", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(block.split())))
        yield from re.split(r"(?<=[.!?:])[*]*\s+(?=[A-Z0-9*`\"'(]|code)", plain)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "changelog.md"], ids=lambda page: page.name)
def test_sentences_are_short(page):
    found = [one for one in sentences(page.read_text()) if len(re.findall(r"[^\W_][^\s]*", one)) > MOST_WORDS]
    assert found == []


@pytest.mark.parametrize(
    ("said", "printed", "alike"),
    [
        ("accuracy 83.8% in 5 draws", "accuracy  83.9%  in 5 draws", True),
        ("accuracy 83.8%", "accuracy 73.8%", False),
        ("7 done, 0 failed", "7 done, 1 failed", False),
        ("11% of it", "12% of it", True),
        ("20 done", "22 done", False),
        ("digit '7' explained", "digit '2' explained", False),
        ("a -0.02 b", "a b", False),
        ("one", "two", False),
    ],
)
def test_outputs_are_alike_if_words_and_numbers_are(said, printed, alike):
    assert shown.is_alike(said, printed) is alike


def _save_hugging_face(folder):
    from hugging_face import small

    for part in small("ast"):
        part.save_pretrained(folder)


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


@pytest.mark.parametrize("word", ["heatmap", "mp3", "microphone", "Raven", "LaTeX"])
def test_a_search_finds_what_people_look_for(word):
    not_text = r"```.*?```|`[^`]*`|\]\([^)]*\)"
    texts = [re.sub(not_text, " ", page.read_text(), flags=re.S) for page in (ROOT / "docs").rglob("*.md")]
    assert any(re.search(rf"\b{word}s?\b", text, re.I) for text in texts)


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
