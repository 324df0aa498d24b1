"""What a form for an explainer needs to know: its options with their types, bounds, defaults and words."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from xaudio.plugin import CONTROLS, names, options_of, registry

FIRST = "lrp"
"""The explainer that a page offers first, where it is installed."""


def explainer_forms() -> list[dict[str, Any]]:
    """Every installed explainer, that which is taken first in front: name, words, whether it is a control, and its options."""
    installed = sorted(names("explainer"), key=lambda name: (name != FIRST, name in CONTROLS, name))
    return [_form(name) for name in installed]


def _form(name: str) -> dict[str, Any]:
    factory = registry().factory("explainer", name)
    options = [
        {
            "name": option.name,
            "default": _plain(option.default),
            "words": option.description,
            "schema": _schema(option.annotation),
        }
        for option in options_of(factory).values()
    ]
    words = (inspect.getdoc(factory) or "").split("\n", 1)[0]
    return {"name": name, "words": words, "control": name in CONTROLS, "options": options}


def _field(option: Any) -> dict[str, Any]:
    schema = _schema(option.annotation)
    return {"name": option.name, "default": _plain(option.default), "words": option.description, "schema": schema}


def _schema(annotation: Any) -> dict[str, Any]:
    """The JSON schema of a type: its kind, its choices and its bounds."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True)).json_schema()
    except Exception:  # a type that JSON has no word for is given as text
        return {"type": "string"}


def _plain(default: Any) -> str | None:
    """A default as a form shows it, and as a command line takes it; None where the option must be given."""
    if default is inspect.Parameter.empty:
        return None
    if isinstance(default, tuple):
        return "+".join(map(str, default))
    return "none" if default is None else str(default)
