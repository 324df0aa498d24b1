"""A figure in a PNG file, in a fraction of matplotlib's time: each text is drawn once, and the file is packed lightly."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

TEXTS = 512
"""Texts of which the pixels are kept: those of many pictures, at some 20 kB each."""

LEVEL = 3
"""Of the compression: a picture of 240 kB is packed in a third of the time that level 6 takes, and is no larger."""


class Renderer(RendererAgg):
    """Draws as matplotlib's does, with each text from its pixels as they were drawn the first time, at whole pixels."""

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        """Sizes of a text in pixels, as matplotlib calls it; those of matplotlib's own cache are lost with the renderer."""
        return _sizes(s, prop.copy(), ismath, self.dpi)

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        """Draw a text with its baseline at a point, as matplotlib calls it."""
        left, up, pixels = _pixels(s, prop.copy(), angle, ismath, self.dpi, gc.get_rgb(), gc.get_antialiased())
        if pixels.size:
            self.draw_image(gc, round(x) + left, self.height - round(y) + up, pixels)


@lru_cache(4 * TEXTS)
def _sizes(text: str, font: FontProperties, formula: Any, dpi: float) -> tuple[float, float, float]:
    renderer: Any = RendererAgg(1, 1, dpi)  # type: ignore[no-untyped-call]
    width, height, descent = renderer.get_text_width_height_descent(text, font, formula)
    return width, height, descent


@lru_cache(TEXTS)
def _pixels(
    text: str, font: FontProperties, angle: float, formula: Any, dpi: float, colour: Any, smooth: bool
) -> tuple[int, int, NDArray[np.uint8]]:
    """The pixels of a text (rows from the bottom, columns, RGBA), and how far right of its start and above its baseline."""
    width, height, _ = _sizes(text, font, formula, dpi)
    turn = np.radians(angle)
    ends = np.array([(along, across) for along in (-height, width + height) for across in (-height, 2 * height)])
    places = np.stack([ends @ (np.cos(turn), -np.sin(turn)), ends @ (np.sin(turn), np.cos(turn))], 1)
    (left, bottom), (right, top) = np.floor(places.min(0)).astype(int), np.ceil(places.max(0)).astype(int)
    renderer: Any = RendererAgg(right - left, top - bottom, dpi)  # type: ignore[no-untyped-call]
    gc = renderer.new_gc()
    gc.set_foreground(colour)
    gc.set_antialiased(smooth)
    renderer.draw_text(gc, -left, top, text, font, angle, formula)
    drawn = np.asarray(renderer.buffer_rgba())
    rows, columns = (np.flatnonzero(drawn[..., 3].any(across)) for across in (1, 0))
    if not len(rows):
        return 0, 0, np.zeros((0, 0, 4), np.uint8)
    kept = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][::-1].copy()
    return int(left + columns[0]), int(top - rows[-1] - 1), kept


class Canvas(FigureCanvasAgg):
    """A canvas that draws with `Renderer`."""

    _made: tuple[Any, Renderer] | None = None

    def get_renderer(self) -> Renderer:
        """The renderer of the figure's size, made anew when that has changed."""
        key = (int(self.figure.bbox.width), int(self.figure.bbox.height), self.figure.dpi)
        if self._made is None or self._made[0] != key:
            self._made = (key, Renderer(*key))  # type: ignore[no-untyped-call]
        self.renderer = self._made[1]  # which matplotlib reads
        return self._made[1]


def write_png(figure: Figure, path: Path, metadata: Mapping[str, str | None]) -> None:
    """Draw a figure into a PNG file, at the figure's own resolution.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : Path
    metadata : mapping
        Texts of the file; None leaves one out.
    """
    import matplotlib

    canvas: Any = figure.canvas if isinstance(figure.canvas, Canvas) else Canvas(figure)
    canvas.draw()
    told = {"Software": f"Matplotlib version {matplotlib.__version__}, https://matplotlib.org/", **metadata}
    path.write_bytes(packed(np.asarray(canvas.buffer_rgba()), figure.dpi, told))


def packed(pixels: NDArray[np.uint8], dpi: float, metadata: Mapping[str, str | None]) -> bytes:
    """A PNG file (https://www.w3.org/TR/png-3/) whose rows are not filtered: of a drawing that saves little and takes longest.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, 4)
    dpi : float
    metadata : mapping
    """
    from PIL import Image

    opaque = pixels[..., 3].min() == 255
    image = Image.fromarray(pixels)
    colours = image.convert("RGB") if opaque else image
    rows = np.zeros((image.height, 1 + len(colours.getbands()) * image.width), np.uint8)  # each begins with the filter's number
    rows[:, 1:] = np.frombuffer(colours.tobytes(), np.uint8).reshape(image.height, -1)
    metres = round(dpi / 0.0254)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", image.width, image.height, 8, 2 if opaque else 6, 0, 0, 0)),
            *(_chunk(b"iTXt", _text(key, value)) for key, value in metadata.items() if value is not None),
            _chunk(b"pHYs", struct.pack(">IIB", metres, metres, 1)),
            _chunk(b"IDAT", zlib.compress(rows.data, LEVEL)),
            _chunk(b"IEND", b""),
        ]
    )


def _text(key: str, value: str) -> bytes:
    """An uncompressed text in UTF-8, of no language."""
    return key.encode("latin-1", "replace") + bytes(5) + value.encode("utf-8", "replace")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
