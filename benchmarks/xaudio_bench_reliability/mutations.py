"""Files with changed bytes: recordings, explanations, weights, plans, results, manifests; archives and plugins that mean harm."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np

import xaudio
from xaudio.plugin import Dataset, gather, planned, read_manifest, registry

from .trials import Trial, asked, changed, trial, written

AUDIO = [
    ("wav", "PCM_16"),
    ("wav", "FLOAT"),
    ("wav", "PCM_24"),
    ("flac", "PCM_16"),
    ("ogg", "VORBIS"),
    ("aiff", "PCM_16"),
    ("au", "PCM_16"),
]
MODEL = """
import torch

def network():
    torch.manual_seed(0)
    made = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2000, 3))
    made.representation = "waveform:samples=2000,sample_rate=8000,normalisation=none"
    made.classes = ("a", "b", "c")
    return made
"""
"""Of all trials: it takes no time."""
IDENTITY = {"model": "none"}
"""Of the plan among the whole files."""


@trial("audio")
def audio(given: Trial) -> tuple[str, str, str]:
    """A recording with changed bytes: numbers that are finite, or one line; what it held is not known to the file."""
    ending, subtype = AUDIO[given.number % len(AUDIO)]
    content = (given.files / f"{subtype}.{ending}").read_bytes()
    kind, content = changed(content, given.draw)
    with written(given.place, f"x.{ending}", content) as path:
        return asked(
            f"{ending} {subtype}: {kind}", lambda: xaudio.read_audio(path).waveform, lambda sound: bool(np.isfinite(sound).all())
        )


@trial("artefacts")
def artefact(given: Trial) -> tuple[str, str, str]:
    """A file of xaudio's own with changed bytes: refused, or what it was."""
    function = (_explanation, _weights, _plan, _results, _manifest)[given.number % 5]
    return function(given)


def _explanation(given: Trial) -> tuple[str, str, str]:
    whole = given.files / "explanation.safetensors"
    kind, content = changed(whole.read_bytes(), given.draw)
    with written(given.place, "x.safetensors", content) as path:
        return asked(
            f"explanation: {kind}",
            lambda: xaudio.Explanation.load(path),
            lambda read: _alike(read, xaudio.Explanation.load(whole)),
        )


def _alike(one: xaudio.Explanation, other: xaudio.Explanation) -> bool:
    same = (one.relevance == other.relevance).all() and (one.clip.waveform == other.clip.waveform).all()
    return bool(same) and (one.classes, one.target, dict(one.provenance)) == (other.classes, other.target, dict(other.provenance))


def _weights(given: Trial) -> tuple[str, str, str]:
    whole = given.files / "model"
    kind, content = changed((whole / "model.safetensors").read_bytes(), given.draw)
    (given.place / "run.json").write_bytes((whole / "run.json").read_bytes())
    with written(given.place, "model.safetensors", content):
        return asked(
            f"weights: {kind}",
            lambda: xaudio.load_model(given.place, "cpu"),
            lambda read: read.digest() == xaudio.load_model(whole, "cpu").digest(),
        )


def _copied_plan(given: Trial) -> Any:
    folder = given.files / "plan"
    for path in (path for path in folder.rglob("*") if path.is_file()):
        target = given.place / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return given.place


def _plan_of(folder: Path, manifest: Path) -> Any:
    return planned(folder, IDENTITY, read_manifest(manifest), lambda row: 1.0, batch=4)


def _plan(given: Trial) -> tuple[str, str, str]:
    folder = _copied_plan(given)
    kind, content = changed((folder / "plan.json").read_bytes(), given.draw)
    (folder / "plan.json").write_bytes(content)
    return asked(f"plan: {kind}", lambda: _plan_of(folder, given.files / "m.csv"), lambda plan: plan.rows == 12)


def _results(given: Trial) -> tuple[str, str, str]:
    """Results that are damaged count as missing, and none is another."""
    folder = _copied_plan(given)
    path = next(folder.glob("shards/*/results.jsonl"))
    kind, content = changed(path.read_bytes(), given.draw)
    path.write_bytes(content)
    whole = {row["id"]: row for row in map(json.loads, (given.files / "plan/results.jsonl").read_text().splitlines())}

    def rows() -> list[dict[str, Any]]:
        gather(_plan_of(folder, given.files / "m.csv"), folder)
        return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]

    return asked(f"results: {kind}", rows, lambda read: all(whole.get(row["id"]) == row for row in read))


def _manifest(given: Trial) -> tuple[str, str, str]:
    """Another manifest is refused where there is a plan."""
    folder = _copied_plan(given)
    kind, content = changed((given.files / "m.csv").read_bytes(), given.draw)
    whole = _plan_of(given.files / "plan", given.files / "m.csv")
    with written(given.place, "m.csv", content) as path:
        return asked(f"manifest: {kind}", lambda: _plan_of(folder, path), lambda plan: plan.digest == whole.digest)


ABSOLUTE = "/var/xaudio-out.wav"
"""Where a member of a hostile archive would like to be."""


