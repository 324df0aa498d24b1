"""The option of explainers that take events as their parts; without numpy, so that the command line starts soon."""

from typing import Annotated

from typing_extensions import Doc

Parts = Annotated[
    str | None,
    Doc(
        "A file of events (words, syllables, sounds) that are the parts, instead of equal ones, or a folder with a file for each "
        "recording: Audacity labels, Raven selections, TextGrid, RTTM, JAMS, CSV or JSON lines. FILE#NAME takes one tier. What "
        "lies outside of all events is one part more; where events overlap, the overlap is a part of its own."
    ),
]
"""The option of explainers that take events as their parts."""
