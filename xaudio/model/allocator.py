"""Keep large buffers of this process for reuse (glibc only).

By default glibc hands every buffer over 32 MB back to the system when it is freed and asks for it again at the next
step: each page is then faulted in and zeroed again. Training on the CPU takes up to twice as long for it. The price of
keeping them is that the process does not shrink: its memory stays at its peak until it ends.
"""

import ctypes
import os
import sys

# Parameters of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
THRESHOLD = 1 << 30


def keep_large_buffers() -> bool:
    """Set glibc's thresholds for the whole process, unless ``XAUDIO_MALLOC=default`` is set.

    Returns
    -------
    bool
        Whether it was done; False where the C library is another one.
    """
    if sys.platform != "linux" or os.environ.get("XAUDIO_MALLOC") == "default":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, THRESHOLD) and mallopt(M_TRIM_THRESHOLD, 2 * THRESHOLD - 1))
