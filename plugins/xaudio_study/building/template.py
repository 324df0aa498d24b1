"""Settings as a TOML file that explains itself; what is written reads back as the same settings."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from xaudio.plugin import options_of

from ..server.texts import BUILT_IN, built_in_form, read_texts
from .settings import StudySettings

HEAD = """\
# A listening study of xaudio. Every setting stands here with what it means; what is left out keeps its default.
# Build it with: xaudio study build --model RUN --out STUDY --config study.toml
"""

WIDTH = 120


def starting_point() -> StudySettings:
    """The defaults, with what a researcher will want to change spelled out: contact, consent and the form."""
    return StudySettings(
        contact="Name, institution, address, e-mail; vote of the ethics committee and its number",
        form=built_in_form(),
        texts={language: {"consent_text": read_texts(language)["consent_text"]} for language in BUILT_IN},
    )


def to_toml(settings: StudySettings) -> str:
    """All settings with their descriptions as comments."""
    return HEAD + "\n".join(_table(settings, "")) + "\n"


def _table(model: BaseModel, path: str) -> Iterator[str]:
    """First the values of a table, then the tables within it, as TOML wants them."""
    inner: list[str] = []
    described = options_of(type(model))
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), f"{path}{name}"
        about = field.description or described[name].description
        if isinstance(value, BaseModel):
            inner += ["", *_comment((type(value).__doc__ or "").split("\n", 1)[0]), f"[{key}]", *_table(value, f"{key}.")]
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            inner += ["", *_comment(about or (type(value[0]).__doc__ or "").split("\n", 1)[0])]
            for one in value:
                inner += [f"[[{key}]]", *_table(one, f"{key}.")]
        elif isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            inner += ["", *_comment(about)]
            for language, texts in value.items():
                inner += [f"[{key}.{language}]", *(f"{_key(one)} = {_value(text)}" for one, text in texts.items())]
        elif value is None or value == {}:
            yield from _comment(f"{about} ({name} is not given)")
        else:
            yield from _comment(about)
            yield f"{name} = {_value(value)}"
    yield from inner


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2)]


def _key(name: str) -> str:
    return name if name.replace("_", "a").replace("-", "a").isalnum() and name.isascii() else f'"{_escaped(name)}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items()) + " }"
    return "[" + ", ".join(_value(one) for one in value) + "]"


def _text(text: str) -> str:
    """A basic string, of several lines if the text has them."""
    lines = [_escaped(line) for line in text.split("\n")]
    return f'"{lines[0]}"' if len(lines) == 1 else '"""\n' + "\n".join(lines) + '"""'


def _escaped(text: str) -> str:
    """TOML's escapes are those of JSON, and 0x7f needs one as well."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("\x7f", "\\u007f")
