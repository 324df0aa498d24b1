"""Digests: what two things must have in common to be the same, in 32 hexadecimal digits."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def digest_bytes(parts: Iterable[bytes | memoryview]) -> str:
    """The digest (BLAKE2b, 16 bytes) of bytes that follow one another.

    Parameters
    ----------
    parts : iterable of bytes
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_text(*parts: object) -> str:
    """The digest of texts and numbers, with blanks between them, in UTF-8.

    Parameters
    ----------
    *parts : str or number
    """
    return digest_bytes([" ".join(map(str, parts)).encode()])
