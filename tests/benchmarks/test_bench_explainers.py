"""The leaderboard: explainers by metrics on models, from the command line to the page."""

import csv
import json
import re
import shutil
import signal
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import commands
import numpy as np
import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

import xaudio
import xaudio.plugin
from xaudio import DataError, Evaluation, ModelError, PluginError
from xaudio.cli.app import app
from xaudio.measuring import statistics
from xaudio.measuring.scoring import Column
from xaudio.registry.loading import registry
from xaudio_bench_explainers import rules as preset
from xaudio_bench_explainers.benchmark import Leaderboard, _name, all_explainers
from xaudio_bench_explainers.report import digest, drawing
from xaudio_bench_explainers.results import Metric, Results, Score
from xaudio_bench_explainers.scores import agreement, metrics_of
from xaudio_bench_explainers.table import table_text

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
SPEECH = "synthetic:speakers=8,repetitions=1"
EXPLAINERS = "gradient,lrp:composite=epsilon_gamma"
METRICS = "sparseness,complexity,conservation"

PLUGIN = '''
import os, time
import numpy as np
from xaudio.plugin import ModelError, hookimpl

def doubled(*, seconds: float = 0.0):
    """Features, slowly."""
    def explain(model, features, target):
        time.sleep(seconds)
        return 2 * features
    return explain

def refusing():
    def explain(model, features, target):
        raise ModelError("refusing wants another model.")
    return explain

class Largest:
    better = {"largest": "higher", "place": "none"}
    def __call__(self, model, explanations):
        relevance = np.stack([item.relevance.ravel() for item in explanations])
        return {"largest": relevance.max(1), "place": relevance.argmax(1)}

def largest():
    """The largest relevance."""
    return Largest()

class Label:
    better = {"label": "lower"}
    needs_truth = True
    def __call__(self, model, explanations):
        return {"label": np.array([item.label for item in explanations])}

@hookimpl
def xaudio_explainers():
    return {"doubled": doubled, "refusing": refusing}

@hookimpl
def xaudio_metrics():
    return {"largest": largest, "label": Label}
'''


@pytest.fixture(autouse=True, scope="module")
def few_recordings():
    """The runs here are of 8 and 9 recordings; what fewer than 16 give is tested by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "FEWEST_FOR_INTERVAL", 8)
        yield


@pytest.fixture(scope="module")
def third_party(tmp_path_factory):
    """A folder with a distribution of its own, found by its entry point once it is on the path."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "third_party_plugin.py").write_text(PLUGIN)
    information = folder / "third_party-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[xaudio]\nthird-party = third_party_plugin\n")
    return folder


@pytest.fixture
def installed(third_party, monkeypatch):
    monkeypatch.syspath_prepend(third_party)
    registry.cache_clear()
    yield third_party
    registry.cache_clear()
    sys.modules.pop("third_party_plugin", None)


def leaderboard(models, **options):
    given = {"datasets": SPEECH, "explainers": EXPLAINERS, "metrics": METRICS, "recordings": 9, "examples": 1, "device": "cpu"}
    return xaudio.create("benchmark", "explainers", models=models, **{**given, **options})


@pytest.fixture(scope="module")
def two_models(tmp_path_factory, run_folder):
    """The same model in two folders of one name."""
    folders = [tmp_path_factory.mktemp("models") / name / "audionet" for name in ("first", "second")]
    for folder in folders:
        shutil.copytree(run_folder, folder)
    return tuple(str(folder) for folder in folders)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, two_models):
    out = tmp_path_factory.mktemp("leaderboard")
    leaderboard(two_models)(out)
    return out


def read(folder):
    return Results.model_validate_json((folder / "results.json").read_text())


def numbers(folder):
    """Everything but how long it took."""
    content = read(folder).model_dump()
    for model in content["models"]:
        del model["milliseconds"]
    return content


