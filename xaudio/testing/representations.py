"""Checks of representations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import XaudioError
from ..sound.channels import channels_in
from ..types import Axis, Placement
from .state import Left, left_in_process, stirred, watching
from .suite import Case, Unasked, close, need, refusal, unlike
from .toys import SOUNDS, noise, sounds, unlike_number

UNITS = {"time": "s", "frequency": "Hz"}

CELLS = 8
"""Fewest cells of an axis whose halves are told apart."""

GIVEN_BACK = -10.0
"""dB of what may be missing or added when all cells are kept; a representation may leave out its margins."""

TAKEN_AWAY = -40.0
"""dB of what may be left when no cell is kept."""

OTHER_HALF = -25.0
"""dB of what may be left of the half that is taken away: cells overlap."""


class RepresentationCase(Case):
    """A representation and what it makes of one sound of each sort."""

    @cached_property
    def first(self) -> tuple[Any, Left, bool]:
        """Features; what was left behind; whether the waveforms were changed."""
        waveforms = self.sounds()
        with torch.no_grad(), watching(self.plugin) as left:
            features = self.plugin(waveforms)
        return features, left, not torch.equal(waveforms, self.sounds())

    def noise(self, count: int) -> Tensor:
        """Waveforms of noise, of as many channels as it reads."""
        return noise(count, self.plugin.samples, channels_in(self.plugin))

    def sounds(self) -> Tensor:
        """One sound of each sort, of as many channels as it reads."""
        return sounds(self.plugin.samples, channels_in(self.plugin))

    def heard(self, *sounds: Tensor) -> Tensor:
        """A batch of sounds (samples,), the same in all channels that it reads."""
        count, batch = channels_in(self.plugin), torch.stack(sounds)
        return batch if count == 1 else batch[:, None].repeat(1, count, 1)

    def ask(self, representation: Any) -> Tensor:
        """Features of the sounds."""
        with torch.no_grad(), stirred():
            features: Tensor = representation(self.sounds())
        return features

    @property
    def features(self) -> Tensor:
        """Features (sounds, channels, *axes), if they are any."""
        if _misshapen(self):
            raise Unasked("it gives no features (batch, channels, *axes)")
        features: Tensor = self.first[0]
        return features

    @cached_property
    def unlike(self) -> str:
        """Why a second call gives something else, or nothing."""
        again, anew = self.ask(self.plugin), self.ask(self.make())
        return unlike(self.features, again, anew, "generators" in self.first[1].changes)

    def axis(self, unit: str) -> tuple[int, Axis]:
        """Position and axis of time ("s") or frequency ("Hz")."""
        need(self, axes_increase_and_have_names_and_units, features_are_shaped_as_the_axes_say)
        candidates = [(place, axis) for place, axis in enumerate(self.plugin.axes) if axis.unit == unit]
        if not candidates or len(candidates[0][1].centres) < CELLS:
            raise Unasked(f"it has no axis in {unit} of {CELLS} cells or more")
        return candidates[0]

    def masked(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """The sound that a mask leaves, if there is a way back."""
        if refused := _way_back(self, "masked_waveform"):
            raise Unasked(refused)
        with torch.no_grad():
            sound: Tensor = self.plugin.masked_waveform(waveforms, mask)
        return sound

    def ones(self, count: int = 1) -> Tensor:
        """A mask that keeps everything."""
        return torch.ones(count, *self.features.shape[1:])

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Amplitudes, shaped like features."""
        with torch.no_grad():
            amplitude: Tensor = self.plugin.amplitude(waveforms)
        return amplitude

    @property
    def pitches(self) -> tuple[float, float]:
        """Frequencies in Hz at a quarter and three quarters of what it tells apart."""
        try:
            centres = self.axis("Hz")[1].centres
        except Unasked:
            centres = np.array([0, self.plugin.sample_rate / 2])
        low, high = float(centres[0]), float(min(centres[-1], self.plugin.sample_rate / 2))
        return low + (high - low) / 4, low + 3 * (high - low) / 4

    def bell(self, centre: float, width: float) -> Tensor:
        """A Hann window (samples,), centred and as wide as these shares of the duration."""
        place = torch.arange(self.plugin.samples) / self.plugin.samples
        inside = ((place - centre) / width).clamp(-0.5, 0.5)
        return torch.cos(math.pi * inside) ** 2

    def tone(self, hertz: float) -> Tensor:
        """A tone (samples,) of amplitude 1."""
        return torch.sin(2 * math.pi * hertz * torch.arange(self.plugin.samples) / self.plugin.sample_rate)


