"""The domains in which relevance can be seen, by name: time, frequency, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PluginError, unknown
from ..registry.options import check_options, parse_spec
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
    found = sorted(axis.name for axis in axes)
    names = {("time",): "time", ("frequency",): "frequency", ("frequency", "time"): "time-frequency"}
    return names.get(tuple(found), "")


def make_domain(name: str, options: Mapping[str, Any], sample_rate: int, samples: int) -> Domain:
    """The domain of a view, for waveforms of a rate in Hz and a number of samples."""
    from ..sound import domains

    if name == "time-frequency":
        return domains.TimeFrequency(sample_rate, samples, **VIEWS[name](**options))
    return domains.Time(sample_rate, samples) if name == "time" else domains.Frequency(sample_rate, samples)


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
        If there is no such view or option, or the windows do not cover the sound.
    """
    if view is None:
        return None
    name, given = parse_view(view, **options)
    if name == domain_name(representation.axes) and not given:
        return None
    return make_domain(name, given, representation.sample_rate, representation.samples)