def test_every_combination_is_in_the_results(folder, two_models):
    results = read(folder)
    assert results.explainers == ["gradient", "lrp:composite=epsilon_gamma", "amplitude", "random"]
    assert [model.name for model in results.models] == ["first/audionet", "second/audionet"]
    for model in results.models:
        cells = {(score.explainer, score.column) for score in model.scores}
        assert cells == {(name, metric.title) for name in results.explainers for metric in results.metrics}
        assert all(score.refused is None and score.recordings == 9 for score in model.scores)
        assert all(score.low <= score.mean <= score.high for score in model.scores)
        assert set(model.milliseconds) == set(results.explainers)
        assert min(model.milliseconds.values()) > 0
        assert [score.rank for score in model.scores if score.column == "conservation"] == [None] * 4
    assert results.models[0].scores == results.models[1].scores


def test_a_cell_is_the_mean_over_recordings_the_model_never_heard(folder, run_folder):
    results = read(folder)
    model = results.models[0]
    loaded = xaudio.load_model(run_folder, "cpu")
    dataset, heard_never = xaudio.held_out(loaded, SPEECH)
    assert set(model.indices) <= set(heard_never.tolist())
    clips = [dataset[index] for index in model.indices]
    explanations = xaudio.explain(loaded, clips, explainer="gradient", resampling="fft", placement="file")
    values = xaudio.create("metric", "sparseness")(loaded, explanations)["sparseness"]
    (cell,) = [score for score in model.scores if (score.explainer, score.column) == ("gradient", "sparseness")]
    assert cell.mean == pytest.approx(values.mean())
    assert (cell.low, cell.high) == pytest.approx(xaudio.plugin.bootstrap_interval(values)[1:])
    right = [item.predicted == item.label for item in explanations]
    assert model.accuracy == np.mean(right)


