"""Functions of sound as models: how one is called, what it offers, and whether it answers the same when asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ModelError, XaudioError
from ..output.memory import out_of_memory
from ..registry.defaults import RAW
from ..registry.options import convert, format_spec
from ..registry.randomness import seeded_generator
from ..sound.channels import channels_in
from ..types import Kind, Needs, Representation
from .arguments import as_representation, model_of
from .model import Model
from .probability import kind_of

TOLERANCE = 1e-4
"""By how much of the largest score two answers to the same sound may differ."""

LEAST = 1e-6
"""The smallest probability that is told from 0, and from 1, where a logit is made of it."""

Takes = Literal["torch", "numpy"]
Gives = Literal["logits", "probabilities"]
At = Literal["batch", "batches of one", "one"]


class Way(NamedTuple):
    """How a function is called: with tensors or arrays, and with how many recordings at once."""

    takes: Takes
    at: At

    def ask(self, function: Callable[..., Any], sounds: Tensor) -> Tensor:
        """Scores (batch, outputs); a `TypeError` for what are none."""
        if self.at == "batch":
            return self._scores(function, sounds, len(sounds))
        if self.at == "one":
            return torch.cat([self._scores(function, sound, None) for sound in sounds])
        return torch.cat([self._scores(function, sounds[row : row + 1], 1) for row in range(len(sounds))])

    def _scores(self, function: Callable[..., Any], sounds: Tensor, count: int | None) -> Tensor:
        answer = function(sounds if self.takes == "torch" else sounds.detach().cpu().numpy())
        if self.takes == "torch" and not isinstance(answer, Tensor):
            raise TypeError(f"it gives a {type(answer).__name__} for a tensor")
        scores = torch.as_tensor(answer, device=sounds.device)
        shape = tuple(scores.shape)
        scores = scores.reshape(1, -1) if count is None and scores.ndim < 2 else scores
        scores = scores[:, None] if scores.ndim == 1 else scores
        if scores.ndim != 2 or len(scores) != (count or 1) or not scores.is_floating_point():
            raise TypeError(
                f"for {tuple(sounds.shape)} it gives {scores.dtype} of shape {shape}; expected scores (batch, classes)"
            )
        return scores.float()


def wrap(
    function: Callable[..., Any],
    *,
    sample_rate: int | None = None,
    classes: Iterable[Any] | None = None,
    kind: Kind | None = None,
    samples: int | None = None,
    representation: str | Representation | None = None,
    takes: Takes | None = None,
    gives: Gives | None = None,
) -> Model:
    """A model of a function that nobody can look into: of numpy, of torch, of another library, or of a server.

    It is tried on three sounds: with tensors and with arrays, on all at once, then on one at a time, and called in the first
    way in which a recording is answered alone as it is among others.

    Parameters
    ----------
    function : callable
        Of waveforms (batch, samples) in [-1, 1], or of one (samples,), to scores (batch, classes) or (classes,). One of
        tensors whose result has a gradient offers that as well.
    sample_rate : int, optional
        That the function expects, in Hz; needed unless a representation says it.
    classes : iterable or mapping, optional
        As for `explain`.
    kind : {"classes", "labels"}, optional
        As for `explain`.
    samples : int, optional
        Length of the waveforms; by default any, and the function is tried with one second.
    representation : str or Representation, optional
        Of a function of features (batch, channels, *axes) instead of waveforms.
    takes : {"torch", "numpy"}, optional
        By default what works.
    gives : {"logits", "probabilities"}, optional
        What the scores are; by default probabilities where they never leave the range from 0 to 1. Of these the logits are
        made: log(p) of classes, log(p / (1 - p)) of labels.

    Returns
    -------
    Model
        Its ``offers`` are "scores", and "gradient" if there is one; of a module the layers as well.

    Raises
    ------
    ModelError
        If the function fails, gives no scores, or gives others when it is asked again.

    Examples
    --------
    >>> import numpy as np
    >>> def loudness(sounds):
    ...     return np.stack([sounds.std(1), np.full(len(sounds), 0.1)], 1)
    >>> model = wrap(loudness, sample_rate=8000, classes=["loud", "quiet"], kind="classes")
    >>> sorted(model.offers)
    ['scores']
    """
    takes, gives = convert("takes", Takes | None, takes), convert("gives", Gives | None, gives)
    if not callable(function):
        raise ModelError(f"What is wrapped is a {type(function).__name__}; expected a function of waveforms.")
    flat = representation is None
    chosen = _waveform(sample_rate, samples) if representation is None else representation
    if representation is not None and not (sample_rate is None and samples is None):
        raise ModelError("The representation says the sample rate and the length: leave sample_rate and samples out.")
    reads, _ = as_representation(chosen)
    channels = channels_in(reads)
    levels = torch.tensor([0.5, 0.1, 0.02]).repeat_interleave(channels)[:, None]
    sounds = levels * (torch.rand(3 * channels, reads.samples, generator=seeded_generator(0)) * 2 - 1)
    sounds = sounds if channels == 1 else sounds.reshape(3, channels, -1)
    with torch.no_grad():
        tried = sounds if flat else reads(sounds)
    network = Wrapped(function, _way(function, tried, takes)[0], flat, gives or "logits", kind, tried)
    return model_of(network, chosen, classes, kind, None, gives is not None)


def _waveform(sample_rate: int | None, samples: int | None) -> str:
    if sample_rate is None:
        raise ModelError("A function of waveforms needs sample_rate, the rate in Hz that it expects.")
    length = {} if samples is None else {"samples": samples}
    return format_spec(RAW, {"sample_rate": sample_rate, **length})


def _way(function: Callable[..., Any], sounds: Tensor, takes: Takes | None) -> tuple[Way, Tensor]:
    """How to call a function, and what it says of the sounds.

    Raises
    ------
    ModelError
        If there is no way, or two that differ.
    """
    ways: list[tuple[Way, Tensor]] = []
    reasons: list[str] = []
    kinds: tuple[Takes, ...] = ("torch", "numpy") if takes is None else (takes,)
    for kind in kinds:
        one = _first(function, sounds, kind, reasons)
        if one is not None:
            ways.append(one)
    if not ways:
        raise ModelError(
            f"The function {_name(function)} gives no scores for {tuple(sounds.shape)}, nor for one sound: "
            f"{'; '.join(dict.fromkeys(reasons))}. Expected scores of shape (batch, classes), or (classes,)."
        )
    if len(ways) == 2 and not _same(ways[0][1], ways[1][1]):
        raise ModelError(
            f"The function {_name(function)} answers differently for tensors and for arrays of the same sounds: say "
            "takes='torch' or takes='numpy'."
        )
    return ways[0]


def _first(function: Callable[..., Any], sounds: Tensor, takes: Takes, reasons: list[str]) -> tuple[Way, Tensor] | None:
    """The first way that works in which a recording is answered alone as among others."""
    answers: dict[str, Tensor] = {}
    failed = []
    for at in ("batch", "batches of one", "one"):
        way = Way(takes, at)
        try:
            with torch.no_grad():
                answers[at], again = way.ask(function, sounds), way.ask(function, sounds)
        except Exception as error:  # a function is anyone's code
            if isinstance(error, XaudioError) or out_of_memory(error):
                raise
            failed.append(f"{takes}: {' '.join(str(error).split()) or type(error).__name__}")
            continue
        if not _same(answers[at], again):
            raise ModelError(
                f"The function {_name(function)} answers differently when it is asked again about the same sounds: it draws, or "
                "keeps a state. Call eval() of the network that it uses, or seed it."
            )
    reasons += failed[:1] if not answers else []
    if "batch" in answers and "batches of one" in answers and not _same(answers["batch"], answers["batches of one"]):
        del answers["batch"]
    if "batches of one" not in answers:
        answers.pop("batch", None)  # of its rows nothing is known
    return next(((Way(takes, at), answers[at]) for at in ("batch", "batches of one", "one") if at in answers), None)  # type: ignore[arg-type]


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=TOLERANCE * max(1e-12, float(one.abs().max())))


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


class Wrapped(nn.Module):
    """A function as the network of a model; see `wrap`.

    Parameters
    ----------
    function : callable
    way : Way
    flat : bool
        Whether the function takes waveforms (batch, samples), which have no channel.
    gives : {"logits", "probabilities"}
    kind : {"classes", "labels"} or None
    tried : Tensor
        What it was tried on.
    """

    def __init__(
        self, function: Callable[..., Any], way: Way, flat: bool, gives: Gives, kind: Kind | None, tried: Tensor
    ) -> None:
        super().__init__()
        self.function, self.way, self.flat, self.gives, self.kind = function, way, flat, gives, kind
        self.offers: frozenset[Needs] = frozenset({"scores", "gradient", "layers"})
        if not isinstance(function, nn.Module):
            self.offers = frozenset({"scores", "gradient"} if self._has_gradient(tried) else {"scores"})

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        if "gradient" not in self.offers:
            if torch.is_grad_enabled() and features.requires_grad:
                raise ModelError("The model gives scores only, and a gradient was asked for: choose an explainer without.")
            features = features.detach()
        scores = self.way.ask(self.function, features[:, 0] if self.flat else features)
        return scores if self.gives == "logits" else self._logits(scores)

    def _logits(self, probabilities: Tensor) -> Tensor:
        clamped = probabilities.clamp(LEAST, 1 - LEAST)
        return clamped.logit() if kind_of(self.kind or "classes", clamped.shape[1]) == "labels" else clamped.log()

    def _has_gradient(self, tried: Tensor) -> bool:
        if self.way.takes == "numpy":
            return False
        try:
            with torch.enable_grad():
                sounds = tried.detach().clone().requires_grad_()
                return bool(torch.isfinite(torch.autograd.grad(self.way.ask(self.function, sounds).sum(), sounds)[0]).all())
        except Exception:  # whatever in it breaks the path
            return False
