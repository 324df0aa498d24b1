"""A model of transformers, its feature extractor beside it, as a model that xaudio can ask."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from xaudio.plugin import (
    Around,
    Axis,
    Clip,
    IntArray,
    Kind,
    Model,
    ModelError,
    PlacedClips,
    Rules,
    XaudioError,
    evaluation_mode,
)

from ._kinds import classes_of, kind_of_class, kind_of_head
from ._library import is_of_library
from ._remembering import spec_of
from ._texts import Described, Texts
from ._times import Times, fewest_samples, times_of
from ._twin import READ, Twin
from ._twins import twin_of


class Asked(Around):
    """A model of transformers that takes features as its extractor's twin gives them and returns its scores alone.

    Parameters
    ----------
    model : nn.Module
        Of transformers, or any module that takes what the extractor gives.
    twin : Twin
        Of the extractor; it tells the model's arguments by name, and which frames are masked.
    embeds : bool
        Whether an embedding is asked for where the model has logits, too.

    Attributes
    ----------
    times : Times or None
        Of the answer's frames, where there are any and the configuration tells them.
    """

    def __init__(self, model: nn.Module, twin: Twin, embeds: bool = False) -> None:
        super().__init__(model)
        self.embeds, self.times = embeds, cast(Times | None, None)
        self._frames, self._arguments = twin.frames, twin.arguments
        self._call = "get_audio_features" if is_of_library(model, "ClapModel") else "forward"
        self._accepted = _accepted(getattr(model, self._call))

    def forward(self, features: Tensor) -> Tensor:
        """Scores (batch, *frames, outputs) of features (batch, 1, *axes)."""
        arguments = self._arguments(features)
        if self._accepted is None:  # a module of the user's own names its first argument as it likes
            return _scores(self.network(next(iter(arguments.values()))), self.embeds)
        chosen = {name: part for name, part in arguments.items() if name in self._accepted}
        if not chosen.keys() & set(READ):
            reads = " or ".join(sorted(self._accepted & set(READ)))
            raise ModelError(
                f"The model reads {reads}, but its feature extractor gives {next(iter(arguments))}: it is another model's."
            )
        ask = self.network if self._call == "forward" else getattr(self.network, self._call)
        return _scores(ask(**chosen), self.embeds)

    def valid(self, features: Tensor) -> Tensor | None:
        """How many frames of the answer are not masked, (batch,); None if all."""
        if self.times is None:
            return None
        frames, heard = map(self.times.count, self._frames(features))
        return None if heard == frames else torch.full((len(features),), heard, device=features.device)


def _accepted(function: Any) -> frozenset[str] | None:
    """Names of a function's arguments; None if it has none of those that extractors give."""
    names = frozenset(inspect.signature(function).parameters)
    return names if names & set(READ) else None


def _scores(output: Any, embeds: bool) -> Tensor:
    """The scores in what a model returned."""
    if isinstance(output, Tensor):
        return output
    wanted = ("embeddings", "audio_embeds", "pooler_output") if embeds else ("logits", "audio_embeds", "embeddings")
    for name in wanted:
        part = output.get(name) if hasattr(output, "get") else getattr(output, name, None)
        if isinstance(part, Tensor):
            return part
    if isinstance(output, tuple) and len(output) == 1 and isinstance(output[0], Tensor):
        return output[0]
    held = ", ".join(output.keys()) if hasattr(output, "keys") else type(output).__name__
    raise ModelError(
        f"The model returns {held}, and neither logits nor an embedding: it has no head for a task. Load it with one, such as "
        "AutoModelForAudioClassification, or wrap it in a module that returns what is to be explained."
    )