def test_the_page_holds_everything_and_needs_nothing_else(folder):
    page = (folder / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "://" not in page.replace("http-equiv", "")
    assert len(re.findall(r'<img [^>]*src="data:image/png', page)) == 2 * 4
    assert page.count("<xaudio-player>") == 2
    assert len(re.findall(r"<svg [^>]*aria-label", page)) == 2 * 3 * 4
    for name in read(folder).explainers:
        assert page.count(f'<th scope="row">{name}</th>') == 1 + 2 * (1 + 3)

    class Nesting(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "img"):
                self.open.append(tag)

        def handle_startendtag(self, tag, attributes):
            pass

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Nesting()
    parser.feed(page)
    assert parser.open == []


def test_column_heads_are_buttons_that_sort(folder):
    page = (folder / "report.html").read_text()
    tables = re.findall(r"<table.*?</table>", page, re.S)
    sortable = [table for table in tables if "<button" in table]
    assert len(sortable) == 1 + 2 * (1 + 3)
    for table in sortable:
        width = len(re.findall("<th", re.search(r"<thead>(.*?)</thead>", table, re.S)[1]))
        for row in re.findall(r"<tr.*?</tr>", re.search(r"<tbody>(.*?)</tbody>", table, re.S)[1], re.S):
            assert len(re.findall("<t[hd]", row)) == width
    assert "aria-sort" in page


def test_the_same_command_goes_on_and_gives_the_same(folder, two_models, monkeypatch):
    def explained(*arguments, **options):
        raise AssertionError("explained again")

    before = read(folder)
    monkeypatch.setattr("xaudio.measuring.scoring.explain_prepared", explained)
    leaderboard(two_models)(folder)
    assert read(folder) == before


def test_the_table_is_written_where_each_process_did_the_last_part_of_one_model(two_models, tmp_path, monkeypatch):
    def part(shard):
        return leaderboard(two_models, explainers="amplitude", metrics="sparseness", recordings=8, examples=0, shard=shard)

    def evaluated(self, number, *given):
        if (number, self.choices.shard, others) == (1, "1/2", []):
            others.append(part("2/2"))
            others[0](tmp_path)  # the last of the first model, not of the second
            assert not (tmp_path / "results.json").exists()
        return evaluate(self, number, *given)

    others = []
    evaluate = Leaderboard._evaluate
    monkeypatch.setattr(Leaderboard, "_evaluate", evaluated)
    part("1/2")(tmp_path)
    assert [model.run for model in read(tmp_path).models] == list(two_models)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "data was .*, now|seed was 0, now 1"),
        ({"recordings": 8}, "recordings was 9, now 8"),
        ({"metrics": "sparseness"}, "metrics was .* now"),
        ({"explainers": "gradient"}, "explainers was .* now"),
        ({"datasets": "synthetic:speakers=8,repetitions=2"}, "data was"),
        ({"min_accuracy": 0.2}, "min_accuracy was None, now 0.2"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(folder, two_models, other, message):
    with pytest.raises(ModelError, match=message) as caught:
        leaderboard(two_models, **other)(folder)
    assert "\n" not in str(caught.value)


def test_a_model_trained_anew_in_its_folder_is_noticed(tmp_path, run_folder, spectrogram_run_folder):
    model = tmp_path / "model"
    shutil.copytree(run_folder, model)
    leaderboard((str(model),), explainers="amplitude", metrics="sparseness", examples=0)(tmp_path / "out")
    shutil.copy(spectrogram_run_folder / "model.safetensors", model)
    with pytest.raises(ModelError, match=r"models\..*model was"):
        leaderboard((str(model),), explainers="amplitude", metrics="sparseness", examples=0)(tmp_path / "out")


def test_a_third_party_joins_by_being_installed(tmp_path, run_folder, installed, capsys):
    assert {"doubled", "refusing"} <= set(all_explainers())
    leaderboard(
        (str(run_folder),), explainers="doubled,refusing", metrics="largest,label,sparseness", min_accuracy=0.0, examples=0
    )(tmp_path)
    results = read(tmp_path)
    cells = {(score.explainer, score.column): score for score in results.models[0].scores}
    assert [metric.title for metric in results.metrics] == ["largest", "place", "label", "sparseness"]
    assert results.metrics[0].definition == "The largest relevance."
    assert cells["doubled", "largest"].mean > 0
    assert cells["doubled", "sparseness"].mean == pytest.approx(cells["amplitude", "sparseness"].mean)
    assert cells["doubled", "place"].rank is None
    for metric in results.metrics:
        assert cells["refusing", metric.title].refused == "refusing wants another model."
    # A model trained for one step hardly predicts anything correctly.
    assert cells["doubled", "label"].recordings < 8
    label = cells["doubled", "label"]
    assert "It is measured on correctly predicted recordings." in (label.refused or label.no_interval)
    page, printed = (tmp_path / "report.html").read_text(), capsys.readouterr().out
    for shown in (page, printed):
        assert "refusing is not measured: refusing wants another model." in shown
    assert page.count(">refusing wants another model.<") == 4  # a row of each metric


def test_a_model_that_did_not_learn_is_named(tmp_path, run_folder, installed, capsys):
    leaderboard((str(run_folder),), explainers="amplitude", metrics="label", examples=0)(tmp_path)
    (model,) = read(tmp_path).models
    assert re.match(r"accuracy \d+% on 9 recordings is not significantly above chance", model.unlearned)
    assert {score.refused for score in model.scores} == {model.unlearned}
    assert model.unlearned in capsys.readouterr().out
    assert model.unlearned.split(";")[0] in (tmp_path / "report.html").read_text()


def arguments(run_folder, out):
    explainers = "doubled:seconds=0.5,gradient"
    given = f"--explainers {explainers} --metrics largest,sparseness --recordings 40 --examples 0 --device cpu"
    speech = "synthetic:speakers=8,repetitions=2"  # 40 recordings of the speakers that were held out
    return ["evaluate", "--model", str(run_folder), "--dataset", speech, *given.split(), "--out", str(out)]


def test_a_command_that_was_killed_goes_on_and_gives_the_same(processes, tmp_path, run_folder, narrow, third_party):
    context = commands.start()

    def start(name):
        patches = {**narrow, "sys.path": [str(third_party), *sys.path]}
        return commands.begin(context, arguments(run_folder, tmp_path / name), tmp_path, patches)

    kept = tmp_path / "killed" / "model0" / "00-doubled-seconds-0-5" / "explanations"
    process = start("killed")
    while len(list(kept.glob("[0-9]*"))) < 32 and process.exitcode is None:  # the second of three batches
        time.sleep(0.02)
    assert process.exitcode is None, (tmp_path / "stderr").read_text()
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "results.json").exists()
    before = {path: path.stat().st_mtime_ns for path in kept.glob("[0-9]*")}
    for name in ("killed", "whole"):
        process = start(name)
        process.join(300)
        assert process.exitcode == 0, (tmp_path / "stderr").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def run(*given, status=0):
    done = CliRunner().invoke(app, [str(item) for item in given])
    assert done.exit_code == status or isinstance(done.exception, xaudio.XaudioError), done.output
    return done


