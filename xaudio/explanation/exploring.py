"""`xaudio.explore`: a model in the browser, served by a plugin."""

from __future__ import annotations

from typing import Any

from ..registry.defaults import EXPLORING
from ..registry.loading import registry


def explore(model: Any = None, *, data: Any = None, device: str = "auto", **options: Any) -> Any:
    """Try a model in the browser: record a word, and see and hear why it is classified as it is.

    The page is served to this computer alone, from memory, until Python ends or ``stop()`` is called. A notebook shows it in a
    frame.

    Parameters
    ----------
    model : path, str, nn.Module or Model, optional
        As for `explain`; by default the ready model, where it is installed.
    data : Dataset, str or path, optional
        Recordings to choose from, as for `open_dataset`: a data set, its name, or its folder.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    **options
        ``representation``, ``classes``, ``kind``, ``feature_extractor`` and ``output``, as for `explain`, and ``port``, which is
        any that is free by default.

    Returns
    -------
    object
        With an ``address``, which a browser opens, and ``stop()``.

    Raises
    ------
    XaudioError
        If any input does not fit, or nothing serves pages here: one line that says what to do.
    """
    return registry().factory("server", EXPLORING)(model, data=data, device=device, **options)
