"""Options that the scores share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

Domain = Annotated[
    Literal["auto", "time", "frequency", "time-frequency"],
    Doc('Where to measure; "auto" is the domain of the explanation, or that of the truth if it says nothing there.'),
]
Truth = Annotated[str, Doc("Entry of the recording's truth, such as decoys.carriers; by default boxes.TASK.")]
Margin = Annotated[float, Ge(0), Doc("By which the boxes of the truth are made larger on either side, in s or Hz.")]
Order = Annotated[Literal["positive", "absolute", "signed"], Doc("max(R, 0), |R|, or R as it is.")]
"""What orders the cells."""
Share = Literal["positive", "absolute"]
"""What is shared among the cells; of signed relevance there are no shares."""


@dataclass(frozen=True)
class Cells:
    """Which cells are compared with which truth; see `xaudio_truth_scores.relevance_mass`."""

    domain: Domain
    sign: Order
    truth: str
    margin_s: float
    margin_hz: float

    @property
    def of_decoys(self) -> bool:
        """Whether the truth tells what says nothing, rather than where the evidence lies."""
        return self.truth.startswith("decoys.")
