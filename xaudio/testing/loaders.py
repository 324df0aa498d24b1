"""Checks of loaders of models: without a file to read, how they refuse."""

from __future__ import annotations

from pathlib import Path

from ..errors import XaudioError
from ..model.model import Model
from ..registry.options import REQUIRED, options_of
from .suite import Case, refusal


class LoaderCase(Case):
    """A loader."""


def it_makes_a_model_or_refuses_in_one_line(case: LoaderCase) -> str:
    try:
        model = case.make()
    except XaudioError as error:
        return refusal(error)
    return "" if isinstance(model, Model) else f"it returned a {type(model).__name__}; expected an xaudio.Model"


def what_is_not_there_is_refused_in_one_line(case: LoaderCase) -> str:
    options = options_of(case.plugins.factory("loader", case.name)).values()
    missing = {option.name: "no/such/thing" for option in options if option.default is REQUIRED or option.annotation is Path}
    try:
        case.make(**missing)
    except XaudioError as error:
        return refusal(error)
    return f"it took {', '.join(missing)} = 'no/such/thing' for a model" if missing else ""
