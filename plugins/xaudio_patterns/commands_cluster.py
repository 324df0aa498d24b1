"""`xaudio cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xaudio.plugin import (
    ChannelsOption,
    DataOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    ModelOption,
    OutOption,
    SeedOption,
    ShardOption,
    WorkersOption,
    counted,
    in_channels,
    print_end,
    print_json,
    shared_by,
    when_stopped,
)

from .commands_groups import explained
from .options import (
    AlignOption,
    DatasetOption,
    ExplainerOption,
    ExplanationsOption,
    FrequencyBinsOption,
    NormaliseOption,
    PartOption,
    RecordingsOption,
    TimeBinsOption,
    ViewOption,
)

if TYPE_CHECKING:
    from xaudio.plugin import KeptExplanations

    from .results import ClusterResult

RENDERERS = ("visual:dpi=70", "audible:format=flac,level=reference")
"""How medoids are shown and played."""


@when_stopped()
def cluster(
    model: ModelOption,
    out: OutOption,
    view: ViewOption = "frequency",
    dataset: DatasetOption = None,
    data: DataOption = None,
    channels: ChannelsOption = None,
    explainer: ExplainerOption = "lrp",
    part: PartOption = "train",
    recordings: RecordingsOption = None,
    clusters: Annotated[int | None, typer.Option(min=1, help="Number of clusters. [default: by the eigengap]")] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class/--together", help="Cluster the recordings of each predicted class by themselves, or all.")
    ] = True,
    neighbours: Annotated[
        int | None, typer.Option(min=1, help="Of each recording. [default: the logarithm of their number, at least 3]")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Most clusters that the eigengap may choose.")] = 8,
    surrogates: Annotated[
        int,
        typer.Option(min=0, help="Sets of points without clusters that the eigengap must beat; 0 for the largest gap as it is."),
    ] = 99,
    outlier: Annotated[float, typer.Option(help="Modified z-score from which on a recording is an outlier.")] = 3.5,
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
    """Cluster recordings by where their relevance lies, to find strategies that nobody looked for (SpRAy).

    Examples
    --------
    xaudio cluster --model runs/sex --view frequency --part train --out clusters
    """
    from .clusters import cluster_explanations
    from .pages import report_clusters, summary_of
    from .results import write_members

    options: dict[str, Any] = {
        "view": view,
        "clusters": clusters,
        "per_class": per_class,
        "neighbours": neighbours,
        "most": most,
        "surrogates": surrogates,
        "outlier": outlier,
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
        settings={"command": "cluster", **options},
    )
    result = kept.noted(cluster_explanations(kept.explanations, **options, classes=kept.dataset.tasks))
    kept.write(result, out)
    write_members(result, out / "members.csv")
    _render_medoids(result, kept.explanations, view, out)
    page = report_clusters(out)
    if as_json:
        print_json(result.model_dump())
        return
    for item in result.sets:
        chance = "" if item.chance is None else f", separation {item.separation:.2f}, chance {item.chance:.3f}"
        print(f"{item.name}: {counted(item.recordings, 'recording')}, gap {item.gap:.2f}{chance}")
        for part_of in item.clusters:
            print(f"  {summary_of(part_of, result.axes, result.grouped_by)}")
    print_end(result.notes, "Clusters", page)


def _render_medoids(result: ClusterResult, explanations: KeptExplanations, view: str, out: Path) -> None:
    """Pictures and sounds of the medoids."""
    from xaudio.plugin import progress

    from .pages import medoid_folders

    folders = medoid_folders(result)
    with progress("Drawing medoids", len(folders)) as advance:
        for name, _, cluster in folders:
            medoid = explanations[cluster.medoid].view(view)
            medoid.render(*RENDERERS, folder=out / name)
            medoid.save(out / name / "explanation.safetensors")
            advance()
