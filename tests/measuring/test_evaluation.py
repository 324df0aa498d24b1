"""Explainers and metrics on a model that hears the sign of a constant: what is measured, kept, refused and timed."""

import copy
import inspect
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn
from typer.testing import CliRunner

import xaudio.measuring.scoring
import xaudio.model.arguments
from xaudio import Clip, DataError, Explanation, Model, ModelError, PluginError, XaudioWarning, create, evaluate
from xaudio.cli.app import app
from xaudio.errors import PartDoneError
from xaudio.explanation.collection import Opened
from xaudio.measuring.choosing import spread
from xaudio.measuring.evaluation import with_controls
from xaudio.measuring.scoring import BATCH
from xaudio.measuring.timing import Timed
from xaudio.model.statements import statement_of
from xaudio.plugin import Recording, SpeakerDataset
from xaudio.registry.loading import Registry
from xaudio.shards.gathering import Sharing

RATE, SAMPLES = 8000, 64
ALL = 40


class Sign(nn.Module):
    """Class 0 for positive means, class 1 for negative ones."""

    def forward(self, features):
        mean = features.mean((1, 2))
        return torch.stack([mean, -mean], 1)


def model():
    representation = create("representation", "waveform", samples=SAMPLES, normalisation="none")
    spec = {"name": "waveform", "options": {"samples": SAMPLES, "normalisation": "none"}}
    return Model(Sign(), representation, ("up", "down"), "way", representation_spec=spec, facts={"seed": 0})


