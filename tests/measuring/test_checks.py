"""Explanations that no metric can measure are refused, by name."""

import os
from dataclasses import replace

import numpy as np
import pytest

from xaudio import Clip, DataError, Explanation, ModelError
from xaudio.plugin import Axis, check_explanations


def item(source="a.wav", **changes):
    shape = changes.pop("shape", (1, 6))
    provenance = {"model": {"name": "audionet", "options": {}, "run": "runs/x"}, "explainer": {"name": "lrp", "given": {}}}
    made = Explanation(
        clip=Clip(np.zeros(6, np.float32), 8000, source=source),
        features=np.zeros(shape, np.float32),
        relevance=np.ones(shape, np.float32),
        axes=(Axis("time", "s", np.arange(6) / 8000),),
        logits=np.zeros(2, np.float32),
        classes=("yes", "no"),
        target=0,
        task="answer",
        provenance=provenance,
    )
    return replace(made, **changes)


def with_model(**changes):
    made = item("b.wav")
    return replace(made, provenance={**made.provenance, "model": {**made.provenance["model"], **changes}})


def test_what_fits_together_is_not_refused():
    check_explanations([item(), item("b.wav", target=1), with_model(run=os.path.abspath("runs/x"))])


def test_nothing_at_all():
    with pytest.raises(DataError, match="no explanations to measure"):
        check_explanations([])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_relevance_that_is_not_finite_is_named(value):
    bad = item("b.wav")
    bad.relevance[0, 3] = value
    with pytest.raises(ModelError, match=r"relevance of b\.wav by lrp holds NaN or infinity"):
        check_explanations([item(), bad])


def test_relevance_of_another_shape_is_named():
    with pytest.raises(ModelError, match=r"relevance of b\.wav by lrp has shape \(1, 5\); expected .* \(1, 6\)"):
        check_explanations([item(), item("b.wav", relevance=np.zeros((1, 5)))])


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (with_model(run="runs/y"), "model"),
        (with_model(name="alexnet"), "model"),
        (item("b.wav", task="question"), "task"),
        (item("b.wav", classes=("no", "yes")), "set of classes"),
        (item("b.wav", shape=(1, 7)), "shape"),
        (item("b.wav", axes=(Axis("frequency", "Hz", np.arange(6)),)), "domain"),
    ],
)
def test_a_mixture_is_refused(other, what):
    with pytest.raises(ModelError, match=rf"not of one {what}: a\.wav has .*, b\.wav has .*; measure them apart") as caught:
        check_explanations([item(), item(), other])
    assert "\n" not in str(caught.value)
