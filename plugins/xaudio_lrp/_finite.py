"""Answers that are no numbers: they have no relevance, so that it is said where they come from."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from xaudio.plugin import ModelError, own_hooks, plain_copy

from ._products import tensors_in


def check_finite(model: nn.Module, features: Tensor, explained: Tensor) -> None:
    """See that what is to be explained, (batch,), are numbers.

    Raises
    ------
    ModelError
        If one is NaN or infinite; it says for which recording and since which module of the model.
    """
    if math.isfinite(float(explained.detach().sum())):
        return
    wrong = ~explained.detach().isfinite()
    if not bool(wrong.any()):
        return
    row = int(wrong.nonzero()[0])
    what = "NaN" if bool(explained[row].isnan()) else "infinite"
    begin = f"lrp: the model's answer is {what} (recording {row + 1} of {len(features)}) and has no relevance"
    if not bool(features[row].isfinite().all()):
        raise ModelError(
            f"{begin}: its features already hold NaN or infinite values. Look at the recording and the representation."
        )
    raise ModelError(f"{begin}: its features are finite, but {_origin(model, features[row : row + 1])}.")


def _origin(model: nn.Module, features: Tensor) -> str:
    """Where the first value arises that is no number, and what to look at."""
    first: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if not first and not all(bool(tensor.isfinite().all()) for tensor in tensors_in(output)):
                first.append(_described(name, module))

        return hook

    with own_hooks():
        twin = plain_copy(model, fold=False)
    for name, module in twin.named_modules():
        module.register_forward_hook(look(name))
    with torch.no_grad():
        twin(features.clone())
    return first[0] if first else "what the model returns is not, if only in a batch with others. Explain recordings one by one"


def _described(name: str, module: nn.Module) -> str:
    where = f"the output of {name} ({type(module).__name__})" if name else f"what the forward of {type(module).__name__} makes"
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    wrong = [part for part, tensor in own if not bool(tensor.isfinite().all())]
    if wrong:
        return f"{where} is not, since its {wrong[0]} holds such values. Load or train the model again"
    return f"{where} is not. Look there for a division by 0, a logarithm or root of what is not above 0, or an overflow"
