"""Metrics that take away parts of what a model heard, and ask it again.

All are of the class that was explained, by default the predicted one. Metrics of a family share its options.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from xaudio.plugin import Count, Percentile, PositiveShare, ProductPrecision, Seed, Share, attach, hookimpl

if TYPE_CHECKING:
    from ._perturbation import (
        flipped_logits as flipped_logits,
        logits_without as logits_without,
        ranks as ranks,
        scaled_frequencies as scaled_frequencies,
    )

OFFERED = ("flipped_logits", "logits_without", "ranks", "scaled_frequencies")
# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, dict.fromkeys(OFFERED, f"{__name__}._perturbation"))

Domain = Literal["features", "time", "frequency", "time-frequency"]
Imputation = Literal["zero", "silence", "noise_floor", "mean_spectrum", "band_stop"]
Order = Literal["signed", "absolute"]
Among = Literal["nonzero", "all"]
Normalisation = Literal["maximum", "percentile", "top"]

RANKED = """
share : {"nonzero", "all"}
    Fractions of the cells that taking away changes, or of all cells.
order : {"signed", "absolute"}
    Rank cells by relevance, or by its magnitude.
segment : int
    Along each axis, so many neighbouring cells are one, with the sum of their relevance.
"""

MASKED = """
normalisation : {"maximum", "percentile", "top"}
    The mask M in [0, 1]: relevance divided by its maximum or by a percentile over all cells, or 1 for the most relevant cells
    and 0 elsewhere. Negative relevance counts as 0.
percentile : float
    Of normalisation=percentile; what is above it has a mask of 1.
top : float
    Share of the cells of normalisation=top.
order : {"signed", "absolute"}
    Make the mask of relevance, or of its magnitude.
"""

REMOVED = """
domain : {"features", "time", "frequency", "time-frequency"}
    Where cells lie: in what the network reads, or in the sound. Then the explanation's view in that domain says how relevant they
    are, they are taken away from the sound (from its samples, its spectrum, or its short-time Fourier transform, which for a
    model of spectrograms is its own), and the model reads what is left.
imputation : {"zero", "silence", "noise_floor", "mean_spectrum", "band_stop"}
    What stands in for what is taken away, as `baseline_features` of `xaudio.plugin` makes it. In a domain of the sound, zero
    is silence.
    band_stop is for domain=frequency: a filter that rings for 25 ms, where zero cuts sharply and rings throughout.
seed : int
    Of the noise of noise_floor and mean_spectrum.
batch_size : int or None
    Changed recordings that are classified at once; by default 32 on a CPU, where more cost more each, and 256 elsewhere.
"""


def _described(factory: Callable[..., Any], name: str, definition: str, *parameters: str) -> Callable[..., Any]:
    """The factory with a name and a docstring, so that what several have in common is written once."""
    factory.__name__ = factory.__qualname__ = name
    listed = "\n".join(part.strip() for part in parameters)
    factory.__doc__ = f"{definition.strip()}\n\nParameters\n----------\n{listed}\n"
    return factory


def _pixel_flipping(
    *,
    steps: Count = 20,
    fractions: tuple[Share, ...] | None = None,
    share: Among = "nonzero",
    order: Order = "signed",
    segment: Count = 1,
    domain: Domain = "features",
    imputation: Imputation = "zero",
    seed: Seed = 0,
    batch_size: Count | None = None,
    precision: ProductPrecision = "float32",
) -> Any:
    from ._flipping import PixelFlipping
    from ._parts import Parts

    parts = Parts("pixel_flipping", domain, imputation, order, segment, seed, batch_size, precision)
    return PixelFlipping(parts, share, steps, fractions)


pixel_flipping = _described(
    _pixel_flipping,
    "pixel_flipping",
    """How far the probability of the explained class falls on average while its relevant cells are taken away (AOPC).

