"""Commands that are killed, run out of space or of memory, lose their data, or meet each other in one folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import xaudio

from .mutations import MODEL
from .trials import Trial, checksum, trial

MAIN = "sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"
COMMAND = [sys.executable, "-c", f"import sys; {MAIN}"]
LIMITED = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); " + MAIN
"""A command whose files may not grow beyond a size, as if the disk were full then."""
SECONDS = 300.0
"""Longest a command may take."""
SLOW = """
import time

class Slow(torch.nn.Module):
    def forward(self, features):
        time.sleep(0.0025 * len(features))
        return features

def network"""
"""Put into the model's code, so that there is time to kill."""


class Done:
    """What a command left: exit status, and whether nobody saw a traceback."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.output, self.errors = process.communicate(timeout=SECONDS)
        self.status = process.returncode

    @property
    def told(self) -> str:
        """The one line of an error; "" if there is none, or it is not one line."""
        lines = [line for line in self.errors.splitlines() if line.startswith("xaudio: error: ")]
        return lines[0] if len(lines) == 1 and "Traceback" not in self.errors else ""


def begun(*words: object, size: int = 0) -> subprocess.Popen[str]:
    """A command that has begun, in a group of its own."""
    program = [sys.executable, "-c", LIMITED.format(size=size)] if size else COMMAND
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*program, *map(str, words)], text=True, start_new_session=True, env=environment, **pipes)  # type: ignore[call-overload, no-any-return]  # noqa: S603


def ended(*words: object, size: int = 0) -> Done:
    """A command that came to its end."""
    return Done(begun(*words, size=size))


def kill(process: int) -> bool:
    """Kill a process, if it is there."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def children(process: int) -> list[int]:
    """Processes that a process has started, and that these have started, such as Ray's actors."""
    try:
        own = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
    return [*own, *(other for child in own for other in children(child))]


def recordings(folder: Path, count: int) -> Path:
    """Short recordings, their manifest and a model that takes its time."""
    import soundfile

    (folder / "data/wav").mkdir(parents=True)
    (folder / "model.py").write_text(
        MODEL.replace("\ndef network", SLOW).replace("torch.nn.Flatten()", "Slow(), torch.nn.Flatten()")
    )
    draw = np.random.default_rng(0)
    for number in range(count):
        soundfile.write(folder / f"data/wav/{number:05d}.wav", draw.uniform(-0.5, 0.5, draw.integers(800, 2000)), 8000)
    (folder / "data/m.csv").write_text("path\n" + "".join(f"wav/{number:05d}.wav\n" for number in range(count)))
    return folder / "data/m.csv"


def explaining(place: Path, out: str, *more: object) -> list[object]:
    """The words of a command that explains the recordings of a place."""
    model = f"python:at={place / 'model.py'}:network"
    words = ["explain", "--manifest", place / "data/m.csv", "--model", model, "--explainer", "gradient", "--batch-size", 16]
    return [*words, "--out", place / out, *more]


def _same(place: Path, out: str) -> bool:
    return checksum(place / "whole/results.jsonl") == checksum(place / out / "results.jsonl")


def _killed_corpus(given: Trial, engine: Sequence[object]) -> tuple[str, str, str]:
    """Workers and the command that starts them are killed; the disk is full; the data go and come back."""
    place, count, wanted = given.place, 2000 if given.full else 60, 10 if given.full else 2
    recordings(place, count)
    ended(*explaining(place, "whole"))
    kills = tries = 0
    while kills < wanted and tries < 3 * wanted:
        tries += 1
        driver = begun(*explaining(place, "out", *engine))
        time.sleep(given.draw.uniform(6, 14))
        for _ in range(3):
            workers = children(driver.pid)
            kills += bool(workers) and kill(given.draw.choice(workers))
            time.sleep(given.draw.uniform(0, 2))
        kills += kill(driver.pid)
        Done(driver)
    full = ended(*explaining(place, "out"), size=2000)
    shutil.copytree(place / "data", place / "kept")
    shutil.rmtree(place / "data/wav")
    away = ended(*explaining(place, "out", *engine))
    shutil.copytree(place / "kept/wav", place / "data/wav")
    last = ended(*explaining(place, "out", *engine))
    what = f"{count} recordings, {kills} SIGKILLs, a full disk, data that went and came back ({' '.join(map(str, engine))})"
    good = last.status == 0 and _same(place, "out") and (full.told or full.status == 0) and away.status == 0
    return what, "survived" if good else "lost", last.output or last.errors


@trial("corpus")
def corpus(given: Trial) -> tuple[str, str, str]:
    """Many recordings by four processes."""
    return _killed_corpus(given, ["--workers", 4])


@trial("cluster")
def cluster(given: Trial) -> tuple[str, str, str]:
    """The same by actors of Ray."""
    try:
        xaudio.create("engine", "ray")
    except xaudio.PluginError as error:
        return "actors of Ray", "skipped", str(error)
    return _killed_corpus(given, ["--engine", "ray:workers=4"])


@trial("training")
def training(given: Trial) -> tuple[str, str, str]:
    """A training that is killed goes on and ends with the same weights."""
    words: list[object] = ["train", "--dataset", "synthetic:speakers=8,repetitions=1", "--task", "sex", "--model", "audionet"]
    words += [
        "--set",
        f"steps={60 if given.full else 10}",
        "--set",
        "batch_size=8",
        "--set",
        "initialisation=he",
        "--device",
        "cpu",
        "--out",
    ]
    start = time.monotonic()
    ended(*words, given.place / "whole")
    seconds, kills = time.monotonic() - start, 0
    for _ in range(10 if given.full else 2):
        process = begun(*words, given.place / "out")
        time.sleep(given.draw.uniform(0.2, 0.95) * seconds)
        kills += process.poll() is None and kill(process.pid)
        Done(process)
    last = ended(*words, given.place / "out")
    same = checksum(given.place / "whole/model.safetensors") == checksum(given.place / "out/model.safetensors")
    return f"training, {kills} SIGKILLs", "survived" if same and last.status == 0 else "lost", last.errors


