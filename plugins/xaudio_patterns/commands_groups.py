"""`xaudio groups`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from xaudio.plugin import (
    ChannelsOption,
    DataError,
    DataOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    ModelOption,
    OutOption,
    SeedOption,
    ShardOption,
    WorkersOption,
    convert,
    in_channels,
    prepare_command,
    print_end,
    print_json,
    print_table,
    shared_by,
    unknown,
    when_stopped,
)

from .options import (
    AlignOption,
    DatasetOption,
    ExplainerOption,
    ExplanationsOption,
    FrequencyBinsOption,
    Level,
    NormaliseOption,
    Part,
    PartOption,
    Permute,
    RecordingsOption,
    TimeBinsOption,
    ViewOption,
)

if TYPE_CHECKING:
    from xaudio.plugin import Dataset, KeptExplanations, Sharing

    from .results import ClusterResult, GroupRelevance

    Result = TypeVar("Result", GroupRelevance, ClusterResult)


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
    channels: ChannelsOption = None,
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
    workers: WorkersOption = None,
    engine: EngineOption = None,
    shard: ShardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mean relevance of classes and of groups of speakers, with differences tested and marked.

    Examples
    --------
    xaudio groups --model runs/sex --by sex --view frequency --out groups
    """
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
        dataset=in_channels(dataset, data, channels),
        data=data,
        explainer=explainer,
        part=part,
        recordings=recordings,
        device=device,
        sharing=shared_by(workers, engine, shard),
        settings={"command": "groups", **options},
    )
    result = kept.noted(group_relevance(kept.explanations, **options, classes=kept.dataset.tasks))
    kept.write(result, out)
    write_cells(result, out / "cells.csv")
    page = report_groups(out)
    if as_json:
        print_json(result.model_dump())
        return
    rows = [[item.group, item.against, str(item.marked), f"{item.smallest_p:.4f}"] for item in result.contrasts]
    print_table(["group", "against", "cells marked", "smallest corrected p"], rows)
    print_end(result.notes, "Groups", page)


class Kept(NamedTuple):
    """Recordings of a data set, explained, and what `xaudio.plugin.write_run` should get with the results."""

    dataset: Dataset
    explanations: KeptExplanations
    run: dict[str, Any]
    notes: list[str]

    def noted(self, result: Result) -> Result:
        """The result of these recordings, with what is to be said of them first."""
        return result.model_copy(update={"notes": [*self.notes, *result.notes]})

    def write(self, result: Result, out: Path) -> None:
        """Write ``run.json`` and ``results.json``."""
        from xaudio.plugin import write_json, write_run

        write_run(out, **self.run)
        write_json(out / "results.json", result.model_dump())


def explained(
    model: str,
    out: Path,
    folder: Path | None,
    *,
    dataset: str | None,
    data: Path | None,
    explainer: str,
    part: Part,
    recordings: int | None,
    device: str,
    sharing: Sharing,
    settings: dict[str, object],
) -> Kept:
    """Explain what a command asks for, after a look at its settings.

    Raises
    ------
    XaudioError
        If the folder holds the results of another command or settings, or anything does not fit.
    """
    from xaudio.plugin import (
        Opened,
        drawn,
        identity_of,
        in_one_window,
        kept_explanations,
        load_model,
        output_folder,
        parse_view,
        recordings_of,
        refuse_other_settings,
        training_notes,
    )

    prepare_command()
    parse_view(str(settings["view"]))
    loaded = load_model(model, device)
    held_out, indices = recordings_of(loaded, dataset, data, part)
    if settings.get("by", "class") not in ("class", "speaker", *held_out.tasks):  # before anything takes time
        raise DataError(unknown("grouping", str(settings["by"]), {"class", "speaker", *held_out.tasks}))
    chosen = drawn(indices, recordings, int(str(settings["seed"])))
    loaded, noted = in_one_window(loaded, held_out, chosen)
    settings = {**settings, **identity_of(loaded, held_out, explainer), "part": part, "recordings": recordings}
    refuse_other_settings(out, settings)
    place = folder or output_folder(out) / "explanations"
    opened = Opened(model, device, dataset, data, part, tuple(chosen.tolist()))
    explanations = kept_explanations(loaded, held_out, chosen, explainer, place, sharing=sharing, opened=opened)
    return Kept(held_out, explanations, {"settings": settings, "device": str(loaded.device)}, training_notes(loaded) + noted)
