# ruff: noqa: N801, NPY002, RUF012
"""Plugins that are wrong on purpose, each with the check that must find it; see test_conformance.py."""

import hashlib
import itertools
import os
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from xaudio import Clip, ModelError
from xaudio.plugin import hookimpl
from xaudio.sound.domains import Time, TimeFrequency
from xaudio.types import Axis, Fold

WRONG = {}
"""Expected finding by kind and name; the name of a check, and what its reason says."""
FACTORIES = {}


def wrong(kind, check, *words):
    """Register what makes a plugin's object, with the check that must find it."""

    def register(factory):
        name = factory.__name__
        assert (kind, name) not in WRONG
        WRONG[kind, name] = (check, words)
        FACTORIES.setdefault(kind, {})[name] = factory
        return factory

    return register


# Explainers


def right(model, features, target):
    features = features.detach().clone().requires_grad_()
    score = model(features).gather(1, target[:, None]).sum()
    return (features * torch.autograd.grad(score, features)[0]).detach()


def wrong_explainer(check, *words):
    """Register an explainer itself; its factory is made anew at each call."""

    def register(explain):
        def factory():
            return lambda model, features, target: explain(model, features, target)

        factory.__name__ = explain.__name__
        wrong("explainer", check, *words)(factory)
        return explain

    return register


@wrong_explainer("modes_of_the_model_are_left_as_they_were")
def training_mode_left(model, features, target):
    model.train()
    return right(model, features, target)


@wrong_explainer("modes_of_the_model_are_left_as_they_were", "1:")
def training_mode_of_a_submodule_left(model, features, target):
    model[1].train()
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "forward pre hooks of 0")
def pre_hook_left(model, features, target):
    model[0].register_forward_pre_hook(lambda *_: None)
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "forward hooks of 0")
def forward_hook_left(model, features, target):
    model[0].register_forward_hook(lambda *_: None)
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "backward hooks of the model")
def backward_hook_left(model, features, target):
    model.register_full_backward_hook(lambda *_: None)
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "backward pre hooks of 4")
def backward_pre_hook_left(model, features, target):
    model[4].register_full_backward_pre_hook(lambda *_: None)
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "state dict hooks of 0")
def state_dict_hook_left(model, features, target):
    model[0]._register_state_dict_hook(lambda *_: None)
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "load state dict")
def loading_hook_left(model, features, target):
    model[0].register_load_state_dict_post_hook(lambda *_: None)
    return right(model, features, target)


@wrong_explainer("no_hooks_are_left_behind", "backward hooks of 4.weight")
def hook_of_a_weight_left(model, features, target):
    model[4].weight.register_hook(lambda gradient: gradient)
    return right(model, features, target)


@wrong_explainer("modules_are_left_as_they_were", "1:")
def module_replaced(model, features, target):
    model[1] = nn.LeakyReLU().eval()
    return right(model, features, target)


@wrong_explainer("modules_are_left_as_they_were", "1.forward")
def forward_replaced(model, features, target):
    model[1].forward = lambda x: torch.nn.functional.relu(x)
    return right(model, features, target)


@wrong_explainer("modules_are_left_as_they_were", "1.inplace")
def setting_of_a_module_changed(model, features, target):
    relevance = right(model, features, target)
    model[1].inplace = True
    return relevance


@wrong_explainer("requires_grad_is_left_as_it_was", "4.weight")
def requires_grad_switched_off(model, features, target):
    model.requires_grad_(False)
    return right(model, features, target)


@wrong_explainer("requires_grad_is_left_as_it_was", "0.weight")
def requires_grad_switched_on(model, features, target):
    model.requires_grad_(True)
    return right(model, features, target)


@wrong_explainer("weights_are_left_as_they_were", "0.bias")
def weights_changed(model, features, target):
    relevance = right(model, features, target)
    with torch.no_grad():
        model[0].bias.add_(1)
    return relevance


@wrong_explainer("weights_are_left_as_they_were", "4.weight")
def weights_restored_to_rounding(model, features, target):
    model[4].weight.data.mul_(1.1)
    relevance = right(model, features, target)
    model[4].weight.data.div_(1.1)
    return relevance


@wrong_explainer("weights_are_left_as_they_were", "4.bias")
def weight_of_another_object(model, features, target):
    model[4].bias = nn.Parameter(model[4].bias.detach().clone())
    return right(model, features, target)


@wrong_explainer("no_gradients_are_left_on_the_weights", "4.weight")
def gradients_left(model, features, target):
    model(features).sum().backward()
    return right(model, features, target)


@wrong_explainer("relevance_depends_on_the_target", "the target is ignored")
def target_ignored(model, features, target):
    return right(model, features, torch.zeros_like(target))


