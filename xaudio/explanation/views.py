"""The domains in which relevance can be seen, by name: time, frequency, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PluginError, unknown
from ..registry.options import check_options, parse_spec
from ..sound.channels import channels_in
from ..types import Axis

if TYPE_CHECKING:
    from ..sound.domains import Domain
    from ..types import Representation


def _no_options() -> dict[str, Any]:
    return {}


def _transform(*, window: str = "hann", length: int = 455, hop: int = 35) -> dict[str, Any]:
    """Options of the time-frequency view.

    Parameters
    ----------
    window : str
        A window of scipy.signal.get_window, such as hann, hamming or boxcar, with its parameters as in kaiser+8.6.
    length : int
        Of the window, in samples.
    hop : int
        Samples from one frame to the next.
    """
    return {"window": window, "length": length, "hop": hop}


VIEWS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "time": _no_options,
    "frequency": _no_options,
    "time-frequency": _transform,
}
"""The views, with what checks and completes their options."""


def parse_view(view: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """Name and options of a view, as they were given.

    Parameters
    ----------
    view : str
        "time", "frequency" or "time-frequency", with options as in ``time-frequency:window=hann,length=455,hop=35``.
    **options
        More options.

    Raises
    ------
    PluginError
        If there is no such view or option, or a value does not fit.
    """
    named = str(view).partition(":")[0].strip()
    if named not in VIEWS:
        raise PluginError(unknown("view", named, VIEWS))
    name, written = parse_spec(view)
    return name, check_options(f"view {name!r}", VIEWS[name], {**written, **options})


def domain_name(axes: Sequence[Axis]) -> str:
    """The view that features with these axes are already: "time", "frequency", "time-frequency", or "" for another.

    Parameters
    ----------
    axes : sequence of Axis
    """
    together = sorted(axis.name for axis in axes)
    names = {("time",): "time", ("frequency",): "frequency", ("frequency", "time"): "time-frequency"}
    return names.get(tuple(together), "")


def make_domain(name: str, options: Mapping[str, Any], sample_rate: int, samples: int, channels: int = 1) -> Domain:
    """The domain of a view, for waveforms of a rate in Hz, a number of samples and of channels."""
    from ..sound import domains
    from ..sound.channelwise import channelwise

    if name == "time-frequency":
        single: Domain = domains.TimeFrequency(sample_rate, samples, **VIEWS[name](**options))
    else:
        single = domains.Time(sample_rate, samples) if name == "time" else domains.Frequency(sample_rate, samples)
    return channelwise(single, channels)


def offered_views(representation: Representation) -> tuple[str, ...]:
    """The views that relevance of a representation can be seen in: its attribute ``views``, if it has one, else all.

    Parameters
    ----------
    representation : Representation
    """
    return tuple(getattr(representation, "views", VIEWS))


def refuse_view(name: str, offered: Sequence[str]) -> None:
    """Raise `PluginError` for a view that the model's representation does not offer.

    Parameters
    ----------
    name : str
    offered : sequence of str
    """
    if name not in offered:
        raise PluginError(
            f"There is no {name} view of this model's relevance: what the model reads tells "
            f"{' and '.join(offered) or 'neither time nor frequency'} alone."
        )


def other_domain(view: str | None, representation: Representation, **options: Any) -> Domain | None:
    """The domain of a view, or None if it is what the representation already is.

    A model of spectrograms is seen in time-frequency as it is, unless options ask for a transform.

    Parameters
    ----------
    view : str or None
        With options as in "time-frequency:window=hann,length=455,hop=35"; None for what the representation is.
    representation : Representation
    **options
        Of the view.

    Raises
    ------
    PluginError
        If there is no such view or option, the representation does not offer it, or the windows do not cover the sound.
    """
    if view is None:
        return None
    name, own_options = parse_view(view, **options)
    if name == domain_name(representation.axes) and not own_options:
        return None
    refuse_view(name, offered_views(representation))
    return make_domain(name, own_options, representation.sample_rate, representation.samples, channels_in(representation))
