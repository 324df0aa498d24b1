"""Who may import whom, what is imported when, and that every first-party plugin goes through the public door."""

import ast
import importlib
import re
import tomllib
from collections.abc import Collection, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import xaudio
import xaudio.plugin
from xaudio.registry.hookspecs import PROJECT
from xaudio.registry.loading import KINDS, registry

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "xaudio").rglob("*.py"))
PACKAGES = sorted(path for folder in ("plugins", "benchmarks") for path in (ROOT / folder).glob("xaudio_*") if path.is_dir())
FACES = {"xaudio": xaudio.__all__, "xaudio.plugin": xaudio.plugin.__all__}
MODULES = {
    ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in (ROOT / "xaudio", *PACKAGES)
    for path in sorted(folder.rglob("*.py"))
}
ORDER = (
    "lazy",
    "errors",
    "registry",
    "choices",
    "types",
    "output",
    "sound",
    "shards",
    "model",
    "doctor",
    "explanation",
    "measuring",
    "testing",
    "cli",
    "__main__",
    "plugin",
)
"""Parts of the core; each imports only those before it (the table of docs/architecture.md)."""
MOST_LINES = 420
"""About 400, so that a module that is full may still get a line."""
SHARED = {"xaudio_web"}
"""Packages that plugins share; they have no hooks, and are no plugins."""
HEAVY = ("torch", "scipy", "matplotlib", "captum", "zennit")
PLAIN_WORDS = {
    "amplitude",
    "explainers",
    "figure",
    "folder",
    "gradient",
    "html",
    "local",
    "python",
    "random",
    "synthetic",
    "truth",
    "waveform",
    "weights",
}
"""Names of plugins that messages and keys need as the words they are."""
OTHER_MEANINGS = {"reference", "silence"}
"""Names of plugins that are also the names of a level and of a baseline."""
MAKERS = {"create", "factory", "offered", "spelt", "parse_spec", "renderer_for_listening"}
TORCH_SERIALISERS = ("load", "save", "serialization")
SERIALISERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@cache
def imports(source: str) -> list[tuple[str, str | None, int]]:
    """Every import as (module, name or None, level), also those by import_module("...")."""
    found: list[tuple[str, str | None, int]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name, node.level) for alias in node.names]
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            found += [
                (arg.value, None, 0) for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
    return found


def called(node: ast.Call) -> str:
    """The name of what is called, without that of its module or object."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def core_violations(source: str) -> list[str]:
    """Imports of plugin packages."""
    return [module for module, _, _ in imports(source) if module.startswith("xaudio_")]


def plugins_named(source: str, names: set[str]) -> list[str]:
    """Plugins that a module names outside docstrings; plain words only where they stand for a plugin."""
    tree = ast.parse(source)
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    texts = {node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words = {word for node in texts if id(node) not in docstrings for word in re.findall(r"[\w-]+", node.value)}
    chosen = {node.value.split(":")[0] for place in _choices(tree) for node in ast.walk(place) if node in texts}
    return sorted(names & (words - PLAIN_WORDS | chosen & PLAIN_WORDS))


def _choices(tree: ast.AST) -> list[ast.AST]:
    """Expressions in which a text chooses a plugin: arguments of what makes one, comparisons with a name, defaults, constants."""
    places: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in MAKERS:
            places += node.args
        elif isinstance(node, ast.Compare) and ast.unparse(node.left) in ("name", "explainer", "renderer", "spec", "metric"):
            places += node.comparators
        elif isinstance(node, ast.arguments):
            places += [*node.defaults, *node.kw_defaults]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            value = node.value
            places += value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else ()
            places += [value] if isinstance(value, ast.Constant) else ()
    return [place for place in places if place is not None]


def plugin_violations(source: str, package: str, depth: int = 1) -> list[str]:
    """What a module of a plugin package takes from xaudio or from other plugins beyond the public names."""
    violations = []
    for module, name, level in imports(source):
        shown = "." * level + module + (f".{name}" if name else "")
        top = module.split(".")[0]
        if level:
            wrong = level > depth
        elif module in FACES:
            wrong = name is not None and name not in FACES[module]
        elif top.startswith("xaudio_") and top != package:
            offered = public_names(top)
            wrong = module != top or not offered or (name is not None and name not in offered)
        else:
            wrong = top == "xaudio"
        violations += [shown] * wrong
    if not any(module in FACES and name is None for module, name, _ in imports(source)):
        return violations
    tree = ast.parse(source)
    bound = {
        (alias.asname or alias.name): alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in FACES
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (face := bound.get(ast.unparse(node.value))):
            allowed = {*FACES[face], "plugin"} if face == "xaudio" else FACES[face]
            violations += [f"{face}.{node.attr}"] * (node.attr not in allowed)
    return violations


def public_names(package: str) -> list[str]:
    """What a plugin package offers others to import."""
    return list(getattr(importlib.import_module(package), "__all__", ())) if (ROOT / "plugins" / package).is_dir() else []


def serialisation_violations(source: str) -> list[str]:
    """Ways to run code from a file: pickle and its kin, torch.load and torch.save, numpy's allow_pickle."""
    found = [module for module, _, _ in imports(source) if module.split(".")[0] in SERIALISERS]
    if not any(word in source for word in (*TORCH_SERIALISERS, "allow_pickle")):
        return found
    tree = ast.parse(source)
    restricted = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and _of_tensors_alone(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in TORCH_SERIALISERS:
            of_torch = isinstance(node.value, ast.Name) and node.value.id == "torch"
            found += [f"torch.{node.attr}"] * (of_torch and node not in restricted)
        if isinstance(node, ast.ImportFrom) and node.module == "torch":
            found += [f"torch.{alias.name}" for alias in node.names if alias.name in TORCH_SERIALISERS]
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            found.append("allow_pickle")
    return found


def _of_tensors_alone(call: ast.Call) -> bool:
    """Whether torch.load is told to read tensors and plain values, and to run nothing."""
    return any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)


def imported_modules(module: str, source: str, is_package: bool, modules: Collection[str]) -> set[str]:
    """Which of the modules one imports anywhere: at its top, in a function, or for types alone."""
    package = module if is_package else module.rpartition(".")[0]
    found = set()
    for name, taken, level in imports(source):
        base = package.split(".")[: 1 - level or None] if level else []
        target = ".".join([*base, *([name] if name else [])])
        whole = f"{target}.{taken}" if taken else target
        found |= {whole if whole in modules else target} & set(modules) - {module}
    return found


@cache
def imported_by() -> dict[str, set[str]]:
    """Every module with those that it imports."""
    return {
        module: imported_modules(module, path.read_text(encoding="utf-8"), path.name == "__init__.py", MODULES)
        for module, path in MODULES.items()
    }


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty if none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def upward(graph: dict[str, set[str]], order: Sequence[str]) -> list[str]:
    """Imports within the core from a part of a later one."""
    place = {f"xaudio.{part}": number for number, part in enumerate(order)}
    part = {module: ".".join(module.split(".")[:2]) for module in graph if module.startswith("xaudio.")}
    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in sorted(others)
        if module in part and other in part and place[part[other]] > place[part[module]]
    ]