@dataclass(eq=False)
class HuggingFaceModel(Model):
    """A `xaudio.Model` that knows when its frames are, and what its extractor cuts off or pads.

    Parameters
    ----------
    times : Times or None
        Of the answer's frames.
    texts : Texts or None
        Of a model that reads texts, too.
    """

    times: Times | None = None
    texts: Texts | None = None

    def embedding_of(self, text: str) -> Tensor | None:
        """What the model makes of a text, (dimensions,); None if it reads none, or its tokenizer is not there."""
        return None if self.texts is None or self.kind != "embedding" else self.texts([text])[0]

    def renamed(self, classes: tuple[str, ...] | None, kind: Kind | None) -> Model:
        """The same model with other names; one that reads texts tells which of these describes a sound."""
        if self.texts is None or classes is None or self.kind != "embedding" or kind == "embedding":
            return super().renamed(classes, kind)
        described: Model = self.asked(Described(classes, self.texts(classes), self.texts.scale))
        described.kind = kind or "classes"
        return described

    @property
    def twin(self) -> Twin:
        """The representation, which is a twin of the extractor."""
        return cast(Twin, self.representation)

    def frame_axis(self, features: Tensor) -> Axis:
        """When the frames of the answer are, in seconds: from the configuration, or measured where it does not say."""
        if self.times is None:
            return super().frame_axis(features)
        return self.times.axis(self.times.count(self.twin.frames(features)[0]), self.twin.sample_rate)

    def hear_each(self, clips: Sequence[Clip], rules: Rules | None = None) -> list[tuple[IntArray, PlacedClips]]:
        """Clips as the model takes them, by their length, each compared with what the extractor makes of it.

        Raises
        ------
        ModelError
            If the extractor computes something else.
        """
        groups = super().hear_each(clips, rules)
        for rows, placed in groups:
            twin = cast(HuggingFaceModel, self.fitting(placed.batch(slice(0, 1)))).twin
            for row in range(len(rows)):
                twin.check(placed.batch(slice(row, row + 1)))
                placed.prepared.notes[row] = [*placed.prepared.notes[row], *twin.said()]  # type: ignore[index]
        return groups


def adapted(model: Any, feature_extractor: Any, *, tokenizer: Any = None, function: str | None = None) -> Model:
    """A model of transformers with its feature extractor, a processor, or a pipeline, which holds both.

    Parameters
    ----------
    model : nn.Module
    feature_extractor : transformers.SequenceFeatureExtractor or ProcessorMixin
    tokenizer : object, optional
        Names the symbols of a CTC model, and reads the texts that CLAP compares a sound with.
    function : str, optional
        "softmax", "sigmoid" or "none", where a pipeline was told.

    Raises
    ------
    ModelError
        If the model is of no kind that can be explained, or its extractor of none that is known.
    """
    network = getattr(model, "_orig_mod", model)
    tokenizer = tokenizer or getattr(feature_extractor, "tokenizer", None)
    extractor = getattr(feature_extractor, "feature_extractor", feature_extractor)
    kind = kind_of_class(network)
    if extractor is None:
        raise ModelError(
            f"{type(network).__name__} needs the feature extractor it was trained with: give feature_extractor="
            "AutoFeatureExtractor.from_pretrained(...)."
        )
    config = getattr(network, "config", None)
    xvector = kind == "embedding" and hasattr(config, "tdnn_kernel")
    twin = twin_of(extractor, lambda twin: fewest_samples(twin, config, xvector=xvector))
    # Of one in half precision it is a copy in float32.
    plain = Model(Asked(network, twin, embeds=kind == "embedding"), twin, ("",))
    scores = _first_scores(plain.network, twin)
    kind = kind_of_head(config, scores, kind, function)
    classes = classes_of(config, kind, scores.shape[-1], tokenizer)
    configured = times_of(twin, config)
    framed = scores.ndim > 2 and configured.count(twin.frames(_noise(twin))[0]) == scores.shape[1]
    times = cast(Asked, plain.network).times = configured if framed else None
    reads_texts = tokenizer is not None and is_of_library(network, "ClapModel")
    return HuggingFaceModel(
        plain.network,
        twin,
        classes,
        kind=kind,
        facts=plain.facts,
        times=times,
        texts=Texts(network, tokenizer) if reads_texts else None,
        representation_spec=spec_of(twin),
    )


def _first_scores(asked: nn.Module, twin: Twin) -> Tensor:
    """What the model says of a recording of noise, so that the number of its outputs is known."""
    weight = next(asked.parameters(), torch.zeros(1))
    try:
        with torch.no_grad(), evaluation_mode(asked):
            scores: Tensor = asked(_noise(twin).to(weight.device, weight.dtype))
            return scores
    except XaudioError:
        raise
    except Exception as error:  # it is anyone's code
        reason = " ".join(str(error).split()) or type(error).__name__
        name, extractor = type(getattr(asked, "network", asked)).__name__, type(twin.extractor).__name__
        raise ModelError(f"{name} does not take what its {extractor} gives: {reason[:300]}") from None


def _noise(twin: Twin) -> Tensor:
    """Features of a recording of noise."""
    return twin(torch.randn(1, twin.samples, generator=torch.Generator().manual_seed(0)) / 10)  # type: ignore[no-any-return]


def of_pipeline(pipeline: Any, feature_extractor: Any = None) -> Model:
    """The model of a pipeline, with what the pipeline was told to make of its outputs."""
    told = getattr(pipeline, "_postprocess_params", {}).get("function_to_apply")
    return adapted(
        pipeline.model,
        feature_extractor or pipeline.feature_extractor or getattr(pipeline, "processor", None),
        tokenizer=getattr(pipeline, "tokenizer", None),
        function=told,
    )
