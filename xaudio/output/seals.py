"""Seals of safetensors files: a digest of all they hold, in their metadata, so that a changed bit is not taken for a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .digests import digest_bytes

SEAL = "xaudio.digest"


def sealed(content: bytes) -> bytes:
    """The content of a safetensors file with the digest of its metadata, names, shapes, types and numbers.

    Parameters
    ----------
    content : bytes
        As safetensors serialises it, with metadata.
    """
    header, numbers = _parts(content)
    header["__metadata__"][SEAL] = _digest(header, numbers)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8 bytes
    return b"".join([len(text).to_bytes(8, "little"), text, numbers])


def check_seal(path: Path) -> None:
    """Raise `ValueError` if a file's digest is another than that of what it holds; files without one are not checked.

    Parameters
    ----------
    path : Path
    """
    header, numbers = _parts(path.read_bytes())
    seal = (header.get("__metadata__") or {}).pop(SEAL, None)
    if seal is not None and seal != _digest(header, numbers):
        raise ValueError("its digest is not that of what it holds")


def _parts(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header and the numbers of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("it has no header")
    return header, memoryview(content)[8 + length :]


def _digest(header: dict[str, Any], numbers: memoryview) -> str:
    return digest_bytes([json.dumps(header, sort_keys=True).encode(), numbers])