@pytest.mark.parametrize("source", ["import xaudio_lrp", "from xaudio_lrp._lrp import x", "import_module('xaudio_lrp')"])
def test_the_check_of_the_core_sees(source: str) -> None:
    assert core_violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "import xaudio_lrp",
        "from xaudio_lrp import lrp",
        "def f():\n    from xaudio_html._html import Html",
        "import xaudio.audio",
        "import xaudio.types",
        "from xaudio import hookimpl",
        "from xaudio_concepts.finding import concepts",
        "import xaudio.plugin\nxaudio.plugin.pipeline",
        "from xaudio import registry",
        "from xaudio.audio import read_audio",
        "from xaudio.plugin import _Hidden",
        "from xaudio.types import Clip",
        "from xaudio import *",
        "from ..xaudio_lrp import lrp",
        "import xaudio\nxaudio.audio",
        "import xaudio as x\nx.pipeline.render",
        "import importlib\nimportlib.import_module('xaudio.runs')",
        "__import__('xaudio_lrp')",
    ],
)
def test_the_check_of_plugins_sees(source: str) -> None:
    assert plugin_violations(source, "xaudio_mine")


@pytest.mark.parametrize(
    "source",
    [
        "from xaudio import Clip, explain",
        "from xaudio.plugin import Representation, Explainer, hookimpl",
        "from xaudio_concepts import concepts",
        "from xaudio_mine._inner import f",
        "from . import _inner\nfrom ._inner import f",
        "import xaudio\nxaudio.create('model', 'x')",
        "xaudio_models = 1",
    ],
)
def test_the_check_of_plugins_lets_pass(source: str) -> None:
    assert not plugin_violations(source, "xaudio_mine")


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import load",
        "import torch\ntorch.load(x)",
        "import torch\ntorch.load(x, weights_only=False)",
        "from torch import load",
        "np.load(x, allow_pickle=True)",
    ],
)
def test_the_check_of_serialisation_sees(source: str) -> None:
    assert serialisation_violations(source)


