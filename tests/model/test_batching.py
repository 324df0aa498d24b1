"""Work in batches equals work at once, and goes on with smaller ones when memory runs out."""

import warnings
import weakref

import pytest
import torch
from hypothesis import given, strategies as st

from xaudio import DeviceError, ModelError, XaudioWarning
from xaudio.plugin import in_batches


def doubled(rows):
    return 2 * rows


@given(rows=st.integers(0, 20), size=st.integers(1, 25))
def test_slices_are_joined_in_order(rows, size):
    one, other = torch.arange(rows * 3).view(rows, 3), torch.arange(rows)
    seen = []

    def function(one, other):
        seen.append(len(one))
        return one + other[:, None]

    assert torch.equal(in_batches(function, one, other, size=size), one + other[:, None])
    assert sum(seen) == rows
    assert len(seen) == max(1, -(-rows // size))  # all full but the last


def run_out(most, error):
    """A function that has memory for so many rows, and the sizes it was called with."""
    sizes = []

    def function(rows):
        sizes.append(len(rows))
        if len(rows) > most:
            raise error
        return doubled(rows)

    return function, sizes


def wrapped():
    error = ModelError("The network does not take features")
    error.__cause__ = RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes")
    return error


ERRORS = {
    "a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "the CPU": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    "numpy": MemoryError(),
    "inside another error": wrapped(),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_the_size_is_halved_until_it_fits(error):
    function, sizes = run_out(3, error)
    with pytest.warns(XaudioWarning, match="ran out with 10 at once; going on with 5") as caught:
        found = in_batches(function, torch.arange(17), size=10)
    assert torch.equal(found, doubled(torch.arange(17)))
    assert len(caught) == 1
    assert sizes == [10, 5, 2, 2, 2, 2, 2, 2, 2, 2, 1]  # what was done is not done again


def test_nothing_is_left_to_halve():
    function, sizes = run_out(0, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.warns(XaudioWarning), pytest.raises(DeviceError, match="with a single input"):
        in_batches(function, torch.arange(6), size=4)
    assert sizes == [4, 2, 1]


def test_what_failed_is_free_before_the_next_attempt():
    taken = []

    def function(rows):
        assert all(reference() is None for reference in taken)
        large = torch.ones(len(rows), 100)
        taken.append(weakref.ref(large))
        if len(rows) > 2:
            raise RuntimeError("out of memory")
        return large.sum(1)

    with pytest.warns(XaudioWarning):
        assert in_batches(function, torch.arange(6), size=4).tolist() == [100] * 6


def test_other_errors_pass_and_say_nothing():
    function, sizes = run_out(1, ModelError("The network does not take features"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="does not take"):
            in_batches(function, torch.arange(6), size=4)
    assert sizes == [4]


def test_wrong_calls_are_named():
    with pytest.raises(ModelError, match="size of 1 or more.*got 0"):
        in_batches(doubled, torch.arange(3), size=0)
    with pytest.raises(ModelError, match=r"of one length; .*\[3, 4\]"):
        in_batches(torch.add, torch.arange(3), torch.arange(4), size=1)
