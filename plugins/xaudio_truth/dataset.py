"""The data set: which recordings there are, and how one is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaudio.plugin import Clip, FloatArray, Fold, Recording, SpeakerDataset, digest_text

from .sounds import CARRIERS, RATE, SLOTS, Sound, background, carriers, clever_hans, conjunction, slot

VERSION = 1
"""Of the sounds: counts up when a recording would sound otherwise, and goes into the fingerprint."""

NAMES = tuple("ABCD")
"""Of the carriers."""
TASKS = {
    "carriers": tuple("".join(name for bit, name in enumerate(NAMES) if label >> bit & 1) or "none" for label in range(16)),
    "slot": tuple(str(number + 1) for number in range(SLOTS)),
    "conjunction": ("rising", "falling"),
    "clever_hans": NAMES,
}
GROUPS, FOLDS = 10, 5
"""Recordings are dealt to groups in turn; a fold is tested on two of them."""
TESTED = tuple(tuple(range(fold * GROUPS // FOLDS, (fold + 1) * GROUPS // FOLDS)) for fold in range(FOLDS))
"""Groups that each fold is tested on."""
LEVEL = (0.05, 0.1)
"""Limits of the root mean square of the tones."""


class TruthDataset(SpeakerDataset):
    """The generated recordings; the click of clever_hans follows the label by recording, so it has one fold only."""

    def folds(self, task: str) -> tuple[Fold, ...]:
        """Folds of a task; see `xaudio.plugin.SpeakerDataset.folds`."""
        speaker_folds = super().folds(task)
        return speaker_folds[:1] if task == "clever_hans" else speaker_folds

    def evidence(self, index: int) -> FloatArray:
        """The part of a recording that is the evidence for its class, (samples,), as it sounds within the recording."""
        reader = self.read
        if not isinstance(reader, Reader):
            raise TypeError(f"the recordings of {self.title} are not made by this data set")
        return reader.made(self.recordings[index])[1]


@dataclass(frozen=True)
class Reader:
    """Makes the clip of a recording.

    Parameters
    ----------
    fewest_others, most_others, noise, planted, seed
        See `xaudio_truth.truth`.
    """

    fewest_others: int
    most_others: int
    noise: float
    planted: float
    seed: int

    def __call__(self, recording: Recording) -> Clip:
        """The clip of a recording, with its truth."""
        return self.made(recording)[0]

    def made(self, recording: Recording) -> tuple[Clip, FloatArray]:
        """The clip of a recording, with its truth, and the part of its waveform that is the evidence, (samples,)."""
        task, index = _parse(recording.source)
        rng = np.random.default_rng((self.seed, list(TASKS).index(task), index))
        label = recording.labels[task]
        if not isinstance(label, int):
            raise ValueError(f"{recording.source} has no label")
        level = rng.uniform(*LEVEL)
        sound = self.sound(task, label, index, rng)
        gain = level / np.sqrt(sound.power)
        waveform = (sound.waveform + background(self.noise, rng)) * gain
        truth = {f"boxes.{task}": np.array(sound.boxes)}
        if sound.decoys:
            truth[f"decoys.{task}"] = np.array(sound.decoys)
        clip = Clip(
            waveform.astype(np.float32),
            RATE,
            labels=recording.labels,
            speaker=recording.speaker,
            source=recording.source,
            truth=truth,
        )
        return clip, np.asarray(sound.evidence * gain)

    def sound(self, task: str, label: int, index: int, rng: np.random.Generator) -> Sound:
        """The sound of a recording with a label, without noise and before it is brought to its level."""
        if task == "slot":
            return slot(label, rng)
        if task == "conjunction":
            return conjunction(label, rng)
        others = int(rng.integers(self.fewest_others, self.most_others + 1))
        if task == "carriers":
            return carriers([bool(label >> bit & 1) for bit in range(len(CARRIERS))], others, rng)
        return clever_hans(label, others, self.planted, index % GROUPS not in TESTED[0], rng)

    def fingerprint(self, recordings: Sequence[Recording]) -> str:
        """A hash of the options, the recordings' names and the version of the sounds."""
        return digest_text(VERSION, self, [recording.source for recording in recordings])

    def contents(self, recordings: Sequence[Recording]) -> list[str]:
        """One of each recording: what is drawn is the same, whatever the noise and the number of other tones."""
        return [f"{VERSION} {self.seed} {recording.source}" for recording in recordings]


def _parse(source: str) -> tuple[str, int]:
    """Task and number of a recording, from its name."""
    task, _, index = source.rpartition("_")
    return task, int(index)


def make_dataset(
    recordings: int, fewest_others: int, most_others: int, noise: float, planted: float, seed: int
) -> SpeakerDataset:
    """The data set with these options, which have been checked; see `xaudio_truth.truth`."""
    reader = Reader(fewest_others, most_others, noise, planted, seed)
    return TruthDataset(
        name="truth",
        title=f"sounds with truth ({recordings} of each task, seed {seed})",
        tasks=TASKS,
        recordings=[
            # Groups take turns, and within each group the classes.
            Recording(f"{task}_{index:05d}", f"group{index % GROUPS}", {task: index // GROUPS % len(classes)})
            for task, classes in TASKS.items()
            for index in range(recordings)
        ],
        test_speakers={task: [[f"group{group}" for group in groups] for groups in TESTED] for task in TASKS},
        fit="error",
        resampling="fft",
        notes=(
            "Generated; there is no real sound in it.",
            "The click of clever_hans follows the class in training and validation, and is drawn in the test.",
        ),
        read=reader,
        fingerprint_of=reader.fingerprint,
        synthetic=True,
        contents_of=reader.contents,
    )