def test_tensors_alone_may_be_loaded() -> None:
    assert not serialisation_violations("import torch\ntorch.load(x, map_location='cpu', weights_only=True)")


@pytest.mark.parametrize(
    "source",
    [
        "from ..sound import audio",
        "from ..sound.audio import read_audio",
        "def f():\n    from xaudio.sound.audio import read_audio",
        "if TYPE_CHECKING:\n    import xaudio.sound.audio",
    ],
)
def test_the_check_of_order_sees(source: str) -> None:
    modules = {"xaudio.output.runs": source, "xaudio.sound.audio": "from ..output import runs"}
    graph = {name: imported_modules(name, text, False, modules) for name, text in modules.items()}
    assert set(circle_in(graph)) == set(modules)
    assert upward(graph, ORDER) == ["xaudio.output.runs imports xaudio.sound.audio"]


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle_in(imported_by()) == []


def test_parts_of_the_core_import_only_those_before_them() -> None:
    assert upward(imported_by(), ORDER) == []


def test_the_order_is_the_one_of_the_documentation() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `xaudio/(\w+)(?:\.py|/)` \|", table, re.MULTILINE)
    assert tuple(rows) == tuple(part for part in ORDER if part not in ("__main__", "plugin"))


def test_no_module_is_long() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}


def test_there_is_something_to_check() -> None:
    assert len(CORE) > 10
    assert len(PACKAGES) > 10


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_no_plugin(path: Path) -> None:
    assert core_violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_the_core_names_no_plugin_but_in_one_module() -> None:
    plugins = registry()
    assert plugins.problems() == []
    names = {name for kind in (*KINDS, "command", "report") for name in plugins.names(kind)} - OTHER_MEANINGS
    assert len(names) > 50
    assert names >= PLAIN_WORDS
    found = {str(path.relative_to(ROOT)): plugins_named(path.read_text(encoding="utf-8"), names) for path in CORE}
    assert set(found.pop("xaudio/registry/defaults.py")) > {"lrp", "amplitude", "visual"}
    assert {path: named for path, named in found.items() if named} == {}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("create('explainer', name or 'lrp')", ["lrp"]),
        ("help = 'with options as in lrp:epsilon=1'", ["lrp"]),
        ("f'{x}, such as audible'", ["audible"]),
        ("'a gradient that is not finite'", []),
        ("registry().create('renderer', 'html', {})", ["html"]),
        ("if name == 'html' and many: pass", ["html"]),
        ("if name in ('random', x): pass", ["random"]),
        ("def f(*, explainer: str = 'gradient'): pass", ["gradient"]),
        ("REFERENCE = 'amplitude'", ["amplitude"]),
        ("CONTROLS = ('amplitude',)", ["amplitude"]),
        ("facts.get('synthetic')", []),
        ("def f():\n    'As lrp does it.'", []),
    ],
)
def test_the_check_of_names_sees(source: str, named: list[str]) -> None:
    assert plugins_named(source, {"lrp", "audible", *PLAIN_WORDS}) == named


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_plugin_imports_only_public_names_and_no_other_plugin(package: Path) -> None:
    found = {}
    for path in sorted(package.rglob("*.py")):
        depth = len(path.relative_to(package).parts)
        found[path.name] = plugin_violations(path.read_text(encoding="utf-8"), package.name, depth)
    assert found
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.slow
@pytest.mark.parametrize("package", [ROOT / "xaudio", *PACKAGES], ids=lambda path: path.name)
def test_nothing_is_pickled(package: Path) -> None:
    found = {path.name: serialisation_violations(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("face", [xaudio, xaudio.plugin], ids=lambda face: face.__name__)
def test_every_public_name_exists_and_is_listed_once(face: Any) -> None:
    assert len(face.__all__) == len(set(face.__all__))
    assert [name for name in face.__all__ if getattr(face, name, None) is None] == []
    assert set(face.__all__) <= set(dir(face))
    with pytest.raises(AttributeError, match="has no attribute 'explainn'"):
        _ = face.explainn


def test_users_see_few_names_and_authors_all_of_them() -> None:
    assert len(xaudio.__all__) < 38
    assert set(xaudio.__all__) < set(xaudio.plugin.__all__)


def test_every_first_party_plugin_is_registered_and_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    registered = list(project["project"]["entry-points"][PROJECT].values())
    packaged = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    folders = [str(path.relative_to(ROOT)) for path in PACKAGES]
    assert sorted(registered) == sorted({path.name for path in PACKAGES} - SHARED)
    assert sorted(packaged) == sorted(["xaudio", *folders])
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []


RUN = """
import sys
from xaudio.cli.app import main
sys.argv = ["xaudio", *sys.argv[1:]]
try:
    main()
    status = 0
except SystemExit as stopped:
    status = stopped.code or 0
print("HEAVY", status, sorted({HEAVY} & set(sys.modules)), file=sys.stderr)
""".replace("{HEAVY}", repr(set(HEAVY)))


def test_importing_xaudio_imports_nothing_heavy(run_python: Any) -> None:
    code = f"import sys, xaudio, xaudio.plugin; dir(xaudio), dir(xaudio.plugin); print(sorted({set(HEAVY)!r} & set(sys.modules)))"
    assert run_python(code).stdout.strip() == "[]"
    assert run_python(code.replace("dir(xaudio),", "xaudio.explain,")).stdout.strip() != "[]"  # the check sees torch


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("--help", "explain"),
        ("--version", xaudio.__version__),
        ("plugins list", "audiomnist"),
        ("plugins list --json", '"plugins"'),
        ("plugins show lrp", "composite"),
        ("bench audiomnist --help", "--preset"),
        ("explain --help", "--explainer"),
        ("train --help", "--fold"),
        ("evaluate --help", "--metrics"),
        ("bench explainers --help", "--models"),
        ("groups --help", "--permute"),
        ("cluster --help", "--surrogates"),
        ("probe --help", "--change"),
        ("report --help", "cluster"),
    ],
)
def test_a_command_that_computes_nothing_imports_nothing_heavy(run_python: Any, command: str, expected: str) -> None:
    done = run_python(RUN, *command.split())
    assert expected in done.stdout, done.stderr
    assert done.stderr.splitlines()[-1] == "HEAVY 0 []", done.stderr


