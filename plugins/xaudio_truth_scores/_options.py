"""Options that the scores share."""

from dataclasses import dataclass
from typing import Literal

Domain = Literal["auto", "time", "frequency", "time-frequency"]
Order = Literal["positive", "absolute", "signed"]
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