def _misshapen(case: RepresentationCase) -> str:
    features, axes = case.first[0], case.plugin.axes
    cells = tuple(len(axis.centres) for axis in axes)
    shaped = isinstance(features, Tensor) and features.ndim == 2 + len(cells) and features.is_floating_point()
    if shaped and tuple(features.shape[2:]) == cells and len(features) == len(SOUNDS):
        return ""
    shape = f"{features.dtype} {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
    return f"features are {shape}; expected floating point of ({len(SOUNDS)}, channels, *{cells}), as the axes have cells"


def _way_back(case: RepresentationCase, method: str) -> str:
    """Why there is no way back to sound, if the representation says so."""
    waveforms = case.noise(1)
    try:
        with torch.no_grad():
            getattr(case.plugin, method)(waveforms, case.ones())
    except XaudioError as error:
        return f"it says that there is no way back: {error}"
    return ""


def _decibels(part: Tensor, whole: Tensor) -> float:
    return 10 * math.log10((float(part.double().square().sum()) + 1e-30) / (float(whole.double().square().sum()) + 1e-30))


def it_has_a_rate_a_length_a_unit_and_a_placement(case: RepresentationCase) -> str:
    representation = case.plugin
    for name in ("sample_rate", "samples"):
        value = getattr(representation, name, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            return f"{name} is {value!r}; expected a whole number above 0"
    if not isinstance(getattr(representation, "unit", None), str) or not representation.unit:
        return f"unit is {getattr(representation, 'unit', None)!r}; expected the unit of the features, such as 'dB'"
    placement = getattr(representation, "placement", None)
    return "" if placement in get_args(Placement) else f"placement is {placement!r}; expected {', '.join(get_args(Placement))}"


def axes_increase_and_have_names_and_units(case: RepresentationCase) -> str:
    axes = getattr(case.plugin, "axes", None)
    if not isinstance(axes, tuple | list) or not axes or not all(isinstance(axis, Axis) for axis in axes):
        return f"axes are {axes!r}; expected a tuple of xaudio.plugin.Axis"
    for axis in axes:
        centres = np.asarray(axis.centres)
        if not axis.name or not axis.unit or UNITS.get(axis.name, axis.unit) != axis.unit:
            return f"an axis has the name {axis.name!r} and the unit {axis.unit!r}; time is in s, frequency in Hz"
        if centres.ndim != 1 or not len(centres) or not np.isfinite(centres).all() or not (np.diff(centres) > 0).all():
            return f"the centres of the axis {axis.name!r} do not increase"
        seconds, highest = case.plugin.samples / case.plugin.sample_rate, case.plugin.sample_rate / 2
        least, most = {"s": (-seconds / 2, 1.5 * seconds), "Hz": (0, highest * 1.001)}.get(axis.unit, (-math.inf, math.inf))
        if centres[0] < least or centres[-1] > most:
            end = f"{seconds:.6g} s" if axis.unit == "s" else f"{highest:.6g} Hz"
            return (
                f"the axis {axis.name!r} goes from {centres[0]:.6g} to {centres[-1]:.6g} {axis.unit}, the sound from 0 to {end}"
            )
    return ""


def features_are_shaped_as_the_axes_say(case: RepresentationCase) -> str:
    return _misshapen(case)


def features_are_finite(case: RepresentationCase) -> str:
    return unlike_number(case.features)


def the_same_call_gives_the_same_features(case: RepresentationCase) -> str:
    return case.unlike


def features_do_not_depend_on_the_batch(case: RepresentationCase) -> str:
    need(case, features_are_finite, the_same_call_gives_the_same_features)
    waveforms = case.sounds()
    with torch.no_grad():
        differ = [row for row in (0, 1, 4) if not close(case.plugin(waveforms[[row]])[0], case.features[row])]
    return f"those of {SOUNDS[differ[0]]} alone are not those in a batch" if differ else ""


def its_input_is_not_changed_in_place(case: RepresentationCase) -> str:
    return "it changed the waveforms" if case.first[2] else ""


def a_call_leaves_everything_as_it_was(case: RepresentationCase) -> str:
    left = case.first[1]
    ways = {"modes": "left in another mode", "weights": "changed", "requires_grad": "switched", "gradients": "left"}
    return "; ".join(filter(None, [*(left.said(*item) for item in ways.items()), left_in_process(left)]))


def amplitude_is_shaped_like_the_features_and_not_negative(case: RepresentationCase) -> str:
    amplitude = case.amplitude(case.sounds())
    if amplitude.shape != case.features.shape:
        return f"it is {tuple(amplitude.shape)}; expected {tuple(case.features.shape)}"
    if said := unlike_number(amplitude):
        return said
    return "it is negative" if bool((amplitude < 0).any()) else ""


def amplitude_is_linear(case: RepresentationCase) -> str:
    waveforms = case.noise(1)
    whole, half = case.amplitude(waveforms), case.amplitude(waveforms / 2)
    return "" if close(2 * half, whole, 1e-2) else "half the sound does not have half the amplitude"


def cells_lie_in_time_where_the_axis_says(case: RepresentationCase) -> str:
    seconds = case.plugin.samples / case.plugin.sample_rate
    return _follows(case, "s", lambda share: case.bell(share, 0.2) * case.tone(sum(case.pitches) / 2), (0.3, 0.7), seconds)


def cells_lie_in_frequency_where_the_axis_says(case: RepresentationCase) -> str:
    return _follows(case, "Hz", lambda hertz: case.bell(0.5, 1) * case.tone(hertz), case.pitches, 1)


def _follows(
    case: RepresentationCase, unit: str, sound: Callable[[float], Tensor], places: tuple[float, float], scale: float
) -> str:
    """Whether the amplitude moves along an axis as the sound does, by half to one and a half times as much."""
    place, axis = case.axis(unit)
    loud = case.amplitude(case.heard(*(sound(where) for where in places))).double().square().sum(1)
    other = tuple(1 + index for index in range(len(case.plugin.axes)) if index != place)
    along = loud.sum(other) if other else loud
    centres = (along * torch.as_tensor(np.asarray(axis.centres, dtype=np.float64))).sum(1) / along.sum(1)
    moved, expected = float(centres[1] - centres[0]), (places[1] - places[0]) * scale
    if 0.5 * expected <= moved <= 1.5 * expected:
        return ""
    return f"a sound that moves by {expected:.4g} {unit} moves the amplitude by {moved:.4g} {unit} along the axis {axis.name!r}"


def it_is_differentiable(case: RepresentationCase) -> str:
    need(case, features_are_finite)
    waveforms = case.sounds().requires_grad_()
    with torch.enable_grad():
        features = case.plugin(waveforms)
        if not features.requires_grad:
            return "the features have no gradient (detach, no_grad or numpy?)"
        weights = torch.rand(features.shape, generator=torch.Generator().manual_seed(2))
        gradient = torch.autograd.grad((features * weights).sum(), waveforms)[0]
    if said := unlike_number(gradient):
        return f"the gradient is {said}"
    return "" if gradient[0].any() else "the gradient of noise is 0 everywhere"


def the_way_back_refuses_in_one_line(case: RepresentationCase) -> str:
    for method, cells in (("masked_waveform", case.ones()), ("to_waveform_relevance", case.ones())):
        try:
            getattr(case.plugin, method)(case.noise(1), cells)
        except XaudioError as error:
            return refusal(error)
    return ""


def a_mask_of_ones_gives_the_sound_back(case: RepresentationCase) -> str:
    low, high = case.pitches
    waveforms = case.heard(case.bell(0.5, 0.9) * (case.tone(low) + case.tone(high)) / 4)
    sound = case.masked(waveforms, case.ones())
    if sound.shape != waveforms.shape:
        return f"it gives {tuple(sound.shape)}; expected waveforms {tuple(waveforms.shape)}"
    level, missed = _decibels(sound, waveforms), _decibels(sound - waveforms, waveforms)
    if not math.isfinite(level) or missed > GIVEN_BACK or abs(level) > 1:
        return f"the sound comes back at {level:+.1f} dB, and what is missing or added has {missed:+.1f} dB"
    return ""


def a_mask_of_zeros_gives_silence(case: RepresentationCase) -> str:
    need(case, a_mask_of_ones_gives_the_sound_back)
    waveforms = case.noise(1)
    level = _decibels(case.masked(waveforms, 0 * case.ones()), waveforms)
    return "" if level < TAKEN_AWAY else f"the sound is still there, at {level:+.1f} dB: the mask is ignored or softened"


def a_mask_of_halves_gives_half_the_sound(case: RepresentationCase) -> str:
    need(case, a_mask_of_ones_gives_the_sound_back, a_mask_of_zeros_gives_silence)
    waveforms = case.noise(1)
    level = _decibels(case.masked(waveforms, case.ones() / 2), case.masked(waveforms, case.ones()))
    return "" if abs(level + 6.02) < 1 else f"the level changes by {level:+.1f} dB; expected -6.0 dB"


def a_mask_in_time_keeps_that_part_of_the_sound(case: RepresentationCase) -> str:
    need(case, cells_lie_in_time_where_the_axis_says, a_mask_of_ones_gives_the_sound_back, a_mask_of_zeros_gives_silence)
    pitch = sum(case.pitches) / 2
    parts = [case.bell(centre, 0.3) * case.tone(pitch) / 2 for centre in (0.25, 0.75)]
    early = torch.arange(case.plugin.samples) < case.plugin.samples // 2
    return _keeps(case, "s", parts, lambda sound: (sound * early, sound * ~early))


def a_mask_in_frequency_keeps_that_part_of_the_sound(case: RepresentationCase) -> str:
    need(case, cells_lie_in_frequency_where_the_axis_says, a_mask_of_ones_gives_the_sound_back, a_mask_of_zeros_gives_silence)
    low, high = case.pitches
    parts = [case.bell(0.5, 0.9) * case.tone(hertz) / 4 for hertz in (low, high)]
    below = torch.fft.rfftfreq(case.plugin.samples, 1 / case.plugin.sample_rate) < (low + high) / 2
    spectrum = torch.fft.rfft
    return _keeps(case, "Hz", parts, lambda sound: ((spectrum(sound) * below).abs(), (spectrum(sound) * ~below).abs()))


def _keeps(case: RepresentationCase, unit: str, parts: list[Tensor], split: Callable[[Tensor], tuple[Tensor, Tensor]]) -> str:
    """Whether a mask of the lower half of an axis keeps the first of two sounds and takes the other away."""
    place, axis = case.axis(unit)
    seconds = case.plugin.samples / case.plugin.sample_rate
    middle = seconds / 2 if unit == "s" else sum(case.pitches) / 2
    shape = [-1 if index == place else 1 for index in range(len(case.plugin.axes))]
    keeps = torch.as_tensor(np.asarray(axis.centres) < middle).float().reshape(1, 1, *shape)
    sound = case.masked(case.heard(parts[0] + parts[1]), case.ones() * keeps)[0]
    kept, taken = split(sound)
    wanted, unwanted = split(parts[0])[0], split(parts[1])[1]
    level, rest = _decibels(kept, wanted.expand_as(kept)), _decibels(taken, unwanted.expand_as(taken))
    if abs(level) > 3:
        return f"the half that is kept comes back at {level:+.1f} dB"
    return "" if rest < OTHER_HALF else f"the half that is taken away is still there, at {rest:+.1f} dB"


def each_recording_has_its_own_mask(case: RepresentationCase) -> str:
    need(case, a_mask_of_ones_gives_the_sound_back, a_mask_of_zeros_gives_silence)
    waveforms, mask = case.noise(3), case.ones(3)
    mask[1] = 0
    together = case.masked(waveforms, mask)
    alone = case.masked(waveforms[2:], case.ones())
    silent = _decibels(together[1], waveforms[1]) < TAKEN_AWAY
    return "" if silent and close(together[2:], alone) else "the sound that a mask leaves depends on the batch"


def relevance_of_samples_sums_to_that_of_the_cells(case: RepresentationCase) -> str:
    if refused := _way_back(case, "to_waveform_relevance"):
        raise Unasked(refused)
    waveforms = case.noise(2)
    drawn = torch.Generator().manual_seed(1)
    relevance = torch.randn(2, *case.features.shape[1:], generator=drawn) + 0.5
    back = case.plugin.to_waveform_relevance(waveforms, relevance)
    if back.shape != waveforms.shape:
        return f"it is {tuple(back.shape)}; expected {tuple(waveforms.shape)}"
    sums, expected = back.double().flatten(1).sum(1), relevance.double().flatten(1).sum(1)
    if torch.allclose(sums, expected, rtol=2e-3):
        return ""
    return f"it sums to {float(sums[0]):.6g}; that of the cells to {float(expected[0]):.6g}"