@wrong_explainer("relevance_depends_on_the_target", "the target is ignored")
def predicted_class_instead(model, features, target):
    return right(model, features, model(features).argmax(1))


@wrong_explainer("each_recording_is_explained_for_its_own_target")
def target_of_the_first(model, features, target):
    return right(model, features, target[:1].expand(len(target)))


@wrong_explainer("global_generators_are_left_alone", "torch's")
def seed_of_torch_set(model, features, target):
    torch.manual_seed(0)
    return right(model, features, target)


@wrong_explainer("global_generators_are_left_alone", "numpy's")
def seed_of_numpy_set(model, features, target):
    np.random.seed(0)
    return right(model, features, target)


@wrong_explainer("global_generators_are_left_alone", "random's")
def numbers_of_random_drawn(model, features, target):
    random.random()
    return right(model, features, target)


@wrong_explainer("relevance_is_not_zero_everywhere")
def nothing_relevant(model, features, target):
    return torch.zeros_like(features)


@wrong_explainer("its_input_is_not_changed_in_place", "the features")
def features_changed(model, features, target):
    relevance = right(model, features, target)
    features.mul_(2)
    return relevance


@wrong_explainer("its_input_is_not_changed_in_place", "the targets")
def targets_changed(model, features, target):
    relevance = right(model, features, target)
    target.zero_()
    return relevance


@wrong_explainer("settings_of_the_process_are_left_as_they_were", "default dtype")
def default_dtype_changed(model, features, target):
    relevance = right(model, features, target)
    torch.set_default_dtype(torch.float64)
    return relevance


@wrong_explainer("settings_of_the_process_are_left_as_they_were", "grad mode")
def grad_mode_changed(model, features, target):
    relevance = right(model, features, target)
    torch.set_grad_enabled(False)
    return relevance


@wrong_explainer("settings_of_the_process_are_left_as_they_were", "working folder")
def working_folder_changed(model, features, target):
    os.chdir("/")
    return right(model, features, target)


@wrong_explainer("it_returns_relevance_shaped_like_the_features", "float64")
def another_dtype(model, features, target):
    return right(model, features, target).double()


@wrong_explainer("it_returns_relevance_shaped_like_the_features", "meta")
def another_device(model, features, target):
    return right(model, features, target).to("meta")


@wrong_explainer("it_returns_relevance_shaped_like_the_features", "shaped like the features")
def another_shape(model, features, target):
    return right(model, features, target)[:, :, :3]


@wrong_explainer("it_returns_relevance_shaped_like_the_features", "ndarray")
def an_array(model, features, target):
    return right(model, features, target).numpy()


@wrong_explainer("relevance_is_finite", "silence")
def nan_for_silence(model, features, target):
    return right(model, features, target) / features.abs().amax((1, 2), keepdim=True)


@wrong_explainer("relevance_is_finite", "noise")
def nan_always(model, features, target):
    return right(model, features, target) * torch.nan


@wrong_explainer("relevance_is_finite", "sound and silence")
def infinite_where_silent(model, features, target):
    return right(model, features, target) / features.abs() if features.any() else features


@wrong_explainer("the_same_call_gives_the_same_relevance", "chance", "global generator")
def random_from_the_global_generator(model, features, target):
    return right(model, features, target) * torch.rand_like(features)


@wrong_explainer("the_same_call_gives_the_same_relevance", "chance")
def random_without_a_seed(model, features, target):
    return right(model, features, target) * np.random.default_rng().random()


@wrong("explainer", "the_same_call_gives_the_same_relevance", "state")
def state_kept():
    calls = itertools.count(1)
    return lambda model, features, target: right(model, features, target) * next(calls)


@wrong("explainer", "the_same_call_gives_the_same_relevance", "state")
def generator_of_its_own_goes_on():
    generator = np.random.default_rng(0)
    return lambda model, features, target: right(model, features, target) * generator.random()


@wrong_explainer("relevance_does_not_depend_on_the_batch")
def mean_of_the_batch_subtracted(model, features, target):
    relevance = right(model, features, target)
    return relevance - relevance.mean(0, keepdim=True)


@wrong_explainer("relevance_does_not_depend_on_the_batch")
def divided_by_the_loudest_of_the_batch(model, features, target):
    relevance = right(model, features, target)
    return relevance / relevance.abs().max()


@wrong_explainer("it_explains_or_refuses_in_one_line", "SystemExit")
def exits(model, features, target):
    raise SystemExit(0)


@wrong_explainer("it_explains_or_refuses_in_one_line", "KeyboardInterrupt")
def interrupts(model, features, target):
    raise KeyboardInterrupt


@wrong_explainer("it_explains_or_refuses_in_one_line", "KeyError")
def raises(model, features, target):
    raise KeyError("x")


