"""Arrays and sounds as text that a page carries: quantised, compressed, and written once however often they are used."""

from __future__ import annotations

import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from xaudio.plugin import Axis, FloatArray

LEVELS = {"int8": 127, "int16": 32767}
"""Largest value that each format of a signed number is used for."""

UNIFORM = 1e-5
"""Deviation from equal steps, as a share of a step, up to which an axis is written as its start and step."""


@dataclass
class Packed:
    """Contents of inert ``<script>`` elements, in base64; equal contents are held once."""

    texts: list[str] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)

    def add(self, content: bytes, *, compress: bool = True) -> int:
        """The number under which content is found, compressed (zlib) unless it is already."""
        key = sha256(content).digest()
        if key not in self._known:
            self._known[key] = len(self.texts)
            self.texts.append(b64encode(zlib.compress(content, 6) if compress else content).decode("ascii"))
        return self._known[key]

    def signed(self, values: FloatArray, kind: str, *, power: int = 1) -> dict[str, Any]:
        """Values of both signs, as ``sign(q) * scale * (|q| / levels) ** power``.

        Parameters
        ----------
        values : ndarray
            Finite.
        kind : {"int8", "int16"}
        power : int
            2 spends more of the levels on small magnitudes: their relative error is then at most 2 / |q| / 2.
        """
        scale, levels = float(np.abs(values).max(initial=0.0)), LEVELS[kind]
        share = np.abs(values, dtype=np.float64) / scale if scale else np.zeros(values.shape)
        steps = np.sign(values) * np.rint(levels * share ** (1 / power))
        content = steps.astype(f"<{np.dtype(kind).str[1:]}").tobytes()
        return {"data": self.add(content), "kind": kind, "scale": scale, "levels": levels, "power": power}

    def levels(self, values: FloatArray) -> dict[str, Any]:
        """Values between their lowest and highest, in 256 steps."""
        low, high = float(values.min()), float(values.max())
        steps = np.rint(255 * (values.astype(np.float64) - low) / (high - low or 1.0))
        return {"data": self.add(steps.astype(np.uint8).tobytes()), "low": low, "high": high}


def packed_axis(axis: Axis) -> dict[str, Any]:
    """Name, unit and centres of an axis: as start, step and count where the steps are equal."""
    centres = axis.centres.astype(np.float64)
    facts: dict[str, Any] = {"name": axis.name, "unit": axis.unit, "count": len(centres)}
    step = float(centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 1.0
    even = centres[0] + step * np.arange(len(centres))
    if np.abs(centres - even).max() <= UNIFORM * abs(step):
        return facts | {"start": float(centres[0]), "step": step}
    return facts | {"centres": [float(f"{value:.7g}") for value in centres]}
