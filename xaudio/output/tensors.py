"""Named tensors with JSON metadata in one safetensors file: checkpoints and trained models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .runs import replaced
from .seals import check_seal, sealed

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], kind: str, metadata: Mapping[str, Any]) -> Path:
    """Write tensors and metadata, atomically.

    Parameters
    ----------
    path : Path
    tensors : mapping of str to Tensor
    kind : str
        Key of the metadata, so that another kind of file is not taken for this one.
    metadata : mapping
        JSON values.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from safetensors.torch import save

    # Serialised in memory: written to a path, safetensors leaves a temporary file of its own when it is killed.
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {kind: json.dumps(metadata)})
    with replaced(path) as temporary:
        temporary.write_bytes(sealed(content))
    return path


def read_tensors(path: Path, kind: str, advice: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of a file that `write_tensors` wrote.

    Parameters
    ----------
    path : Path
    kind : str
        As it was written.
    advice : str
        A sentence on what to do about a damaged file.

    Raises
    ------
    ModelError
        If the file is damaged or of another kind; the message ends with the advice.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_seal(path)
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = json.loads((file.metadata() or {})[kind])
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = f"it holds no {kind}" if isinstance(error, KeyError) else error
        raise ModelError(f"{path}: is damaged or not xaudio's ({reason}). {advice}") from None
