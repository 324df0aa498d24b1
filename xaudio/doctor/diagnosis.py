"""`xaudio.diagnose`: what would make an attribution wrong, before and after it is computed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import AudioError, PluginError
from ..model.arguments import as_explainer, as_model, clip_for
from ..model.devices import resolve_device
from ..model.model import Model
from ..model.modes import plain_torch
from ..model.statements import check_offers, needed, statement_of
from ..model.trial import example_sound
from ..output.memory import naming_memory
from ..output.terminal import progress
from ..registry.loading import registry
from ..registry.options import parse_spec
from ..types import Explainer, Representation
from .checks import check_mode
from .findings import Diagnosis
from .measures import Method, check_answers, measure
from .warning import examine

MOOT = {"not-finite", "non-deterministic", "training-mode", "in-place", "recurrent-cudnn"}
"""Findings after which a measurement would say nothing new."""


@naming_memory("Give a shorter recording, or choose another device.")
@plain_torch()
def diagnose(
    model: Any,
    audio: Any = None,
    *,
    sample_rate: int | None = None,
    representation: str | Representation | None = None,
    explainer: str | Explainer | Sequence[str | Explainer] | None = None,
    device: str = "auto",
    classes: Sequence[str] | None = None,
    feature_extractor: Any = None,
) -> Diagnosis:
    """Find what makes attributions of a model silently wrong.

    First one forward pass is watched; then the explainers are run on one recording, and it is checked that their relevance
    is finite, sums to what it should, and leaves silence alone. The model, its mode and all generators of random numbers are
    left as they were.

    Parameters
    ----------
    model : path, str, nn.Module or Model
        As for `explain`.
    audio : path, array, tensor or Clip, optional
        The recording; by default a buzz with noise between silences.
    sample_rate : int, optional
        Of an array or tensor, in Hz.
    representation : str or Representation, optional
        As for `explain`.
    explainer : str, callable, or a list of these, optional
        Whom to ask about, options as in "lrp:composite=epsilon"; by default all that are installed, of which only those
        are run that promise something of their relevance. What one needs, relies on and promises it says by attributes; see
        `xaudio.types.Explainer`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    classes : sequence of str, optional
        As for `explain`.
    feature_extractor : object, optional
        As for `explain`.

    Returns
    -------
    Diagnosis

    Raises
    ------
    XaudioError
        If any input does not fit: one line that says which, and what to do.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (explainers run the model, which may draw from any)
    try:
        with torch.random.fork_rng():
            loaded = as_model(model, representation, classes, None, feature_extractor, squashed=True).to(resolve_device(device))
            waveforms = _waveforms(loaded, audio, sample_rate).to(loaded.device)
            if not waveforms.any():
                raise AudioError("The recording is silent, so that nothing can be measured on it: give one with sound.")
            return _diagnose(loaded, _methods(explainer), waveforms, all_named=explainer is not None)
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _diagnose(model: Model, methods: list[Method], waveforms: Tensor, *, all_named: bool) -> Diagnosis:
    if all_named:
        for method in methods:
            check_offers(model, method.explainer, method.name)
    methods = [method for method in methods if needed(method.statement) in model.offers]
    stated = {method.name: method.statement for method in methods}
    with torch.no_grad():
        features = model.features(waveforms)
    findings = check_mode(model.network, features, stated)
    findings += examine(model, features, stated)
    findings += check_answers(model.network, features, methods)
    measured = {}
    moot = {name for finding in findings if finding.severity == "error" and finding.name in MOOT for name in finding.explainers}
    tried = [
        method
        for method in methods
        if method.name not in moot and not method.statement.control and (all_named or method.statement.promises)
    ]
    with progress("Trying explainers", len(tried), always=False) as advance:
        for method in tried:
            new, numbers = measure(model, method, waveforms)
            findings += new
            measured[method.name] = numbers
            advance(note=method.name)
    return Diagnosis(tuple(sorted(findings, key=lambda finding: finding.severity)), measured)


def _methods(explainer: str | Explainer | Sequence[str | Explainer] | None) -> list[Method]:
    if explainer is None:
        methods = [_method_or_none(name) for name in registry().names("explainer")]
        return [method for method in methods if method is not None]
    chosen: Sequence[Any] = explainer if isinstance(explainer, list | tuple) else [explainer]
    return [_method(item) for item in chosen]


def _method(explainer: str | Explainer) -> Method:
    name, options = parse_spec(explainer) if isinstance(explainer, str) else (explainer, {})
    method, spec = as_explainer(name, dict(options))
    shown = explainer if isinstance(explainer, str) else spec["name"]
    return Method(shown, method, statement_of(method, spec["name"]), spec["options"])


def _method_or_none(name: str) -> Method | None:
    """An installed explainer, None if two plugins offer the name or it cannot do without options."""
    try:
        return _method(name)
    except PluginError:
        return None


def _waveforms(model: Model, audio: Any, sample_rate: int | None) -> Tensor:
    """The recording as the model hears it, (1, samples)."""
    if audio is None:
        return example_sound(model.representation)
    return model.hear([clip_for(model, audio, sample_rate)], model.rules.of_own()).batch(slice(None))
