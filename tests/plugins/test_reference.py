"""The reference model: shapes, errors, exact relevance, and that it learns."""

from dataclasses import replace

import pytest
import torch

import xaudio
from xaudio import ModelError, PluginError

READS = ("waveform", "spectrogram")


def made(reads, classes=4):
    torch.manual_seed(0)
    return xaudio.create("model", "reference", classes=classes, reads=reads).eval()


def sounds(count):
    return torch.rand(count, 8000, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize("reads", READS)
def test_it_takes_what_its_representation_gives(reads):
    network = made(reads)
    assert network.representation == reads
    features = xaudio.create("representation", reads)(sounds(3))
    logits = network(features)
    assert logits.shape == (3, 4)
    torch.testing.assert_close(network(features[1:2]), logits[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reads", READS)
def test_it_is_made_of_plain_modules_each_used_once(reads):
    network = made(reads)
    uses: dict[torch.nn.Module, int] = {}
    for module in network.layers:
        module.register_forward_hook(lambda module, *_: uses.__setitem__(module, uses.get(module, 0) + 1))
    network(xaudio.create("representation", reads)(sounds(1)))
    assert list(uses.values()) == [1] * len(network.layers)
    kinds = {type(module).__name__.rstrip("12d") for module in network.layers}
    assert kinds == {"Conv", "ReLU", "AvgPool", "MaxPool", "Flatten", "Linear"}


@pytest.mark.parametrize("reads", READS)
def test_relevance_is_conserved_without_biases(reads):
    """Layer by layer nothing is lost: with biases of 0, the relevance of epsilon is the logit."""
    network = made(reads)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    clips = [xaudio.Clip(sound.numpy(), 8000) for sound in sounds(2)]
    found = xaudio.explain(network, clips, explainer="lrp", composite="epsilon", epsilon=1e-7)
    for one in found:
        assert one.relevance.sum() == pytest.approx(one.logits[one.target], rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("reads", READS)
def test_wrong_features_and_classes_are_refused_in_one_line(reads):
    other = xaudio.create("representation", READS[1 - READS.index(reads)])
    with pytest.raises(ModelError, match=r"'reference' got features \(2, 1, .*\); expected " + reads):
        made(reads)(other(sounds(2)))
    with pytest.raises(PluginError, match="at least two classes; got 1"):
        made(reads, classes=1)


def test_the_first_filters_are_a_bank_of_bands():
    """A tone is loudest, summed over phases, in the band whose centre it is."""
    first = made("waveform").layers[0]
    bands = first.weight.shape[0] // 2
    for band in (3, 40, 90):
        frequency = (band + 0.5) / (2 * bands)
        tone = torch.sin(2 * torch.pi * frequency * torch.arange(8000) + 1.0)
        response = first(tone[None, None])[0].square().mean(1)
        assert int((response[:bands] + response[bands:]).argmax()) == band


@pytest.mark.parametrize("reads", READS)
def test_it_learns_a_task_and_its_relevance_finds_the_evidence(training, reads, tmp_path):
    """Bursts in slots, from a fifth of the recordings and a short training."""
    everything = xaudio.create("dataset", "truth", recordings=400)
    slots = [recording for recording in everything.recordings if "slot" in recording.labels]
    dataset = replace(everything, recordings=slots, tasks={"slot": everything.tasks["slot"]}, _hash=[])
    settings = {"steps": 50, "warmup": 5, "batch_size": 16, "learning_rate": 2e-3}
    experiment = xaudio.Experiment(dataset, "slot", 0, "reference", {"reads": reads}, training=settings)
    assert xaudio.run_experiment(experiment, tmp_path / "run", torch.device("cpu")).accuracy > 0.5
    model = xaudio.load_model(tmp_path / "run", device="cpu")
    clips = [dataset[index] for index in dataset.folds("slot")[0].test[:16]]
    labels = [clip.labels["slot"] for clip in clips]
    auc = xaudio.create("metric", "auc", sign="absolute")
    scores = {
        explainer: auc(model, xaudio.explain(model, clips, explainer=explainer, target=labels))["auc"].mean()
        for explainer in ("input_x_gradient", "random")
    }
    assert abs(scores["random"] - 0.5) < 0.05
    assert scores["input_x_gradient"] > 0.65


def test_the_filters_start_as_bands_that_measure_a_tones_amplitude():
    """Of a cosine of amplitude 1 at a band's centre, its pair of filters makes 10; of one four bands away, next to nothing."""
    network = made("waveform")
    filters = network.layers[0].weight.detach()[:, 0].double()
    time = torch.arange(256, dtype=torch.float64) - 128
    for band in (7, 30, 80):
        tone = torch.cos(2 * torch.pi * (band + 0.5) / 192 * time + 0.7)
        found = (filters @ tone).view(2, 96).square().sum(0).sqrt()
        assert found[band].item() == pytest.approx(10, rel=1e-3)
        assert found[[band - 4, band + 4]].max() < 0.05
