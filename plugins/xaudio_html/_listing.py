"""The table above the players of several explanations, with pictures and sounds that need no script."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xaudio.plugin import Explanation, FloatArray, data_address, listing_of

from ._picture import drawn_of, limit_of

WIDTH, HEIGHT = 208, 56
"""Pixels of a small picture."""

FOR, AGAINST, QUIET, LOUD, GREY = (209, 55, 10), (0, 80, 200), (255, 255, 255), (128, 128, 128), (138, 144, 153)
"""Colours of the component where it is light."""

OPACITY = 0.7
"""Exponent from relevance, as a share of the limit, to opacity, as in the component."""

COLOURS = 48
"""Of a small picture: so it needs some 3 kB."""

SOUNDS = 15_000_000
"""Letters of all small sounds of a page; recordings after that have none in the table."""

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

Pixels = NDArray[Any]
"""Of a small picture: cells, levels or colours (height, width, 3)."""

ALWAYS = ("file", "explained", "predicted", "confidence", "share_for", "share_against")
"""Columns that are shown even where they say the same of all rows."""

SHARES = ("confidence", "share_for", "share_against")


def listing(
    explanations: Sequence[Explanation], sounds: Sequence[Mapping[str, bytes]], places: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the template of the table shows.

    Parameters
    ----------
    explanations : sequence of Explanation
    sounds : sequence of mapping
        For each, the sounds of its parts as FLAC or WAV; those that are silent are empty.
    places : sequence of mapping
        For each, under ``href`` the address of its player, and under ``choice`` which of the player's explanations it is.
    """
    table = listing_of(explanations)
    columns = [name for name in table.columns if name in ALWAYS or (name != "folder" and len(set(table.column(name))) > 1)]
    rows, letters = [], 0
    for facts, item, parts, place in zip(table, explanations, sounds, places, strict=True):
        players = {}
        if letters < SOUNDS:
            players = {part: small_sound(parts[part]) for part in ("original", "positive") if parts.get(part)}
            letters += sum(map(len, players.values()))
        cells = [{"name": name, **_cell(name, facts[name])} for name in columns if name != "file"]
        picture = data_address(small_picture(item), ".png")
        rows.append({**facts, **place, "cells": cells, "picture": picture, "players": players, "alone": item.clip.name})
    return {
        "headings": [(name, name.replace("_", " ").capitalize()) for name in columns],
        "rows": rows,
        "predictions": sorted({str(row["predicted"]) for row in rows if row["predicted"]}),
        "told": any(row["correct"] is not None for row in rows),
        "warned": any(row["warnings"] for row in rows),
        "silent": sum(not row["players"] for row in rows) if letters >= SOUNDS else 0,
    }


def _cell(name: str, value: Any) -> dict[str, Any]:
    """A value and how it is written; the value is what rows are sorted by."""
    if value is None:
        return {"value": "", "text": ""}
    if name in SHARES:
        digits = 1 if name == "confidence" else 0
        return {"value": f"{value:.6f}", "text": f"{100 * value:.{digits}f} %"}
    if name == "correct":
        return {"value": int(value), "text": "right" if value else "wrong"}
    return {"value": value, "text": value}


def small_sound(content: bytes) -> str:
    """The address of a sound as MP3, a fifth of its size; as it is, where MP3 knows no such sample rate.

    Parameters
    ----------
    content : bytes
        Of a FLAC or WAV file.
    """
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    if rate not in MP3_RATES:
        return data_address(content, ".flac" if content.startswith(b"fLaC") else ".wav")
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.5)
    return data_address(encoded.getvalue(), ".mp3")


def small_picture(explanation: Explanation) -> bytes:
    """The relevance over what the model reads, small: a PNG."""
    from PIL import Image

    _, relevance, level, _ = drawn_of(explanation)
    limit = limit_of(relevance)
    if relevance.ndim == 2:
        pixels = _map(relevance, relevance if level is None else level, limit)
    else:
        pixels = _line(relevance, level, explanation.clip.waveform, limit)
    picture = io.BytesIO()
    Image.fromarray(pixels).quantize(COLOURS).save(picture, "PNG", optimize=True)
    return picture.getvalue()


def _edges(count: int, pixels: int) -> Pixels:
    """The first cell of each pixel, where there are at most as many pixels as cells."""
    edges: Pixels = np.linspace(0, count, min(count, pixels) + 1).astype(int)
    return edges[:-1]


def _strongest(values: FloatArray, axis: int, pixels: int) -> FloatArray:
    """Of the cells of each pixel that of the largest magnitude."""
    edges = _edges(values.shape[axis], pixels)
    low, high = np.minimum.reduceat(values, edges, axis=axis), np.maximum.reduceat(values, edges, axis=axis)
    strongest: FloatArray = np.where(high >= -low, high, low)
    return strongest


def _stretched(values: Pixels, height: int, width: int) -> Pixels:
    """As many pixels as asked for: each cell repeated where there are fewer."""
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    stretched: Pixels = values[rows][:, columns]
    return stretched


def _over(base: Pixels, relevance: FloatArray, limit: float) -> Pixels:
    """Colours (..., 3) of relevance over those of what lies under it."""
    opacity = (np.minimum(np.abs(relevance) / limit, 1) ** OPACITY)[..., None]
    colour = np.where(relevance[..., None] > 0, FOR, AGAINST)
    return np.asarray(np.rint(base + (colour - base) * opacity), np.uint8)


def _map(relevance: FloatArray, level: FloatArray, limit: float) -> Pixels:
    relevance = _strongest(_strongest(relevance, 0, HEIGHT), 1, WIDTH)
    level = np.maximum.reduceat(level, _edges(level.shape[0], HEIGHT), axis=0)
    level = np.maximum.reduceat(level, _edges(level.shape[1], WIDTH), axis=1)
    weight = (level - level.min()) / (float(np.ptp(level)) or 1.0)
    base = np.asarray(QUIET) + (np.asarray(LOUD) - QUIET) * weight[..., None]
    return _stretched(_over(base, relevance, limit)[::-1], HEIGHT, WIDTH)


def _line(relevance: FloatArray, level: FloatArray | None, waveform: FloatArray, limit: float) -> Pixels:
    """Bars in the colour of their strongest relevance: of the waveform about its middle, of levels from the lowest one up."""
    signal = waveform if level is None else level - level.min()
    edges = _edges(len(signal), WIDTH)
    low, high = np.minimum.reduceat(signal, edges), np.maximum.reduceat(signal, edges)
    scale = float(np.abs(signal).max()) or 1.0
    heights = np.linspace(1, -1 if level is None else 0, HEIGHT)[:, None] * scale
    inside = (heights <= high + scale / HEIGHT) & (heights >= (low - scale / HEIGHT if level is None else 0))
    strongest = np.repeat(_strongest(relevance[None], 1, WIDTH), HEIGHT, 0)
    coloured = _over(np.asarray(GREY), _stretched(strongest, HEIGHT, WIDTH), limit)
    return np.where(_stretched(inside, HEIGHT, WIDTH)[..., None], coloured, np.uint8(255))
