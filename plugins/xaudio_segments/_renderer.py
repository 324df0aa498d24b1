"""The renderer of segments: tables, label tracks and clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from xaudio.plugin import Explanation, FloatArray, PluginError, Written, write_audio, write_text

from ._finding import Finder, Segment, duration_of, part_segments
from ._writing import FORMATS, Listed, label_of, of_one_recording, texts

CLIPS = "clips"
LONGEST = 40
"""Letters of a label in the name of a clip."""


@dataclass(frozen=True)
class Segments:
    """Renderer; see `xaudio_segments.segments` for the options."""

    finder: Finder
    parts: str | None
    formats: tuple[str, ...]

    def __post_init__(self) -> None:
        other = [name for name in self.formats if name not in (*FORMATS, CLIPS)]
        if other or not self.formats:
            choices = ", ".join((*FORMATS, CLIPS))
            raise PluginError(f"The option formats of renderer 'segments' names {other or 'none'}; expected some of {choices}.")

    def __call__(self, explanation: Explanation, folder: Path) -> list[Written]:
        """Write the tables and clips of an explanation."""
        listed = self.listed(explanation)
        facts = {"segments": len(listed.labelled)}
        written = [Written(write_text(folder / name, text), facts) for name, text in texts([listed], self.formats).items()]
        if CLIPS in self.formats:
            written += _clips(explanation, listed.labelled, folder)
        return written

    def together(self, explanations: Sequence[Explanation], folder: Path) -> list[Written]:
        """Write tables of all explanations into one folder; label tracks only where all are of one recording."""
        listed = of_one_recording([self.listed(explanation) for explanation in explanations])
        return [Written(write_text(folder / name, text)) for name, text in texts(listed, self.formats).items()]

    def segments(self, explanation: Explanation) -> list[Segment]:
        """The segments, and at the end the rest."""
        parts = self.parts or explanation.provenance.get("explainer", {}).get("given", {}).get("parts")
        return part_segments(explanation, parts) if parts else self.finder.segments(explanation)

    def listed(self, explanation: Explanation) -> Listed:
        """The segments with what label tracks need to know of the recording."""
        rate = explanation.provenance.get("original_sample_rate", explanation.clip.sample_rate)
        return Listed(self.segments(explanation), duration_of(explanation), rate / 2)


def _clips(explanation: Explanation, segments: Sequence[Segment], folder: Path) -> list[Written]:
    """A sound file of each segment."""
    if not segments:
        return []
    (folder / CLIPS).mkdir(exist_ok=True)
    written = []
    for place, segment in enumerate(segments, 1):
        sound, rate = _cut(explanation, segment)
        peak = float(np.abs(sound).max(initial=0.0))
        label = "".join(letter if letter.isalnum() else "_" for letter in label_of(segment))[:LONGEST]
        path = folder / CLIPS / f"{place:03d}-{label}-{round(segment.start_s, 3):.10g}s.wav"
        facts = {"start_s": segment.start_s, "end_s": segment.end_s}
        written.append(Written(write_audio(path, sound / max(peak, 1.0), rate), facts))
    return written


def _cut(explanation: Explanation, segment: Segment) -> tuple[FloatArray, int]:
    """The sound of a segment and its rate: of the file where it is there, else as the model heard it."""
    clip, rate = explanation.clip, explanation.provenance.get("original_sample_rate", explanation.clip.sample_rate)
    try:
        with soundfile.SoundFile(clip.source) as file:
            if file.samplerate == rate and file.seekable():
                file.seek(round(segment.start_s * rate))
                length = max(2, round(segment.end_s * rate) - round(segment.start_s * rate))
                together = file.read(length, dtype="float64", always_2d=True)
                sound = together.mean(1) if clip.channel is None else together[:, clip.channel]
                if len(sound) > 1:
                    return sound, rate
    except (soundfile.LibsndfileError, OSError, ValueError, TypeError, IndexError):
        pass
    offset, start, _ = explanation.placed
    first, last = (round(second * clip.sample_rate) - start + offset for second in (segment.start_s, segment.end_s))
    return clip.waveform[first : max(last, first + 2)].astype(np.float64), clip.sample_rate
