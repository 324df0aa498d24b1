"""Signed personal links: who has one is that participant; nobody can make one without the study's secret."""

from __future__ import annotations

from pathlib import Path

from xaudio.plugin import DataError, PluginError

SECRET = "secret.key"  # noqa: S105 (the name of a file)
"""What signs the links and hides the names: whoever has it can take part as anybody."""

SHORTEST = 32
"""Bytes of a secret."""

LONGEST = 200
"""Characters of a token; longer ones are not even looked at."""


def read_secret(folder: Path) -> bytes:
    """The secret of a study.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    path = folder / SECRET
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        secret = b""
    if len(secret) < SHORTEST:  # with an empty one, which a copy cut off may leave, anybody could make links
        raise DataError(f"{path}: is missing or damaged, so no link can be checked. Restore it from a copy.")
    return secret


class Links:
    """Makes and checks the tokens of a study's links.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    DataError
        If the study has no secret.
    PluginError
        If itsdangerous is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from itsdangerous import BadData, URLSafeSerializer
        except ImportError:
            raise PluginError("Links need the package itsdangerous. Install it: pip install 'xaudio[study]'.") from None
        self._bad = BadData
        self._serializer = URLSafeSerializer(read_secret(folder), salt="participant")

    def token(self, participant: str) -> str:
        """The token of a participant."""
        signed = self._serializer.dumps(participant)
        return signed.decode() if isinstance(signed, bytes) else signed

    def participant(self, token: str) -> str | None:
        """Whose token it is, or None if it was not made with this study's secret."""
        if len(token) > LONGEST or not token.isascii():
            return None
        try:
            content = self._serializer.loads(token)
        except self._bad:
            return None
        # Only the very text that was handed out, so that no second spelling of a token is one.
        return content if isinstance(content, str) and self.token(content) == token else None


def link(base: str, token: str) -> str:
    """The address to send to a participant; the token is behind the #, where no server or proxy logs it."""
    return f"{base.rstrip('/')}/#{token}"
