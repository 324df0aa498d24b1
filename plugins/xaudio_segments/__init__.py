"""Segments of recordings as tables and label tracks, and those of other programs as events and parts."""

from typing import TYPE_CHECKING, Any, Literal

from xaudio.plugin import Amount, Count, PositiveShare, attach, hookimpl

if TYPE_CHECKING:
    from ._events import Event as Event
    from ._finding import Segment as Segment
    from ._options import Parts as Parts
    from ._reading import read_events as read_events
    from .parts import Partition as Partition, partition as partition, partitions as partitions

Shape = Literal["auto", "time", "boxes"]

ORIGINS = {
    "Event": "_events",
    "Partition": "parts",
    "Parts": "_options",
    "Segment": "_finding",
    "partition": "parts",
    "partitions": "parts",
    "read_events": "_reading",
}
# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(__name__, {name: f"{__name__}.{module}" for name, module in ORIGINS.items()})

FORMATS = ("csv", "jsonl", "audacity", "raven", "rttm", "textgrid", "clips")


def segments(
    *,
    shape: Shape = "auto",
    mass: PositiveShare = 0.5,
    smooth_ms: Amount = 50.0,
    smooth_hz: Amount = 0.0,
    shortest_ms: Amount = 20.0,
    gap_ms: Amount = 50.0,
    most: Count = 30,
    parts: str | None = None,
    formats: tuple[str, ...] = FORMATS,
) -> Any:
    """Segments of relevance as tables and label tracks that other programs read, and each as a sound.

    A segment is a stretch of time, or a box of time and frequency, in which the smoothed relevance is large; its relevance is
    the sum of that of its cells as they are, not smoothed, and of a box that of the connected cells which it bounds. What
    lies in no segment is the row "rest" of the table: the relevance of all rows sums to that of the explanation. Times are
    seconds of the recording, to the sample.

    Parameters
    ----------
    shape : {"auto", "time", "boxes"}
        "time": stretches of time; "boxes": boxes of time and frequency, in the time-frequency view where the model reads
        samples; "auto": as the relevance lies.
    mass : float
        The cells of largest smoothed relevance that together hold this share of its magnitude belong to segments.
    smooth_ms, smooth_hz : float
        Widths over which the relevance is averaged to find them; 0 for not at all.
    shortest_ms : float
        Shorter segments belong to the rest.
    gap_ms : float
        Gaps up to this length between two stretches of the same sign are closed.
    most : int
        Of more segments the smaller ones, by the magnitude of their relevance, belong to the rest.
    parts : str or none
        A file of events, or a folder with one for each recording: the relevance of each of them instead, as in
        words.TextGrid#words; by default the parts that the explainer was given, if it was.
    formats : names
        What is written, joined by +: csv and jsonl (tables with all there is), audacity (labels, with frequencies for
        boxes), raven (a selection table), rttm, textgrid (Praat), and clips (a sound of each). Of several explanations
        the tables are written once more for all together; audacity and textgrid only where all are of one recording.
    """
    from ._finding import Finder
    from ._renderer import Segments

    return Segments(Finder(shape, smooth_ms, smooth_hz, mass, shortest_ms, gap_ms, most), parts, formats)


@hookimpl
def xaudio_renderers() -> dict[str, Any]:
    """The renderer ``segments``."""
    return {"segments": segments}
