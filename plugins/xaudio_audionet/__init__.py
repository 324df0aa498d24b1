"""AudioNet: a convolutional network that reads waveforms."""

from collections.abc import Mapping
from typing import Any, Literal

from xaudio.plugin import hookimpl


def audionet(*, classes: int, pool1: Literal["code", "paper"] = "code", samples: int = 8000) -> Any:
    """AudioNet of arXiv 1807.03418: six convolutions over the waveform and three linear layers.

    Parameters
    ----------
    classes : int
        Number of classes.
    pool1 : {"code", "paper"}
        Kernel of the first max-pooling: "code" 3 as in the published definition, "paper" 2 as in the text.
    samples : int
        Length of the waveforms.
    """
    from ._audionet import AudioNet

    return AudioNet(classes, pool1, samples)


@hookimpl
def xaudio_models() -> Mapping[str, Any]:
    """Offer AudioNet."""
    return {"audionet": audionet}