AOPC = 1 / (L + 1) sum_k f(x_0) - f(x_k), f the probability and x_k the recording without a fraction k of its cells, of
which x_0 is the whole. "aopc_morf" takes the most relevant cells first (high is good), "aopc_lerf" the least relevant (low is
good), and "aopc_difference" is the first less the second: 0 for an order that says nothing. Bach et al. 2015
(doi 10.1371/journal.pone.0130140); Samek et al. 2017 (arXiv 1509.06321).""",
    "steps : int\n    The fractions are 0, 1 / steps, 2 / steps, ..., 1.",
    "fractions : tuple of float or None\n    Instead of steps; 0 is always among them.",
    RANKED,
    REMOVED,
)


def _area(name: str, definition: str, *, inserts: bool) -> Callable[..., Any]:
    def factory(
        *,
        steps: Count = 20,
        share: Among = "nonzero",
        order: Order = "signed",
        segment: Count = 1,
        domain: Domain = "features",
        imputation: Imputation = "zero",
        seed: Seed = 0,
        batch_size: Count | None = None,
        precision: ProductPrecision = "float32",
    ) -> Any:
        from ._flipping import Area
        from ._parts import Parts

        return Area(Parts(name, domain, imputation, order, segment, seed, batch_size, precision), inserts, share, steps)

    steps = "steps : int\n    The fractions are 0, 1 / steps, 2 / steps, ..., 1."
    return _described(factory, name, definition, steps, RANKED, REMOVED)


deletion_auc = _area(
    "deletion_auc",
    """Area under the probability of the explained class while its most relevant cells are taken away: low is good.

Trapezoids over the fractions of the cells that were taken away; 0 to 1. Petsiuk et al. 2018 (arXiv 1806.07421).""",
    inserts=False,
)

insertion_auc = _area(
    "insertion_auc",
    """Area under the probability of the explained class while its most relevant cells are put in: high is good.

It begins with what stands in for all cells and ends with the recording. Trapezoids over the fractions of the cells that are in,
which leave the least relevant out; 0 to 1. Petsiuk et al. 2018 (arXiv 1806.07421).""",
    inserts=True,
)


def _masked(name: str, better: Literal["higher", "lower"], definition: str) -> Callable[..., Any]:
    def factory(
        *,
        normalisation: Normalisation = "maximum",
        percentile: Percentile = 99.0,
        top: PositiveShare = 0.1,
        order: Order = "signed",
        domain: Domain = "features",
        imputation: Imputation = "zero",
        seed: Seed = 0,
        batch_size: Count | None = None,
    ) -> Any:
        from ._masking import Masking
        from ._parts import Parts

        return Masking(Parts(name, domain, imputation, order, 1, seed, batch_size), better, normalisation, percentile, top)

    return _described(factory, name, definition, MASKED, REMOVED)


average_increase = _masked(
    "average_increase",
    "higher",
    """AI: 100 where the explained class is more probable when the model gets the relevant part alone, else 0: high is good.

100 [p(M X) > p(X)] with the probability p and the mask M of relevance; the mean is the percentage. Chattopadhay et al.
2018 ("increase in confidence", arXiv 1710.11063).""",
)

average_drop = _masked(
    "average_drop",
    "lower",
    """AD: by what percentage the explained class is less probable when the model gets the relevant part alone: low is good.

100 max(0, p(X) - p(M X)) / p(X) with the probability p and the mask M of relevance; 0 to 100. Chattopadhay et al. 2018
(arXiv 1710.11063).""",
)

average_drop_double_softmax = _masked(
    "average_drop_double_softmax",
    "lower",
    """AD with the softmax taken twice, as in a public recipe: to compare with numbers published so, and for nothing else.

The second softmax takes probabilities for logits: of C classes even a certain one gets e / (e + C - 1) at most, and no class less
than 1 / (e + C - 1), so that all drops look small.""",
)

average_gain = _masked(
    "average_gain",
    "higher",
    """AG: what share of its doubt the model loses when it gets the relevant part alone, in percent: high is good.

100 max(0, p(M X) - p(X)) / (1 - p(X)) with the probability p of that class and the mask M of relevance; 0 to 100.
Zhang et al. 2024 (arXiv 2301.07002).""",
)

faithfulness_ff = _masked(
    "faithfulness_ff",
    "higher",
    """FF: how far the probability of the explained class falls when the relevant part is taken away: high is good.

p(X) - p((1 - M) X) with the probability p and the mask M of relevance; -1 to 1. Parekh et al. 2022
(arXiv 2202.11479).""",
)

fid_in = _masked(
    "fid_in",
    "higher",
    """Fid-In: 1 where the model predicts the same class when it gets the relevant part alone, else 0: high is good.

[argmax f(M X) = argmax f(X)] with the logits f and the mask M of relevance; of labels, [p(M X) > 1/2] = [p(X) > 1/2] for the
explained one. Paissan et al. 2024 (arXiv 2403.13086).""",
)


@hookimpl
def xaudio_metrics() -> dict[str, Any]:
    """Offer the metrics."""
    metrics = (
        pixel_flipping,
        deletion_auc,
        insertion_auc,
        average_increase,
        average_drop,
        average_drop_double_softmax,
        average_gain,
        faithfulness_ff,
        fid_in,
    )
    return {metric.__name__: metric for metric in metrics}