def test_evaluate_prints_a_table_or_json(tmp_path, run_folder):
    given = ["evaluate", "--model", run_folder, "--dataset", SPEECH, "--explainers", "gradient", "--metrics", "sparseness"]
    given += ["--recordings", 8, "--examples", 0, "--device", "cpu", "--out", tmp_path]
    table = run(*given).stdout
    assert re.search(
        r"^audionet: digit of synthetic speech .* accuracy \d+% on 8 recordings \(chance \d+%, commonest label \d+%\)$",
        table,
        re.M,
    )
    for name in ("gradient", "amplitude", "random"):
        assert re.search(rf"^{name} +[\d.]+ +[\d.]+ \[[\d.]+, [\d.]+\] [123]$", table, re.M), table
    content = json.loads(run(*given, "--json").stdout)
    assert content == json.loads((tmp_path / "results.json").read_text())
    assert run("report", tmp_path).stdout == f"Report: {tmp_path / 'report.html'}\n"


def test_of_too_few_recordings_there_is_a_mean_and_no_interval(tmp_path, run_folder, monkeypatch):
    monkeypatch.setattr(statistics, "FEWEST_FOR_INTERVAL", 16)
    leaderboard((str(run_folder),))(tmp_path)
    model = xaudio.plugin.read_results(tmp_path / "results.json", Results).models[0]
    assert {(score.low, score.high, score.rank, score.refused) for score in model.scores} == {(None, None, None, None)}
    assert all(np.isfinite(score.mean) for score in model.scores)
    assert {score.no_interval for score in model.scores} == {"9 recordings are too few for an interval; expected 16 or more."}
    page = (tmp_path / "report.html").read_text()
    assert "9 recordings are too few for an interval" in page
    assert ">None" not in page


def test_too_few_recordings_are_one_line(tmp_path, run_folder):
    with pytest.raises(DataError, match=r"^5 labelled recordings of synthetic .* too few for an interval; expected 8 or more"):
        leaderboard((str(run_folder),), recordings=5)(tmp_path)
    few = {"explainers": "gradient", "metrics": "sparseness"}
    leaderboard((str(run_folder),), recordings=8, **few)(tmp_path)  # what was refused is in nobody's way
    with pytest.raises(ModelError, match="recordings was 8, now 9"):
        leaderboard((str(run_folder),), recordings=9, **few)(tmp_path)


def test_wrong_choices_are_named_before_anything_runs(tmp_path, run_folder):
    with pytest.raises(PluginError, match="Unknown explainer 'lpr'"):
        leaderboard((str(run_folder),), explainers="lpr")
    with pytest.raises(PluginError, match="Unknown metric 'sparsness'"):
        leaderboard((str(run_folder),), metrics="sparsness")
    with pytest.raises(PluginError, match="^-1 does not fit option 'examples' .*: expected int, 0 or more"):
        leaderboard((str(run_folder),), examples=-1)
    with pytest.raises(PluginError, match="^70 does not fit option 'min_accuracy' .*: expected float, 0 or more, 1 at most"):
        leaderboard((str(run_folder),), min_accuracy=70)
    with pytest.raises(PluginError, match="--data names 2 for 3 models; give one for all, or one for each"):
        leaderboard(("a", "b", "c"), data=("x", "y"))
    with pytest.raises(PluginError, match="needs trained models"):
        leaderboard(())(tmp_path)
    with pytest.raises(ModelError, match="is not the run folder of a model"):
        leaderboard((str(tmp_path),))(tmp_path / "out")
    assert xaudio.plugin.for_each("--data", ["x"], 3) == ["x"] * 3
    assert xaudio.plugin.for_each("--data", ["x", "y"], 2) == ["x", "y"]


