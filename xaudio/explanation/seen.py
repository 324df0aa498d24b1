"""Explanations seen in another domain: relevance in time, in frequency, or in both, whatever the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ModelError
from ..types import FloatArray, Representation
from .record import Record
from .views import VIEWS, offered_views, other_domain, refuse_view

if TYPE_CHECKING:
    from torch import Tensor

    from ..sound.domains import Domain

Seen = TypeVar("Seen", bound=Record)

WORTH_A_NOTE = 1e-6
"""Share of the relevance from which on a note says that it is missing from a view; less is rounding."""


def seen_in(
    domain: Domain | None,
    explanations: Sequence[Seen],
    representation: Representation,
    waveforms: Tensor,
    relevance: Tensor,
) -> list[Seen]:
    """A batch of explanations in another domain.

    Parameters
    ----------
    domain : Domain or None
        None leaves them as they are.
    explanations : sequence of Explanation
    representation : Representation
        Of the relevance.
    waveforms : Tensor, shape (batch, samples), or (batch, channels, samples) of several channels
    relevance : Tensor, shape (batch, channels, *axes)
        Of the explanations, on the device to compute on.

    Returns
    -------
    list of Explanation
        Relevance in float64. ``provenance["view"]`` holds name and options of the view, the share of the magnitude of
        relevance that lay where the sound is exactly 0, so that it belongs to nothing in this domain (``lost_share``),
        by how much the sum of the relevance became less (``lost_sum``), and the sum of the magnitudes in this domain as a
        multiple of that before (``magnitude``; far above 1 where values of both signs cancel).
    """
    if domain is None:
        return list(explanations)
    # In float64, where the device has it: relevance of samples from that of cells is large numbers that cancel.
    cells = relevance.detach() if relevance.device.type == "mps" else relevance.detach().double()
    in_time = representation.to_waveform_relevance(waveforms, cells)
    seen = domain.from_waveform_relevance(waveforms, in_time)
    facts = {
        "lost_share": _lost_share(domain, representation, waveforms, cells, in_time).tolist(),
        "lost_sum": (cells.flatten(1).sum(1).to(seen) - seen.flatten(1).sum(1)).tolist(),
        "magnitude": _ratio(_magnitude(seen), _magnitude(cells).to(seen)).tolist(),
    }
    offered = offered_views(representation)
    levels, arrays = domain(waveforms).cpu().numpy(), seen.cpu().numpy()
    return [
        _replaced(explanation, domain, levels[row], arrays[row], {name: values[row] for name, values in facts.items()}, offered)
        for row, explanation in enumerate(explanations)
    ]


def view_of(explanation: Seen, view: str, **options: Any) -> Seen:
    """An explanation in another domain; see `Explanation.view`."""
    import torch

    representation, earlier = explanation.representation, explanation.provenance.get("view")
    domain = other_domain(view, representation, **options)
    if domain is not None and earlier:
        refuse_view(domain.name, earlier.get("offered", VIEWS))
    if domain is None or (earlier and (earlier["name"], earlier["options"]) == (domain.name, domain.options)):
        return explanation
    if earlier and earlier["name"] != "time":
        raise ModelError(
            f"This is the {earlier['name']} view of an explanation, which no longer holds the relevance of the samples: "
            f"take the {domain.name} view of the explanation that it was made from."
        )
    waveforms = torch.from_numpy(explanation.clip.waveform)[None]
    relevance = torch.from_numpy(explanation.relevance)[None]
    return seen_in(domain, [explanation], representation, waveforms, relevance)[0]


def _lost_share(domain: Domain, representation: Representation, waveforms: Tensor, cells: Tensor, in_time: Tensor) -> Tensor:
    """Share (batch,) of |R| in cells, and then in samples, that are exactly 0: it belongs to nothing in the domain."""
    import torch

    lost = _share(in_time, waveforms == 0) if domain.name != "time" else torch.zeros(len(waveforms))
    if cells.shape[2:] == waveforms.shape[-1:]:  # the cells are the samples
        return lost
    with torch.no_grad():
        before = _share(cells, representation.amplitude(waveforms) == 0)
    return before + (1 - before) * lost.to(before)


def _share(relevance: Tensor, where: Tensor) -> Tensor:
    """Share (batch,) of the magnitude of relevance that lies where something holds; 0 if there is none."""
    return _ratio(_magnitude(relevance * where), _magnitude(relevance))


def _magnitude(relevance: Tensor) -> Tensor:
    """Sum (batch,) of |R|, without a copy of it."""
    import torch

    magnitude: Tensor = torch.linalg.vector_norm(relevance.flatten(1), ord=1, dim=1)
    return magnitude


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Part / whole (batch,), and 0 where the whole is 0."""
    import torch

    return torch.where(whole == 0, 0, part / torch.where(whole == 0, 1, whole))


def _replaced(
    explanation: Seen, domain: Domain, levels: FloatArray, relevance: FloatArray, lost: dict[str, float], offered: Sequence[str]
) -> Seen:
    facts: dict[str, Any] = {"name": domain.name, "options": domain.options, **lost}
    if set(offered) != set(VIEWS):
        facts["offered"] = list(offered)
    if "view" in explanation.provenance:
        facts["of"] = explanation.provenance["view"]
    notes = explanation.clip.notes
    if lost["lost_share"] > WORTH_A_NOTE:
        notes += (
            f"{lost['lost_share']:.2%} of the relevance lay where the sound is exactly zero; the {domain.name} view lacks it",
        )
    return replace(
        explanation,
        clip=replace(explanation.clip, notes=notes),
        features=levels,
        relevance=relevance,
        axes=domain.axes,
        provenance={**explanation.provenance, "view": facts},
        _representation=domain,
    )
