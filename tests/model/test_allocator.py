"""Large buffers kept for reuse: in processes of their own, since it is set for a whole process.

What is asked is the C library, not the count of page faults of a model: which buffers of a model lie where depends on the
processor and its number of cores, and there are some on which even glibc's own settings keep all of them.
"""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, hashlib, torch, xaudio

class Usage(ctypes.Structure):  # struct mallinfo2 of malloc.h
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Usage
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
print(xaudio.keep_large_buffers())
before = libc.mallinfo2()
buffer = libc.malloc(1 << 28)
held = libc.mallinfo2()
libc.free(buffer)
freed = libc.mallinfo2()
print(held.hblkhd - before.hblkhd, freed.fordblks - held.fordblks)
torch.manual_seed(0)
network = xaudio.create("model", "audionet", classes=10).eval()
features = torch.randn(8, 1, 8000, requires_grad=True)
(gradient,) = torch.autograd.grad(network(features)[:, 0].sum(), features)
print(hashlib.sha256(gradient.numpy().tobytes()).hexdigest())
"""
SIZE = 1 << 28  # more than glibc ever keeps by itself


def run(**environment: str) -> tuple[bool, int, int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    kept, mapped, free, digest = done.stdout.split()
    return kept == "True", int(mapped), int(free), digest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_buffers_stay_with_the_process_and_the_bits_are_the_same(processes):
    kept, mapped, free, bits = run(XAUDIO_MALLOC="")
    assert kept
    assert mapped == 0  # it came out of the heap
    assert free >= SIZE  # and lies there for the next one
    left, mapped, free, bits_by_default = run(XAUDIO_MALLOC="default")
    assert not left
    assert mapped >= SIZE  # asked of the system
    assert free < SIZE  # and given back to it
    assert bits == bits_by_default