@wrong_explainer("it_explains_or_refuses_in_one_line", "one line")
def refuses_in_two_lines(model, features, target):
    raise ModelError("two\nlines")


@wrong_explainer("it_writes_no_files", "heatmap.txt")
def writes_a_file(model, features, target):
    (Path(os.environ["WRITES"]) / "heatmap.txt").write_text("relevance")
    return right(model, features, target)


@wrong("explainer", "it_explains_or_refuses_in_one_line", "SystemExit")
def factory_exits():
    raise SystemExit(3)


@wrong("explainer", "logits_it_gives_are_those_of_the_model")
def other_logits():
    class WithLogits:
        __call__ = staticmethod(right)

        def with_logits(self, model, features, target):
            logits = model(features).detach()
            return right(model, features, logits.argmax(1) if target is None else target), logits + 1

    return WithLogits()


@wrong("explainer", "logits_it_gives_are_those_of_the_model", "hooks")
def hook_left_by_another_method():
    class WithLogits:
        __call__ = staticmethod(right)

        def with_logits(self, model, features, target):
            logits = model(features).detach()
            model[0].register_forward_hook(lambda *_: None)
            return right(model, features, logits.argmax(1) if target is None else target), logits

    return WithLogits()


@wrong("explainer", "what_it_says_of_itself_is_in_words_that_there_are", "relies_on = 'rules'", "expected a set of rules")
def relies_on_letters():
    def explain(model, features, target):
        return right(model, features, target)

    explain.relies_on = "rules"
    return explain


@wrong("explainer", "what_it_says_of_itself_is_in_words_that_there_are", "'hooks'", "activation-modules")
def relies_on_what_has_no_word():
    def explain(model, features, target):
        return right(model, features, target)

    explain.relies_on = {"hooks"}
    return explain


@wrong("explainer", "what_it_says_of_itself_is_in_words_that_there_are", "needs = 'gradients'", "scores, gradient, layers")
def needs_what_has_no_word():
    def explain(model, features, target):
        return right(model, features, target)

    explain.needs = "gradients"
    return explain


# Representations


class Samples(Time):
    """The waveform, in which each of the following has one thing wrong."""

    def __init__(self):
        super().__init__(8000, 4000)


def wrong_representation(check, *words, base=Samples):
    def register(cls):
        made = type(cls.__name__, (cls, base), {})
        factory = (lambda: made()) if base is Samples else (lambda: made(8000, 4000, window="hann", length=128, hop=32))
        factory.__name__ = cls.__name__
        wrong("representation", check, *words)(factory)
        return cls

    return register


ATTRIBUTES = "it_has_a_rate_a_length_a_unit_and_a_placement"
AXES = "axes_increase_and_have_names_and_units"


@wrong_representation(ATTRIBUTES, "unit")
class unit_missing:
    unit = None


@wrong_representation(ATTRIBUTES, "unit")
class unit_empty:
    unit = ""


@wrong_representation(ATTRIBUTES, "placement")
class placement_unknown:
    placement = "middle"


@wrong_representation(ATTRIBUTES, "sample_rate")
class rate_of_0:
    def __init__(self):
        super().__init__()
        self.sample_rate = 0


@wrong_representation(AXES, "do not increase")
class axis_falls:
    def __init__(self):
        super().__init__()
        self.axes = (Axis("time", "s", self.axes[0].centres[::-1]),)


@wrong_representation(AXES, "to 499.875 s, the sound from 0 to 0.5 s")
class axis_in_milliseconds:
    def __init__(self):
        super().__init__()
        self.axes = (Axis("time", "s", self.axes[0].centres * 1000),)


@wrong_representation(AXES, "'ms'")
class axis_of_another_unit:
    def __init__(self):
        super().__init__()
        self.axes = (Axis("time", "ms", self.axes[0].centres),)


@wrong_representation("each_recording_has_its_own_mask")
class mask_of_the_first:
    def masked_waveform(self, waveforms, mask):
        return super().masked_waveform(waveforms, mask[:1].expand(len(waveforms), -1, -1))


@wrong_representation("features_are_shaped_as_the_axes_say")
class axis_of_another_length:
    def __init__(self):
        super().__init__()
        self.axes = (Axis("time", "s", self.axes[0].centres[:-1]),)


@wrong_representation("cells_lie_in_time_where_the_axis_says")
class runs_backwards:
    def __call__(self, waveforms):
        return super().__call__(waveforms).flip(2)

    def amplitude(self, waveforms):
        return super().amplitude(waveforms).flip(2)

    def masked_waveform(self, waveforms, mask):
        return super().masked_waveform(waveforms, mask.flip(2))

    def to_waveform_relevance(self, waveforms, relevance):
        return super().to_waveform_relevance(waveforms, relevance.flip(2))


