"""`xaudio groups`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from xaudio.plugin import (
    DataError,
    DataOption,
    DeviceOption,
    JsonOption,
    OutOption,
    SeedOption,
    convert,
    print_json,
    print_table,
    unknown,
    warn_about_plugins,
    when_stopped,
)

from .options import (
    AlignOption,
    DatasetOption,
    ExplainerOption,
    ExplanationsOption,
    FrequencyBinsOption,
    Level,
    ModelOption,
    NormaliseOption,
    Part,
    PartOption,
    Permute,
    RecordingsOption,
    TimeBinsOption,
    ViewOption,
)

if TYPE_CHECKING:
    from xaudio.plugin import Dataset, KeptExplanations


@when_stopped()
def groups(
    model: ModelOption,
    out: OutOption,
    by: Annotated[
        str, typer.Option(help="class (the explained one), speaker, or a task of the data set, such as sex.")
    ] = "class",
    view: ViewOption = "frequency",
    dataset: DatasetOption = None,
    data: DataOption = None,
    explainer: ExplainerOption = "lrp",
    part: PartOption = "test",
    recordings: RecordingsOption = None,
    permute: Annotated[
        Permute,
        typer.Option(help="What the test exchanges between groups; auto: speakers, if each is in one group."),
    ] = "auto",
    permutations: Annotated[int, typer.Option(min=1, help="Of the test.")] = 1999,
    level: Annotated[
        float, typer.Option(help="Family-wise error: the chance that anything is marked where nothing differs.")
    ] = 0.05,
    normalise: NormaliseOption = "magnitude",
    align: AlignOption = "start",
    frequency_bins: FrequencyBinsOption = None,
    time_bins: TimeBinsOption = None,
    explanations: ExplanationsOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Mean relevance of classes and of groups of speakers, with differences tested and marked."""
    from xaudio.plugin import write_json, write_run

    from .groups import group_relevance
    from .pages import report_groups
    from .results import write_cells

    options: dict[str, Any] = {
        "view": view,
        "by": by,
        "permute": permute,
        "permutations": permutations,
        "level": convert("level", Level, level),
        "normalise": normalise,
        "align": align,
        "frequency_bins": frequency_bins,
        "time_bins": time_bins,
        "seed": seed,
    }
    kept = explained(
        model,
        out,
        explanations,
        dataset=dataset,
        data=data,
        explainer=explainer,
        part=part,
        recordings=recordings,
        device=device,
        settings={"command": "groups", **options},
    )
    result = group_relevance(kept.explanations, **options, classes=kept.dataset.tasks)
    write_run(out, **kept.run)
    write_json(out / "results.json", result.model_dump())
    write_cells(result, out / "cells.csv")
    page = report_groups(out)
    if as_json:
        print_json(result.model_dump())
        return
    rows = [[item.group, item.against, str(item.marked), f"{item.smallest_p:.4f}"] for item in result.contrasts]
    print_table(["group", "against", "cells marked", "smallest corrected p"], rows)
    for note in result.notes:
        print(f"note: {note}")
    print(f"Groups: {page}")


class Kept(NamedTuple):
    """Recordings of a data set, explained, and what `xaudio.plugin.write_run` should get with the results."""

    dataset: Dataset
    explanations: KeptExplanations
    run: dict[str, Any]


def explained(
    model: Path,
    out: Path,
    folder: Path | None,
    *,
    dataset: str | None,
    data: Path | None,
    explainer: str,
    part: Part,
    recordings: int | None,
    device: str,
    settings: dict[str, object],
) -> Kept:
    """Explain what a command asks for, after a look at its settings.

    Raises
    ------
    XaudioError
        If the folder holds the results of another command or settings, or anything does not fit.
    """
    from xaudio.plugin import (
        drawn,
        identity_of,
        keep_large_buffers,
        kept_explanations,
        load_model,
        output_folder,
        parse_view,
        recordings_of,
        refuse_other_settings,
    )

    warn_about_plugins()
    keep_large_buffers()
    parse_view(str(settings["view"]))
    loaded = load_model(model, device)
    found, indices = recordings_of(loaded, dataset, data, part)
    if settings.get("by", "class") not in ("class", "speaker", *found.tasks):  # before anything takes time
        raise DataError(unknown("grouping", str(settings["by"]), {"class", "speaker", *found.tasks}))
    chosen = drawn(indices, recordings, int(str(settings["seed"])))
    settings = {**settings, **identity_of(loaded, found, explainer), "part": part, "recordings": recordings}
    refuse_other_settings(out, settings)
    explanations = kept_explanations(loaded, found, chosen, explainer, folder or output_folder(out) / "explanations")
    return Kept(found, explanations, {"settings": settings, "device": str(loaded.device)})
