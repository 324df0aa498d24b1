"""Checks of separators."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import XaudioError
from .state import Left, left_in_process, stirred, watching
from .suite import Case, Unasked, close, need, refusal, unlike
from .toys import RATE, sounds, unlike_number


class SeparatorCase(Case):
    """A separator, asked about one recording of each sort."""

    @cached_property
    def tried(self) -> tuple[Any, XaudioError | None, Left, bool]:
        """Sources, or the refusal; what was left behind, and whether the recordings were changed."""
        waveforms, sources, error = sounds(), None, None
        with watching() as left:
            try:
                sources = self.plugin(waveforms, RATE)
            except XaudioError as reason:
                error = reason
        return sources, error, left, not torch.equal(waveforms, sounds())

    def ask(self, method: Any, waveforms: Tensor) -> Tensor:
        """Sources of some recordings."""
        with stirred():
            sources: Tensor = method(waveforms, RATE).detach()
        return sources

    @property
    def sources(self) -> Tensor:
        """Sources (sounds, sources, samples)."""
        if self.tried[1] is not None:
            raise Unasked(f"it refuses: {self.tried[1]}")
        if _misshapen(self):
            raise Unasked("it returns no sources of the recordings")
        sources: Tensor = self.tried[0].detach()
        return sources

    @cached_property
    def unlike(self) -> str:
        """Why a second call gives something else, or nothing."""
        again, anew = self.ask(self.plugin, sounds()), self.ask(self.make(), sounds())
        return unlike(self.sources, again, anew, "generators" in self.tried[2].changes)


def _misshapen(case: SeparatorCase) -> str:
    sources, waveforms = case.tried[0], sounds()
    if not isinstance(sources, Tensor) or sources.ndim != 3:
        shape = tuple(sources.shape) if isinstance(sources, Tensor) else type(sources).__name__
        return f"it returned {shape}; expected sources (batch, sources, samples)"
    expected = (len(waveforms), sources.shape[1], waveforms.shape[1])
    return "" if tuple(sources.shape) == expected and sources.shape[1] else f"it returned {tuple(sources.shape)}"


def it_separates_or_refuses_in_one_line(case: SeparatorCase) -> str:
    return refusal(case.tried[1]) if case.tried[1] else ""


def sources_are_batch_by_sources_by_samples(case: SeparatorCase) -> str:
    if case.tried[1] is not None:
        raise Unasked(f"it refuses: {case.tried[1]}")
    return _misshapen(case)


def sources_are_finite(case: SeparatorCase) -> str:
    return unlike_number(case.sources)


def sources_sum_to_the_recording(case: SeparatorCase) -> str:
    need(case, sources_are_finite)
    for waveform, sources in zip(sounds(), case.sources, strict=True):
        missed = float((sources.sum(0) - waveform).abs().max())
        if missed > 1e-5 * max(float(waveform.abs().max()), 1e-6):
            return f"they miss it by {missed:.3g}, where its largest sample is {float(waveform.abs().max()):.3g}"
    return ""


def the_same_call_gives_the_same_sources(case: SeparatorCase) -> str:
    return case.unlike


def sources_do_not_depend_on_the_batch(case: SeparatorCase) -> str:
    need(case, sources_are_finite, the_same_call_gives_the_same_sources)
    alone = [case.ask(case.plugin, sounds()[[row]])[0] for row in (0, 4)]
    differ = [row for row, sources in zip((0, 4), alone, strict=True) if not close(sources, case.sources[row])]
    return "sources of a recording alone are not those in a batch" if differ else ""


def its_input_is_not_changed_in_place(case: SeparatorCase) -> str:
    return "it changed the waveforms" if case.tried[3] else ""


def the_process_is_left_as_it_was(case: SeparatorCase) -> str:
    return left_in_process(case.tried[2], chance=bool(case.tried[1] is None and not _misshapen(case) and case.unlike))