@wrong_representation("cells_lie_in_frequency_where_the_axis_says", base=TimeFrequency)
class frequencies_are_halved:
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        frequency, time = self.axes
        self.axes = (Axis("frequency", "Hz", frequency.centres / 4), time)


MASKS = {
    "mask_ignored": lambda sound, mask, right: sound,
    "sound_20_db_softer": lambda sound, mask, right: 0.1 * right(sound, mask),
    "mask_20_db_softer": lambda sound, mask, right: right(sound, 0.1 + 0.9 * mask),
    "mask_inverted": lambda sound, mask, right: right(sound, 1 - mask),
    "mask_thresholded": lambda sound, mask, right: right(sound, (mask > 0.25).float()),
    "mask_squared": lambda sound, mask, right: right(sound, mask**2),
    "mask_reversed": lambda sound, mask, right: right(sound, mask.flip(-1)),
    "mask_averaged": lambda sound, mask, right: right(sound, torch.ones_like(mask) * mask.mean((1, 2), keepdim=True)),
}
MASK_FINDINGS = {
    "mask_ignored": "a_mask_of_zeros_gives_silence",
    "sound_20_db_softer": "a_mask_of_ones_gives_the_sound_back",
    "mask_20_db_softer": "a_mask_of_zeros_gives_silence",
    "mask_inverted": "a_mask_of_ones_gives_the_sound_back",
    "mask_thresholded": "a_mask_of_halves_gives_half_the_sound",
    "mask_squared": "a_mask_of_halves_gives_half_the_sound",
    "mask_reversed": "a_mask_in_time_keeps_that_part_of_the_sound",
    "mask_averaged": "a_mask_in_time_keeps_that_part_of_the_sound",
}
for _name, _masked in MASKS.items():
    _method = {"masked_waveform": lambda self, sound, mask, f=_masked: f(sound, mask, partial(Samples.masked_waveform, self))}
    wrong_representation(MASK_FINDINGS[_name])(type(_name, (), _method))


@wrong_representation("it_is_differentiable", "silence")
class gradient_infinite_at_0:
    unit = "dB"

    def __call__(self, waveforms):
        return super().__call__(waveforms).abs().sqrt()


@wrong_representation("it_is_differentiable", "silence")
class gradient_nan_at_0:
    def __call__(self, waveforms):
        return waveforms[:, None] / (1e-3 + waveforms.square().sum(1).sqrt())[:, None, None]


@wrong_representation("it_is_differentiable", "no gradient")
class detached:
    def __call__(self, waveforms):
        return super().__call__(waveforms).detach()


@wrong_representation("features_are_finite", "silence")
class divides_by_the_peak:
    def __call__(self, waveforms):
        return waveforms[:, None] / waveforms.abs().amax(1)[:, None, None]


@wrong_representation("amplitude_is_shaped_like_the_features_and_not_negative", "negative")
class amplitude_negative:
    def amplitude(self, waveforms):
        return waveforms[:, None]


@wrong_representation("amplitude_is_linear")
class amplitude_is_power:
    def amplitude(self, waveforms):
        return super().amplitude(waveforms).square()


@wrong_representation("relevance_of_samples_sums_to_that_of_the_cells")
class relevance_lost:
    def to_waveform_relevance(self, waveforms, relevance):
        return super().to_waveform_relevance(waveforms, relevance) * 0.9


@wrong_representation("relevance_of_samples_sums_to_that_of_the_cells")
class sign_of_relevance_lost:
    def to_waveform_relevance(self, waveforms, relevance):
        return super().to_waveform_relevance(waveforms, relevance).abs()


@wrong_representation("features_do_not_depend_on_the_batch")
class divides_by_the_peak_of_the_batch:
    def __call__(self, waveforms):
        return super().__call__(waveforms) / (0.01 + waveforms.abs().max())


@wrong_representation("its_input_is_not_changed_in_place")
class centres_its_input:
    def __call__(self, waveforms):
        if not waveforms.requires_grad:
            waveforms -= 0.1
        return super().__call__(waveforms)


@wrong_representation("the_same_call_gives_the_same_features", "chance")
class dithered:
    def __call__(self, waveforms):
        return super().__call__(waveforms) + 0.01 * np.random.default_rng().random()


# Models


class Net(nn.Module):
    """A right network, in which each of the following has one thing wrong."""

    representation = "waveform:samples=1000,sample_rate=4000"

    def __init__(self, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 50, stride=10), nn.ReLU(), nn.Flatten(), nn.Linear(384, classes))

    def forward(self, features):
        return self.layers(features)


def wrong_model(check, *words):
    def register(cls):
        def factory(*, classes: int):
            return type(cls.__name__, (cls, Net), {})(classes)

        factory.__name__ = cls.__name__
        wrong("model", check, *words)(factory)
        return cls

    return register


