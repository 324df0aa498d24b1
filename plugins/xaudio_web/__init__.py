"""What the pages that xaudio serves have in common: small answers, one process, nothing that leaves the computer unasked.

It offers no plugin of its own; the plugins that serve pages take it from here.
"""

from typing import TYPE_CHECKING

from xaudio.plugin import attach

if TYPE_CHECKING:
    from .answers import answering_errors as answering_errors, static_files as static_files
    from .limits import Allowance as Allowance, Gate as Gate, headers as headers, read_body as read_body, read_json as read_json
    from .refusal import RefusedError as RefusedError
    from .serving import address_of as address_of, is_loopback as is_loopback, listen as listen, server_of as server_of

ORIGINS = {
    "RefusedError": "refusal",
    **dict.fromkeys(("answering_errors", "static_files"), "answers"),
    **dict.fromkeys(("Allowance", "Gate", "headers", "read_body", "read_json"), "limits"),
    **dict.fromkeys(("address_of", "is_loopback", "listen", "server_of"), "serving"),
}
__getattr__, __dir__, __all__ = attach(__name__, {name: f"{__name__}.{module}" for name, module in ORIGINS.items()})