@trial("archives")
def archive(given: Trial) -> tuple[str, str, str]:
    """A tar file whose members lead elsewhere, are links or devices, or are too deep: nothing outside is read or written."""
    names = (
        "../out.wav",
        ABSOLUTE,
        "a/../../out.wav",
        "link.wav",
        "hard.wav",
        "device.wav",
        "x" * 300 + ".wav",
        "bomb.json",
    )
    name = names[given.number % len(names)]
    sound = (given.files / "PCM_16.wav").read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for inside, content in (("a.wav", sound), ("a.cls", b"x"), ("b.wav", sound), ("b.cls", b"y")):
            info = tarfile.TarInfo(inside)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo(name)
        kinds = {"link.wav": tarfile.SYMTYPE, "hard.wav": tarfile.LNKTYPE, "device.wav": tarfile.CHRTYPE}
        info.type, info.linkname = kinds.get(name, tarfile.REGTYPE), "/etc/passwd"
        content = b"[" * 100_000 if name == "bomb.json" else sound if info.isfile() else b""
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    kind, content = ("whole", packed.getvalue()) if given.number < len(names) else changed(packed.getvalue(), given.draw)
    with written(given.place, "d.tar", content) as path:
        before = {other.name for other in given.place.parent.iterdir()}
        what = asked(
            f"tar with {name[:20]}: {kind}",
            lambda: _heard(xaudio.open_dataset("folder", path)),
        )
        stayed = before == {other.name for other in given.place.parent.iterdir()} and not Path(ABSOLUTE).exists()
    return what if stayed else (what[0], "silent", "something was written outside")


def _heard(dataset: Dataset) -> list[xaudio.Clip]:
    return [dataset[index] for index in range(len(dataset))]


@trial("pickles")
def pickled(given: Trial) -> tuple[str, str, str]:
    """A pickle that would write a file is given wherever a file may be: as weights, an explanation, a recording, a manifest."""
    trap = given.place / "ran"
    content = b"cbuiltins\nopen\n(V" + str(trap).encode() + b"\nVw\ntR."  # what pickle writes of open(trap, "w")
    readers: dict[str, Callable[[Path], Any]] = {
        "weights:path": lambda path: xaudio.load_model(f"weights:path={path},model=audionet,classes=a+b", "cpu"),
        "torchscript:path": lambda path: xaudio.load_model(f"torchscript:path={path},representation=raw,classes=a+b", "cpu"),
        "onnx:path": lambda path: xaudio.load_model(f"onnx:path={path},representation=raw,classes=a+b", "cpu"),
        "run folder": lambda path: xaudio.load_model(path.parent, "cpu"),
        "explanation": xaudio.Explanation.load,
        "recording": xaudio.read_audio,
        "data set": lambda path: xaudio.open_dataset("folder", path),
    }
    reader = list(readers)[given.number % len(readers)]
    endings = {"weights:path": "x.pt", "run folder": "model.safetensors", "recording": "x.wav", "data set": "x.parquet"}
    with written(given.place, endings.get(reader, "x.bin"), content) as path:
        what = asked(f"pickle as {reader}", lambda: readers[reader](path), lambda read: False)
    return (what[0], "silent", "the pickle was run") if trap.exists() else what


OFFER = "from xaudio.plugin import hookimpl\n@hookimpl\ndef xaudio_explainers(): return "
PLUGINS = {
    "raises": "raise ValueError('x')",
    "exits": "import sys; sys.exit(3)",
    "is no Python": "def (",
    "has no hook": "x = 1",
    "has an unknown hook": OFFER.replace("explainers", "explainer") + "{}",
    "offers None": OFFER + "None",
    "offers a number": OFFER + "{'x': 3}",
    "takes the name of another": OFFER + "{'gradient': lambda: 1}",
    "has a name with blanks": OFFER + "{'a b': lambda: 1}",
    "recurs": "def f(): f()\nf()",
}
"""Code of plugins, by what is wrong with them."""


@trial("plugins")
def plugin(given: Trial) -> tuple[str, str, str]:
    """A plugin that fails in its own way: it is named, and all others work."""
    name = list(PLUGINS)[given.number % len(PLUGINS)]
    module = f"xaudio_hostile_{given.number}"
    with written(given.place, f"{module}.py", PLUGINS[name].encode()):
        sys.path.insert(0, str(given.place))
        try:
            plugins = type(registry())(
                [EntryPoint("gradients", "xaudio_gradients", "xaudio"), EntryPoint("hostile", module, "xaudio")]
            )
        finally:
            sys.path.remove(str(given.place))
    said = plugins.problems()
    good = len(said) == 1 and "hostile" in said[0] and "\n" not in said[0] and "smooth_grad" in plugins.names("explainer")
    return f"plugin that {name}", "refused" if good else "silent", "; ".join(said)


def whole_files(folder: Path) -> None:
    """The files that trials start from."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    rate = 8000
    sound = 0.3 * np.random.default_rng(0).uniform(-1, 1, 2000)
    for ending, subtype in AUDIO:
        soundfile.write(folder / f"{subtype}.{ending}", sound, rate, subtype=subtype)
    (folder / "model.py").write_text(MODEL)
    xaudio.save_model(f"python:at={folder / 'model.py'}:network", folder / "model")
    xaudio.explain(folder / "model", sound, sample_rate=rate, explainer="gradient", device="cpu").save(
        folder / "explanation.safetensors"
    )
    (folder / "m.csv").write_text(
        "path,start,end\n"
        + "".join(f"PCM_16.wav,0.0{number},0.1\n" for number in range(6))
        + "".join(f"x{number}.wav,,\n" for number in range(6))
    )
    plan = _plan_of(folder / "plan", folder / "m.csv")
    xaudio.plugin.carry_out(plan, Numbers, {}, title="Whole files")
    gather(plan, plan.folder)


class Numbers:
    """A job that gives each row a number."""

    digest = "none"

    def load(self, row: xaudio.plugin.Row) -> int:
        """Its place."""
        return row.index

    def run(self, rows: Any, loaded: Any, folder: Path) -> list[dict[str, float]]:
        """A number that follows from the place."""
        return [{"number": 1.5 * place} for place in loaded]