@wrong_model("it_gives_as_many_classes_as_are_asked_for")
class always_three_classes:
    def __init__(self, classes):
        super().__init__(3)


@wrong_model("it_gives_as_many_classes_as_are_asked_for")
class always_ten_classes:
    def __init__(self, classes):
        super().__init__(10)


@wrong_model("it_says_what_it_reads", "--representation")
class says_not_what_it_reads:
    representation = None


def after(change):
    return lambda self, features: change(Net.forward(self, features))


@wrong_model("logits_are_not_squashed", "softmax")
class ends_in_softmax:
    forward = after(lambda logits: logits.softmax(1))


@wrong_model("logits_are_not_squashed", "log-softmax")
class ends_in_log_softmax:
    forward = after(lambda logits: logits.log_softmax(1))


@wrong_model("logits_are_not_squashed", "sigmoid")
class ends_in_sigmoid:
    forward = after(torch.sigmoid)


@wrong_model("logits_are_not_squashed", "tanh")
class ends_in_tanh:
    forward = after(torch.tanh)


@wrong_model("the_gradient_reaches_the_features", "detach")
class detaches:
    forward = after(lambda logits: logits.detach())


@wrong_model("the_gradient_reaches_the_features", "detach")
class detaches_its_input:
    def forward(self, features):
        return super().forward(features.detach())


@wrong_model("the_gradient_reaches_the_features", "step")
class rounds_its_input:
    def forward(self, features):
        return super().forward((10 * features).round())


@wrong_model("logits_do_not_depend_on_the_batch")
class normalises_by_the_batch:
    def forward(self, features):
        return super().forward(features - features.mean(0, keepdim=True))


@wrong_model("the_same_call_gives_the_same_logits", "chance", "dropout")
class dropout_in_evaluation:
    def forward(self, features):
        return super().forward(nn.functional.dropout(features, 0.5, training=True))


@wrong_model("the_same_call_gives_the_same_logits", "state")
class counts_calls:
    calls = 0

    def forward(self, features):
        self.calls += 1
        return super().forward(features) * self.calls


@wrong_model("a_call_changes_nothing_of_the_model", "buffers")
class statistics_change_in_evaluation:
    def __init__(self, classes):
        super().__init__(classes)
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, features):
        self.mean += 1
        return super().forward(features)


@wrong_model("logits_are_finite", "silence")
class nan_for_silence_model:
    def forward(self, features):
        return super().forward(features / features.std((1, 2), keepdim=True))


@wrong_model("weights_follow_the_global_generator")
class sets_the_seed:
    def __init__(self, classes):
        torch.manual_seed(0)
        super().__init__(classes)


@wrong_model("the_weights_are_all_that_it_learns")
class random_filter_that_is_not_kept:
    def __init__(self, classes):
        super().__init__(classes)
        self.scale = 1 + torch.rand(1)

    def forward(self, features):
        return super().forward(features) * self.scale


@wrong("model", "it_is_a_torch_module", "SystemExit")
def model_exits(*, classes: int):
    raise SystemExit


@wrong("model", "it_is_a_torch_module", "function")
def model_is_a_function(*, classes: int):
    return lambda features: features


# Data sets


class Sounds:
    """A right data set of 12 speakers, in which each of the following has one thing wrong."""

    name, title, fit, resampling, notes = "sounds", "Sounds", "error", "fft", ()
    tasks = {"pitch": ("low", "high")}

    def __init__(self, seed=0):
        self.waveforms = np.random.default_rng(seed).uniform(-0.5, 0.5, (24, 200)).astype(np.float32)
        self.speakers = [f"s{index // 2}" for index in range(24)]

    def __len__(self):
        return 24

    def __getitem__(self, index):
        labels = {"pitch": int(index % 2)}
        return Clip(self.waveforms[index], 8000, labels=labels, speaker=self.speakers[index], source=f"sound {index}")

    def labels(self, task):
        return np.arange(24) % 2

    def folds(self, task):
        parts = [np.arange(start, start + 8) for start in (0, 8, 16)]
        return tuple(Fold(parts[(fold + 1) % 3], parts[fold - 1], parts[fold]) for fold in range(3))

    def fingerprint(self):
        return hashlib.sha256(self.waveforms.tobytes()).hexdigest()


def wrong_dataset(check, *words):
    def register(cls):
        def factory(*, seed: int = 0):
            return type(cls.__name__, (cls, Sounds), {})(seed)

        factory.__name__ = cls.__name__
        wrong("dataset", check, *words)(factory)
        return cls

    return register


def clips_with(**changes):
    def item(self, index):
        clip = Sounds.__getitem__(self, index)
        return replace(clip, **{name: value(clip, index) for name, value in changes.items()})

    return item


