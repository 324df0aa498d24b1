"""AlexNet: a convolutional network that reads spectrograms."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import hookimpl


def alexnet(*, classes: int) -> Any:
    """AlexNet of arXiv 1807.03418: five convolutions over the 227 x 227 spectrogram and three linear layers.

    Parameters
    ----------
    classes : int
        Number of classes.
    """
    from ._alexnet import AlexNet

    return AlexNet(classes)


@hookimpl
def xaudio_models() -> Mapping[str, Any]:
    """Offer AlexNet."""
    return {"alexnet": alexnet}