def test_everything_installed_is_measured_unless_some_is_named(run_folder):
    made = leaderboard((str(run_folder),), explainers="", metrics="")
    assert set(made.metrics) == set(xaudio.names("metric"))
    assert set(xaudio.names("explainer")) - {"lrp"} < set(made.explainers)
    assert "lrp:composite=epsilon_plus" in made.explainers
    assert "lrp" not in made.explainers


def test_models_are_told_apart_by_as_much_of_their_path_as_it_takes():
    assert _name("runs/a", ("runs/a", "runs/b")) == "a"
    assert _name("x/runs/a", ("x/runs/a", "y/runs/a", "b")) == "x/runs/a"
    assert _name("a", ("a", "a")) == "a"


def score(explainer, column, mean, refused=None, **more):
    bounds = {"low": None, "high": None} if mean is None else {"low": mean - 1, "high": mean + 1}
    return Score(explainer=explainer, column=column, recordings=9, mean=mean, rank=None, refused=refused, **{**bounds, **more})


def column(title, better):
    return Metric(metric=title, name=title, title=title, better=better, needs_truth=False, definition="")


def test_agreement_is_the_rank_correlation_of_means_in_the_better_direction():
    rng = np.random.default_rng(0)
    values = {"up": rng.normal(size=7), "down": rng.normal(size=7), "no": rng.normal(size=7)}
    scores = [score(str(i), name, float(value)) for name, found in values.items() for i, value in enumerate(found)]
    scores += [score("x", "up", 1.0), score("x", "down", None, refused="no")]
    scores += [score(str(i), "rare", 1.0 * i) for i in range(3)]
    metrics = [column("up", "higher"), column("down", "lower"), column("no", "none"), column("rare", "higher")]
    titles, matrix = agreement(scores, metrics)
    assert titles == ["up", "down", "rare"]
    assert matrix[0][1] == pytest.approx(-spearmanr(values["up"], values["down"]).statistic)
    assert matrix[1][1] == pytest.approx(1)
    assert matrix[0][2] is None


def test_columns_of_one_name_are_told_apart_by_their_metric():
    columns = [Column(metric, name, "none", False, "") for metric, name in [("a", "x"), ("a:n=1", "x"), ("b", "y"), ("c", "y")]]
    unmeasured = dict.fromkeys(("indices", "labels", "predicted", "chance", "p_value", "unlearned"))
    evaluation = Evaluation(**unmeasured, columns=columns, values={}, refused={}, milliseconds={}, folders={})
    assert [metric.title for metric in metrics_of([evaluation, evaluation])] == ["x", "x (a:n=1)", "y (b)", "y (c)"]


def test_drawings_lie_on_one_scale():
    assert drawing(score("a", "b", None), 0, 1) is None
    assert drawing(score("a", "b", 1.0), 0, 2) == {"low": 4, "mean": 80, "high": 156, "zero": -1}
    assert drawing(score("a", "b", 0.0), -1, 1)["zero"] == 80
    assert drawing(score("a", "b", 1.0, low=1.0, high=1.0), 1, 1)["mean"] == 4


def test_a_digest_names_the_first_unless_chance_is_among_them():
    ranked = [score(name, "b", 1.0).model_copy(update={"rank": 1}) for name in "abcdef"]
    assert digest(column("b", "lower"), ranked) == "first: a, b, c, d and 2 more that cannot be told apart"
    assert digest(column("b", "lower"), ranked[:2]) == "first: a, b"
    chance = score("random", "b", 1.0).model_copy(update={"rank": 1})
    assert digest(column("b", "higher"), [*ranked, chance]) == "no explainer does better than random"
    assert digest(column("b", "none"), ranked) == "neither high nor low is better"
    assert digest(column("b", "higher"), []) == "not measured"


