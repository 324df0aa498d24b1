"""Concepts against slow textbook versions: what flows through a channel, receptive fields, and what a channel is worth."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from torch import nn

import xaudio
import xaudio.plugin
import xaudio_concepts
from xaudio import Clip, DataError, Model, ModelError, PluginError
from xaudio.plugin import Axis, Recording, SpeakerDataset
from xaudio.sound.levels import MOST_GAIN_DB, PEAK, REFERENCE, loudness
from xaudio_concepts.channels import Through, measured
from xaudio_concepts.excerpts import audible, excerpt_of
from xaudio_concepts.fields import receptive_fields
from xaudio_concepts.switching import logits_with_channels

COMPOSITES = ["epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma", "epsilon", "gamma"]
ENGINES = ["fast", "zennit"]


def lrp(**options):
    return xaudio.create("explainer", "lrp", **options)


class Samples(nn.Module):
    """A representation: the waveform as it is, with any number of axes."""

    placement = "start"
    unit = "full scale"
    sample_rate = 100

    def __init__(self, *sizes):
        super().__init__()
        self.sizes, self.samples = sizes, int(np.prod(sizes))
        names = [("time", "s")] if len(sizes) == 1 else [("frequency", "Hz"), ("time", "s")]
        self.axes = tuple(Axis(name, unit, np.arange(size) / 100) for (name, unit), size in zip(names, sizes, strict=True))

    def forward(self, waveforms):
        return waveforms.reshape(len(waveforms), 1, *self.sizes)

    def amplitude(self, waveforms):
        return self(waveforms).abs()

    def masked_waveform(self, waveforms, mask):
        return waveforms * mask.reshape(len(mask), -1)

    def to_waveform_relevance(self, waveforms, relevance):
        return relevance.reshape(len(relevance), -1)


def network(axes, seed=0):
    torch.manual_seed(seed)
    conv, norm = (nn.Conv1d, nn.BatchNorm1d) if axes == 1 else (nn.Conv2d, nn.BatchNorm2d)
    pool = nn.MaxPool1d if axes == 1 else nn.MaxPool2d
    cells = {1: 5, 2: 4}[axes]
    layers = [
        *(conv(1, 4, 3, padding=1), norm(4), nn.ReLU(), pool(3, 2)),  # windows share cells
        *(conv(4, 6, 3, padding=1, groups=2), pool(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(6 * cells, 7), nn.ReLU(), nn.Linear(7, 3)),
    ]
    for module in layers:
        if isinstance(module, norm):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return nn.Sequential(*layers).double().eval(), (1, *{1: (24,), 2: (9, 9)}[axes])


def case(axes, seed=0):
    model, shape = network(axes, seed)
    return model, torch.randn(3, *shape, dtype=torch.float64), torch.tensor([0, 2, 1])


# What flows through a channel


class MaskedAtLayer(nn.Module):
    """Behind a layer: lets all pass forward and only some channels backward."""

    def __init__(self, layer, kept):
        super().__init__()
        self.layer, self.kept = layer, kept

    def forward(self, values):
        made = self.layer(values)
        shape = (-1, *[1] * (made.ndim - 2))
        kept = self.kept.reshape(shape)
        return made * kept + (made * (1 - kept)).detach()


def textbook(model, features, target, layer, channels):
    """Gradient times input of a network without biases, which the epsilon rule gives, through some channels of a layer alone."""
    copy = nn.Sequential(*model)
    position = int(layer)
    kept = torch.zeros(getattr(model[position], "out_channels", None) or model[position].out_features, dtype=torch.float64)
    kept[channels] = 1
    copy[position] = MaskedAtLayer(model[position], kept)
    features = features.clone().requires_grad_()
    logits = copy(features)
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), features)
    return (features * gradient).detach()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", ["0", "3", "6"])
def test_a_channels_part_is_gradient_times_input_through_it_alone(engine, layer):
    torch.manual_seed(1)
    layers = [nn.Conv1d(1, 4, 3, bias=False), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 5, 3, bias=False), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(45, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False))
    model = model.double().eval()
    features, target = torch.randn(3, 1, 24, dtype=torch.float64), torch.tensor([0, 2, 1])
    explainer = lrp(engine=engine, composite="epsilon", epsilon=1e-12, layer=layer, channels=(1, 3))
    expected = textbook(model, features, target, layer, [1, 3])
    torch.testing.assert_close(explainer(model, features, target), expected, rtol=1e-6, atol=1e-9)
    assert expected.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("axes", [1, 2])
def test_fast_engine_equals_hooks_of_zennit_for_any_weights(axes, composite):
    model, features, target = case(axes)
    for layer in ("0", "4", "8", "10"):
        fast, zennit = (lrp(engine=engine, composite=composite).conditional(model, features, target, layer) for engine in ENGINES)
        torch.testing.assert_close(fast.relevance, zennit.relevance, rtol=1e-8, atol=1e-10)
        weights = torch.rand_like(fast.relevance)  # each position its own
        torch.testing.assert_close(fast.through(weights), zennit.through(weights), rtol=1e-8, atol=1e-10)
        assert fast.through(weights).abs().sum() > 0


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("axes", [1, 2])
def test_parts_of_all_channels_add_up_to_the_whole(axes, composite):
    model, features, target = case(axes, seed=2)
    whole = lrp(composite=composite)(model, features, target)
    for layer, channels in (("0", 4), ("4", 6), ("8", 7)):
        parts = [lrp(composite=composite, layer=layer, channels=(one,))(model, features, target) for one in range(channels)]
        torch.testing.assert_close(sum(parts), whole, rtol=1e-8, atol=1e-11)
        together = lrp(composite=composite, layer=layer, channels=tuple(range(channels)))(model, features, target)
        torch.testing.assert_close(together, whole, rtol=1e-8, atol=1e-11)
        assert not torch.allclose(parts[0], whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_relevance_is_conserved_from_the_layer_on(engine):
    torch.manual_seed(3)
    layers = [nn.Conv1d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv1d(4, 5, 3, bias=False), nn.ReLU(), nn.MaxPool1d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(50, 3, bias=False)).double().eval()
    features, target = torch.rand(3, 1, 24, dtype=torch.float64), torch.tensor([0, 2, 1])
    found = lrp(engine=engine, epsilon=1e-12).conditional(model, features, target, "2")
    logits = model(features).gather(1, target[:, None])[:, 0].detach()
    torch.testing.assert_close(found.relevance.sum((1, 2)), logits, rtol=1e-6, atol=1e-8)
    for channel in range(5):
        weights = torch.zeros(5, 1, dtype=torch.float64)
        weights[channel] = 1
        torch.testing.assert_close(found.through(weights).sum((1, 2)), found.relevance[:, channel].sum(1), rtol=1e-3, atol=1e-5)


def test_chunks_change_nothing_and_the_model_is_left_as_it_was():
    model, features, target = case(1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    together = lrp(layer="4", channels=(2,))(model, features, target)
    alone = lrp(layer="4", channels=(2,), internal_batch_size=1)(model, features, target)
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "4"}, "layer and channels go together"),
        ({"channels": (1,)}, "layer and channels go together"),
        ({"layer": "4", "channels": (6,)}, "has the channels 0 to 5; there is no channel 6"),
        ({"layer": "2", "channels": (0,)}, "is a ReLU; expected a convolution or linear layer: 0 (Conv1d, 4 channels), 4"),
        ({"layer": "44", "channels": (0,)}, "Did you mean '4'? The network has: 0 (Conv1d"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_what_does_not_fit_gets_one_line(engine, options, message):
    model, features, target = case(1)
    with pytest.raises((ModelError, PluginError)) as caught:
        lrp(engine=engine, **options)(model, features, target)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# Receptive fields


def as_model(model, *sizes):
    return Model(model.eval(), Samples(*sizes), ("a", "b", "c"))


def reached(layers, sizes, position):
    """First and last cell with any gradient at a position of the last layer, all weights and features being positive."""
    features = torch.rand(1, 1, *sizes, dtype=torch.float64).requires_grad_()
    outputs = nn.Sequential(*layers)(features)
    (gradient,) = torch.autograd.grad(outputs[(0, slice(None), *position)].sum(), features)
    places = np.argwhere(gradient[0, 0].numpy() != 0)
    return tuple((int(low), int(high)) for low, high in zip(places.min(0), places.max(0), strict=True))


@st.composite
def stacks(draw):
    """Convolutions and pooling of any settings; averages stand for maxima, whose gradient reaches one cell only."""
    axes = draw(st.sampled_from([1, 2]))
    size = (draw(st.integers(16, 40)),) if axes == 1 else (draw(st.integers(8, 14)), draw(st.integers(8, 14)))
    values, layers, twins = torch.rand(1, 1, *size, dtype=torch.float64), [], []
    conv, average, most = (nn.Conv1d, nn.AvgPool1d, nn.MaxPool1d) if axes == 1 else (nn.Conv2d, nn.AvgPool2d, nn.MaxPool2d)
    for _ in range(draw(st.integers(1, 4))):
        room = min(values.shape[2:])
        kernel = draw(st.integers(1, min(4, room)))
        kind = draw(st.sampled_from(["conv", "conv", "pool", "adaptive", "same"]))
        if kind == "adaptive":
            layer = twin = (nn.AdaptiveAvgPool1d if axes == 1 else nn.AdaptiveAvgPool2d)(draw(st.integers(1, room)))
        elif kind == "pool":
            given_stride, padding = draw(st.one_of(st.none(), st.integers(1, 3))), draw(st.integers(0, kernel // 2))
            options = {"stride": given_stride, "padding": padding, "ceil_mode": draw(st.booleans())}
            twin, layer = average(kernel, **options), most(kernel, **options)
        elif kind == "same":
            dilation = draw(st.integers(1, 2))
            layer = twin = conv(values.shape[1], 2, kernel, padding="same", dilation=dilation)
        else:
            dilation = draw(st.integers(1, 2))
            assume(dilation * (kernel - 1) < room)
            options = {"stride": draw(st.integers(1, 3)), "padding": draw(st.integers(0, kernel - 1)), "dilation": dilation}
            layer = twin = conv(values.shape[1], 2, kernel, **options)
        for parameter in layer.parameters():
            parameter.data = torch.rand_like(parameter.data, dtype=torch.float64) + 0.1
        with torch.no_grad():
            values = twin(values)
        layers += [layer, nn.ReLU()]
        twins += [twin]
    last = conv(values.shape[1], 2, 1).double()
    for parameter in last.parameters():
        parameter.data = torch.rand_like(parameter.data) + 0.1
    position = tuple(draw(st.integers(0, length - 1)) for length in values.shape[2:])
    return size, [*layers, last], [*twins, last], values.shape, position


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(stack=stacks())
def test_fields_are_where_the_gradient_is_not_zero(stack):
    size, layers, twins, made, position = stack
    head = [nn.Flatten(), nn.Linear(2 * int(np.prod(made[2:])), 3)]
    model = nn.Sequential(*layers, *head).double()
    fields = receptive_fields(as_model(model, *size), str(len(layers) - 1))
    assert fields.unknown == ""
    assert fields.positions == tuple(made[2:])
    assert fields.at(position) == reached(twins, size, position)
    assert receptive_fields(as_model(model, *size), str(len(layers) + 1)).at(()) == tuple(
        (min(low), max(high))
        for low, high in (
            ([fields.at(p)[axis][0] for p in np.ndindex(*made[2:])], [fields.at(p)[axis][1] for p in np.ndindex(*made[2:])])
            for axis in range(len(size))
        )
    )


class Image(nn.Module):
    """Reads waveforms as images of height 1, as AudioNet does."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv2d(1, 3, (1, 5), padding=(0, 2)), nn.ReLU(inplace=True), nn.MaxPool2d((1, 4)))
        self.head = nn.Linear(18, 3)

    def forward(self, features):
        return self.head(self.convolutions(features[:, :, None]).flatten(1))