@wrong_dataset("labels_of_clips_are_those_of_the_data_set", "recording 5")
class one_label_disagrees:
    __getitem__ = clips_with(labels=lambda clip, index: {"pitch": 0} if index == 5 else clip.labels)


RATES = "rates_are_whole_numbers_above_0"


@wrong_dataset(RATES, "-5")
class negative_rate:
    __getitem__ = clips_with(sample_rate=lambda clip, index: -5)


@wrong_dataset(RATES)
class rate_zero:
    __getitem__ = clips_with(sample_rate=lambda clip, index: 0)


@wrong_dataset(RATES, "8000.5")
class rate_with_a_fraction:
    __getitem__ = clips_with(sample_rate=lambda clip, index: 8000.5)


LABELS = "labels_are_class_indices_and_every_class_has_recordings"


@wrong_dataset(LABELS, "middle")
class empty_class:
    tasks = {"pitch": ("low", "high", "middle")}


@wrong_dataset(LABELS, "0 to 2")
class label_out_of_range:
    def labels(self, task):
        return np.where(np.arange(24) == 3, 2, np.arange(24) % 2)


@wrong_dataset(LABELS, "list")
class labels_in_a_list:
    def labels(self, task):
        return [index % 2 for index in range(24)]


@wrong_dataset("folds_share_no_speaker", "'s0'")
class speaker_in_two_parts:
    def __init__(self, seed):
        super().__init__(seed)
        self.speakers[23] = "s0"


@wrong_dataset("folds_share_no_recording_by_content", "(22 and 1)")
class recording_twice:
    def __init__(self, seed):
        super().__init__(seed)
        self.waveforms[22] = self.waveforms[1]


@wrong_dataset("folds_are_whole_and_disjoint", "two parts")
class index_in_two_parts:
    def folds(self, task):
        return tuple(fold._replace(train=np.append(fold.train, fold.test[0])) for fold in super().folds(task))


@wrong_dataset("folds_are_whole_and_disjoint", "no validation")
class part_empty:
    def folds(self, task):
        return tuple(fold._replace(validation=fold.validation[:0]) for fold in super().folds(task))


SCALE = "samples_are_finite_and_in_full_scales"


@wrong_dataset(SCALE, "NaN")
class nan_sample:
    def __init__(self, seed):
        super().__init__(seed)
        self.waveforms[7, 3] = np.nan


@wrong_dataset(SCALE, "peaks")
class integers_as_floats:
    __getitem__ = clips_with(waveform=lambda clip, index: clip.waveform * 32768)


@wrong_dataset("it_decodes_to_float32_clips", "float64")
class float64_samples:
    __getitem__ = clips_with(waveform=lambda clip, index: clip.waveform.astype(np.float64))


@wrong_dataset("it_decodes_to_float32_clips", "(200, 2)")
class samples_first:
    __getitem__ = clips_with(waveform=lambda clip, index: np.stack([clip.waveform] * 2, 1))


@wrong_dataset("it_decodes_to_float32_clips", "(1, 2, 200)")
class three_axes:
    __getitem__ = clips_with(waveform=lambda clip, index: np.stack([clip.waveform] * 2)[None])


@wrong_dataset("the_same_recording_decodes_the_same_twice")
class noise_is_added:
    __getitem__ = clips_with(waveform=lambda clip, index: clip.waveform + np.float32(np.random.default_rng().random()))


@wrong_dataset("the_data_set_opened_anew_is_the_same")
class another_order_each_time:
    def __init__(self, seed):
        super().__init__(np.random.default_rng().integers(1000))

    def fingerprint(self):
        return "the same"


@wrong_dataset("beyond_the_end_is_an_index_error")
class goes_round:
    def __getitem__(self, index):
        return super().__getitem__(index % 24)


@wrong_dataset("the_fingerprint_follows_the_content", "seed=1")
class fingerprint_is_constant:
    def fingerprint(self):
        return "version 1"


@wrong_dataset("the_fingerprint_stays")
class fingerprint_changes:
    def fingerprint(self):
        return str(np.random.default_rng().random())


@wrong_dataset("every_recording_has_a_speaker")
class speaker_missing:
    def __init__(self, seed):
        super().__init__(seed)
        self.speakers = [*self.speakers, "nobody"]


FILES = "files_are_those_of_the_recordings"


@wrong_dataset(FILES, "23 files are named for 24 recordings")
class file_missing:
    files = [""] * 23


@wrong_dataset(FILES, "recording 3 is 'no-such-file.wav', which is not there")
class file_that_is_not_there:
    files = ["", "", "", "no-such-file.wav", *[""] * 20]