def test_tables_are_cut_where_the_terminal_ends(folder):
    results = read(folder)
    narrow, wide = table_text(results, 60), table_text(results, 400)
    assert len(re.findall("^explainer", narrow, re.M)) == 2 * 3
    assert len(re.findall("^explainer", wide, re.M)) == 2


def test_the_published_schema_is_that_of_the_code():
    assert json.loads((RESULTS / "schema-explainers.json").read_text()) == Results.model_json_schema(mode="serialization")


def test_damaged_results_are_named(folder, tmp_path):
    content = json.loads((folder / "results.json").read_text())
    shutil.copy(folder / "run.json", tmp_path)
    for change, message in (
        ({"format": 0}, "has format 0; this version reads format 1"),
        ({"level": "x"}, r"is damaged \(level"),
    ):
        (tmp_path / "results.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(ModelError, match=message):
            xaudio.create("benchmark", "explainers").report(tmp_path)


def rules(**options):
    given = {"datasets": SPEECH, "networks": "transformer:width=8,layers=1,heads=2", "tasks": ("sex",), "steps": 2}
    small = {"explainers": "lrp:composite=epsilon", "metrics": "conservation", "recordings": 8, "examples": 0, "device": "cpu"}
    return xaudio.create("benchmark", "explainers", preset="rules", **{**given, **small, **options})


def test_a_preset_trains_its_models_and_goes_on_where_it_was_stopped(tmp_path, training, capsys):
    rules()(tmp_path)
    (model,) = read(tmp_path).models
    assert model.name == "synthetic-sex-transformer-width-8-layers-1-heads-2"
    assert model.task == "sex"
    assert read(tmp_path).explainers == ["lrp:composite=epsilon", "amplitude", "random"]
    weights = tmp_path / "trained" / model.name / "model.safetensors"
    before, first = weights.stat().st_mtime_ns, numbers(tmp_path)
    with (tmp_path / "paired.csv").open() as file:
        rows = list(csv.DictReader(file))
    means = {score.explainer: score.mean for score in model.scores}
    assert [row["explainer"] for row in rows] == ["amplitude", "random"]
    for row in rows:
        expected = means[row["explainer"]] - means["lrp:composite=epsilon"]
        assert float(row["difference"]) == pytest.approx(expected)
        assert float(row["low"]) < expected < float(row["high"])
    assert (tmp_path / "conservation.png").stat().st_size > 5000
    rules()(tmp_path)
    assert weights.stat().st_mtime_ns == before
    assert numbers(tmp_path) == first
    with pytest.raises(ModelError, match="steps"):
        rules(steps=3)(tmp_path)
    rules(models=(str(weights.parent),))(tmp_path / "named")
    assert read(tmp_path / "named").models[0].scores == read(tmp_path).models[0].scores


def test_what_a_preset_trains_and_compares():
    experiments = preset.planned([], [], [], [], 7, 0)
    assert len(experiments) == len(preset.TRUTH) * len(preset.NETWORKS)
    assert len({preset.folder_of(experiment) for experiment in experiments}) == len(experiments)
    assert all(experiment.training["steps"] == 7 and experiment.training["shift"] == 0 for experiment in experiments)
    (speech,) = preset.planned([SPEECH], [], ["transformer"], ["digit"], 7, 0)
    assert "shift" not in speech.training
    with pytest.raises(DataError, match="digits"):
        preset.planned([SPEECH], [], [], ["digits"], 7, 0)
    for kind, specs in (("explainer", preset.EXPLAINERS), ("metric", preset.METRICS)):
        for spec in specs:
            name, options = xaudio.plugin.parse_spec(spec)
            xaudio.create(kind, name, **options)
