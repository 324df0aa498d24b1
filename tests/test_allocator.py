"""Large buffers kept for reuse: in processes of their own, since it is set for a whole process."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, resource, torch, xaudio
print(xaudio.keep_large_buffers())
torch.manual_seed(0)
network = xaudio.create("model", "audionet", classes=10).eval()
features = torch.randn(8, 1, 8000, requires_grad=True)
for _ in range(4):
    (gradient,) = torch.autograd.grad(network(features)[:, 0].sum(), features)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.autograd.grad(network(features)[:, 0].sum(), features)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
print(hashlib.sha256(gradient.numpy().tobytes()).hexdigest())
"""


def run(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_are_not_faulted_in_anew_and_the_bits_are_the_same():
    kept, given_back = run(XAUDIO_MALLOC=""), run(XAUDIO_MALLOC="default")
    assert (kept[0], given_back[0]) == ("True", "False")
    assert int(kept[1]) < 0.1 * int(given_back[1])
    assert kept[2] == given_back[2]
