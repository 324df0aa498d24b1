"""Runs the proof: a study is built, taken part in by many while its server is killed, attacked, and out of space."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xaudio
import xaudio.plugin
from xaudio.plugin import DataError

from .forging import Forger, try_all
from .report import Crashes, Forgery, FullDisk, Results, Separation, figures_of, write_report
from .server import Client, Server, digest, run_command, stored_answers
from .taking_part import Log, Participant, all_at_once

SETTINGS = """\
# The study of the proof: the paper's design; no limit on how fast one participant may be, since it would hide what else refuses.
seed = {seed}
contact = "nobody: all participants are simulated"
[recordings]
right = {right}
wrong = {wrong}
fill = true
[checks]
level = false
[serving]
requests_per_second = 100000
"""

TRAINING = {"steps": 20, "batch_size": 16, "initialisation": "he"}
DATA = "synthetic"
EXPECTED = ("Serving http", "xaudio: stopped; ")
"""How the lines begin that a server prints that begins and is stopped; all others are faults."""
ROOM = 90_000
"""Largest file of the server that runs out of space, in bytes."""


class StudyProof:
    """See `xaudio_bench_study.study`.

    Raises
    ------
    PluginError
        If a number is out of range.
    """

    def __init__(
        self,
        *,
        model: Path | None,
        dataset: str | None,
        data: Path | None,
        participants: int,
        right: int,
        wrong: int,
        kills: int,
        requests: int,
        seed: int,
    ) -> None:
        self.model, self.dataset, self.data = model, dataset, data
        self.participants, self.right, self.wrong, self.kills = participants, right, wrong, kills
        self.requests, self.seed = requests, seed

    def __call__(self, folder: Path) -> None:
        """Run in a folder, which keeps model and study for the next time.

        Raises
        ------
        DataError
            If something that must hold does not; ``results.json`` says what.
        XaudioError
            If the study cannot be built or served.
        """
        settings = {name: value if isinstance(value, int | None) else str(value) for name, value in vars(self).items()}
        xaudio.plugin.refuse_other_settings(folder, settings)
        xaudio.plugin.write_run(folder, settings=settings)
        start = time.monotonic()
        study = self._built(folder)
        crashes, logs = self._crashes(study)
        forgery = self._forgery(study, logs)
        full = self._full_disk(study, folder / "full")
        results = Results(
            simulated=f"{self.participants} simulated participants who answer at random",
            crashes=crashes,
            forgery=forgery,
            separation=_separation(logs),
            full_disk=full,
            seconds=round(time.monotonic() - start, 1),
        )
        xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        self.report(folder)
        for name, value, held in figures_of(results):
            print(f"{'ok ' if held else 'NO '} {name}: {value}")
        failed = [f"{name}: {value}" for name, value, held in figures_of(results) if not held]
        if failed:
            raise DataError(f"{folder / 'results.json'}: the proof does not hold: {failed[0]}.")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _built(self, folder: Path) -> Path:
        """The study, without answers."""
        model, study = self.model, folder / "study"
        if model is None:
            import torch

            model = folder / "model"
            speech = xaudio.create("dataset", DATA)
            xaudio.run_experiment(
                xaudio.Experiment(speech, "digit", 0, "audionet", training=TRAINING), model, torch.device("cpu")
            )
        config = xaudio.plugin.write_text(
            folder / "study.toml", SETTINGS.format(seed=self.seed, right=self.right, wrong=self.wrong)
        )
        options = [part for name in ("dataset", "data") if (value := getattr(self, name)) for part in (f"--{name}", value)]
        run_command("build", "--model", model, "--out", study, "--config", config, "--device", "cpu", *options)
        for path in study.glob("answers.sqlite*"):
            path.unlink()
        return study

    def _crashes(self, study: Path) -> tuple[Crashes, list[Log]]:
        items = len(json.loads((study / "study.json").read_text(encoding="utf-8"))["items"])
        total = items * self.participants
        draw = random.Random(self.seed)  # noqa: S311 (reproducible on purpose)
        moments = sorted(draw.sample(range(total // 20, total * 19 // 20), self.kills))
        server = Server(study)
        down: list[float] = []
        with xaudio.plugin.progress(f"{self.participants} simulated participants, {items} items each", total) as advance:
            count = 0

            def acknowledged() -> None:
                nonlocal count
                count += 1
                advance()

            def kill_now_and_then(going: Callable[[], bool]) -> None:
                for moment in moments:
                    while count < moment and going():
                        time.sleep(0.01)
                    time.sleep(draw.uniform(0, 0.05))
                    start = time.monotonic()
                    server.kill()
                    server.start()
                    down.append(time.monotonic() - start)

            start = time.monotonic()
            logs = all_at_once(
                [
                    Participant(server.port, token, self.seed + place, acknowledged)
                    for place, token in enumerate(_tokens(study, self.participants))
                ],
                kill_now_and_then,
            )
            seconds = time.monotonic() - start
        printed = server.stop()
        return _compared(study, logs, items, self.kills, seconds, down, printed), logs

    def _forgery(self, study: Path, logs: list[Log]) -> Forgery:
        server = Server(study)
        fresh, token, gone = _tokens(study, 3)
        halfway = Participant(server.port, token, self.seed)
        items = len(json.loads((study / "study.json").read_text(encoding="utf-8"))["items"])
        halfway.take_part(max(1, items // 3))
        while not (state := halfway.send("GET", "/api/state")[1])["trial"]["media"][0]["seconds"]:
            halfway.take_part(len(halfway.log.acknowledged) + 1)  # on to a sound, so that being too early can be forged
        Participant(server.port, gone, self.seed).take_part(1)
        Client(server.port, gone).once("POST", "/api/withdraw", b'{"delete": true}')
        Client(server.port, fresh).once("GET", "/api/state")
        time.sleep(2)  # so that what is refused is not refused for being early alone
        forger = Forger(study, fresh, halfway.log, logs[0], gone, state["trial"], self.seed)
        before = digest(study)
        forged = list(forger.make(self.requests + self.requests // 10))
        with xaudio.plugin.progress("Forged requests", len(forged)) as advance:
            counts, surprises = try_all(server.port, forged)
            advance(len(forged))
        alike = sum(
            Client(server.port, log.token).once("POST", "/api/answer", body)
            == (200, json.dumps(log.acknowledged[item], separators=(",", ":"), ensure_ascii=False).encode())
            for log in (halfway.log, logs[0])
            for item, body in log.sent.items()
        )
        after = digest(study)
        server.stop()
        return Forgery(
            requests=sum(counts.values()),
            kinds=dict(sorted(counts.items())),
            surprises=surprises[:50],
            unchanged=before == after,
            replays=len(halfway.log.sent) + len(logs[0].sent),
            replays_alike=alike,
        )

    def _full_disk(self, study: Path, folder: Path) -> FullDisk:
        """A server whose files may not grow beyond a limit, then one that may."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(study, folder, ignore=shutil.ignore_patterns("answers.sqlite*"))
        tokens = _tokens(folder, min(8, self.participants))
        server = Server(folder, ROOM)
        people = [Participant(server.port, token, place, patience=5) for place, token in enumerate(tokens)]
        logs = all_at_once(people)
        acknowledged = {
            (log.name, item, ack["position"], ack["answered"]) for log in logs for item, ack in log.acknowledged.items()
        }
        message = next((body for log in logs for body in log.bodies if body.startswith(b'{"error":"full"')), b"").decode()
        asked_again = sum(log.asked_again for log in logs)
        alive = Client(server.port).once("GET", "/api/study")[0] == 200
        server.stop()
        stored = {(name, item, position, answered) for name, item, position, _, answered in stored_answers(folder)}
        server = Server(folder)
        logs = all_at_once([Participant(server.port, token, 100 + place) for place, token in enumerate(tokens)])
        server.stop()
        items = len(json.loads((folder / "study.json").read_text(encoding="utf-8"))["items"])
        return FullDisk(
            acknowledged=len(acknowledged),
            stored=len(stored),
            lost=len(acknowledged - stored) + asked_again,
            refused=sum(person.log.refused for person in people),
            message=message,
            served_on=alive,
            finished_with_room=sum(log.finished for log in logs),
            participants=len(tokens),
            stored_in_the_end=len(stored_answers(folder)),
            expected_in_the_end=items * len(tokens),
        )


