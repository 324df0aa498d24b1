"""What every metric is: values of explanations, and whether higher or lower ones are better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from ..explanation.explanation import Explanation
from ..model.model import Model
from ..types import FloatArray

Better = Literal["higher", "lower", "none"]
"""Which values of a metric speak for an explanation; none if neither large nor small values do."""


class Metric(Protocol):
    """Measures explanations of one model.

    What cannot be measured raises `xaudio.DataError` or `xaudio.ModelError`: no value stands in for what is not known.
    `xaudio.plugin.check_explanations` refuses what no metric can use. One that compares explanations with what is known of the
    recording, its label or its truth, may say so by an attribute ``needs_truth = True``: a leaderboard then asks it about
    correctly predicted recordings only.
    """

    @property
    def better(self) -> Mapping[str, Better]:
        """For each value that a call returns, by its name, whether higher or lower ones are better."""

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> Mapping[str, FloatArray]:
        """Named values, one per explanation, finite.

        A value must not depend on the other explanations of the call. The model must be left as it was.

        Parameters
        ----------
        model : Model
            What was explained.
        explanations : sequence of Explanation
            One at least, all of this model, and in one domain.
        """
