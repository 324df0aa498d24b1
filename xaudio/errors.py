"""Errors that a user can fix: one clear line each, shown by the command line without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class XaudioError(Exception):
    """Something the user can fix.

    The message is one line that says what went wrong, where, what was expected and what to do.
    """


class XaudioWarning(UserWarning):
    """Something that makes a result wrong without an error; the message is one line as that of `XaudioError`."""


class AudioError(XaudioError):
    """A recording that cannot be read or used."""


class DataError(XaudioError):
    """A data set that is missing, broken or does not fit the task."""


class PartDoneError(DataError):
    """What is there once the part of this process is done and that of others is not: nothing yet to put together."""


class PluginError(XaudioError):
    """A plugin that cannot be found, loaded or created with the given options."""


class ModelError(XaudioError):
    """A model, checkpoint or run folder that cannot be used."""


class DeviceError(XaudioError):
    """A device that is not there."""


class OutputError(XaudioError):
    """An output that cannot be written."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Message for a name that does not exist, with the nearest and all known names.

    Parameters
    ----------
    what : str
        What the name should have named, such as "explainer".
    name : str
        The name that was given.
    known : iterable of str
        The names that exist.

    Returns
    -------
    str
        One line.
    """
    names = sorted(set(known))
    return f"Unknown {what} {name!r}.{nearest(name, names)} Known: {listing(names) or 'none'}."


def listing(names: Iterable[str], most: int = 40) -> str:
    """Names separated by commas; of more than so many the first ones, and how many there are."""
    every = list(names)
    return ", ".join(every) if len(every) <= most else f"{', '.join(every[:5])}, ... ({len(every)} in all)"


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """The most similar names as a question, " Did you mean 'lrp'?"; nothing where none is similar.

    Parameters
    ----------
    name : str
    known : iterable of str
    count : int
        At most so many are named.
    """
    near = get_close_matches(str(name), sorted(set(known)), n=count, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
