"""What authors of plugins see: `hookimpl`, all types that plugins and the core exchange, and the helpers a plugin may use.

The names are those of ``plugin.pyi``: each is loaded from its module when it is first used.
"""

from .lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__, "xaudio")
