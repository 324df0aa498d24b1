"""The proof of reliability: its small trials, what it counts, and that it sees what must not be."""

import json

import pytest
from typer.testing import CliRunner

from xaudio.cli.app import app
from xaudio.plugin import DataError, PluginError, Row
from xaudio_bench_reliability.report import count_trials
from xaudio_bench_reliability.rows import Trials
from xaudio_bench_reliability.trials import BAD, GOOD, asked, trial

SMALL = "audio,artefacts,archives,pickles,plugins"


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    """Trials of milliseconds alone; those that start commands take minutes, and tests of their own have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaudio_local._local.CONTEXT", "fork")
        folder = tmp_path_factory.mktemp("proof")
        done = CliRunner().invoke(app, ["bench", "reliability", "--preset", "quick", "--parts", SMALL, "--out", str(folder)])
        assert done.exit_code == 0, done.output
        return folder


def test_the_report_counts_what_is_in_the_files(proof):
    results = json.loads((proof / "results.json").read_text())
    lines = [json.loads(line) for line in (proof / "small/results.jsonl").read_text().splitlines()]
    assert (proof / "small/errors.jsonl").read_text() == ""
    assert sum(count["trials"] for count in results["counts"]) == len(lines) == 203
    for count in results["counts"]:
        assert set(count["outcomes"]) <= set(GOOD)
        for outcome, number in count["outcomes"].items():
            assert number == sum((line["part"], line["outcome"]) == (count["part"], outcome) for line in lines)
    page = (proof / "report.html").read_text()
    assert all(f'<th scope="row">{part}</th>' in page for part in SMALL.split(","))
    assert str(proof) not in json.dumps(results), "no path of this machine"


def test_what_must_not_be_is_counted_and_named(proof, tmp_path):
    (tmp_path / "small").mkdir()
    line = {"part": "audio", "what": "wav", "outcome": "silent", "said": "x"}
    (tmp_path / "small/results.jsonl").write_text(json.dumps(line) + "\n")
    errors = [{"part": "audio", "error": "killed", "kind": "poison"}, {"part": "audio", "error": "y", "kind": "TypeError"}]
    (tmp_path / "small/errors.jsonl").write_text("".join(f"{json.dumps(error)}\n" for error in errors))
    (count,) = count_trials(tmp_path)
    assert count.outcomes == {"silent": 1, "crash": 1, "traceback": 1}
    assert not count.holds
    assert len(count.bad) == 3
    assert set(count.outcomes) <= set(BAD)


def test_a_trial_sees_a_bug_a_second_line_and_another_value(tmp_path):
    def raising(error):
        raise error

    assert asked("x", lambda: 3, lambda value: value == 4)[1] == "silent"
    assert asked("x", lambda: raising(DataError("a\nb")))[1] == "traceback"
    assert asked("x", lambda: raising(DataError("a")))[1] == "refused"
    trial("with a bug")(lambda given: raising(ZeroDivisionError("x")))
    trials = Trials(str(tmp_path), False, 0)
    row = Row("0", 0, 1.0, {"part": "with a bug", "number": 0})
    assert trials.run([row], [row.fields], tmp_path)[0]["outcome"] == "traceback"


def test_an_unknown_part_is_refused():
    done = CliRunner().invoke(app, ["bench", "reliability", "--parts", "audi"])
    assert isinstance(done.exception, PluginError)
    assert "Did you mean 'audio'" in str(done.exception)
