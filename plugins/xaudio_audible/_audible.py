"""Equation 4 of arXiv 1807.03418 for any representation and view, written at levels that can be heard and never clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from xaudio.plugin import (
    Axis,
    Explanation,
    FloatArray,
    OutputError,
    PluginError,
    Written,
    part_gain,
    reference_gain,
    write_audio,
    write_json,
)

from ._extras import comparison
from ._levels import Part, highest, largest, rounds_to_silence
from ._masks import CELLS, Normalisation, mask_of, smoothed
from ._names import PARTS
from ._time import at_own_rate, faded, slower

if TYPE_CHECKING:
    from torch import Tensor

EXTRAS = ("comparison", "stereo")
SLOWEST = 8.0
SMOOTH_MS = 20.0
"""Width over which a mask of samples is averaged unless the user says otherwise."""
CANCELLING = 2.0
"""Magnitude of relevance in time-frequency, as a multiple of that in samples, from which on values of both signs cancel. It
is 0.5 to 1.2 for explainers that multiply by the input, and 3 to 45 for those that do not (`docs/guide/audible.md`)."""
LEAST_SHARE = 0.01
"""Share of the relevance below which a part is not raised: what is loud then would be next to nothing."""
SILENT = 1e-6
"""Sounds this far (-120 dB) below the recording are what float32 rounding leaves of silence, and are made silent."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Relevance where it weights the sound.

    Parameters
    ----------
    domain : str
        "time", "frequency", "time-frequency", or "" for another.
    relevance : ndarray, shape ``(channels, *axes)``
    axes : tuple of Axis
    weighted : callable
        Waveforms (batch, samples) and a mask ``(1, channels, *axes)`` to the sound that is left, (batch, samples).
    inside : slice
        Samples of the recording within the zeros around it.
    """

    domain: str
    relevance: FloatArray
    axes: tuple[Axis, ...]
    weighted: Callable[[Tensor, Tensor], Tensor]
    inside: slice


class Weighted(NamedTuple):
    """The sounds of an explanation by name, before they are brought to a level.

    Parameters
    ----------
    seen : Seen
    shares : mapping of str to float or None
        Of the relevance, for each part; see `_shares`.
    kept : frozenset of str
        Parts of which the mask keeps something.
    sounds : mapping of str to ndarray, shape (samples,)
    rate : int
        In Hz.
    """

    seen: Seen
    shares: Mapping[str, float | None]
    kept: frozenset[str]
    sounds: Mapping[str, FloatArray]
    rate: int


_last: tuple[ref[Explanation], tuple[Any, ...], Weighted] | None = None
"""The explanation whose sounds were made last, with its fingerprint and the options that they depend on."""


@dataclass(frozen=True, kw_only=True)
class Audible:
    """Renderer of sounds; see `xaudio_audible.audible` for the options.

    Raises
    ------
    PluginError
        If an option is out of range.
    """

    parts_written: tuple[str, ...] = PARTS
    domain: Literal["auto", "features", "waveform", "frequency", "time-frequency"] = "auto"
    normalisation: Normalisation = "percentile"
    percentile: float = 99.0
    top: float = 0.05
    smooth_ms: float | None = None
    smooth_hz: float = 0.0
    loudness: Literal["match", "peak", "keep"] = "match"
    level: Literal["recording", "reference"] = "recording"
    peak: float = 0.95
    fade_ms: float = 0.0
    slow: float = 1.0
    slow_by: Literal["stretch", "resample"] = "stretch"
    rate: Literal["model", "recording"] = "model"
    extras: tuple[str, ...] = ()
    format: Literal["wav", "flac"] = "wav"

    def __post_init__(self) -> None:
        whose = "of renderer 'audible'"
        for option, chosen, allowed in (("parts", self.parts_written, PARTS), ("extras", self.extras, EXTRAS)):
            other = [name for name in chosen if name not in allowed]
            if other:
                raise PluginError(f"The option {option} {whose} names {other[0]!r}; expected some of {', '.join(allowed)}.")
        if not self.parts_written:
            raise PluginError(f"The option parts {whose} names none; expected some of {', '.join(PARTS)}.")

    def __call__(self, explanation: Explanation, folder: Path) -> list[Written]:
        """Write the parts, the extras and ``audible.json``."""
        weighted = self._weighted(explanation)
        seen, rate = weighted.seen, weighted.rate
        gain = self._common_gain(weighted.sounds, rate)
        written, sounds = [], {}
        for name in self.parts_written:  # one after the other, since those of a long recording are large
            part = self._part(name, weighted, gain, explanation.relevance)
            path = write_audio(folder / f"{name}.{self.format}", part.waveform, rate)
            sounds[path.name] = {"part": name, **part.facts()}
            written.append(path)
        for name in self.extras:
            both = {part: self._part(part, weighted, gain, explanation.relevance) for part in ("original", "positive")}
            sound, more = self._extra(name, both)
            path = write_audio(folder / f"{name}.{self.format}", sound, rate)
            sounds[path.name] = {"part": name, "sample_rate": rate, "samples": sound.shape[-1], **more}
            written.append(path)
        facts = {
            "explained": explanation.question,
            "heard_in": seen.domain,
            "seconds_of_recording": self._seconds(explanation),
            "sample_rate": rate,
            "model_sample_rate": explanation.clip.sample_rate,
            **self._options(seen),
            "sounds": sounds,
        }
        return [*(Written(path, sounds[path.name]) for path in written), Written(write_json(folder / "audible.json", facts))]

    def _seconds(self, explanation: Explanation) -> list[float]:
        """Start and end of the sounds, in seconds of the recording; below 0 in zeros before it."""
        if self.rate == "recording":
            return list(explanation.recording_span)
        return [explanation.window_start, explanation.window_start + explanation.clip.duration]

    def parts(self, explanation: Explanation) -> dict[str, Part]:
        """All four sounds of an explanation, by name, at their levels.

        Raises
        ------
        OutputError
            If the relevance is not finite.
        AudioError
            If the recording's own rate is asked for and the recording is not there.
        """
        weighted = self._weighted(explanation)
        gain = self._common_gain(weighted.sounds, weighted.rate)
        return {name: self._part(name, weighted, gain, explanation.relevance) for name in PARTS}

    def _weighted(self, explanation: Explanation) -> Weighted:
        """The sounds before their levels, the last ones kept: a file and a page differ in level and format alone."""
        global _last
        others = replace(self, parts_written=PARTS, extras=(), loudness="match", level="recording", peak=0.95, format="wav")
        key = (explanation.fingerprint, others)
        if _last is None or _last[0]() is not explanation or _last[1] != key:
            _last = (ref(explanation), key, self._weigh(explanation))
        return _last[2]

    def _weigh(self, explanation: Explanation) -> Weighted:
        seen = self._seen(explanation)
        recording, rate = explanation.clip.waveform, explanation.clip.sample_rate
        parts, held = {}, {}
        for name, mask in self._masks(seen):
            parts[name], held[name] = _left(seen, mask, recording[None]), _magnitude(seen.relevance, mask)
        parts["complement"] = _left_out(recording[None], parts)
        sounds = {"original": recording, **{name: sound[0] for name, sound in parts.items()}}
        start, stop = seen.inside.start, seen.inside.stop
        if self.rate == "recording":
            whole, rate, brought = at_own_rate(explanation)
            sounds = {"original": whole, "positive": brought(sounds["positive"]), "negative": brought(sounds["negative"])}
            # The complement keeps what the model never heard.
            sounds["complement"] = whole - sounds["positive"] - sounds["negative"]
            start, stop = 0, len(whole)
        if self.fade_ms:
            samples = round(self.fade_ms / 1000 * rate)
            sounds = {name: faded(sound, start, stop, samples) for name, sound in sounds.items()}
        if self.slow > 1:
            slow = slower(sounds["original"], rate, self.slow, self.slow_by)
            sounds = {name: slow(sound) for name, sound in sounds.items()}
        return Weighted(seen, _shares(seen.relevance, held), frozenset(name for name in held if held[name]), sounds, rate)

    def masked(self, explanation: Explanation, waveforms: FloatArray) -> dict[str, FloatArray]:
        """What the masks of an explanation leave of any sounds, at the model's rate and before any level is changed.

        Parameters
        ----------
        explanation : Explanation
        waveforms : ndarray, shape (batch, samples)
            As long as the explained recording, such as the components that it was mixed from: the map is linear.

        Returns
        -------
        dict of str to ndarray, shape (batch, samples)
            "positive", "negative", and "complement", which is the sounds less both.
        """
        seen = self._seen(explanation)
        parts = {name: _left(seen, mask, waveforms) for name, mask in self._masks(seen)}
        return {**parts, "complement": _left_out(waveforms, parts)}

    def _masks(self, seen: Seen) -> Iterator[tuple[str, FloatArray]]:
        """The masks "positive" and "negative", ``(channels, *axes)``: that of |R|, split by the sign of R, averaged.

        One after the other, since those of a long recording are large.
        """
        mask = mask_of(seen.relevance, self.normalisation, self.percentile, self.top)
        smooth_ms = self._smooth_ms(seen)
        for name, of_sign in (("positive", np.greater), ("negative", np.less)):
            yield name, smoothed(mask * of_sign(seen.relevance, 0), seen.axes, smooth_ms, self.smooth_hz)

    def _smooth_ms(self, seen: Seen) -> float:
        return (SMOOTH_MS if seen.domain == "time" else 0.0) if self.smooth_ms is None else self.smooth_ms

    def _seen(self, explanation: Explanation) -> Seen:
        """Relevance in the domain where it weights the sound."""
        import torch

        if not np.isfinite(explanation.relevance).all():
            raise OutputError(
                f"The relevance of {explanation.clip.source} holds NaN or infinity, so it cannot be heard; check the explainer."
            )
        if self.domain in ("frequency", "time-frequency"):
            explanation = explanation.view(self.domain)
        elif self.domain == "auto" and explanation.domain == "time" and "view" not in explanation.provenance:
            cells = explanation.view("time-frequency")
            explanation = cells if cells.provenance["view"]["magnitude"] <= CANCELLING else explanation
        representation = explanation.representation
        offset, _, samples = explanation.placed
        inside = slice(offset, offset + samples)
        if self.domain != "waveform":
            return Seen(explanation.domain, explanation.relevance, explanation.axes, representation.masked_waveform, inside)
        recording = torch.from_numpy(explanation.clip.waveform)[None]
        relevance = torch.from_numpy(explanation.relevance.astype(np.float64))[None]
        brought = representation.to_waveform_relevance(recording, relevance).numpy()
        rate = explanation.clip.sample_rate
        axis = Axis("time", "s", np.arange(recording.shape[1]) / rate)
        return Seen("time", brought, (axis,), lambda waveforms, mask: waveforms * mask[:, 0], inside)

    def _part(self, name: str, weighted: Weighted, common: float, relevance: FloatArray) -> Part:
        """A sound at the level that the options ask for, with the reason if it is silent."""
        peak, original, rate = highest(self.peak), weighted.sounds["original"], weighted.rate
        sound = weighted.sounds[name]
        loudest, gain, limit = largest(sound), common, ""
        if name != "original" and self.loudness == "peak" and loudest:
            gain = peak / loudest
        elif name != "original" and self.loudness == "match" and loudest:
            together = (sound, original) if common == 1 else (sound * common, original * common)
            raised, limit = part_gain(*together, rate, peak)
            gain = common * raised
        bound = max(peak, loudest if gain == 1 else 0.0)  # what was not scaled stays as it is
        levelled = sound * gain
        np.clip(levelled, -bound, bound, out=levelled)
        return self._explained(
            name, Part(levelled, rate, gain if loudest else None, weighted.shares[name], limit, common), weighted, relevance
        )

    def _common_gain(self, sounds: Mapping[str, FloatArray], rate: int) -> float:
        """Of the recording, and of its parts if their levels are kept."""
        together = sounds.values() if self.loudness == "keep" else [sounds["original"]]
        most = max(map(largest, together))
        peak = highest(self.peak)
        if self.level == "reference" and most:
            return min(reference_gain(sounds["original"], rate, peak), peak / most)
        return peak / most if most > 1 else 1.0

    def _explained(self, name: str, part: Part, weighted: Weighted, relevance: FloatArray) -> Part:
        """The part, with the reason if there is nothing to hear."""
        sounds = weighted.sounds
        weak = name in ("positive", "negative") and self.loudness != "keep" and 0 < (part.share or 0) < LEAST_SHARE
        if not (weak or rounds_to_silence(part.waveform)):
            return part
        if not sounds["original"].any():
            reason = "the recording is silent"
        elif sounds[name].any() and weak:
            reason = f"nothing to hear, with {100 * (part.share or 0):.2g} % of the relevance, less than {100 * LEAST_SHARE:g} %"
        elif sounds[name].any():
            matched = self.loudness == "match" and name != "original"
            level = ", even raised as far as any part is" if part.limit == "gain" else " at the loudness of the recording"
            reason = f"it is too quiet for 16 bits{level if matched else ''}"
        elif name == "complement":
            reason = "the mask keeps all of the recording"
        elif not (relevance > 0 if name == "positive" else relevance < 0).any():
            reason = f"there is no {name} relevance"
        elif part.share and name not in weighted.kept:
            reason = f"none of the {name} relevance is among the top {self.top:g}"
        else:
            reason = f"{name} relevance lies only where the recording is silent"
        return Part(np.zeros_like(part.waveform), part.sample_rate, None, part.share, "", part.recording_gain, reason)

    def _extra(self, name: str, parts: Mapping[str, Part]) -> tuple[FloatArray, dict[str, Any]]:
        original, positive = parts["original"], parts["positive"]
        # There is a beep in a comparison, so that it is never silent itself.
        silent = name == "stereo" and original.reason and positive.reason
        facts: dict[str, Any] = {
            "gain_db": None,
            "share_of_relevance": positive.share,
            "reason": original.reason if silent else "",
            "reasons": {"original": original.reason, "positive": positive.reason},
        }
        if name == "stereo":
            return np.stack([original.waveform, positive.waveform]), facts
        sound, starts = comparison(original.waveform, positive.waveform, original.sample_rate, highest(self.peak))
        return sound, {**facts, **starts}

    def _options(self, seen: Seen) -> dict[str, Any]:
        """The options as JSON values, under the names that the renderer takes."""
        names = ("domain", "normalisation", "smooth_hz", "loudness", "level", "peak", "fade_ms", "slow", "slow_by", "rate")
        needed = {"percentile": ("percentile",), "top": ("top",), "soft": ("top",)}.get(self.normalisation, ())
        return {**{name: getattr(self, name) for name in (*names, *needed)}, "smooth_ms": self._smooth_ms(seen)}


def _left(seen: Seen, mask: FloatArray, waveforms: FloatArray) -> FloatArray:
    """What a mask leaves of waveforms (batch, samples), float64."""
    import torch

    # Scaled up for float32, so that a part whose relevance is small beside the other's keeps its digits.
    whole = float(mask.max(initial=0.0)) or 1.0
    scaled = np.empty(mask.shape, np.float32)
    np.divide(mask, whole, out=scaled, casting="same_kind")
    with torch.no_grad():
        left = seen.weighted(torch.from_numpy(np.array(waveforms, dtype=np.float32)), torch.from_numpy(scaled)[None])
    # The window of a transform reaches beyond the recording, where there is nothing to hear.
    sound = np.zeros(left.shape)
    sound[:, seen.inside] = left[:, seen.inside].numpy()
    _silence_dust(sound, waveforms)
    sound *= whole
    return sound


def _left_out(waveforms: FloatArray, parts: Mapping[str, FloatArray]) -> FloatArray:
    """What both masks leave out of waveforms (batch, samples), float64."""
    complement: FloatArray = waveforms - parts["positive"]
    complement -= parts["negative"]
    _silence_dust(complement, waveforms)
    return complement


def _silence_dust(sounds: FloatArray, waveforms: FloatArray) -> None:
    """Make those of the sounds (batch, samples) silent that are only rounding beside the waveforms."""
    for sound, waveform in zip(sounds, waveforms, strict=True):
        if not largest(sound) > SILENT * largest(waveform):
            sound[:] = 0


def _shares(relevance: FloatArray, held: Mapping[str, float]) -> dict[str, float | None]:
    """Shares of all |R|: of either sign, and, for the complement, what the masks leave out (not below 0 by rounding)."""
    total = _magnitude(relevance) or 1.0
    against = _magnitude(relevance, relevance < 0) / total
    for_it = _magnitude(relevance, relevance > 0) / total
    left_out = max(0.0, 1 - sum(held.values()) / total)
    return {"original": None, "positive": for_it, "negative": against, "complement": left_out}


def _magnitude(relevance: FloatArray, mask: NDArray[Any] | None = None) -> float:
    """Sum of |R|, or of |R| times a mask, in float64."""
    cells, kept = relevance.reshape(-1), None if mask is None else mask.reshape(-1)
    sums = []
    for start in range(0, len(cells), CELLS):
        strength = np.abs(cells[start : start + CELLS].astype(np.float64))
        sums.append(float((strength if kept is None else strength * kept[start : start + CELLS]).sum()))
    return math.fsum(sums)