def test_the_help_of_all_needs_neither_numpy_nor_pydantic(run_python: Any) -> None:
    """They are a third of its time; plugins name their types and factories without them."""
    done = run_python(RUN.replace(repr(set(HEAVY)), repr({*HEAVY, "numpy", "pydantic"})), "--help")
    assert done.stderr.splitlines()[-1] == "HEAVY 0 []", done.stderr
    assert all(name in done.stdout for name in registry().names("command"))


def test_an_explanation_imports_no_compiler_and_no_scipy(run_python: Any, run_folder: Path, tmp_path: Path) -> None:
    """They take longer than to explain, to resample, and to draw and write what the default renderers do."""
    late = {"torch._dynamo", "sympy", "scipy.signal", "scipy.stats", "scipy.special", "matplotlib.figure"}
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(8000)), 16_000)
    command = ["explain", tmp_path / "tone.wav", "--model", run_folder, "--out", tmp_path / "out", "--device", "cpu"]
    done = run_python(RUN.replace(repr(set(HEAVY)), repr(late)), *command, "--explainer", "gradient", "--resampling", "fft")
    assert done.stderr.splitlines()[-1] == "HEAVY 0 ['matplotlib.figure']"
    made = run_python(f"import sys, xaudio; xaudio.create('renderer', 'visual'); print(sorted({late!r} & set(sys.modules)))")
    assert made.stdout.strip() == "[]", "a recording that cannot be read is told before matplotlib is imported"


def test_a_gradient_of_a_layer_alone_imports_no_sympy(run_python: Any) -> None:
    """Given what flows back, torch's gradient does, for 1.5 s; that of a sum does not."""
    code = """
import sys, torch
from xaudio_gradients._modified import _pull_back
from xaudio_lrp._steps import AverageStep
step, inputs = AverageStep(torch.nn.AvgPool1d(2), None), torch.tensor([[[1.0, 3.0, 2.0, 2.0]]])
outputs, kept = step.forward(inputs)
assert torch.allclose(step.backward(outputs, kept), inputs / 2)
assert torch.equal(_pull_back(torch.square, inputs, inputs), 2 * inputs**2)
print("sympy" in sys.modules)
"""
    assert run_python(code).stdout.strip() == "False"


def test_importing_a_plugin_imports_nothing_heavy(run_python: Any) -> None:
    names = [path.name for path in PACKAGES]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    for heavy in sorted({set(HEAVY)!r} & set(sys.modules)):
        print(name, heavy)
        for module in [module for module in sys.modules if module.split(".")[0] == heavy]:
            del sys.modules[module]
print("done")
"""
    done = run_python(code)
    assert done.stdout == "done\n", done.stdout + done.stderr