def _tokens(study: Path, count: int) -> list[str]:
    return [link.partition("#")[2] for link in run_command("invite", study, "--count", count).split()]


def _compared(study: Path, logs: list[Log], items: int, kills: int, seconds: float, down: list[float], printed: str) -> Crashes:
    """What the database holds, beside what the participants were told."""
    rows = stored_answers(study)
    stored = {(name, item): (position, value, answered) for name, item, position, value, answered in rows}
    told: dict[Any, Any] = {
        (log.name, item): (ack["position"], log.values[item], ack["answered"])
        for log in logs
        for item, ack in log.acknowledged.items()
    }
    return Crashes(
        participants=len(logs),
        items=items,
        kills=kills,
        acknowledged=len(told),
        stored=len(rows),
        lost=len(set(told.items()) - set(stored.items())) + sum(log.asked_again for log in logs),
        twice=len(rows) - len(stored),
        unasked=len(set(stored) - set(told)),
        finished=sum(log.finished for log in logs),
        broken_connections=sum(log.broken for log in logs),
        repeats=sum(log.repeats for log in logs),
        repeats_alike=sum(log.repeats_alike for log in logs),
        seconds=round(seconds, 1),
        seconds_down=[round(value, 2) for value in down],
        printed=[line for line in printed.splitlines() if line and not line.startswith(EXPECTED)][:20],
    )


def _separation(logs: list[Log]) -> Separation:
    """Whether anybody was sent a name or a link of anybody else."""
    marks = [(log.name.encode(), log.token.encode()) for log in logs]
    seen = 0
    for place, log in enumerate(logs):
        others = [mark for other, pair in enumerate(marks) if other != place for mark in pair]
        everything = b"\n".join(body for body in log.bodies if body[:1] == b"{")
        seen += sum(mark in everything for mark in others)
    return Separation(responses=sum(len(log.bodies) for log in logs), data_of_others=seen)
