"""Own models from where they are: your Python code, a TorchScript or ONNX file, weights for a model plugin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from typing_extensions import Doc

from xaudio.plugin import Count, hookimpl

Representation = Annotated[
    str | None,
    Doc("What the model reads, its options separated by '+', as in raw:sample_rate=16000+samples=16000."),
]
Classes = Annotated[
    str | None,
    Doc("Names in the order of the outputs, separated by '+', or a file: JSON, or a name in each line."),
]
Kind = Annotated[
    str | None,
    Doc("What the outputs are: classes (one is true), labels (several may be), or another kind of output."),
]
SampleRate = Annotated[Count | None, Doc("In Hz, of a model that reads plain waveforms: instead of a representation.")]
Task = Annotated[str | None, Doc("Which task of a data set the model answers; by default the one whose classes it knows.")]
Samples = Annotated[Count | None, Doc("Length of these waveforms; by default any.")]


def python(
    *,
    at: str,
    representation: Representation = None,
    classes: Classes = None,
    kind: Kind = None,
    sample_rate: SampleRate = None,
    samples: Samples = None,
    task: Task = None,
) -> Any:
    """Run a function of your own code that returns a model: an xaudio.Model, or a torch module.

    Parameters
    ----------
    at : str
        FILE.py:function, or module:function. The code is run as yours, with all that it does.
    """
    from ._code import of_code
    from ._common import Told

    return of_code(at, Told(representation, classes, kind, sample_rate, samples, task))


def torchscript(
    *,
    path: Path,
    representation: Representation = None,
    classes: Classes = None,
    kind: Kind = None,
    sample_rate: SampleRate = None,
    samples: Samples = None,
    task: Task = None,
) -> Any:
    """Read a TorchScript file, as torch.jit.save writes it: scores and their gradient, but no layers.

    Parameters
    ----------
    path : Path
        The file.
    """
    from ._common import Told
    from ._files import of_torchscript

    return of_torchscript(path, Told(representation, classes, kind, sample_rate, samples, task))


def onnx(
    *,
    path: Path,
    output: str | None = None,
    gives: Literal["logits", "probabilities"] | None = None,
    representation: Representation = None,
    classes: Classes = None,
    kind: Kind = None,
    sample_rate: SampleRate = None,
    samples: Samples = None,
    task: Task = None,
) -> Any:
    """Ask an ONNX file through onnxruntime for its scores; where onnx2torch is installed and says the same, with layers.

    Parameters
    ----------
    path : Path
        The file.
    output : str
        The output that holds the scores, where there are several.
    gives : {"logits", "probabilities"}
        What the scores are; by default probabilities where they sum to 1.
    """
    from ._common import Told
    from ._onnx import of_onnx

    return of_onnx(path, output, Told(representation, classes, kind, sample_rate, samples, task, gives))


def weights(
    *,
    path: Path,
    model: str,
    representation: Representation = None,
    classes: Classes = None,
    kind: Kind = None,
    sample_rate: SampleRate = None,
    samples: Samples = None,
    task: Task = None,
) -> Any:
    """Read weights, a state dict in a safetensors file or a checkpoint of torch, for a model that a plugin makes.

    Parameters
    ----------
    path : Path
        The file. Of a checkpoint only tensors and plain values are read, and no code is run.
    model : str
        Name of the plugin, its options separated by '+'.
    """
    from ._common import Told
    from ._files import of_weights

    return of_weights(path, model, Told(representation, classes, kind, sample_rate, samples, task))


@hookimpl
def xaudio_loaders() -> Mapping[str, Any]:
    """Offer the loaders."""
    return {"python": python, "torchscript": torchscript, "onnx": onnx, "weights": weights}
