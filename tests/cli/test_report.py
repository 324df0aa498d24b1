"""`xaudio report` for folders that have none, or damaged ones; what it writes is tested beside each command."""

import json

import pytest
from typer.testing import CliRunner

from xaudio import ModelError, PluginError
from xaudio.cli.app import app


@pytest.mark.parametrize(
    "results", [None, "[]", "3", "{}", '{"result": "training"}', '{"result": ["groups"]}', '{"result": null}']
)
def test_a_folder_without_a_report_is_one_line_that_names_the_commands(tmp_path, results):
    if results is not None:
        (tmp_path / "results.json").write_text(results)
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(done.exception, ModelError)
    line = str(done.exception)
    assert line.startswith(
        f"{tmp_path}: holds no results that have a report. Give the --out folder of xaudio bench or evaluate, or results of "
    )
    assert all(name in line for name in ("clusters", "concepts", "groups", "probe", "study"))
    assert "\n" not in line
    assert not (tmp_path / "report.html").exists()


def test_neither_a_training_nor_a_missing_folder_has_a_report(run_folder, tmp_path):
    for folder in (run_folder, tmp_path / "missing"):
        done = CliRunner().invoke(app, ["report", str(folder)])
        assert isinstance(done.exception, ModelError)
        assert "holds no results that have a report" in str(done.exception)


@pytest.mark.parametrize("kind", ["groups", "clusters", "probe", "study"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "is damaged ("),
        ({"format": 2}, "has format 2; this version reads format 1. Run the command again with the same --out."),
        ({}, "has format None; this version reads format 1"),
    ],
)
def test_damaged_results_are_one_line(tmp_path, kind, change, message):
    (tmp_path / "results.json").write_text(json.dumps({"result": kind, **change}))
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(done.exception, ModelError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_half_a_file_and_an_unknown_benchmark_are_named(tmp_path):
    (tmp_path / "results.json").write_text('{"result": "groups", "for')
    assert "results.json: cannot be read" in str(CliRunner().invoke(app, ["report", str(tmp_path)]).exception)
    (tmp_path / "results.json").write_text('{"benchmark": "explainer"}')
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(done.exception, PluginError)
    assert "Did you mean 'explainers'" in str(done.exception)