@wrong_dataset(FILES, "recording 23 is 'gone/23.wav', which is not there")
class source_that_is_not_there:
    files = [*[""] * 23, "gone/23.wav"]


@wrong_dataset(FILES, "recording 5 is None")
class file_that_is_no_text:
    files = [*[""] * 5, None, *[""] * 18]


@wrong_dataset("decoding_leaves_the_process_as_it_was", "numpy's")
class sets_the_seed_of_numpy:
    def __getitem__(self, index):
        np.random.seed(0)
        return super().__getitem__(index)


@wrong("dataset", "the_fingerprint_follows_the_content", "gain=")
def fingerprint_without_an_option(*, gain: float = 1.0):
    made = Sounds()
    fingerprint = made.fingerprint()
    made.waveforms *= gain
    made.fingerprint = lambda: fingerprint
    return made


@wrong("dataset", "the_fingerprint_follows_the_content", "a file changed")
def fingerprint_of_names(*, data: Path):
    from xaudio.plugin import SpeakerDataset
    from xaudio.sound.datasets import Recording

    files = sorted(Path(data).glob("*.wav"))
    recordings = [Recording(str(file), f"s{index // 2}", {"pitch": index % 2}) for index, file in enumerate(files)]
    groups = [[f"s{index}"] for index in range(3)]
    names = lambda recordings: str([Path(recording.source).name for recording in recordings])  # noqa: E731
    return SpeakerDataset("files", "Files", Sounds.tasks, recordings, {"pitch": groups}, fingerprint_of=names)


# Separators


def wrong_separator(check, *words):
    def register(separate):
        def factory():
            return lambda waveforms, rate: separate(waveforms, rate)

        factory.__name__ = separate.__name__
        wrong("separator", check, *words)(factory)
        return separate

    return register


def halves(waveforms):
    return torch.stack([0.25 * waveforms, 0.75 * waveforms], 1)


@wrong_separator("sources_sum_to_the_recording")
def loses_energy(waveforms, rate):
    return halves(waveforms) * 0.99


@wrong_separator("sources_sum_to_the_recording")
def loses_the_quiet(waveforms, rate):
    return halves(waveforms) * (waveforms.abs().amax(1) > 0.01)[:, None, None]


@wrong_separator("sources_do_not_depend_on_the_batch")
def shares_by_the_batch(waveforms, rate):
    share = waveforms.abs().mean() / waveforms.abs().max()
    return torch.stack([share * waveforms, waveforms - share * waveforms], 1)


@wrong_separator("sources_are_batch_by_sources_by_samples")
def sources_first(waveforms, rate):
    return halves(waveforms).transpose(0, 1)


@wrong_separator("sources_are_finite", "silence")
def nan_sources_of_silence(waveforms, rate):
    return halves(waveforms) / waveforms.abs().amax(1)[:, None, None] * waveforms.abs().amax(1)[:, None, None]


@wrong_separator("the_same_call_gives_the_same_sources", "chance")
def random_sources(waveforms, rate):
    share = np.random.default_rng().random()
    return torch.stack([share * waveforms, waveforms - share * waveforms], 1)


@wrong_separator("its_input_is_not_changed_in_place")
def changes_waveforms(waveforms, rate):
    sources = halves(waveforms)
    waveforms.zero_()
    return sources


# Renderers


def wrong_renderer(check, *words):
    def register(render):
        def factory():
            return lambda explanation, folder: render(explanation, folder)

        factory.__name__ = render.__name__
        wrong("renderer", check, *words)(factory)
        return render

    return register


def text(folder, name="explanation.txt"):
    (folder / name).write_text("relevance")
    return folder / name


@wrong_renderer("the_explanation_is_not_changed", "the relevance")
def changes_the_explanation(explanation, folder):
    explanation.relevance[:] = np.abs(explanation.relevance)
    return [text(folder)]


@wrong_renderer("the_explanation_is_not_changed", "the facts")
def changes_the_provenance(explanation, folder):
    explanation.provenance["rendered"] = True
    return [text(folder)]


@wrong_renderer("it_writes_nowhere_else", "beside.txt")
def writes_beside(explanation, folder):
    return [text(folder), text(folder.parent, "beside.txt")]


@wrong_renderer("it_writes_nowhere_else", "elsewhere.txt")
def writes_elsewhere(explanation, folder):
    text(Path(os.environ["WRITES"]), "elsewhere.txt")
    return [text(folder)]


@wrong_renderer("it_returns_the_files_that_it_wrote", "not there")
def returns_what_is_not_there(explanation, folder):
    return [text(folder), folder / "missing.txt"]


@wrong_renderer("it_returns_the_files_that_it_wrote", "pathlib.Path")
def returns_text(explanation, folder):
    return str(text(folder))


