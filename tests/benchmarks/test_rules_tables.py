"""The guide to rules of LRP shows what the kept results say."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    return runpy.run_path(str(ROOT / "benchmarks" / "rules_tables.py"))


def test_the_guide_holds_the_tables_of_the_kept_results(tables):
    guide = tables["GUIDE"].read_text(encoding="utf-8")
    assert tables["written"](guide) == guide, "python benchmarks/rules_tables.py"
    assert {match[2] for match in tables["BLOCK"].finditer(guide)} == {*tables["NETWORKS"], "pairs"}


def test_all_kept_results_of_rules_stand_in_a_table(tables):
    shown = {network.kept for _, networks in tables["NETWORKS"].values() for network in networks}
    assert shown == {path.name for path in tables["KEPT"].glob("rules-*")}


def test_a_network_that_has_not_learned_is_not_ranked(tables):
    network = tables["Network"]("rules-fsdd", "FSDD, patches", 1)
    assert tables["model_of"](network).unlearned
    assert tables["cell"](tables["model_of"](network), tables["EPSILON"], tables["FLIPPING"]) == "0.39"
    learned = tables["model_of"](network._replace(place=2))
    assert tables["cell"](learned, tables["EPSILON"], tables["FLIPPING"]) == "0.38 (1)"
    assert tables["cell"](learned, "saliency", tables["FLIPPING"]) == ""


def test_a_difference_is_of_the_means_and_its_interval_turns_with_it(tables):
    epsilon, gamma = tables["EPSILON"], tables["GAMMA"]
    for kept in ("rules-demo", "rules-az"):  # the differences from the first explainer, and those of all pairs
        results = json.loads((tables["KEPT"] / kept / "results.json").read_text())
        (model,) = results["models"]
        means = {score["explainer"]: score["mean"] for score in model["scores"] if score["column"] == tables["FLIPPING"]}
        forth, back = (tables["difference"](tables["Network"](kept, ""), *pair) for pair in ((gamma, epsilon), (epsilon, gamma)))
        assert forth.startswith(f"{means[gamma] - means[epsilon]:.2f} (")
        assert back.startswith(f"{means[epsilon] - means[gamma]:.2f} (")
    assert forth == "-0.09 (-0.17 to -0.04, p 0.086)"
    assert back == "0.09 (0.04 to 0.17, p 0.086)"


def test_nothing_is_never_minus_nothing(tables):
    assert [tables["number"](value) for value in (-0.001, 0.0, -0.006)] == ["0.00", "0.00", "-0.01"]
