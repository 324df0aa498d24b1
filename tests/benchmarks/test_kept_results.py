"""Results in the repository say where they come from, and hold nothing of the machine they were made on."""

import json
import re
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("kept", sorted(path.parent for path in RESULTS.glob("*/results.json")), ids=lambda path: path.name)
def test_kept_results_say_where_they_come_from(kept):
    run, results = (json.loads((kept / name).read_text()) for name in ("run.json", "results.json"))
    assert re.match(
        rf"xaudio (bench {results.get('benchmark', '')}|study (simulate|power|listen) |train |evaluate )", run["command"]
    )
    assert run["versions"]["torch"]
    for name in ("run.json", "results.json"):
        assert not re.search(r"(^|[ \"=])(/\w|[A-Z]:\\)", (kept / name).read_text()), f"{name}: a path of some machine"
    assert kept.name in (RESULTS / "README.md").read_text()