@wrong_renderer("it_returns_the_files_that_it_wrote", "empty")
def writes_nothing_into_it(explanation, folder):
    (folder / "empty.txt").touch()
    return [folder / "empty.txt"]


@wrong_renderer("it_leaves_nothing_else_in_the_folder", "more.txt")
def returns_not_all(explanation, folder):
    text(folder, "more.txt")
    return [text(folder)]


@wrong_renderer("it_leaves_nothing_else_in_the_folder", "was there")
def clears_the_folder(explanation, folder):
    for path in folder.iterdir():
        path.unlink()
    return [text(folder)]


@wrong_renderer("the_process_is_left_as_it_was", "figure")
def leaves_a_figure(explanation, folder):
    import matplotlib.pyplot as plt

    plt.figure().savefig(folder / "picture.png")
    return [folder / "picture.png"]


@wrong_renderer("the_process_is_left_as_it_was", "font.size")
def changes_the_style(explanation, folder):
    import matplotlib.pyplot as plt

    plt.rcParams["font.size"] = 31
    return [text(folder)]


@wrong_renderer("it_renders_or_refuses_in_one_line", "SystemExit")
def renderer_exits(explanation, folder):
    raise SystemExit


# Metrics


def wrong_metric(check, *words):
    def register(measure):
        def factory():
            def metric(model, explanations):
                return {"score": measure(model, explanations)}

            metric.better = {"score": "higher"}
            return metric

        factory.__name__ = measure.__name__
        wrong("metric", check, *words)(factory)
        return measure

    return register


def sizes(explanations):
    return np.array([float(np.abs(item.relevance).sum()) for item in explanations])


OTHERS = "a_value_does_not_depend_on_the_other_explanations"


@wrong_metric(OTHERS)
def less_the_mean(model, explanations):
    return sizes(explanations) - sizes(explanations).mean()


@wrong_metric(OTHERS)
def rank_among_the_others(model, explanations):
    return sizes(explanations).argsort().argsort().astype(float)


@wrong_metric(OTHERS)
def place_in_the_list(model, explanations):
    return np.arange(len(explanations), dtype=float)


@wrong_metric(OTHERS)
def last_is_compared_with_the_first(model, explanations):
    values = sizes(explanations)
    values[-1] -= values[0] * (len(values) > 1)
    return values


@wrong_metric("modes_of_the_model_are_left_as_they_were")
def metric_changes_the_mode(model, explanations):
    model.network.train()
    return sizes(explanations)


@wrong_metric("no_hooks_are_left_behind", "pre hooks")
def metric_leaves_a_hook(model, explanations):
    model.network[0].register_forward_pre_hook(lambda *_: None)
    return sizes(explanations)


@wrong_metric("the_explanations_are_not_changed", "the relevance")
def metric_changes_explanations(model, explanations):
    values = sizes(explanations)
    for item in explanations:
        item.relevance[:] /= np.abs(item.relevance).max()
    return values


@wrong_metric("values_are_finite", "NaN")
def nan_for_one(model, explanations):
    return np.where(sizes(explanations) == sizes(explanations).max(), np.nan, 1)


@wrong_metric("the_same_call_gives_the_same_values", "chance", "global generator")
def random_metric(model, explanations):
    return np.random.random(len(explanations))


@wrong_metric("weights_are_left_as_they_were")
def metric_changes_weights(model, explanations):
    next(model.network.parameters()).data.add_(1)
    return sizes(explanations)


@wrong_metric("the_model_is_left_as_it_was", "requires_grad")
def metric_freezes(model, explanations):
    model.network.requires_grad_(False)
    return sizes(explanations)


# Benchmarks


class Run:
    def __call__(self, folder):
        pass

    def report(self, folder):
        return folder


@wrong("benchmark", "it_has_defaults_for_all_options", "speakers")
def option_without_default(*, speakers: int):
    return Run()


@wrong("benchmark", "it_can_be_called_and_report", "report")
def no_report():
    return lambda folder: None


@wrong("benchmark", "it_can_be_called_and_report", "SystemExit")
def benchmark_exits():
    raise SystemExit(1)


@hookimpl
def xaudio_datasets():
    return FACTORIES["dataset"]


@hookimpl
def xaudio_representations():
    return FACTORIES["representation"]


@hookimpl
def xaudio_models():
    return FACTORIES["model"]


@hookimpl
def xaudio_explainers():
    return FACTORIES["explainer"]


@hookimpl
def xaudio_separators():
    return FACTORIES["separator"]


@hookimpl
def xaudio_renderers():
    return FACTORIES["renderer"]


@hookimpl
def xaudio_metrics():
    return FACTORIES["metric"]


@hookimpl
def xaudio_benchmarks():
    return FACTORIES["benchmark"]
