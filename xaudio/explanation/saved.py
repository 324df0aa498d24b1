"""Explanations in files: safetensors with JSON metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError
from ..output.runs import replaced
from ..output.seals import check_seal, sealed
from ..types import Axis, Clip, FloatArray
from .record import Record

FORMAT = 1


def save(explanation: Record, path: str | Path) -> Path:
    """Write the explanation into one safetensors file with JSON metadata, atomically."""
    from safetensors.numpy import save

    tensors = {
        "waveform": explanation.clip.waveform,
        "features": explanation.features,
        "relevance": explanation.relevance,
        "logits": explanation.logits,
        **{f"axis.{index}": axis.centres for index, axis in enumerate(explanation.axes)},
        **{f"truth.{name}": np.asarray(values) for name, values in explanation.clip.truth.items()},
    }
    clip = explanation.clip
    metadata = {
        "format": FORMAT,
        "clip": {
            "sample_rate": clip.sample_rate,
            "labels": dict(clip.labels),
            "speaker": clip.speaker,
            "source": clip.source,
            "notes": clip.notes,
            "grouped_by": clip.grouped_by,
            "channel": clip.channel,
        },
        "axes": [{"name": axis.name, "unit": axis.unit} for axis in explanation.axes],
        "classes": explanation.classes,
        "target": explanation.target,
        "task": explanation.task,
        "provenance": dict(explanation.provenance),
        "kind": explanation.kind,
    }
    path = Path(path)
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = save(arrays, metadata={"xaudio.explanation": json.dumps(metadata)})
    with replaced(path) as temporary:
        temporary.write_bytes(sealed(content))
    return path


def load(path: str | Path) -> dict[str, Any]:
    """The fields of what `save` wrote.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_seal(Path(path))
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})["xaudio.explanation"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if metadata["format"] != FORMAT:
            raise ModelError(f"{path}: has format {metadata['format']}; this version of xaudio reads format {FORMAT}.")
        return _decoded(metadata, tensors)
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file.") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path}: is not an explanation saved by xaudio, or is damaged ({reason}).") from None


def _decoded(metadata: dict[str, Any], tensors: dict[str, FloatArray]) -> dict[str, Any]:
    truth = {name.removeprefix("truth."): tensor for name, tensor in tensors.items() if name.startswith("truth.")}
    clip = metadata["clip"] | {"notes": tuple(metadata["clip"]["notes"]), "truth": truth}
    axes = tuple(Axis(axis["name"], axis["unit"], tensors[f"axis.{i}"]) for i, axis in enumerate(metadata["axes"]))
    return {
        "clip": Clip(tensors["waveform"], **clip),
        "features": tensors["features"],
        "relevance": tensors["relevance"],
        "axes": axes,
        "logits": tensors["logits"],
        "classes": tuple(metadata["classes"]),
        "target": metadata["target"],
        "task": metadata["task"],
        "provenance": metadata["provenance"],
        "kind": metadata.get("kind", "classes"),
    }
