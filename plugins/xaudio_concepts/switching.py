"""Channels switched off, to see whether the prediction rests on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import (
    FloatArray,
    IntArray,
    Model,
    channels_of,
    counted,
    evaluation_mode,
    in_batches,
    in_this_thread,
    progress,
)

from .results import Switched


def logits_with_channels(model: Model, waveforms: Tensor, layer: str, kept: Tensor) -> Tensor:
    """Logits (batch, classes) when the channels of a layer that are not kept are set to 0.

    Parameters
    ----------
    model : Model
    waveforms : Tensor, shape (batch, samples)
    layer : str
    kept : Tensor, shape (channels,)
        1 where a channel stays, 0 where it is switched off.
    """
    with torch.no_grad(), evaluation_mode(model.network):
        features = model.features(waveforms)
        handle = model.network.get_submodule(layer).register_forward_hook(
            in_this_thread(lambda module, inputs, output: output * _along_channels(module, kept, output))
        )
        try:
            return model.logits(features)
        finally:
            handle.remove()


def _along_channels(layer: nn.Module, kept: Tensor, output: Tensor) -> Tensor:
    return kept.to(output).reshape(-1, *[1] * (0 if isinstance(layer, nn.Linear) else output.ndim - 2))


def switched_off(
    model: Model,
    layer: str,
    channels: Sequence[int],
    waveforms: Tensor,
    targets: IntArray,
    *,
    draws: int,
    seed: int,
    batch_size: int,
) -> tuple[FloatArray, Switched | None]:
    """What switching channels off does to the logit of the explained class: each by itself, and all together.

    Parameters
    ----------
    model : Model
    layer : str
    channels : sequence of int
    waveforms : Tensor, shape (recordings, samples)
    targets : ndarray of int, shape (recordings,)
    draws : int
        Sets of as many other channels, drawn at random.
    seed, batch_size : int

    Returns
    -------
    ndarray, shape (channels,)
        Mean change of the logit when one is switched off.
    Switched or None
        None if there are fewer other channels than these.
    """
    count = channels_of(model.network.get_submodule(layer))
    others = np.setdiff1d(np.arange(count), channels)
    rng = np.random.default_rng([seed, count])
    enough = len(others) >= len(channels)
    sets = [[channel] for channel in channels] + [list(channels)]
    sets += [rng.choice(others, len(channels), replace=False).tolist() for _ in range(draws if enough else 0)]
    chosen = torch.from_numpy(np.asarray(targets))[:, None]
    with progress("Switching channels off", 1 + len(sets)) as advance:

        def logits(off: Sequence[int]) -> FloatArray:
            kept = torch.ones(count)
            kept[list(off)] = 0
            batches = in_batches(lambda batch: logits_with_channels(model, batch, layer, kept).cpu(), waveforms, size=batch_size)
            advance()
            return np.asarray(batches.double().gather(1, chosen)[:, 0].numpy())

        before = logits([])
        changes = [float((logits(off) - before).mean()) for off in sets]
    alone, together, drawn = changes[: len(channels)], changes[len(channels)], changes[len(channels) + 1 :]
    if not drawn:
        return np.array(alone), None
    as_large = sum(change <= together for change in drawn)
    statement = (
        f"Switching {'this channel' if len(channels) == 1 else f'these {len(channels)} channels'} of {count} off changes the "
        f"explained class's logit by {together:+.2f} (mean of {counted(len(waveforms), 'recording')}); "
        f"as many others drawn at random by "
        f"{np.mean(drawn):+.2f} ({min(drawn):+.2f} to {max(drawn):+.2f} in {len(drawn)} draws, "
        f"{as_large or 'none'} of which lower{'s' if as_large == 1 or not as_large else ''} it as much)."
    )
    return np.array(alone), Switched(
        channels=list(channels),
        recordings=len(waveforms),
        change=together,
        draws=drawn,
        as_large=as_large,
        statement=statement,
    )
