"""The built-in texts of the pages, the built-in questions about the participant, and what both must hold."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from ...plan import FormField

BUILT_IN = ("en", "de")


@cache
def read_texts(language: str) -> dict[str, str]:
    """All built-in texts of a language."""
    return {name: text.strip() for name, text in _read(f"{language}.toml").items()}


def all_texts(language: str, given: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Built-in texts of a language, with those that are given in their place."""
    return {**(read_texts(language) if language in BUILT_IN else {}), **given.get(language, {})}


@cache
def built_in_form() -> tuple[FormField, ...]:
    """Gender, experience with XAI, and hearing, with the answers of arXiv 1807.03418, Section 3.4."""
    return tuple(FormField.model_validate(field) for field in _read("form.toml")["form"])


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


KEYS = tuple(read_texts(BUILT_IN[0]))
"""Names of all texts."""
