"""How well relevance lies where the evidence is, for sounds of which that is known."""

from typing import Any

from xaudio.plugin import PositiveShare, hookimpl

from ._options import Cells, Domain, Margin, Order, Share, Truth


def relevance_mass(
    *, domain: Domain = "auto", sign: Share = "positive", truth: Truth = "", margin_s: Margin = 0.0, margin_hz: Margin = 0.0
) -> Any:
    """Sum of R over the cells of the truth, divided by the sum over all cells (Arras, Osman and Samek 2022, CLEVR-XAI).

    1 is best; relevance that is 0 everywhere, or spread evenly, has the share of the cells that the truth covers.

    Parameters
    ----------
    sign : {"positive", "absolute"}
        max(R, 0), which speaks for the class, or |R|.
    """
    from ._scores import Score, mass

    return Score("relevance_mass", mass, Cells(domain, sign, truth, margin_s, margin_hz))


def relevance_rank(
    *, domain: Domain = "auto", sign: Order = "positive", truth: Truth = "", margin_s: Margin = 0.0, margin_hz: Margin = 0.0
) -> Any:
    """Share of the K cells with the largest R that are in the truth of K cells (Arras, Osman and Samek 2022, CLEVR-XAI).

    1 is best; where cells tie, it is the mean over all orders of them.
    """
    from ._scores import Score, rank

    return Score("relevance_rank", rank, Cells(domain, sign, truth, margin_s, margin_hz))


def pointing_game(
    *, domain: Domain = "auto", sign: Order = "positive", truth: Truth = "", margin_s: Margin = 0.0, margin_hz: Margin = 0.0
) -> Any:
    """Whether the cell with the largest R is in the truth, 0 or 1 (Zhang et al. 2016, excitation backprop).

    Where several cells are the largest, it is the share of them in the truth.
    """
    from ._scores import Score, pointing

    return Score("pointing_game", pointing, Cells(domain, sign, truth, margin_s, margin_hz))


def iou(
    *,
    domain: Domain = "auto",
    sign: Order = "positive",
    threshold: PositiveShare | None = None,
    truth: Truth = "",
    margin_s: Margin = 0.0,
    margin_hz: Margin = 0.0,
) -> Any:
    """Cells in both the truth and the relevant cells, divided by those in either of them (Jaccard index).

    1 is best. By default the K cells with the largest R count as relevant, K the size of the truth, so that no scale is
    needed; where cells tie, with the mean number of them in the truth over all orders.

    Parameters
    ----------
    threshold : float or None
        Count cells with at least this share of the largest R instead; if no R is above 0, all of them.
    """
    from ._scores import Score, intersection_over_union

    return Score("iou", intersection_over_union(threshold), Cells(domain, sign, truth, margin_s, margin_hz))


def auc(
    *, domain: Domain = "auto", sign: Order = "positive", truth: Truth = "", margin_s: Margin = 0.0, margin_hz: Margin = 0.0
) -> Any:
    """Area under the ROC curve of R as a detector of the truth's cells.

    The probability that a cell in the truth has more R than one outside, ties counting half (Fawcett 2006): 1 is best, 0.5
    is chance.
    """
    from ._scores import Score, area

    return Score("auc", area, Cells(domain, sign, truth, margin_s, margin_hz))


@hookimpl
def xaudio_metrics() -> dict[str, Any]:
    """Offer the metrics ``relevance_mass``, ``relevance_rank``, ``pointing_game``, ``iou`` and ``auc``."""
    return {
        "relevance_mass": relevance_mass,
        "relevance_rank": relevance_rank,
        "pointing_game": pointing_game,
        "iou": iou,
        "auc": auc,
    }
