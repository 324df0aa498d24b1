"""Windows of short-time spectra."""

from __future__ import annotations

import numpy as np

from ..errors import PluginError
from ..types import FloatArray


def spectral_window(spec: str, length: int, *, periodic: bool = True) -> FloatArray:
    """A window (length,) in float64, as `scipy.signal.get_window` has it.

    Parameters
    ----------
    spec : str
        A name such as "hann", or one with parameters as in "kaiser+8.6".
    length : int
        In samples.
    periodic : bool
        Whether it is one period; else it is symmetric.

    Raises
    ------
    PluginError
        If there is no such window of this length.
    """
    if spec == "hann":
        return _hann(length, periodic)
    from scipy.signal import get_window  # takes longer than to explain a recording

    name, *parameters = spec.split("+")
    try:
        window = get_window((name, *map(_number, parameters)) if parameters else name, length, fftbins=periodic)
    except (ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise PluginError(
            f"There is no window {spec!r} of {length} samples ({reason}): expected one of scipy.signal.get_window, such as "
            f"hann, hamming, blackman or boxcar, or with its parameters as in kaiser+8.6."
        ) from None
    return np.array(window, dtype=np.float64)


def _hann(length: int, periodic: bool) -> FloatArray:
    """In the order in which scipy computes it, so that it has the same bits."""
    if length == 1:
        return np.ones(1)
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + periodic)))[:length]


def _number(text: str) -> float | int:
    return float(text) if any(mark in text for mark in ".eE") else int(text)
