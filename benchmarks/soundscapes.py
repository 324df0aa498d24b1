"""Scenes of real events of which the time is known: ``python benchmarks/soundscapes.py ESC10 EVENTS SCENES``.

Each recording of the first fold of ESC-10 is the event of two scenes of 5 s: its loudest 1.5 s, or less where it is shorter, at a
drawn time, 6 dB above the park of the soundscapes of scaper. A recording of another class is heard at another time and as loud,
so that loudness does not tell which of the two is meant. A label track beside each scene, as Audacity and scaper write it, says
when the first one is heard.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from xaudio.plugin import FloatArray
from xaudio.sound.audio import read_audio, resample
from xaudio.sound.fitting import fit_length, speech_bounds
from xaudio.types import Clip

RATE, SECONDS, LONGEST, ABOVE_DB, FADE = 22050, 5.0, 1.5, 6.0, 0.01


def event(path: Path) -> FloatArray:
    """The loudest part of a recording without the silence around it, as loud as all others, with short fades."""
    clip = read_audio(path)
    sound = resample(clip.waveform, clip.sample_rate, RATE, "soxr")
    start, stop = speech_bounds(sound, RATE)
    loudest, _, _ = fit_length(Clip(sound[start:stop], RATE), round(LONGEST * RATE), "loudest")
    ramp = np.minimum(1, (np.arange(len(loudest)) + 1) / (FADE * RATE))
    return np.asarray(loudest / np.sqrt(np.mean(loudest**2)) * np.minimum(ramp, ramp[::-1]))


def scene(park: FloatArray, events: tuple[FloatArray, FloatArray], rng: np.random.Generator) -> tuple[FloatArray, float]:
    """The sound of two events at drawn times, in either order, and when ``events[0]`` begins, in seconds."""
    samples = round(SECONDS * RATE)
    begin = rng.integers(len(park) - samples + 1)
    sound = park[begin : begin + samples] / np.sqrt(np.mean(park**2))
    free = samples - sum(map(len, events))
    before, between = np.sort(rng.integers(free + 1, size=2))
    first, second = (events, events[::-1])[swapped := int(rng.integers(2))]
    starts = int(before), int(between) + len(first)
    for start, heard in zip(starts, (first, second), strict=True):
        sound[start : start + len(heard)] += 10 ** (ABOVE_DB / 20) * heard
    return 0.5 * sound / np.abs(sound).max(), starts[swapped] / RATE


def main() -> None:
    """Write the scenes and their label tracks."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("esc10", "events", "scenes"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    heard = {path: event(path) for path in sorted(given.esc10.glob("*/1-*.ogg"))}
    ground = read_audio(given.events / "bgonly_soundscape_20170928.wav")
    park = resample(ground.waveform, ground.sample_rate, RATE, "soxr")
    given.scenes.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate([*heard, *heard]):
        others = [other for other in heard if other.parent != path.parent]
        events = heard[path], heard[others[rng.integers(len(others))]]
        sound, start = scene(park, events, rng)
        soundfile.write(given.scenes / f"{number:03d}.wav", sound, RATE)
        end = start + len(events[0]) / RATE
        (given.scenes / f"{number:03d}.txt").write_text(f"{start:.6f}\t{end:.6f}\t{path.parent.name}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