def test_fields_follow_changes_of_shape():
    fields = receptive_fields(as_model(Image(), 24), "convolutions.0")
    assert fields.positions == (1, 24)
    assert fields.at((0, 10)) == ((8, 12),)
    assert fields.at((0, 0)) == ((0, 2),)


class Skipping(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 2, 3, padding=1), nn.Conv1d(2, 2, 3, padding=1)
        self.head = nn.Linear(48, 3)

    def forward(self, features):
        values = self.first(features)
        return self.head((values + self.second(values.relu())).flatten(1))


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv1d(1, 2, 3), nn.InstanceNorm1d(2), nn.Conv1d(2, 2, 3)
        self.head = nn.Linear(40, 3)

    def forward(self, features):
        return self.head(self.second(self.norm(self.first(features))).flatten(1))


@pytest.mark.parametrize(("model", "layer"), [(Skipping(), "second"), (Mixing(), "second")])
def test_where_the_field_is_not_known_it_is_everything_and_says_why(model, layer):
    fields = receptive_fields(as_model(model, 24), layer)
    assert layer in fields.unknown or "norm" in fields.unknown
    assert fields.at((3,)) == ((0, 23),)
    assert receptive_fields(as_model(model, 24), "first").unknown == ""


# What a channel is worth


def test_switching_off_is_what_zeroed_weights_do():
    model, _ = network(1)
    loaded = as_model(model.float(), 24)
    waveforms, kept = torch.randn(5, 24), torch.tensor([1.0, 0, 1, 1, 0, 1])
    found = logits_with_channels(loaded, waveforms, "4", kept)
    other, _ = network(1)
    other.float()
    with torch.no_grad():
        other[4].weight[kept == 0] = 0
        other[4].bias[kept == 0] = 0
        torch.testing.assert_close(found, other(waveforms[:, None]))
    assert not model[4]._forward_hooks


