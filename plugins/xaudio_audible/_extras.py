"""Two sounds in one file, one after the other."""

from __future__ import annotations

import numpy as np

from xaudio.plugin import FloatArray

from ._levels import rms
from ._time import faded

BEEP_HZ, BEEP_S, PAUSE_S = 1000.0, 0.15, 0.25
"""Of the tone between two sounds, and of the silence before and after it."""


def comparison(first: FloatArray, second: FloatArray, rate: int, peak: float) -> tuple[FloatArray, dict[str, float]]:
    """One sound, a beep, the other; and when the beep and the second sound start, in s.

    The beep is as loud as the first sound where that is not 0, and not above the peak.
    """
    pause = np.zeros(round(PAUSE_S * rate))
    time = np.arange(round(BEEP_S * rate)) / rate
    tone = np.sin(2 * np.pi * min(BEEP_HZ, rate / 4) * time)
    level = min(peak, np.sqrt(2) * (rms(first[first != 0]) or 0.1))
    beep = level * faded(tone, 0, len(tone), len(tone) // 10)
    sound = np.concatenate([first, pause, beep, pause, second])
    starts = {"beep_s": (len(first) + len(pause)) / rate, "second_s": (len(sound) - len(second)) / rate}
    return sound, starts
