"""Which channels of a layer carry a prediction, and what they answer to (concept relevance propagation)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaudio.plugin import (
    Clip,
    Count,
    DataError,
    Dataset,
    Explainer,
    Explanation,
    FloatArray,
    IntArray,
    Model,
    ModelError,
    as_clip,
    class_index,
    convert,
    find_layer,
    format_spec,
    in_classes_of,
    in_one_window,
    load_model,
    output_folder,
    progress,
    refuse_other_settings,
    remove_leftovers,
    warn_about,
    write_json,
    write_run,
)

from .channels import Measured, conditional_explainer
from .fields import receptive_fields
from .figures import picture_of_shares
from .page import write_concepts_page
from .references import Source, explained_clips, references_of
from .results import By, Channel, ConceptResults
from .scan import scan
from .subjects import Chosen, of_audio, of_data, parts_of_audio
from .switching import switched_off

RENDERERS = ("visual:dpi=80", "audible:format=flac")


def concepts(
    model: str | Path | Model,
    dataset: Dataset,
    indices: IntArray,
    layer: str | None = None,
    *,
    audio: Sequence[Any] = (),
    sample_rate: int | None = None,
    target: int | str | None = None,
    explainer: str | Explainer = "lrp",
    by: By = "relevance",
    top: int = 8,
    references: int = 6,
    draws: int = 20,
    seed: int = 0,
    batch_size: int = 32,
    renderers: Sequence[str] = RENDERERS,
    folder: str | Path | None = None,
) -> ConceptResults:
    """Find the channels of a layer that carry a prediction, each with the recordings that it answers to most.

    Relevance is followed back to the layer; what arrives at a channel, summed over positions, is what it carries. The recordings
    of which it carries most, cut to the receptive field of the position that it carries most at, say what it stands for: concept
    relevance propagation (Achtibat et al. 2023, doi 10.1038/s42256-023-00711-8).

    Parameters
    ----------
    model : path or Model
        A run folder of ``xaudio train``, or what `xaudio.load_model` made of it.
    dataset : Dataset
    indices : sequence of int
        Recordings from which references are taken; see `xaudio.held_out`. Each is explained for its predicted class.
    layer : str, optional
        A convolution (1-D or 2-D) or linear layer, named as in ``network.named_modules()``; by default the last convolution.
    audio : sequence of path, array, tensor or Clip
        Recordings whose prediction the channels should carry; by default those of the reference data that are predicted as
        ``target``, or all of them.
    sample_rate : int, optional
        Of arrays and tensors, in Hz.
    target : class name or index, optional
        The class to explain; by default the predicted one.
    explainer : str or callable
        One that has a method ``conditional`` (see `xaudio.plugin.ConditionalExplainer`), by name with options as in
        "lrp:composite=epsilon_plus", or an object.
    by : {"relevance", "activation"}
        References have the largest share of the relevance, or the largest activation.
    top : int
        How many channels are shown.
    references : int
        How many recordings of each.
    draws : int
        Sets of other channels that are switched off to compare with.
    seed : int
        Of these draws.
    batch_size : int
        Recordings at once; halved when memory runs out.
    renderers : sequence of str
        For the explanations of ``audio``.
    folder : path, optional
        Gets ``results.json``, ``report.html``, ``run.json``, pictures and sounds, and of each recording of ``audio`` the whole
        explanation and the part of each channel. What an earlier, interrupted call with the same arguments measured is not
        measured again.

    Returns
    -------
    ConceptResults

    Raises
    ------
    ModelError
        If there is no such layer or class, or the folder belongs to other settings.
    PluginError
        If the explainer cannot tell what flows through single channels, or a number does not fit.
    DataError
        If there is no recording to explain.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    numbers = {"top": top, "references": references, "draws": draws, "batch_size": batch_size}
    top, references, draws, batch_size = (convert(option, Count, number) for option, number in numbers.items())
    by = convert("by", By, by)
    loaded.check_one_channel()
    name = find_layer(loaded.network, layer)
    method, spec = conditional_explainer(explainer)
    wanted = None if target is None else class_index(target, loaded.classes)
    dataset, indices = _reference_data(loaded, dataset, indices)
    loaded, noted = in_one_window(loaded, dataset, indices)
    clips = [as_clip(item, sample_rate) for item in audio]
    warn_about(loaded, spec["name"], method)
    fields = receptive_fields(loaded, name)
    identity = _identity(loaded, dataset, indices, spec, name)
    asked = {"files": [clip.source for clip in clips], "class": target, "by": by, "top": top, "references": references}
    settings = {**identity, **asked, "draws": draws, "seed": seed, "renderers": list(renderers)}
    out = None if folder is None else _begun(Path(folder), settings, loaded)
    kept = None if out is None else out / "scan"
    measured = scan(loaded, dataset, indices, method, name, batch_size=batch_size, folder=kept, identity=identity)
    source = Source(loaded, method, spec, name, dataset, indices, measured, fields, by, batch_size)
    wholes, chosen = _chosen(source, clips, wanted)
    shares = chosen.shares.mean(0)
    best = _carrying(shares, top, name)
    effects, switched = switched_off(
        loaded, name, best, chosen.waveforms, chosen.targets, draws=draws, seed=seed, batch_size=batch_size
    )
    result = ConceptResults(
        model=identity["model"],
        task=loaded.task,
        classes=list(loaded.classes),
        data=dataset.title,
        explainer=format_spec(spec["name"], spec["given"]),
        layer=name,
        kind=type(loaded.network.get_submodule(name)).__name__,
        default_layer=layer is None,
        by=by,
        explained_class=None if wanted is None else loaded.classes[wanted],
        recordings=len(indices),
        explained_recordings=len(chosen.shares),
        seed=seed,
        reaching=float(np.median(chosen.reaching)),
        shares=[float(share) for share in shares],
        channels=_channels(source, best, shares, effects, references, out),
        switched=switched,
        explained=parts_of_audio(source, clips, wholes, chosen.shares, best, renderers, out),
        notes=noted + _notes(dataset, fields.unknown, name, layer is None, switched is None),
    )
    if out is not None:
        _write(out, result)
    return result


