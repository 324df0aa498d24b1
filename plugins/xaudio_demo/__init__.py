"""A ready model of spoken English digits, so that everything can be tried at once, without data and without a training."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import hookimpl


def demo() -> Any:
    """The ready model of spoken English digits, with "no digit" for all else, in recordings of any length.

    A small log-mel-cnn that hears up to 4 kHz, trained on real and synthetic voices; its folder in the package holds what it was
    trained on and how often it is correct.
    """
    from pathlib import Path

    from xaudio import Model

    return Model.load(Path(__file__).parent / "demo")


@hookimpl
def xaudio_loaders() -> Mapping[str, Any]:
    """Offer the model."""
    return {"demo": demo}
