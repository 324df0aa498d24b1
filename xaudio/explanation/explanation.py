"""An explanation as users have it: what it shows, plays, saves and is seen in, beside its fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..registry.defaults import PICTURE
from ..registry.loading import registry
from . import saved
from .channels import channel_of
from .notebook import Player, framed_page, player
from .record import Record
from .rendering import render
from .seen import view_of
from .wording import remarks_of, warnings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Explanation(Record):
    """Relevance of each feature of one recording for one class.

    Parameters
    ----------
    clip : Clip
        The sound as the model heard it: at its sample rate, fitted and placed, in [-1, 1].
    features : ndarray, shape ``(channels, *axes)``
        What the network read (the training mean, if any, is subtracted); in a view, the sound in the view's domain.
    relevance : ndarray, same shape
        Positive speaks for the target class, negative against it; the scale is the explainer's.
    axes : tuple of Axis
        One per dimension after the channel; times are seconds of the model's window (see `recording_axes`).
    logits : ndarray, shape (classes,)
    classes : tuple of str
    target : int
        Index of the explained class.
    task : str
        What was classified, such as "digit".
    provenance : mapping
        ``representation`` and ``explainer`` (each a mapping with name and options), model, seed, device, versions and
        more, such as the ``view``: JSON values only.
    kind : {"classes", "labels"}
        Whether one of the classes is true or each may be for itself; a single one is always a label. See `Model`.
    """

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the explanation doubtful: a finding of the doctor, a sum that is missed, a model that heard no recording."""
        return warnings_of(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done to the recording and does no harm, such as resampling."""
        return remarks_of(self)

    def channel(self, channel: str | int) -> Self:
        """The explanation of one channel of a recording with several, which shows and hears as that of a mono recording.

        Parameters
        ----------
        channel : str or int
            Of `channels`, or its index from 0.

        Raises
        ------
        ModelError
            If there is no such channel.
        """
        return channel_of(self, channel)

    def view(self, view: str, **options: Any) -> Self:
        """The same explanation in another domain, with the same sum of relevance.

        Parameters
        ----------
        view : str
            "time": relevance of each sample; "frequency": of each frequency of the whole sound; "time-frequency": of each
            cell of its short-time Fourier transform.
        **options
            Of "time-frequency": ``window`` (a name of scipy.signal.get_window, "hann" by default), ``length`` (455) and
            ``hop`` (35) in samples. They may be in the name as well: ``"time-frequency:length=512,hop=128"``.

        Returns
        -------
        Explanation
            The explanation itself if it lies in this domain already and no options are given. Relevance that lay where
            the sound is exactly 0 is lost, and ``provenance["view"]`` says how much that was.

        Raises
        ------
        PluginError
            If there is no such view or option, or the windows do not cover the sound.
        ModelError
            If this is a frequency or time-frequency view, from which there is no way back to the samples.
        """
        return view_of(self, view, **options)

    def plot(self, ax: Axes | Sequence[Axes] | None = None, **options: Any) -> Figure:
        """The picture of the renderer "visual" as a matplotlib figure, to restyle or save; a notebook shows it.

        Parameters
        ----------
        ax : Axes or sequence of Axes, optional
            Axes of a figure of your own to draw into, without title and colour bar: one, or of relevance along a single
            axis three for signal, relevance and a segment. By default a new figure.
        **options
            Of the renderer, as ``xaudio plugins show visual`` lists them.

        Returns
        -------
        matplotlib.figure.Figure
        """
        renderer = registry().create("renderer", PICTURE, options)
        if ax is None:
            return renderer.figure(self)  # type: ignore[no-any-return]
        panels: list[Any] = np.ravel(np.asarray(ax, dtype=object)).tolist()
        renderer.draw(self, *panels)
        return panels[0].figure  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<Explanation: {self.title()}>"

    def play(self, part: str = "positive", **options: Any) -> Player:
        """A player for a notebook: the recording, or the part of it that an explanation makes audible.

        Parameters
        ----------
        part : str
            A sound of the renderer "audible", such as "original", "positive", "negative" or "complement".
        **options
            Of the renderer, as ``xaudio plugins show audible`` lists them.

        Raises
        ------
        PluginError
            If there is no such part or option.
        """
        return player(self, part, options)

    def save(self, path: str | Path) -> Path:
        """Write the explanation into one safetensors file with JSON metadata, atomically."""
        return saved.save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            If the file is missing, damaged, or of another format.
        """
        return cls(**saved.load(path))

    def render(self, *renderers: str, folder: str | Path) -> list[Path]:
        """Write the explanation with renderers such as "visual" and "audible" into a folder."""
        return render([self], renderers, Path(folder))

    def _repr_html_(self) -> str:
        """The page of the renderer "html", for notebooks."""
        return framed_page(self)
