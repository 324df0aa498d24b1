"""What the commands `groups` and `cluster` and their functions have in common: types of options, and the words for them."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from annotated_types import Ge, Gt, Lt

from xaudio.plugin import names_of

Normalise = Literal["magnitude", "positive", "none"]
"""How recordings are made comparable, after binning.

``magnitude`` divides by the sum of magnitudes, so that cells are signed shares; ``positive`` keeps what speaks for the
class and divides by its sum; ``none`` leaves the explainer's scale, where recordings with large logits count most.
"""

Align = Literal["start", "duration", "window"]
"""Where time 0 is: the recording's start, also of one that was cut; the start of what the model hears of it, with times as
shares of its duration; or the start of the window that the model hears, in which short recordings lie at random places."""

Permute = Literal["auto", "speakers", "within-speakers", "recordings"]
"""What is exchanged between groups under the null hypothesis; see `group_relevance`."""

Part = Literal["test", "train", "all"]
"""Which recordings of a data set."""

Level = Annotated[float, Gt(0), Lt(1)]
"""A family-wise error."""

Surrogates = Annotated[int, Ge(0)]
"""Sets of points without clusters."""

DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set, with options as in synthetic:speakers=40. [default: that of the training]",
        autocompletion=names_of("dataset"),
    ),
]
ExplainerOption = Annotated[
    str,
    typer.Option(
        "--explainer", help="Explainer, with options as in lrp:composite=epsilon_plus.", autocompletion=names_of("explainer")
    ),
]
ViewOption = Annotated[
    str,
    typer.Option(
        "--view", help="time, frequency or time-frequency, the last with options as in time-frequency:length=455,hop=35."
    ),
]
PartOption = Annotated[
    Part,
    typer.Option("--part", help="Recordings that the model never heard, those it was trained on, or all."),
]
RecordingsOption = Annotated[int | None, typer.Option("--recordings", min=1, help="At most so many, drawn at random.")]
ExplanationsOption = Annotated[
    Path | None,
    typer.Option(
        "--explanations",
        help="Folder that keeps the explanations, so that other commands need not explain again. [default: in --out]",
    ),
]
NormaliseOption = Annotated[
    Normalise,
    typer.Option(
        "--normalise", help="What each recording's relevance is divided by: the sum of magnitudes, or of what is positive."
    ),
]
AlignOption = Annotated[
    Align,
    typer.Option("--align", help="Time 0: the start of the recording (duration: stretched to one length), or of the window."),
]
FrequencyBinsOption = Annotated[int | None, typer.Option("--frequency-bins", min=1, help="[default: 64; in time-frequency 32]")]
TimeBinsOption = Annotated[int | None, typer.Option("--time-bins", min=1, help="[default: 64; in time-frequency 24]")]
