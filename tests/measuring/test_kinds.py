"""Metrics of models whose outputs are no classes: right, or refused in one line that names the metric."""

import numpy as np
import pytest
import torch
from torch import nn

import xaudio
from xaudio.errors import XaudioError
from xaudio.plugin import as_model

RATE = 8000
READS = "raw:sample_rate=8000"
OF_RELEVANCE = {"sparseness", "complexity", "silence", "conservation"}
"""Metrics of relevance alone, which need not ask the model again."""
ASK_AGAIN = {"infidelity", "max_sensitivity", "model_randomisation"}
"""Metrics that compare relevance with scores of the model."""


class Flat(nn.Module):
    """Scores (batch, outputs), or of frames."""

    def __init__(self, outputs, frames=False):
        super().__init__()
        self.conv, self.out, self.frames = nn.Conv1d(1, 6, 65, 8), nn.Linear(6, outputs), frames

    def forward(self, sounds):
        inner = self.conv(sounds).relu().transpose(1, 2)
        return self.out(inner if self.frames else inner.mean(1))


def sound(seed=0, samples=2000):
    return (np.random.default_rng(seed).normal(size=samples) * 0.1).astype(np.float32)


CASES = {
    "values": (Flat, 2, None, True),
    "embedding": (Flat, 5, xaudio.Similarity(sound(9), sample_rate=RATE, name="a"), False),
    "embedding, one number": (Flat, 5, 3, True),
    "frames": (lambda outputs: Flat(outputs, frames=True), 3, None, False),
    "frames, a span": (lambda outputs: Flat(outputs, frames=True), 3, "1@0.05-0.15", False),
    "ctc": (lambda outputs: Flat(outputs, frames=True), 4, xaudio.Path(), False),
    "classes, a contrast": (Flat, 3, xaudio.Contrast(0, 1), False),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A model, an explanation, and whether it is of an output of the model itself."""
    torch.manual_seed(0)
    network, outputs, target, own = CASES[request.param]
    model = as_model(network(outputs).eval(), READS, None, request.param.partition(",")[0])
    explanations = xaudio.explain(model, [sound()], sample_rate=RATE, target=target, explainer="gradient", device="cpu")
    return model, list(explanations)[:1], own


@pytest.mark.parametrize("name", xaudio.names("metric"))
def test_a_metric_is_right_or_refused_in_one_line(case, name):
    model, explanations, own = case
    metric = xaudio.create("metric", name)
    if name in OF_RELEVANCE or (own and name in ASK_AGAIN):
        values = metric(model, explanations)
        assert all(np.isfinite(value).all() and value.shape == (1,) for value in values.values())
        return
    with pytest.raises(XaudioError) as refused:
        metric(model, explanations)
    message = str(refused.value)
    assert "\n" not in message
    if name in ASK_AGAIN:
        assert message.startswith(f"{name}: the explanation of array by gradient is of ")
        assert "is no output of this model" in message
    elif "truth" not in message and name != "f0_hit":
        assert message.startswith(f"{name}: ")


@pytest.mark.slow
def test_metrics_measure_models_of_any_length_at_that_of_the_recording():
    """As the same model that takes this length alone."""
    torch.manual_seed(0)
    network = Flat(3).eval()
    any_length, one = (as_model(network, reads, None, "classes") for reads in (READS, f"{READS},samples=2000"))
    for name in ("pixel_flipping", "average_drop", *sorted(ASK_AGAIN)):
        values = [
            xaudio.create("metric", name)(model, [xaudio.explain(model, sound(), sample_rate=RATE, explainer="gradient")])
            for model in (any_length, one)
        ]
        for key, expected in values[1].items():
            np.testing.assert_allclose(values[0][key], expected, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"domain": "time-frequency"}, {"domain": "features", "imputation": "noise_floor"}])
def test_metrics_measure_all_channels(options):
    """A network that adds what it says of two equal channels, beside the same of one."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.single = Flat(3)

        def forward(self, sounds):
            return (self.single(sounds[:, :1]) + self.single(sounds[:, 1:])) / 2

    torch.manual_seed(0)
    network = Both().eval()
    network.single.out.weight.data *= 10
    two, one = as_model(network, f"{READS},channels=2", None, "classes"), as_model(network.single, READS, None, "classes")
    metric = xaudio.create("metric", "average_drop", **options)
    values = [
        metric(model, [xaudio.explain(model, sound(), sample_rate=RATE, explainer="saliency")])["average_drop"]
        for model in (two, one)
    ]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)
    with pytest.raises(XaudioError, match="its channels, the length of its sound or its features are others"):
        metric(two, [xaudio.explain(one, sound(), sample_rate=RATE, explainer="saliency")])