def dataset(wrong=0, count=ALL, unlabelled=0):
    """Recordings of a constant and noise, the first few of them labelled wrongly."""
    recordings = []
    for index in range(count):
        label = index // 3 % 2
        recordings.append(
            Recording(str(index), "someone", {"way": None if index >= count - unlabelled else label ^ (index < wrong)})
        )

    def read(recording):
        index = int(recording.source)
        noise = 0.05 * np.random.default_rng(index).standard_normal(SAMPLES)
        return Clip((noise + (-0.2 if index // 3 % 2 else 0.2)).astype(np.float32), RATE, recording.labels, source=f"{index}.wav")

    return SpeakerDataset(
        "signs", "signs", {"way": ("up", "down")}, recordings, {"way": []}, read=read, fingerprint_of=lambda found: "1"
    )


class Counting(Sign):
    """Counts its answers in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("answers", torch.zeros(1))

    def forward(self, features):
        self.answers += 1
        return super().forward(features)


def test_workers_are_given_the_digest_of_the_model_before_it_predicts(tmp_path, monkeypatch):
    """A worker loads the model anew, and compares."""
    counting, told = replace(model(), network=Counting()), []
    monkeypatch.setattr("xaudio.measuring.evaluation.share_measuring", lambda sharing, digest, *rest: told.append(digest))
    opened = Opened("model", "cpu", None, None, "test", ())
    loaded = counting.digest()
    options = {"explainers": [], "metrics": [], "folder": tmp_path, "sharing": Sharing(), "opened": opened}
    evaluate(counting, dataset(), np.arange(ALL), **options)
    assert told == [loaded] != [counting.digest()]


CALLS: list[tuple[str, int]] = []


def product(*, factor: float = 1.0):
    """Features times a factor."""

    def explain(model, features, target):
        CALLS.append(("product", len(features)))
        return factor * features

    return explain


def picky():
    def explain(model, features, target):
        raise ModelError("picky wants\nanother model.")

    return explain


def broken():
    def explain(model, features, target):
        return features / (len(features) - len(features))

    return explain


def hungry():
    def explain(model, features, target):
        if len(features) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 TiB.")
        return 2 * features

    return explain


def slow():
    """10 ms for each recording, and a second for the first call."""
    calls = []

    def explain(model, features, target):
        time.sleep(0.01 * len(features) + (0.5 if not calls else 0))
        calls.append(1)
        return features.clone()

    return explain


class Claiming:
    """Features, which says what they sum to."""

    needs = "gradient"

    def __call__(self, model, features, target):
        return features.clone()

    def expected_sum(self, model, features, target, logits):
        return features.flatten(1).sum(1)


def claiming():
    return Claiming()


@dataclass(frozen=True)
class Metric:
    name: str
    function: object
    better: dict
    needs_truth: bool = False

    def __call__(self, model, explanations):
        CALLS.append((self.name, len(explanations)))
        return {name: np.array([self.function(item) for item in explanations]) for name in self.better}


def total():
    """Sum of the relevance."""
    return Metric("total", lambda item: float(item.relevance.sum()), {"total": "higher", "twice": "none"})


def hit():
    return Metric("hit", lambda item: float(item.label == item.target), {"hit": "higher"}, needs_truth=True)


def nothing():
    return Metric("nothing", lambda item: float("nan"), {"nothing": "lower"})


def particular():
    def value(item):
        if item.clip.source == "39.wav":
            raise DataError("39.wav is not to be measured.")
        return 1.0

    return Metric("particular", value, {"particular": "none"})


def shapeless():
    return lambda model, explanations: {"shapeless": np.zeros(1 + len(explanations))}


def needy(*, threshold: float):
    return total()


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """The installed plugins, and those above."""
    found = Registry()
    owner = found.plugins[0]
    offers = {
        "explainer": (product, picky, broken, hungry, slow, claiming),
        "metric": (total, hit, nothing, particular, shapeless, needy),
    }
    for kind, factories in offers.items():
        for factory in factories:
            found._offers[kind, factory.__name__] = [(owner, factory)]
    for module in (xaudio.model.arguments, xaudio.measuring.scoring):
        monkeypatch.setattr(module, "registry", lambda: found)
    CALLS.clear()


def measured(folder, explainers=("product",), metrics=("total",), data=None, recordings=ALL, **options):
    data = data or dataset()
    return evaluate(
        model(),
        data,
        np.arange(len(data)),
        explainers=explainers,
        metrics=metrics,
        folder=folder,
        recordings=recordings,
        **options,
    )


@pytest.mark.slow
def test_values_are_those_of_the_metric_on_the_explanations(tmp_path):
    found = measured(tmp_path, ("product:factor=3",))
    assert list(found.folders) == ["product:factor=3", "amplitude", "random"]
    for explainer, name, factor in (("product:factor=3", "product", 3.0), ("amplitude", "amplitude", None)):
        options = {} if factor is None else {"factor": factor}
        clips = [dataset()[index] for index in found.indices]
        explanations = xaudio.explain(model(), clips, explainer=name, **options)
        direct = [float(item.relevance.sum()) for item in explanations]
        np.testing.assert_array_equal(found.values[explainer, "total", "total"], direct)
        np.testing.assert_array_equal(found.values[explainer, "total", "twice"], direct)
    assert [(column.name, column.better, column.definition) for column in found.columns] == [
        ("total", "higher", "Sum of the relevance."),
        ("twice", "none", "Sum of the relevance."),
    ]
    assert found.accuracy == 1
    assert found.refused == {}
    assert [item.better for item in found.columns] == ["higher", "none"]
    kept = found.explanation("product:factor=3", 5)
    assert kept.explainer == "product:factor=3.0"
    assert kept.clip.source == "5.wav"


def test_the_controls_are_always_among_the_explainers():
    assert with_controls(["a", "random", "a"]) == ["a", "random", "amplitude"]
    assert with_controls([]) == ["amplitude", "random"]


@pytest.mark.slow
def test_what_is_done_is_not_done_again(tmp_path):
    first = measured(tmp_path, ("product",), ("total", "hit"))
    CALLS.clear()
    again = measured(tmp_path, ("product",), ("total", "hit"))
    assert CALLS == []
    assert first.milliseconds == again.milliseconds
    for key, values in first.values.items():
        np.testing.assert_array_equal(again.values[key], values)


@pytest.mark.slow
def test_what_is_missing_or_damaged_is_made_again_and_gives_the_same(tmp_path):
    first = measured(tmp_path, ("product",), ("total", "hit"))
    folder = first.folders["product"]
    (folder / "explanations" / "3.safetensors").unlink()
    (folder / "explanations" / "38.safetensors").write_bytes(b"half a file")
    (folder / "scores" / "00-total.json").write_text("{")
    (folder / "times.json").write_text("[1]")
    scores = json.loads((folder / "scores" / "01-hit.json").read_text())
    del scores["values"]["hit"]["7"]
    (folder / "scores" / "01-hit.json").write_text(json.dumps(scores))
    CALLS.clear()
    again = measured(tmp_path, ("product",), ("total", "hit"))
    # Two batches of explanations are made again; the second of them is timed.
    assert CALLS.count(("product", BATCH)) == 1
    assert CALLS.count(("product", ALL % BATCH)) == 1
    assert [size for name, size in CALLS if name == "total"] == [BATCH, BATCH, ALL % BATCH]
    assert [size for name, size in CALLS if name == "hit"] == [1]
    for key, values in first.values.items():
        np.testing.assert_array_equal(again.values[key], values)
    assert list(json.loads((folder / "times.json").read_text())) == ["32"]


@pytest.mark.slow
def test_a_run_that_stops_in_the_middle_goes_on(tmp_path, monkeypatch):
    whole = measured(tmp_path / "whole", ("product",), ("total", "particular"))
    measure, done = xaudio.measuring.scoring.Work._measure, []

    def stopped(self, *arguments):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(1)
        measure(self, *arguments)

    monkeypatch.setattr(xaudio.measuring.scoring.Work, "_measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path / "stopped", ("product",), ("total", "particular"))
    monkeypatch.setattr(xaudio.measuring.scoring.Work, "_measure", measure)
    CALLS.clear()
    again = measured(tmp_path / "stopped", ("product",), ("total", "particular"))
    assert [size for name, size in CALLS if name == "total"].count(BATCH) == 3 * 2 - 2
    assert again.refused == whole.refused
    for key, values in whole.values.items():
        np.testing.assert_array_equal(again.values[key], values)


@pytest.mark.slow
def test_what_a_plugin_refuses_has_its_reason_in_one_line(tmp_path):
    metrics = ("total", "nothing", "particular", "shapeless", "needy", "missing", "total:a=1")
    found = measured(tmp_path, ("picky", "broken", "product", "product:factor=x"), metrics)
    assert found.refused["picky", ""] == "picky wants another model."
    assert found.refused["broken", ""].startswith("The explainer 'explain' returned relevance that is NaN or infinite")
    assert "'x' does not fit option 'factor'" in found.refused["product:factor=x", ""]
    assert found.refused["product", "nothing"] == "The metric 'nothing' gives nan as 'nothing' of 0.wav explained by product."
    assert found.refused["product", "particular"] == "39.wav is not to be measured."
    assert "of shape (17,) for 16 explanations" in found.refused["product", "shapeless"]
    assert "needs the option 'threshold'" in found.refused["product", "needy"]
    assert "Unknown metric 'missing'" in found.refused["product", "missing"]
    assert "Unknown option 'a'" in found.refused["product", "total:a=1"]
    assert {key[:2] for key in found.values} == {(name, "total") for name in ("product", "amplitude", "random")}
    assert not any("\n" in reason for reason in found.refused.values())
    assert {column.name for column in found.columns} == {
        "total",
        "twice",
        "nothing",
        "particular",
        "shapeless",
        "needy",
        "missing",
    }


@pytest.mark.slow
def test_an_error_that_is_no_refusal_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    def explode(self, model, explanations):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(Metric, "__call__", explode)
    found = measured(tmp_path, ("product",), ("total", "sparseness"))
    assert found.refused["product", "total"] == "ZeroDivisionError: by zero"
    assert ("product", "sparseness", "sparseness") in found.values


def test_a_folder_that_cannot_be_written_is_no_refusal(tmp_path, monkeypatch):
    def full(self, path):
        raise xaudio.OutputError("The disk is full.")

    monkeypatch.setattr(Explanation, "save", full)
    with pytest.raises(xaudio.OutputError, match="disk is full"):
        measured(tmp_path)


@pytest.mark.slow
def test_the_truth_is_asked_of_rightly_predicted_recordings_only(tmp_path):
    found = measured(tmp_path, ("product",), ("hit", "total"), dataset(wrong=5))
    assert found.accuracy == pytest.approx(35 / 40)
    np.testing.assert_array_equal(found.values["product", "hit", "hit"], np.ones(35))
    assert len(found.values["product", "total", "total"]) == 40
    assert [column.needs_truth for column in found.columns] == [True, False, False]
    assert found.chance == 0.5 or found.chance == pytest.approx(max(np.bincount(found.labels)) / 40)


@pytest.mark.slow
def test_a_model_that_did_not_learn_is_not_compared_with_the_truth(tmp_path):
    data = dataset(wrong=20)
    found = measured(tmp_path / "a", ("product",), ("hit", "total"), data)
    assert found.unlearned.startswith("accuracy 50% on 40 recordings is not significantly above chance (5")
    assert found.refused["product", "hit"] == found.unlearned
    assert set(found.values) == {(name, "total", kind) for name in found.folders for kind in ("total", "twice")}
    asked = measured(tmp_path / "b", ("product",), ("hit",), data, min_accuracy=0.4)
    assert asked.unlearned == ""
    assert len(asked.values["product", "hit", "hit"]) == 20
    assert measured(tmp_path / "d", ("product",), ("hit",), data, min_accuracy=0.5).unlearned == ""
    more = measured(tmp_path / "c", ("product",), ("hit",), data, min_accuracy=0.6)
    assert more.unlearned.startswith("accuracy 50% on 40 recordings is below the 60% asked for")


def test_naming_the_commonest_label_is_no_learning(tmp_path):
    """18 of 20 labels are the same and 18 predictions are right: better than a coin, no better than always saying it."""
    data = dataset(wrong=2)
    indices = np.flatnonzero(data.labels("way") == 0)[:18]
    chosen = np.sort(np.concatenate([indices, np.flatnonzero(data.labels("way") == 1)[:2]]))
    given = {"explainers": ["product"], "metrics": ["hit"], "recordings": ALL}
    found = evaluate(model(), data, chosen, folder=tmp_path, **given)
    assert (found.accuracy, found.chance) == (pytest.approx(0.9), 0.9)
    assert found.p_value > 0.5
    assert "is not significantly above chance (90%" in found.unlearned


def test_too_few_recordings_are_one_line(tmp_path):
    with pytest.raises(DataError, match=r"^7 labelled recordings of signs are too few for an interval; expected 8 or more\.$"):
        measured(tmp_path, recordings=7)
    with pytest.raises(DataError, match="5 labelled recordings"):
        measured(tmp_path, data=dataset(count=10, unlabelled=5))


@given(size=st.integers(1, 200), count=st.integers(1, 50), seed=st.integers(0, 5))
def test_recordings_are_spread_evenly(size, count, seed):
    indices = np.arange(size) * 2 + 1
    found = spread(indices, count, seed)
    assert len(found) == min(size, count)
    assert len(np.unique(found)) == len(found)
    assert set(found) <= set(indices)
    assert (np.diff(found) > 0).all()
    np.testing.assert_array_equal(found, spread(indices, count, seed))
    if count < size:
        parts = [np.searchsorted(indices, value) * count // size for value in found]
        assert max(abs(part - position) for position, part in enumerate(parts)) <= 1


def test_recordings_depend_on_the_seed_and_not_on_the_order_of_classes():
    found = spread(np.arange(1000), 50, 0)
    assert not np.array_equal(found, spread(np.arange(1000), 50, 1))
    assert len(np.unique(found % 10)) == 10  # a stride of 20 would meet one class of ten


@pytest.mark.slow
def test_memory_that_runs_out_halves_the_batch(tmp_path):
    with pytest.warns(XaudioWarning, match="hungry: memory ran out with") as caught:
        found = measured(tmp_path, ("hungry", "product:factor=2"))
    assert [str(item.message).split(" with ", 1)[1] for item in caught] == [
        "16 at once; going on with 8.",
        "8 at once; going on with 4.",
    ]
    values = [found.values[name, "total", "total"] for name in ("hungry", "product:factor=2")]
    np.testing.assert_array_equal(*values)


@pytest.mark.slow
@pytest.mark.parametrize("recordings", [BATCH, 2 * BATCH])
def test_milliseconds_leave_out_a_batch_that_warms_up(tmp_path, recordings):
    found = measured(tmp_path, ("slow",), recordings=recordings)
    assert 10 <= found.milliseconds["slow"] < 16  # with the first call of half a second it would be 25 or more
    assert found.milliseconds["amplitude"] < 5


def test_a_clock_changes_nothing_else():
    class Both:
        def __call__(self, model, features, target, *, sound):
            return features

        def with_logits(self, model, features, target):
            return features, model

    seconds = []
    explainer = Timed(Both(), seconds.append, torch.device("cpu"))
    assert "sound" in inspect.signature(explainer).parameters
    assert "sound" not in inspect.signature(explainer.with_logits).parameters
    assert explainer.__name__ == "Both"
    assert explainer(None, 1, 2, sound=3) == 1
    assert explainer.with_logits("m", 1, 2) == (1, "m")
    assert len(seconds) == 2
    assert not hasattr(Timed(product(), seconds.append, torch.device("cpu")), "with_logits")
    assert copy.copy(explainer)(None, 1, 2, sound=3) == 1


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift", "kernel_shap", "lrp", "gradient"])
def test_a_clock_loses_nothing_that_an_explainer_says_of_itself(name):
    said = ("needs", "relies_on", "promises", "expected_sum", "law", "remedies", "alternatives", "joins_channels")
    explainer = create("explainer", name)
    clocked = Timed(explainer, [].append, torch.device("cpu"))
    assert {key for key in said if hasattr(clocked, key)} == {key for key in said if hasattr(explainer, key)}
    assert statement_of(clocked) == statement_of(explainer)


@pytest.mark.slow
def test_kept_explanations_hold_how_far_their_sum_is_from_what_it_should_be(tmp_path):
    kept = measured(tmp_path, ("claiming",)).explanation("claiming", 5)
    assert (
        kept.provenance["completeness"] == xaudio.explain(model(), dataset()[5], explainer=Claiming()).provenance["completeness"]
    )


def test_a_model_that_cannot_be_asked_stops_the_work(tmp_path):
    class Deaf(nn.Module):
        def forward(self, features):
            return features.new_full((len(features), 2), float("nan"))

    deaf = model()
    deaf.network = Deaf()
    with pytest.raises(ModelError, match="NaN or infinite"):
        evaluate(deaf, dataset(), np.arange(ALL), explainers=["product"], metrics=["total"], folder=Path(tmp_path))


def test_the_reference_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(xaudio.measuring.scoring, "QUICKEST", "gone")
    monkeypatch.setattr(xaudio.measuring.evaluation, "CONTROLS", ("gone", "random"))
    with pytest.raises(PluginError, match="Unknown explainer 'gone'"):
        measured(tmp_path)


def test_workers_measure_the_same(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("xaudio_local._local.CONTEXT", "fork")
    command = ["evaluate", "--model", run_folder, "--dataset", "synthetic:speakers=8,repetitions=1", "--explainers", "gradient"]
    command += ["--metrics", "sparseness,auc", "--recordings", "8", "--examples", "0", "--device", "cpu"]

    def of(out, *more):
        done = CliRunner().invoke(app, [str(word) for word in (*command, "--out", tmp_path / out, *more)])
        assert not done.exception, done.output
        (model,) = json.loads((tmp_path / out / "results.json").read_text())["models"]
        return model

    alone, shared = of("alone"), of("shared", "--workers", "2")
    for name in ("scores", "refused", "accuracy", "indices", "compared"):
        assert alone[name] == shared[name], name
    assert set(alone["milliseconds"]) == set(shared["milliseconds"])
    assert len(list((tmp_path / "shared/model0/work/shards").iterdir())) == 3


def test_parts_of_several_processes_are_put_together_to_the_table_of_one(run_folder, tmp_path, capsys):
    command = ["evaluate", "--model", run_folder, "--dataset", "synthetic:speakers=8,repetitions=1", "--explainers", "gradient"]
    command += ["--metrics", "sparseness,auc", "--recordings", "8", "--examples", "0", "--device", "cpu"]

    def of(out, *more):
        done = CliRunner().invoke(app, [str(word) for word in (*command, "--out", tmp_path / out, *more)])
        assert not done.exception, done.output
        path = tmp_path / out / "results.json"
        return (json.loads(path.read_text())["models"][0], done) if path.exists() else (None, done)

    alone, _ = of("alone")
    for part in ("1/3", "0/3"):
        nothing, done = of("parts", "--shard", part, "--json")
        assert nothing is None
        assert "Done with this part; the rest is that of other workers." in done.output
        assert (tmp_path / "parts/model0/work").exists()
    measured = [path.parts[-3] for path in (tmp_path / "parts/model0").glob("*/scores/*.json")]
    assert 0 < len(set(measured)) < 3  # explainers
    last, _ = of("parts", "--shard", "2/3")
    for name in ("scores", "refused", "accuracy", "indices", "compared"):
        assert alone[name] == last[name], name
    (tmp_path / "parts/results.json").unlink()
    assert of("parts")[0]["scores"] == alone["scores"]
    assert "cannot be combined" in of_error(command, tmp_path / "both", "--shard", "1/2", "--workers", "2")


def test_parts_at_the_same_time_are_put_together_to_the_table_of_one(run_folder, run_command, tmp_path):
    command = ["evaluate", "--model", run_folder, "--dataset", "synthetic:speakers=8,repetitions=1", "--explainers", "gradient"]
    command += ["--metrics", "sparseness,auc", "--recordings", "8", "--examples", "0", "--device", "cpu", "--out"]
    assert not CliRunner().invoke(app, [str(word) for word in (*command, tmp_path / "alone")]).exception
    with ThreadPoolExecutor(2) as pool:
        at_once = [pool.submit(run_command, *command, tmp_path / "parts", "--shard", part) for part in ("1/2", "2/2")]
    said = [one.result().stdout for one in at_once]
    assert any("Report:" in text for text in said)
    (alone,), (parts,) = (json.loads((tmp_path / out / "results.json").read_text())["models"] for out in ("alone", "parts"))
    for name in ("scores", "refused", "accuracy", "indices", "compared"):
        assert alone[name] == parts[name], name


@pytest.mark.parametrize("command", [("evaluate", "--model"), ("bench", "explainers", "--models")])
@pytest.mark.parametrize("part", [(), ("--shard", "1/2")])
def test_what_a_part_began_is_left_to_the_others_where_it_fails(command, part, run_folder, tmp_path, monkeypatch):
    def failing(*args):
        raise DataError("gone")

    monkeypatch.setattr("xaudio_bench_explainers.benchmark.Leaderboard._evaluate", failing)
    data = "--dataset" if command[0] == "evaluate" else "--datasets"
    words = [*command, run_folder, data, "synthetic:speakers=8,repetitions=1", "--device", "cpu", "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, [str(word) for word in (*words, *part)])
    assert str(done.exception) == "gone"
    assert (tmp_path / "out/run.json").exists() == bool(part)


@pytest.mark.parametrize("part", [None, (1, 2)])
def test_predictions_that_each_part_makes_are_not_timed(part, tmp_path, monkeypatch):
    def shared(*given):
        raise PartDoneError("the rest is that of others")

    monkeypatch.setattr("xaudio.measuring.evaluation.share_measuring", shared)
    opened = Opened("model", "cpu", None, None, "test", ())
    with pytest.raises(PartDoneError):
        measured(tmp_path, recordings=2 * BATCH, sharing=Sharing(None, part), opened=opened)
    assert len(list(tmp_path.glob("*/explanations/*"))) == 2 * BATCH
    assert len(list(tmp_path.glob("*/times.json"))) == (part is None)


def of_error(command, out, *more):
    done = CliRunner().invoke(app, [str(word) for word in (*command, "--out", out, *more)])
    assert not out.exists()
    return str(done.exception)
