"""Plugins are found through real distributions on disk; one that is broken is named and the others go on."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from textwrap import dedent

import pytest

from xaudio.errors import PluginError
from xaudio.registry.loading import KINDS, Registry, registry

Install = Callable[..., list[EntryPoint]]

GOOD = """
    from xaudio.plugin import hookimpl

    def quiet(*, level: float = 0.5):
        \"\"\"A good explainer.\"\"\"
        return ("quiet", level)

    @hookimpl
    def xaudio_explainers():
        return {"quiet": quiet}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write each module with the metadata of a distribution ``dist-<module>`` 1.2 that names it, and give the entry points."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules: str) -> list[EntryPoint]:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(dedent(source), encoding="utf-8")
            facts = tmp_path / f"dist_{name}-1.2.dist-info"
            facts.mkdir()
            (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n")
            (facts / "entry_points.txt").write_text(f"[xaudio]\n{name} = {name}\n")
        importlib.invalidate_caches()
        return [point for found in distributions(path=[str(tmp_path)]) for point in found.entry_points]

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_plugin_is_found_loaded_and_created(install: Install) -> None:
    found = Registry(install(good=GOOD))
    assert found.names("explainer") == ["quiet"]
    assert found.problems() == []
    assert found.create("explainer", "quiet") == ("quiet", 0.5)
    assert found.create("explainer", "quiet", {"level": "2"}) == ("quiet", 2.0)
    owner = found.owner("explainer", "quiet")
    assert (owner.name, owner.module, owner.distribution, owner.version) == ("good", "good", "dist-good", "1.2")
    assert owner.provides == {"explainer": ("quiet",)}


def test_an_installed_distribution_is_found_beside_the_first_party_plugins(install: Install) -> None:
    install(good=GOOD)
    found = Registry()
    assert "quiet" in found.names("explainer")
    assert "lrp" in found.names("explainer")


def test_an_entry_point_without_a_distribution_is_loaded(install: Install) -> None:
    install(good=GOOD)
    found = Registry([EntryPoint("loose", "good", "xaudio")])
    assert found.create("explainer", "quiet") == ("quiet", 0.5)
    assert str(found.plugins[0]) == "loose (? ?)"


BROKEN = {
    "import of what is not there": ("import a_package_that_is_not_there", "ModuleNotFoundError: .*a_package_that_is_not_there"),
    "syntax": ("def broken(:\n    pass", r"SyntaxError: .*line 1"),
    "exception": ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line second line"),
    "exit": ("import sys\nsys.exit('no licence')", "SystemExit: no licence"),
    "no hooks": ("def xaudio_explainers():\n    return {}", "has no hooks.*@hookimpl of xaudio.plugin"),
    "misspelt hook": (
        "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_explainer():\n    return {}",
        r"Unknown hook 'xaudio_explainer'\. Did you mean 'xaudio_explainers'",
    ),
    "hook with an argument": (
        "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_explainers(config):\n    return {}",
        "config",
    ),
    "hook that returns nothing": (
        "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_explainers():\n    pass",
        "xaudio_explainers.*mapping",
    ),
    "hook that returns a list": (
        "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_explainers():\n    return ['quiet']",
        "xaudio_explainers.*mapping",
    ),
    "positional parameter": (
        "from xaudio.plugin import hookimpl\ndef f(level: float = 1.0): pass\n"
        "@hookimpl\ndef xaudio_explainers():\n    return {'f': f}",
        r"'level' of broken\.f must be keyword-only: put it behind a '\*'",
    ),
    "variable parameters": (
        "from xaudio.plugin import hookimpl\ndef f(**options): pass\n@hookimpl\ndef xaudio_explainers():\n    return {'f': f}",
        "'options' of broken.f must be keyword-only",
    ),
    "type hint that means nothing": (
        "from xaudio.plugin import hookimpl\ndef f(*, a: 'Missing'): pass\n"
        "@hookimpl\ndef xaudio_explainers():\n    return {'f': f}",
        "type hints of broken.f cannot be read: name 'Missing'",
    ),
    "factory that cannot be called": (
        "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_explainers():\n    return {'f': 5}",
        "'f'|5",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_named_with_its_reason_and_the_others_load(install: Install, case: str) -> None:
    source, reason = BROKEN[case]
    found = Registry(install(broken=source, good=GOOD))
    assert found.create("explainer", "quiet", {"level": 1}) == ("quiet", 1.0)
    assert found.names("explainer") == ["quiet"]
    (problem,) = found.problems()
    assert problem.startswith("The plugin broken (dist-broken 1.2) could not be loaded: ")
    assert "\n" not in problem
    assert re.search(reason, problem), problem
    with pytest.raises(PluginError, match="could not be loaded"):  # a name that may be that plugin's is explained
        found.factory("explainer", "f")


def test_a_plugin_of_which_two_late_hooks_fail_is_named_with_both_reasons(install: Install) -> None:
    hooks = "".join(
        f"\n@hookimpl\ndef xaudio_{kind}s():\n    raise RuntimeError('no {kind}')\n" for kind in ("command", "report")
    )
    found = Registry(install(broken="from xaudio.plugin import hookimpl" + hooks, good=GOOD))
    assert found.names("command") == found.names("report") == []
    (problem,) = found.problems()
    assert problem.startswith("The plugin broken (dist-broken 1.2) could not be loaded: ")
    assert "no command" in problem
    assert "no report" in problem
    assert found.names("explainer") == ["quiet"]


def test_an_entry_point_to_no_module_is_named(install: Install) -> None:
    points = [*install(good=GOOD), EntryPoint("gone", "module_that_is_gone", "xaudio"), EntryPoint("attr", "good:gone", "xaudio")]
    found = Registry(points)
    assert found.names("explainer") == ["quiet"]
    assert len(found.problems()) == 2
    assert "module_that_is_gone" in found.problems()[1]


def test_a_name_offered_twice_is_an_error_that_names_both_and_others_work(install: Install) -> None:
    second = GOOD.replace('{"quiet": quiet}', '{"quiet": quiet, "other": quiet}')
    found = Registry(install(good=GOOD, second=second))
    with pytest.raises(PluginError) as caught:
        found.create("explainer", "quiet")
    message = str(caught.value)
    assert "explainer 'quiet'" in message
    assert "good (dist-good 1.2)" in message
    assert "second (dist-second 1.2)" in message
    assert found.problems() == [message]
    with pytest.raises(PluginError, match="offered by"):
        found.owner("explainer", "quiet")
    assert found.create("explainer", "other") == ("quiet", 0.5)
    assert found.names("explainer") == ["other", "quiet"]


def test_one_name_may_be_of_two_kinds(install: Install) -> None:
    source = GOOD + "\n    @hookimpl\n    def xaudio_models():\n        return {'quiet': lambda: 'model'}\n"
    found = Registry(install(good=source))
    assert found.problems() == []
    assert found.create("model", "quiet") == "model"
    assert found.create("explainer", "quiet") == ("quiet", 0.5)


def test_an_unknown_name_lists_the_nearest_and_all_known(install: Install) -> None:
    source = GOOD.replace('{"quiet": quiet}', '{"quiet": quiet, "zebra": quiet}')
    with pytest.raises(PluginError) as caught:
        Registry(install(good=source)).factory("explainer", "quit")
    assert str(caught.value) == "Unknown explainer 'quit'. Did you mean 'quiet'? Known: quiet, zebra."
    with pytest.raises(PluginError, match=r"^Unknown explainer 'a'\. Known: none\.$"):
        Registry([]).factory("explainer", "a")


TYPED = """
    from pathlib import Path
    from typing import Any, Literal
    from xaudio.plugin import hookimpl

    def typed(
        *,
        data: Path,
        rule: Literal["plus", "none"] = "plus",
        bins: Literal[16, 32] = 16,
        factor: float = 1.0,
        steps: int = 3,
        on: bool = False,
        names: tuple[str, ...] = (),
        folds: tuple[int, ...] | None = None,
        pair: tuple[float, float] = (0.0, 1.0),
        folder: Path | None = None,
        limit: int | None = 5,
        anything: Any = None,
        text: str = "",
    ):
        \"\"\"All types.

        Parameters
        ----------
        data : path
            Folder of the
            recordings.
        \"\"\"
        return locals()

    class Made:
        \"\"\"A class is a factory, too.\"\"\"

        def __init__(self, *, size: int = 1):
            self.size = size

    @hookimpl
    def xaudio_explainers():
        return {"typed": typed, "made": Made}
"""


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("data", "some/where", Path("some/where")),
        ("rule", "none", "none"),
        ("bins", "32", 32),
        ("bins", 32, 32),
        ("factor", "1e-6", 1e-6),
        ("factor", 2, 2.0),
        ("steps", "12", 12),
        ("on", "true", True),
        ("on", "no", False),
        ("on", True, True),
        ("names", "digit+sex", ("digit", "sex")),
        ("names", "digit, sex", ("digit", "sex")),
        ("names", "", ()),
        ("names", ["digit"], ("digit",)),
        ("folds", "0+2", (0, 2)),
        ("folds", "3", (3,)),
        ("folds", "none", None),
        ("folds", (1, 2), (1, 2)),
        ("pair", "0.5+2", (0.5, 2.0)),
        ("folder", "none", None),
        ("folder", "None", None),
        ("folder", "a b", Path("a b")),
        ("folder", Path("p"), Path("p")),
        ("limit", "7", 7),
        ("limit", None, None),
        ("anything", "none", "none"),
        ("text", "none", "none"),
    ],
)
def test_values_become_the_declared_types(install: Install, name: str, value: object, expected: object) -> None:
    made = Registry(install(typed_plugin=TYPED)).create("explainer", "typed", {"data": "x", name: value})
    assert made[name] == expected
    assert type(made[name]) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rule", "pluss", "plus | none"),
        ("bins", "17", "16 | 32"),
        ("factor", "fast", "float"),
        ("steps", "1.5", "int"),
        ("on", "maybe", "bool"),
        ("folds", "a+b", r"tuple\[int, \.\.\.\] | none"),
        ("pair", "1+2+3", r"float,float"),
        ("limit", "many", r"int \| none"),
        ("steps", "none", "int"),
        ("text", 5, "str"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_that_says_what_fits(
    install: Install, name: str, value: object, expected: str
) -> None:
    with pytest.raises(
        PluginError, match=f"{re.escape(repr(value))} does not fit option '{name}' of explainer 'typed': expected {expected}"
    ) as caught:
        Registry(install(typed_plugin=TYPED)).create("explainer", "typed", {"data": "x", name: value})
    assert "\n" not in str(caught.value)


def test_an_unknown_and_a_missing_option_are_errors(install: Install) -> None:
    found = Registry(install(typed_plugin=TYPED))
    with pytest.raises(PluginError, match=r"^In the options of explainer 'typed': Unknown option 'step'\. Did you mean 'steps'"):
        found.create("explainer", "typed", {"data": "x", "step": 1})
    with pytest.raises(PluginError, match=r"^The explainer 'typed' needs the option 'data' \(Folder of the recordings\.\)\.$"):
        found.create("explainer", "typed", {"steps": 1})


def test_a_class_is_a_factory_with_the_types_of_its_constructor(install: Install) -> None:
    assert Registry(install(typed_plugin=TYPED)).create("explainer", "made", {"size": "4"}).size == 4


def test_the_first_party_plugins_all_load() -> None:
    assert [plugin.error for plugin in registry().plugins if plugin.error and plugin.distribution == "xaudio"] == []
    assert [kind for kind in KINDS if not registry().names(kind)] == []
    assert registry() is registry()


def test_hyphens_and_underscores_name_the_same_plugin():
    found = registry()
    assert found.factory("explainer", "band-occlusion") is found.factory("explainer", "band_occlusion")
    assert found.factory("dataset", "audiomnist_az") is found.factory("dataset", "audiomnist-az")
    assert found.owner("explainer", "slot-occlusion").name == found.owner("explainer", "slot_occlusion").name
    with pytest.raises(PluginError, match="Unknown explainer 'band-oclusion'"):
        found.factory("explainer", "band-oclusion")


@pytest.mark.parametrize("name", ["3", "None", "''", "'my method'", "'a,b'", "'a:b'", "'a=1'"])
def test_a_plugin_with_a_name_that_cannot_be_written_is_named_as_broken(install: Install, name: str) -> None:
    source = f"""
        import xaudio

        @xaudio.plugin.hookimpl
        def xaudio_explainers():
            return {{{name}: lambda *, level=1.0: None}}
        """
    found = Registry(install(good=GOOD, odd=source))
    assert found.names("explainer") == ["quiet"]
    (problem,) = found.problems()
    assert "The plugin odd (dist-odd 1.2) could not be loaded" in problem
    assert "expected text without blanks" in problem


def test_a_hook_that_yields_is_named_as_broken(install: Install) -> None:
    source = """
        import xaudio

        @xaudio.plugin.hookimpl
        def xaudio_explainers():
            yield {"quiet": lambda *, level=1.0: None}
        """
    (problem,) = Registry(install(odd=source)).problems()
    assert "expected a mapping from names to factories" in problem


def test_what_is_no_factory_is_named_as_broken(install: Install) -> None:
    source = """
        import xaudio

        @xaudio.plugin.hookimpl
        def xaudio_explainers():
            return {"quiet": None}
        """
    (problem,) = Registry(install(odd=source)).problems()
    assert "offers None as 'quiet'; expected a factory" in problem