@trial("study")
def study(given: Trial) -> tuple[str, str, str]:
    """The study server's own proof: kills, forged requests, a full disk."""
    few = {} if given.full else {"participants": 4, "right": 3, "wrong": 3, "kills": 1, "requests": 100}
    xaudio.create("benchmark", "study", **few)(given.place)  # it raises where anything does not hold
    told = json.loads((given.place / "results.json").read_text())
    crashes, forgery = told["crashes"], told["forgery"]
    what = f"study server, {crashes['kills']} SIGKILLs, {forgery['requests']} forged requests, a full disk"
    return what, "survived", f"{crashes['stored']} answers stored, {crashes['lost']} lost, {len(forgery['surprises'])} surprises"


@trial("disk")
def disk(given: Trial) -> tuple[str, str, str]:
    """A command without room says so in one line, and is done when there is room."""
    size = (300, 3000, 30_000)[given.number % 3]
    shutil.copytree(given.files / "model", given.place / "model")
    words = [
        "explain",
        given.files / "PCM_16.wav",
        "--model",
        given.place / "model",
        "--explainer",
        "gradient",
        "--out",
        given.place / "out",
    ]
    full, last = ended(*words, size=size), ended(*words)
    good = full.told and last.status == 0 and not list((given.place / "out").rglob(".xaudio-*"))
    return f"full disk, {size} bytes a file", "survived" if good else "traceback", full.told or full.errors[-300:]


@trial("memory")
def memory(given: Trial) -> tuple[str, str, str]:
    """A batch that memory does not hold is halved, and the result is that of small batches."""
    code = (
        "import resource, torch, xaudio.plugin as p, warnings; warnings.simplefilter('ignore'); torch.set_num_threads(1)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)\n"
        "f = lambda x: x.repeat(1, 10_000_000).sum(1, keepdim=True)\n"
        "rows = torch.arange(32.0)[:, None]\n"
        "print(bool((p.in_batches(f, rows, size=32) == p.in_batches(f, rows, size=1)).all()))\n"
    )
    done = Done(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))  # noqa: S603
    return "memory for a quarter of a batch", "survived" if done.output == "True\n" else "lost", done.output + done.errors[-200:]


@trial("clock")
def clock(given: Trial) -> tuple[str, str, str]:
    """A run that was killed at a time that is yet to come, by its files, goes on at once."""
    recordings(given.place, 40)
    ended(*explaining(given.place, "whole"))
    process = begun(*explaining(given.place, "out", "--workers", 2))
    time.sleep(given.draw.uniform(7, 10))
    kill(process.pid)
    Done(process)
    for path in given.place.rglob("*"):
        os.utime(path, (4e9, 4e9))
    last = ended(*explaining(given.place, "out"))
    return "clock set back 70 years", "survived" if last.status == 0 and _same(given.place, "out") else "lost", last.output


@trial("together")
def together(given: Trial) -> tuple[str, str, str]:
    """Several commands in one folder at the same time, one of which is killed."""
    recordings(given.place, 60)
    ended(*explaining(given.place, "whole"))
    processes = [begun(*explaining(given.place, "out")) for _ in range(3)]
    time.sleep(given.draw.uniform(5, 8))
    kill(processes[0].pid)
    done = [Done(process) for process in processes][1:]
    good = all(one.status == 0 for one in done) and _same(given.place, "out")
    return "3 commands in one folder, one killed", "survived" if good else "lost", done[0].output or done[0].errors


def _refused(*words: object) -> tuple[str, str]:
    done = ended(*words)
    return ("refused", done.told) if done.status == 1 and done.told else ("traceback", done.errors[-300:])


READ_ONLY: dict[str, Callable[[Trial], Path]] = {
    "a place of the system": lambda given: Path("/proc/xaudio"),
    "below a file": lambda given: given.files / "m.csv" / "out",
    "a device": lambda given: Path("/dev/null"),
}


@trial("places")
def places(given: Trial) -> tuple[str, str, str]:
    """Results that are to go where nothing can be written."""
    name = list(READ_ONLY)[given.number % len(READ_ONLY)]
    words = ["explain", given.files / "PCM_16.wav", "--model", given.files / "model", "--explainer", "gradient"]
    outcome, said = _refused(*words, "--out", READ_ONLY[name](given))
    return f"--out is {name}", outcome, said


@trial("manifests")
def manifests(given: Trial) -> tuple[str, str, str]:
    """Manifests that lead out of their folder."""
    source = ("../PCM_16.wav", "/etc/passwd", "link.wav")[given.number % 3]
    (given.place / "link.wav").symlink_to("/etc/passwd")
    (given.place / "m.csv").write_text(f"path\n{source}\n")
    words = ["explain", "--manifest", given.place / "m.csv", "--model", given.files / "model", "--out", given.place / "out"]
    if source != "link.wav":
        return f"manifest with {source}", *_refused(*words)
    done = ended(*words, "--explainer", "gradient")
    errors = (given.place / "out/errors.jsonl").read_text()
    return f"manifest with {source}", "refused" if "by a link" in errors else "silent", errors + done.errors
