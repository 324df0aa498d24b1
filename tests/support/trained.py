"""Run folders of models trained for one step, and networks with few channels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHANNELS = {
    f"{module}.CHANNELS": (12, 8, 16, 16, 16, 16) for module in ("xaudio_audionet._audionet", "xaudio_bench_speed.networks")
}
"""An eighth of those of AudioNet."""


def run(folder: Path, model: str) -> Path:
    """The run folder of a model of digits: everything is real but the accuracy."""
    import torch  # not by the process that hands out the tests

    import xaudio

    speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    training = {"steps": 1, "batch_size": 4, "initialisation": "he"}
    xaudio.run_experiment(xaudio.Experiment(speech, "digit", 0, model, training=training), folder, torch.device("cpu"))
    return folder


@contextmanager
def narrow() -> Iterator[Mapping[str, Any]]:
    """Meanwhile AudioNet and AlexNet have an eighth of their channels: every layer is there, and little of the work.

    Gives what `commands.begin` patches for the same AudioNet. Run folders of several modules must not be made meanwhile.
    """
    from xaudio_alexnet import _alexnet

    convolution, linear = _alexnet._convolution, _alexnet._linear

    def narrow_convolution(inputs: int, outputs: int, *rest: Any, **more: Any) -> Any:
        return convolution(max(1, inputs // 8), outputs // 8, *rest, **more)

    def narrow_linear(inputs: int, outputs: int, **more: Any) -> Any:
        return linear(inputs // 8, outputs // 8 if outputs == 1024 else outputs, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_alexnet, "_convolution", narrow_convolution)
        patch.setattr(_alexnet, "_linear", narrow_linear)
        for name, value in CHANNELS.items():
            patch.setattr(name, value)
        yield CHANNELS
