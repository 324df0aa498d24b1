"""Explainers that change the recording and classify it again: parts are taken away, remixed, or masked at random."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Gt, Lt

from xaudio.plugin import Amount, AtOnce, Count, Positive, Share, hookimpl
from xaudio_segments import Parts

Score = Literal["logit", "probability"]
StandIn = Literal["silence", "noise_floor", "mean_spectrum"]
Spacing = Literal["mel", "linear", "octave"]


def audiolime(
    *,
    components: str = "time",
    parts: Parts = None,
    slots: Count | None = None,
    bands: Count | None = None,
    overlap: Share = 0.1,
    samples: Count = 512,
    kernel_width: Positive = 0.25,
    ridge: Amount = 1.0,
    score: Score = "probability",
    baseline: StandIn = "silence",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Any:
    """AudioLIME: weights of a linear model of mixes in which parts of the recording are present or not.

    Parameters
    ----------
    components : str
        "time" (slots of time), "time_frequency" (slots of mel bands), or the name of a separator plugin, such as
        harmonic_percussive or nmf, with its options as in nmf:sources=3+iterations=50.
    slots : int or None
        Slots of time; by default 16, and 8 for time_frequency.
    bands : int or None
        Mel bands of time_frequency; by default 8.
    overlap : float
        Width of the cross-fade between neighbouring slots or bands, as a share of the narrower one.
    samples : int
        Mixes to classify; the first is the recording itself, in the others each part is present with probability 1/2.
    kernel_width : float
        Mixes at the cosine distance d from the recording weigh exp(-(d / kernel_width) ** 2).
    ridge : float
        Strength of the ridge penalty; 0 gives ordinary least squares.
    score : {"logit", "probability"}
        What of the target is explained.
    baseline : {"silence", "noise_floor", "mean_spectrum"}
        What stands in for a part that is absent.
    seed : int
        Of the mixes and of the baseline's noise.
    """
    from ._audiolime import AudioLime
    from ._masking import Masking

    masking = Masking("audiolime", score, baseline, seed, internal_batch_size)
    return AudioLime(masking, components, slots, bands, overlap, samples, kernel_width, ridge, parts)


def band_occlusion(
    *,
    bands: Count = 16,
    spacing: Spacing = "mel",
    low: Amount = 0.0,
    high: Positive | None = None,
    overlap: Share = 0.1,
    score: Score = "logit",
    baseline: StandIn = "silence",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Any:
    """What the target loses when a band of frequency is taken away from the recording.

    Parameters
    ----------
    bands : int
        Number of bands between low and high.
    spacing : {"mel", "linear", "octave"}
        Bands equally wide in mel or in Hz; or octaves down from high, the lowest reaching down to low.
    low : float
        In Hz; what is below is left alone.
    high : float or None
        In Hz; what is above is left alone. By default the highest frequency there is.
    overlap : float
        Width of the cross-fade between neighbouring bands, as a share of the narrower one. 0 is a sharp cut.
    score : {"logit", "probability"}
        What of the target is compared.
    baseline : {"silence", "noise_floor", "mean_spectrum"}
        What stands in for the band: nothing (band-stop), or the same band of a noise.
    seed : int
        Of the baseline's noise.
    """
    from ._masking import Masking
    from ._occlusion import BandOcclusion

    masking = Masking("band_occlusion", score, baseline, seed, internal_batch_size)
    return BandOcclusion(masking, bands, spacing, low, high, overlap)


def slot_occlusion(
    *,
    slots: Count = 20,
    parts: Parts = None,
    overlap: Share = 0.1,
    score: Score = "logit",
    baseline: StandIn = "silence",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Any:
    """What the target loses when a slot of time is taken away from the recording.

    Parameters
    ----------
    slots : int
        Number of slots, equally long.
    overlap : float
        Length of the raised-cosine cross-fade between neighbouring slots, as a share of a slot. 0 clicks.
    score : {"logit", "probability"}
        What of the target is compared.
    baseline : {"silence", "noise_floor", "mean_spectrum"}
        What stands in for the slot.
    seed : int
        Of the baseline's noise.
    """
    from ._masking import Masking
    from ._occlusion import SlotOcclusion

    return SlotOcclusion(Masking("slot_occlusion", score, baseline, seed, internal_batch_size), slots, overlap, parts)


def freqrise(
    *,
    domain: Literal["frequency", "time", "time_frequency"] = "time_frequency",
    masks: Count = 1000,
    cells: Count = 16,
    probability: Annotated[float, Gt(0), Lt(1)] = 0.5,
    centred: bool = True,
    score: Score = "probability",
    baseline: StandIn = "silence",
    seed: int = 0,
    internal_batch_size: AtOnce = 64,
) -> Any:
    """FreqRISE: mean of the target's probability over random masks, weighted by each mask.

    Parameters
    ----------
    domain : {"frequency", "time", "time_frequency"}
        Where the masks lie.
    masks : int
        How many are drawn; the same for all recordings.
    cells : int
        Cells of a mask along each of its axes, between which it is interpolated linearly.
    probability : float
        That a cell is kept.
    centred : bool
        Subtract the mean over the masks first: what does not matter gets 0, what speaks against the target is negative.
        False gives the mean as published, which is positive everywhere. In a spectrogram the expected order of the cells
        is the same.
    score : {"logit", "probability"}
        What of the target is averaged.
    baseline : {"silence", "noise_floor", "mean_spectrum"}
        What stands in for what a mask takes away.
    seed : int
        Of the masks and of the baseline's noise.
    """
    from ._freqrise import FreqRise
    from ._masking import Masking

    masking = Masking("freqrise", score, baseline, seed, internal_batch_size)
    return FreqRise(masking, domain, masks, cells, probability, centred)


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer the explainers."""
    return {
        "audiolime": audiolime,
        "band_occlusion": band_occlusion,
        "freqrise": freqrise,
        "slot_occlusion": slot_occlusion,
    }
