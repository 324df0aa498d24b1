"""A long recording of which everything is made up: an hour in windows of a second, some of them explained."""

import numpy as np

from xaudio import Clip, Explanation, LongExplanation
from xaudio.explanation.windows import Scored
from xaudio.plugin import Axis

RATE = 8000


def explained(number, start, hop, samples, source, target=0):
    """A window of which the relevance lies in two stretches, one of each sign."""
    sound = 0.4 * np.random.default_rng(number).uniform(-1, 1, RATE).astype(np.float32)
    relevance = np.zeros((1, RATE), np.float32)
    relevance[0, 2000:2600], relevance[0, 5000:5600] = 1, -1
    return Explanation(
        clip=Clip(sound, RATE, source=source),
        features=sound[None],
        relevance=relevance,
        axes=(Axis("time", "s", np.arange(RATE) / RATE),),
        logits=np.array([2.0, 0.0]),
        classes=("<siren>", "dog"),
        target=target,
        provenance={
            "placement": {"offset": 0, "start": start, "samples": RATE},
            "window": {"number": number, "window": RATE, "hop": hop},
            "recording_seconds": samples / RATE,
            "representation": {"name": "waveform", "options": {}},
            "explainer": {"name": "lrp"},
        },
    )


def long_explanation(seconds=3600, chosen=(10, 11, 4000), hop=RATE // 2, source="/data/an <hour>.wav"):
    """Scores of all windows, and explanations of those that are chosen."""
    samples, draw = seconds * RATE, np.random.default_rng(0)
    starts = range(0, samples - RATE + 1, hop)
    chances = draw.uniform(0, 0.5, len(starts))
    chances[list(chosen)] = np.linspace(0.9, 0.99, len(chosen))
    scores = [
        Scored(n, start, RATE, start / RATE, start / RATE + 1, "<siren>", 0.0, float(chance), "<siren>")
        for n, (start, chance) in enumerate(zip(starts, chances, strict=True))
    ]
    explanations = [explained(number, scores[number].start, hop, samples, source) for number in chosen]
    outline = np.sort(draw.uniform(-1, 1, (8000, 2)))
    weights = np.full(len(chosen), 1 / max(1, len(chosen)))
    return LongExplanation(source, RATE, samples, RATE, hop, scores, explanations, weights, outline, -(-samples // 8000))
