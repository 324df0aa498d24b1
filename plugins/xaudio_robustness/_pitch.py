"""Whether an explanation of a speaker's sex points at the fundamental frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaudio.plugin import Better, DataError, Explanation, FloatArray, Model, PluginError, check_explanations


@dataclass(frozen=True)
class F0Hit:
    """1 if the frequency of maximal relevance lies in the range of fundamentals of the speaker's sex, else 0.

    Adult speech is commonly said to have its fundamental at 85 to 155 Hz in men and at 165 to 255 Hz in women; the default
    ranges, 50 to 155 and 165 to 300 Hz, add what lies outwards. The speaker's sex is the recording's label or, where that is
    unknown, the class that was explained.
    Relevance is summed over all but the frequency axis; relevance of samples is brought to frequencies first
    (`xaudio.Explanation.view`). The fundamental is loud: compare with the control ``amplitude``.
    """

    male: tuple[float, float]
    female: tuple[float, float]

    better: ClassVar[Mapping[str, Better]] = {"f0_hit": "higher"}

    def __post_init__(self) -> None:
        for name, (low, high) in (("male", self.male), ("female", self.female)):
            if not 0 <= low < high:
                raise PluginError(f"f0_hit: {name} is {low:g} to {high:g} Hz; expected 0 <= lowest < highest.")

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            "f0_hit": (n,), 0 or 1.

        Raises
        ------
        DataError
            If the classes are not male and female.
        ModelError
            For what `xaudio.plugin.check_explanations` refuses, and for relevance that cannot be brought to frequencies.
        """
        del model
        check_explanations(explanations)
        classes = [name.lower() for name in explanations[0].classes]
        if sorted(classes) != ["female", "male"]:
            raise DataError(
                f"f0_hit is for models that tell male from female voices, but the task {explanations[0].task!r} has the classes "
                f"{', '.join(explanations[0].classes)}; leave the metric out."
            )
        return {"f0_hit": np.array([self._hit(explanation, classes) for explanation in explanations], dtype=np.float64)}

    def _hit(self, explanation: Explanation, classes: Sequence[str]) -> bool:
        sex = explanation.target if explanation.label is None else explanation.label
        low, high = self.male if classes[sex] == "male" else self.female
        frequencies, relevance = _per_frequency(explanation)
        return bool(relevance.any()) and low <= frequencies[int(np.argmax(relevance))] <= high


def _per_frequency(explanation: Explanation) -> tuple[FloatArray, FloatArray]:
    """Frequencies in Hz, and the relevance of each."""
    names = [axis.name for axis in explanation.axes]
    seen = explanation if "frequency" in names else explanation.view("frequency")
    position = [axis.name for axis in seen.axes].index("frequency")
    others = tuple(axis for axis in range(seen.relevance.ndim) if axis != position + 1)
    return seen.axes[position].centres, seen.relevance.sum(axis=others, dtype=np.float64)