class Frames(nn.Module):
    """A transformer over frames of 6 samples: linear layers whose channels are last."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(6, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation="gelu")
        self.out = nn.Linear(8, 3)

    def forward(self, features):
        return self.out(self.layer(self.enter(features.squeeze(1).unflatten(1, (-1, 6)))).mean(1))


def test_channels_of_a_layer_over_frames_are_its_last_axis():
    torch.manual_seed(0)
    frames = Frames().eval()
    loaded = Model(frames, Samples(24), ("a", "b", "c"))
    waveforms, layer = torch.randn(3, 24), "layer.linear1"
    rows = measured(loaded, lrp(composite="epsilon"), layer, waveforms, torch.tensor([0, 1, 2]))
    outputs = []
    handle = frames.layer.linear1.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach()))
    frames(waveforms[:, None])
    handle.remove()
    torch.testing.assert_close(rows[:, 24:36].float(), outputs[0].amax(1))
    torch.testing.assert_close(rows[:, 36:48].long(), outputs[0].argmax(1))
    assert receptive_fields(loaded, layer).positions == (4,)
    kept = torch.ones(12)
    kept[[2, 7]] = 0
    switched = logits_with_channels(loaded, waveforms, layer, kept)
    frames.layer.linear1.weight.data[[2, 7]], frames.layer.linear1.bias.data[[2, 7]] = 0, 0
    torch.testing.assert_close(switched, frames(waveforms[:, None]).detach())


def test_measured_are_sums_maxima_and_where_they_are():
    model, features, target = case(2)
    loaded = Model(model, Samples(9, 9), ("a", "b", "c"))
    waveforms = features.reshape(3, -1)
    rows = measured(loaded, lrp(), "4", waveforms, target)
    relevance = lrp().conditional(model, features, target, "4").relevance
    with torch.no_grad():
        activation = model[:5](features)
    for row in range(3):
        for channel in range(6):
            one, act = relevance[row, channel], activation[row, channel]
            found = rows[row, channel::6][:4]
            expected = [one.sum(), one.flatten().argmax(), act.max(), act.flatten().argmax()]
            np.testing.assert_allclose(found.numpy(), [float(value) for value in expected], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(rows[:, 24:], model(features).detach())


# Tones: a data set, and a network of which it is known what each channel hears


TONES = {"low": 500.0, "high": 1500.0}
RATE = 8000


def tone(index):
    """A burst of 0.1 s of one of two tones in a second of faint noise."""
    rng = np.random.default_rng(index)
    name = list(TONES)[index % 2]
    start = int(rng.integers(0, 7200))
    waveform = 0.001 * rng.normal(size=RATE)
    waveform[start : start + 800] += 0.3 * np.sin(2 * np.pi * TONES[name] * np.arange(800) / RATE)
    truth = {"boxes.tone": np.array([[start / RATE, (start + 800) / RATE, 0.0, RATE / 2]])}
    labels = {"tone": index % 2}
    return Clip(waveform.astype(np.float32), RATE, labels=labels, speaker=f"s{index % 5}", source=f"tone{index}", truth=truth)


def tones(count=40):
    return SpeakerDataset(
        name="tones",
        title="tones",
        tasks={"tone": tuple(TONES)},
        recordings=[Recording(f"tone{index}", f"s{index % 5}", {"tone": index % 2}) for index in range(count)],
        test_speakers={"tone": [[f"s{index}"] for index in range(5)]},
        fit="error",
        resampling="fft",
        notes=(),
        read=lambda recording: tone(int(recording.source.removeprefix("tone"))),
        fingerprint_of=lambda recordings: f"tones {len(recordings)}",
    )


def knowing():
    """Channel 0 hears the low tone and speaks for it, 1 the high tone; 2 and 3 hear other frequencies, and nobody listens."""
    conv = nn.Conv1d(1, 4, 160, stride=37, bias=False)  # so that each burst is met in many phases
    model = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 2, bias=False))
    time = torch.arange(160) / RATE
    with torch.no_grad():
        for channel, frequency in enumerate((500, 1500, 900, 2500)):
            conv.weight[channel, 0] = torch.sin(2 * torch.pi * frequency * time) * torch.hann_window(160) / 40
        model[4].weight[:] = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    read = xaudio.create("representation", "waveform", normalisation="none", placement="start")
    return Model(model.eval(), read, tuple(TONES), "tone", representation_spec={"name": "waveform", "options": {}})


@pytest.fixture(scope="module")
def found():
    return xaudio_concepts.concepts(knowing(), tones(), range(40), explainer="lrp:engine=zennit", top=4, references=3, draws=2)


def test_it_finds_the_channels_and_the_sounds_that_they_hear(found):
    assert found.layer == "0"
    assert found.default_layer
    assert {channel.channel for channel in found.channels} == {0, 1}  # the others carry nothing
    assert found.shares[2] == found.shares[3] == 0
    assert found.channels[0].share == pytest.approx(0.5, abs=0.05)
    assert found.switched is not None
    assert found.switched.change == pytest.approx(-0.3, rel=0.05)  # all of the logit: amplitude times the filter's gain
    assert found.switched.as_large == 0
    assert found.switched.draws == pytest.approx([0, 0], abs=1e-9)
    dataset = tones()
    for channel in found.channels:
        name = list(TONES)[channel.channel]
        assert next(iter(channel.classes)) == name
        assert len(channel.references) == 3
        for reference in channel.references:
            assert (reference.label, reference.predicted) == (name, name)
            ((start, stop, _, _),) = dataset[reference.recording].truth["boxes.tone"]
            assert start - 0.01 <= reference.start_s < reference.stop_s <= stop + 0.01
            assert reference.stop_s - reference.start_s == pytest.approx(0.02)
            (span,) = reference.field
            assert (span.first, span.last) == (37 * reference.position[0], 37 * reference.position[0] + 159)
            assert span.low == pytest.approx(reference.start_s)
        values = [reference.value for reference in channel.references]
        assert values == sorted(values, reverse=True)


@pytest.mark.slow
def test_batches_change_nothing_and_it_is_the_same_again(found):
    again = xaudio_concepts.concepts(
        knowing(), tones(), range(40), explainer="lrp:engine=zennit", top=4, references=3, draws=2, batch_size=7
    )
    assert [channel.channel for channel in again.channels] == [channel.channel for channel in found.channels]
    np.testing.assert_allclose(again.shares, found.shares, atol=1e-6)
    for one, other in zip(again.channels, found.channels, strict=True):
        for mine, yours in zip(one.references, other.references, strict=True):
            assert (mine.recording, mine.position) == (yours.recording, yours.position)


@pytest.mark.slow
def test_a_class_and_activation_can_be_asked_for():
    found = xaudio_concepts.concepts(
        knowing(),
        tones(),
        range(40),
        "0",
        explainer="lrp:engine=zennit",
        target="high",
        by="activation",
        top=2,
        references=2,
        draws=1,
    )
    assert [channel.channel for channel in found.channels] == [1]
    assert found.explained_class == "high"
    assert found.explained_recordings == 20
    assert not found.default_layer
    assert found.channels[0].share == pytest.approx(1)
    highest = max(
        knowing().network[0](torch.from_numpy(tones()[index].waveform)[None, None])[0, 1].max().item() for index in range(40)
    )
    assert found.channels[0].references[0].value == pytest.approx(highest, rel=1e-5)


@pytest.mark.slow
def test_recordings_that_are_given_are_what_is_explained(tmp_path):
    clips = [tone(1), tone(3)]
    found = xaudio_concepts.concepts(
        knowing(),
        tones(),
        range(40),
        explainer="lrp:engine=zennit",
        audio=clips,
        top=1,
        references=1,
        draws=1,
        renderers=["audible"],
        folder=tmp_path,
    )
    assert [channel.channel for channel in found.channels] == [1]
    assert [item.source for item in found.explained] == ["tone1", "tone3"]
    assert found.explained_recordings == 2
    for item in found.explained:
        assert item.shares == {"1": pytest.approx(1)}
        whole, part = (
            xaudio.Explanation.load(tmp_path / folder / "explanation.safetensors") for folder in (item.whole, item.parts["1"])
        )
        np.testing.assert_allclose(part.relevance, whole.relevance, atol=1e-6)  # it is the only channel that speaks
        assert part.explainer == "lrp:engine=zennit,layer=0,channels=1"
        again = xaudio.plugin.explainer_of(part)
        features, target = torch.from_numpy(part.features)[None], torch.tensor([part.target])
        np.testing.assert_allclose(again(knowing().network, features, target)[0].numpy(), part.relevance, atol=1e-6)
        assert (tmp_path / item.parts["1"] / "positive.wav").exists()


class Plain:
    """An explainer of someone else: gradient times input, which can tell what flows through channels."""

    def __call__(self, model, features, target):
        return self.conditional(model, features, target, "0").through(torch.ones(1))

    def conditional(self, model, features, target, layer):
        features = features.clone().requires_grad_()
        seen = []
        handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
        with torch.enable_grad():
            chosen = model(features).gather(1, target[:, None]).sum()
        handle.remove()
        (gradient,) = torch.autograd.grad(chosen, seen[0], retain_graph=True)
        relevance = (gradient * seen[0]).detach()

        def through(weights):
            (own,) = torch.autograd.grad(seen[0], features, gradient * weights, retain_graph=True)
            return (own * features).detach()

        return xaudio.plugin.LayerRelevance(relevance, through)


def test_an_explainer_of_someone_else_can_offer_it():
    found = xaudio_concepts.concepts(knowing(), tones(), range(40), explainer=Plain(), top=4, references=1, draws=1)
    assert {channel.channel for channel in found.channels} == {0, 1}
    assert found.explainer == "Plain"
    one = xaudio.explain(knowing(), tone(0), explainer=Through(Plain(), "0", [0]), target="low")
    whole = xaudio.explain(knowing(), tone(0), explainer=Plain(), target="low")
    np.testing.assert_allclose(one.relevance, whole.relevance, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"explainer": "gradient"}, PluginError, "'gradient' cannot tell what flows through single channels"),
        ({"explainer": "lrp:layer=0,channels=1"}, PluginError, "bound to a layer already"),
        ({"layer": "1"}, ModelError, "The layer '1' is a ReLU"),
        ({"target": "middle"}, ModelError, "Unknown class 'middle'"),
        ({"indices": []}, DataError, "no recordings of tones"),
        ({"indices": range(0, 40, 2), "target": "high"}, DataError, "predicted as 'high' (predicted: low)"),
        ({"top": 0}, PluginError, "does not fit top"),
        ({"by": "loudness"}, PluginError, "does not fit by"),
    ],
)
def test_wrong_use_of_concepts_gets_one_line_and_writes_nothing(tmp_path, arguments, kind, message):
    arguments = {"indices": range(40), "explainer": "lrp:engine=zennit", **arguments}
    with pytest.raises(kind) as caught:
        xaudio_concepts.concepts(knowing(), tones(), arguments.pop("indices"), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# Excerpts


def test_an_excerpt_is_what_lies_in_the_field():
    clip = tone(5)
    explanation = xaudio.explain(knowing(), clip, explainer="lrp:engine=zennit")
    excerpt = excerpt_of(explanation, ((1000, 1999),))
    assert (excerpt.start, excerpt.stop) == (1000, 2000)
    np.testing.assert_array_equal(excerpt.sound, clip.waveform[1000:2000])
    np.testing.assert_array_equal(excerpt.context, clip.waveform[0:4000])
    positive = explanation.relevance[0, 1000:2000].clip(min=0)
    peak = positive.max() or 1
    np.testing.assert_allclose(excerpt.part, clip.waveform[1000:2000] * (positive / peak), atol=1e-6)


def test_an_excerpt_of_a_spectrogram_holds_its_band_and_time_alone(spectrogram_run_folder):
    time = np.arange(RATE) / RATE
    sound = 0.2 * np.sin(2 * np.pi * 600 * time) + 0.2 * np.sin(2 * np.pi * 2500 * time)
    explanation = xaudio.explain(spectrogram_run_folder, Clip(sound.astype(np.float32), RATE), explainer="amplitude")
    frequencies, times = (axis.centres for axis in explanation.axes)
    low = tuple(np.flatnonzero((frequencies > 300) & (frequencies < 1000))[[0, -1]])
    middle = tuple(np.flatnonzero((times > 0.4) & (times < 0.6))[[0, -1]])
    excerpt = excerpt_of(explanation, (low, middle))
    assert 0.4 - 0.03 <= excerpt.start / RATE < 0.4 + 0.005
    assert 0.6 - 0.005 < excerpt.stop / RATE <= 0.6 + 0.03
    spectrum = np.abs(np.fft.rfft(excerpt.sound * np.hanning(len(excerpt.sound))))
    at = np.fft.rfftfreq(len(excerpt.sound), 1 / RATE)
    assert spectrum[np.abs(at - 600) < 30].max() > 300 * spectrum[np.abs(at - 2500) < 30].max()


def test_sounds_are_levelled_faded_and_never_clip():
    recording = np.sin(2 * np.pi * 500 * np.arange(8000) / RATE)
    for level in (3.0, 0.3, 0.004):  # in the last, peaks are those of AudioMNIST
        loud, gain = audible(level * recording, level * recording, RATE)
        assert loudness(loud, RATE) == pytest.approx(REFERENCE, abs=0.1)
        assert np.abs(loud).max() == pytest.approx(level * 10 ** (gain / 20), abs=1e-3)
        assert abs(loud[0]) < 0.01
        assert abs(loud[-1]) < 0.01
    soft, most = audible(1e-3 * level * recording, level * recording, RATE)  # 60 dB below
    assert most == pytest.approx(gain + MOST_GAIN_DB, abs=0.01)
    assert loudness(soft, RATE) == pytest.approx(REFERENCE - 30, abs=0.1)
    click = np.zeros(8000)
    click[100] = 0.3  # as loud as the recording, it would clip
    assert np.abs(audible(click, 0.3 * recording, RATE)[0]).max() <= PEAK + 1e-12
    assert audible(np.full(8000, 1e-9), np.full(8000, 0.5), RATE) == (None, None)
