"""ONNX files: asked by onnxruntime, or turned into a module where that gives the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xaudio import Model, ModelError, PluginError, wrap
from xaudio.plugin import as_model, parse_spec

from ._common import Told, noted
from ._files import existing

TOLERANCE = 1e-4
"""By how much of the largest score the module may differ from onnxruntime."""

FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def of_onnx(path: Path, output: str | None, told: Told) -> Model:
    """The model of an ONNX file.

    Raises
    ------
    ModelError
        If it is damaged, wants more than one input, or does not fit what is told of it.
    PluginError
        If onnxruntime is not installed.
    """
    existing(path)
    graph = Graph(path, output)
    reads = told.with_samples(graph.samples()).reads()
    if reads is None:
        raise ModelError(f"{path}: say what the model reads: sample_rate=16000 for waveforms, or representation=NAME.")
    waveforms = told.representation is None
    asked = wrap(
        graph.of_waveforms if waveforms else graph.of_features,
        classes=told.names(),
        kind=told.kind,  # type: ignore[arg-type]
        takes="numpy",
        gives=told.gives,  # type: ignore[arg-type]
        **_length(reads) if waveforms else {"representation": reads},
    )
    model = _module(path, asked, told, reads) or asked
    return noted(replace(model, task=told.task or ""), path)


def _length(reads: str) -> dict[str, Any]:
    options = parse_spec(reads)[1]
    return {name: int(options[name]) for name in ("sample_rate", "samples") if name in options}


class Graph:
    """A graph with one input and one output that is asked for.

    Parameters
    ----------
    path : Path
    output : str or None
        By default the only floating output of shape (batch, classes).
    """

    def __init__(self, path: Path, output: str | None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise PluginError("Reading ONNX files needs onnxruntime. Install it: pip install 'xaudio[onnx]'.") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of several classes of its own
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise ModelError(f"{path}: is damaged or not an ONNX file that onnxruntime reads ({reason}).") from None
        self.path, inputs = path, self.session.get_inputs()
        if len(inputs) != 1:
            listed = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise ModelError(
                f"{path}: takes {len(inputs)} inputs ({listed}); expected one. Call it in code of your own, wrapped by "
                "xaudio.wrap, and load that by python:at=FILE.py:function."
            )
        self.input = inputs[0]
        if self.input.type not in FLOATS:
            raise ModelError(f"{path}: its input {self.input.name} is {self.input.type}; expected floating-point numbers.")
        self.output = self._chosen(output)

    def _chosen(self, wanted: str | None) -> str:
        outputs = self.session.get_outputs()
        listed = ", ".join(f"{one.name} {one.shape}" for one in outputs)
        if wanted is not None:
            if wanted not in [one.name for one in outputs]:
                raise ModelError(f"{self.path}: has no output {wanted!r}; it has {listed}.")
            return wanted
        floating = [one for one in outputs if one.type in FLOATS]
        chosen = [one for one in floating if one.name == "logits"] or floating
        if len(chosen) != 1:
            raise ModelError(f"{self.path}: has the outputs {listed}; say which holds the scores: output=NAME.")
        return str(chosen[0].name)

    def samples(self) -> int | None:
        """The length that the graph fixes, None if it takes any."""
        last = self.input.shape[-1] if self.input.shape else None
        return last if isinstance(last, int) and last > 1 else None

    def of_waveforms(self, sounds: Any) -> Any:
        """Scores of waveforms (batch, samples), with as many axes of length 1 between as the input has."""
        axes = max(2, len(self.input.shape or (0, 0)))
        return self._run(sounds.reshape(len(sounds), *[1] * (axes - 2), sounds.shape[-1]))

    def of_features(self, features: Any) -> Any:
        """Scores of features (batch, channels, *axes), without the channel where the input has no place for it."""
        axes = len(self.input.shape or features.shape)
        return self._run(features[:, 0] if axes == features.ndim - 1 and features.shape[1] == 1 else features)

    def _run(self, features: Any) -> Any:
        array = np.ascontiguousarray(features, FLOATS[self.input.type])
        scores = np.asarray(self.session.run([self.output], {self.input.name: array})[0])
        return scores.astype(np.float32) if scores.dtype.kind == "f" else scores


def _module(path: Path, asked: Model, told: Told, reads: str) -> Model | None:
    """The graph as a module with layers, where onnx2torch is installed and its module says the same; else None."""
    try:
        import onnx2torch
    except Exception:  # not installed, or not for this torch
        return None
    import torch

    representation = asked.representation
    sounds = 0.2 * torch.rand(2, representation.samples, generator=torch.Generator().manual_seed(1)) - 0.1
    try:
        network = onnx2torch.convert(str(path)).eval()
        model = as_model(network, reads, asked.classes, asked.kind)
        with torch.no_grad():
            theirs, ours = model.logits(model.features(sounds)), asked.logits(asked.features(sounds))
    except Exception:  # operations that it does not know, shapes that it does not take
        return None
    if float((theirs - ours).abs().max()) > TOLERANCE * max(1.0, float(ours.abs().max())):
        return None
    return model
