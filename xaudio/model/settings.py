"""How a network is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from ..errors import PluginError, unknown
from ..output.results import FixedRecord
from ..registry.options import first_fault
from .precision import Precision


class TrainingSettings(FixedRecord):
    """How a network is trained; the defaults are those of the paper's AlexNet.

    Parameters
    ----------
    steps, batch_size : int
    optimiser : {"sgd", "adam"}
    learning_rate, momentum : float
        ``momentum`` is that of SGD.
    warmup : int
        Steps over which the learning rate rises linearly from 0.
    halve_every : int or None
        Steps after which the learning rate is halved, again and again.
    schedule : {"halve", "cosine"}
        ``cosine`` falls to 0 at the last step instead of halving.
    weight_decay : float
        Share of the learning rate by which Adam shrinks the weights at each step (AdamW).
    clip_norm : float or None
        Largest L2 norm of the gradient.
    shift : float
        At each step a recording is moved in a circle by up to this share of its length (0 to 1).
    speed : float
        At each step a recording is played slower or faster by up to this share (0 to below 1).
    masks : int
        At each step so many ranges of each axis of the features, of up to a fifth of it, are hidden (SpecAugment).
    mixup : float
        At each step every recording is mixed with another, by a share from a Beta distribution of this parameter; 0 mixes none.
    subtract_mean : bool
        Subtract the training set's mean feature, element by element.
    initialisation : {"published", "he"}
        ``he`` draws weights of variance 2 / fan-in instead of the model's own (see `initialise`), so that a short
        training gets somewhere.
    precision : {"float32", "tf32", "bfloat16", "auto"}
        Number format of the products; weights are float32 throughout, and tests and explanations are always computed in
        float32. See `xaudio.model.precision.resolve_precision`.
    compiled : bool
        Train through ``torch.compile``, on CUDA with captured graphs. It needs a C++ compiler on the CPU, and pays only
        in a long training.
    length : {"trained", "any"}
        Whether the trained model takes the length alone that it was trained at, with zeros around shorter recordings, or, where
        its representation and its network do, any other, for which it may answer differently.
    seed : int
        Of weights, order, dropout and placement.
    """

    steps: PositiveInt = 10_000
    batch_size: PositiveInt = 100
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    warmup: NonNegativeInt = 0
    halve_every: PositiveInt | None = None
    schedule: Literal["halve", "cosine"] = "halve"
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    shift: Annotated[float, Field(ge=0, le=1)] = 0.0
    speed: Annotated[float, Field(ge=0, lt=1)] = 0.0
    masks: NonNegativeInt = 0
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    subtract_mean: bool = False
    initialisation: Literal["published", "he"] = "published"
    precision: Precision | Literal["auto"] = "float32"
    compiled: bool = False
    length: Literal["trained", "any"] = "trained"
    seed: NonNegativeInt = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rate = self.learning_rate
        if self.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        elif self.halve_every:
            rate *= 0.5 ** (step // self.halve_every)
        return rate * min(1.0, (step + 1) / self.warmup) if self.warmup else rate


def settings_for(network: object, overrides: Mapping[str, Any]) -> TrainingSettings:
    """The settings a model was published with, with some replaced.

    Raises
    ------
    PluginError
        For an unknown setting (naming the nearest) or a value that does not fit.
    """
    for name in overrides:
        if name not in TrainingSettings.model_fields:
            raise PluginError(f"In the training settings: {unknown('setting', name, TrainingSettings.model_fields)}")
    try:
        return TrainingSettings.model_validate({**getattr(network, "training_settings", {}), **overrides})
    except ValidationError as error:
        raise PluginError(f"The training setting {first_fault(error)}.") from None
