"""xaudio: why did the network decide this way about a sound? Explanations of audio classifiers, to see and to hear.

The names are those of ``__init__.pyi``: each is loaded from its module when it is first used, since torch and scipy take seconds.
"""

from .lazy import attach_stub

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__, __name__)