def _reference_data(model: Model, dataset: Dataset, indices: IntArray) -> tuple[Dataset, IntArray]:
    """The data set in the model's classes, and the recordings of it, of which there must be one."""
    indices = np.asarray(indices, dtype=np.int64)
    if not len(indices):
        raise DataError(f"There are no recordings of {dataset.title} to take references from.")
    return in_classes_of(model, dataset), indices


def _identity(model: Model, dataset: Dataset, indices: IntArray, spec: dict[str, Any], layer: str) -> dict[str, Any]:
    """What measurements of the reference data follow from."""
    return {
        "model": model.source,
        "weights": model.digest(),
        "data": dataset.title,
        "fingerprint": dataset.fingerprint(),
        "recordings": len(indices),
        "explainer": spec,
        "layer": layer,
    }


def _begun(folder: Path, settings: dict[str, Any], model: Model) -> Path:
    """The folder for results of these settings, in which an earlier call with the same ones may have begun."""
    out = output_folder(folder)
    refuse_other_settings(out, settings)
    remove_leftovers(out)
    write_run(out, settings=settings, device=str(model.device))
    return out


def _chosen(source: Source, clips: Sequence[Clip], wanted: int | None) -> tuple[list[Explanation], Chosen]:
    """Explanations of the clips, and whose prediction the channels should carry: the clips', or that of reference data."""
    if not clips:
        return [], of_data(source.model, source.dataset, source.indices, source.measured, wanted)
    targets = None if wanted is None else [wanted] * len(clips)
    rules = source.model.rules_in(source.dataset)
    wholes = explained_clips(source.model, source.explainer, source.spec, clips, targets, source.batch_size, rules)
    return wholes, of_audio(source.model, source.explainer, source.layer, wholes)


def _carrying(shares: FloatArray, top: int, layer: str) -> list[int]:
    """The channels with the largest shares, largest first; one without a share carries nothing."""
    best = [int(channel) for channel in np.argsort(-shares, kind="stable")[:top] if shares[channel] > 0]
    if not best:
        raise ModelError(
            f"No channel of the layer {layer!r} carries relevance for the explained class; choose another layer or class."
        )
    return best


def _channels(
    source: Source, best: Sequence[int], shares: FloatArray, effects: FloatArray, references: int, out: Path | None
) -> list[Channel]:
    """What there is to say of each channel, and its references."""
    channels = []
    with progress("Cutting references", len(best) * references) as advance:
        for channel, effect in zip(best, effects, strict=True):
            excerpts, together = references_of(source, channel, references, out, advance)
            channels.append(
                Channel(
                    channel=channel,
                    share=float(shares[channel]),
                    effect=float(effect),
                    classes=_by_class(source.measured, channel, source.model.classes),
                    references=excerpts,
                    together=together,
                )
            )
    return channels


def _write(out: Path, result: ConceptResults) -> None:
    picture_of_shares(result.channels, result.shares, output_folder(out / "figures") / "shares.png")
    write_json(out / "results.json", result.model_dump())
    write_concepts_page(out, result)


def _by_class(measured: Measured, channel: int, classes: Sequence[str]) -> dict[str, float]:
    """A channel's mean share in the recordings of each predicted class, largest first."""
    predicted = measured.logits.argmax(1)
    means = {classes[one]: float(measured.shares[predicted == one, channel].mean()) for one in np.unique(predicted)}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def _notes(dataset: Dataset, unknown: str, layer: str, by_default: bool, alone: bool) -> list[str]:
    notes = list(dataset.notes)
    if by_default:
        notes.insert(0, f"No layer was named, so this is the last convolution, {layer!r}.")
    if unknown:
        notes.append(f"The receptive fields of {layer!r} are not known, since {unknown}: excerpts are whole recordings.")
    if alone:
        notes.append("The layer has no other channels to compare with when these are switched off.")
    return notes
