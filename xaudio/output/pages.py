"""Results of a benchmark, read by their schema, and the addresses of what a page holds."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import ModelError
from .runs import read_json

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
SOUNDS = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
"""Media types of the files that a page can hold, by suffix."""

Schema = TypeVar("Schema", bound=BaseModel)


def read_results(path: Path, schema: type[Schema]) -> Schema:
    """Read the ``results.json`` of a benchmark.

    Parameters
    ----------
    path : Path
    schema : type
        A pydantic model; the default of its field ``format`` is the format it reads.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of another format.
    """
    content = read_json(path)
    format_name = content.get("format") if isinstance(content, dict) else None
    wanted = schema.model_fields["format"].default
    again = "Run the command again with the same --out."
    if format_name != wanted:
        raise ModelError(f"{path}: has format {format_name}; this version reads format {wanted}. {again}")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ModelError(f"{path}: is damaged ({where}: {fault['msg'].lower()}). {again}") from None


def data_address(content: bytes, suffix: str) -> str:
    """The address under which a page holds a picture or sound itself.

    Parameters
    ----------
    content : bytes
        Of the file.
    suffix : str
        Of its name, such as ".png" or ".flac".
    """
    return f"data:{(PICTURES | SOUNDS)[suffix]};base64,{base64.b64encode(content).decode('ascii')}"
