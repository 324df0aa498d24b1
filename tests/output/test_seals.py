"""Seals: a changed bit anywhere in a file is refused, and files without a seal are read as before."""

import numpy as np
import pytest
from safetensors.numpy import save

from xaudio import ModelError
from xaudio.output.seals import check_seal, sealed
from xaudio.output.tensors import read_tensors

CONTENT = save({"a": np.arange(6.0).reshape(2, 3), "b": np.ones(2, np.int32)}, {"kind": '{"classes": ["x", "y"]}'})


@pytest.mark.slow
def test_a_changed_bit_is_never_read(tmp_path):
    path, whole = tmp_path / "x.safetensors", sealed(CONTENT)
    path.write_bytes(whole)
    metadata, tensors = read_tensors(path, "kind", "")
    assert metadata == {"classes": ["x", "y"]}
    assert tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 300):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            same, again = read_tensors(path, "kind", "")
        except ModelError:
            continue
        assert (same, {name: one.tolist() for name, one in again.items()}) == (
            metadata,
            {name: one.tolist() for name, one in tensors.items()},
        )


def test_a_file_without_a_seal_is_read_and_a_wrong_seal_is_said(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(CONTENT)
    check_seal(path)
    path.write_bytes(sealed(CONTENT)[:-1] + b"\x01")
    with pytest.raises(ValueError, match="its digest is not that of what it holds"):
        check_seal(path)
