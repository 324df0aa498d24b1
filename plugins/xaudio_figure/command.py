"""`xaudio figure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from xaudio.plugin import (
    MODEL_HELP,
    DeviceOption,
    ModelError,
    OutputError,
    names_of,
    refuse_inside,
    save_figure,
    warn_about_plugins,
)

from .layout import Panels

if TYPE_CHECKING:
    from xaudio.plugin import Explanation

SAVED = "explanation.safetensors"
Format = Literal["pdf", "png", "svg"]


def figure(
    files: Annotated[
        list[Path],
        typer.Argument(
            help=f"What `xaudio explain` wrote: folders, or files such as {SAVED}. With --model, recordings, which are explained."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The figure: a name that ends in .pdf, .png or .svg.")],
    model: Annotated[
        str | None, typer.Option(help=f"{MODEL_HELP} Explains the recordings.", autocompletion=names_of("loader"))
    ] = None,
    explainer: Annotated[
        list[str] | None,
        typer.Option(
            help="Explainer of the recordings, with options; may be repeated. [default: lrp]",
            autocompletion=names_of("explainer"),
        ),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Class to explain; may be repeated. [default: the predicted one]")
    ] = None,
    view: Annotated[str | None, typer.Option(help="Domain to show the relevance in: time, frequency or time-frequency.")] = None,
    title: Annotated[list[str] | None, typer.Option(help="Title of each explanation, in their order; may be repeated.")] = None,
    columns: Annotated[int | None, typer.Option(min=1, help="Explanations side by side. [default: 1 to 3]")] = None,
    width: Annotated[float, typer.Option(min=1, max=40, help="Width of the figure in inches.")] = 7.0,
    panels: Annotated[
        Panels, typer.Option(help="Panels for relevance along a single axis: one, or signal, relevance and a segment.")
    ] = "auto",
    scale: Annotated[Literal["linear", "log", "mel"], typer.Option(help="Scale of the axes in Hz.")] = "linear",
    zoom: Annotated[str | None, typer.Option(help="Segment in seconds or Hz that is shown in detail, as in 0.2+0.3.")] = None,
    same_scale: Annotated[
        bool, typer.Option("--same-scale", help="Let a colour mean the same relevance in all explanations.")
    ] = False,
    dpi: Annotated[int, typer.Option(min=30, max=1200, help="Dots per inch of a PNG.")] = 300,
    device: DeviceOption = "auto",
) -> None:
    """Lay several explanations out in one figure for a paper, with one colour bar.

    Examples
    --------
    xaudio figure explained/ --out figure.pdf
    xaudio figure a.wav b.wav --model runs/digits --explainer lrp --explainer gradient --out figure.pdf
    """
    warn_about_plugins()
    form = out.suffix.lower().removeprefix(".")
    if form not in get_args(Format):
        raise OutputError(f"{out}: a figure's name ends in .pdf, .png or .svg.")
    refuse_inside(files, out)
    if model is None:
        refused = next((name for name, value in {"explainer": explainer, "target": target}.items() if value), None)
        if refused:
            raise OutputError(f"--{refused} needs --model and recordings; a saved explanation is shown as it is.")
        explanations = saved(files, view)
    else:
        explanations = explained(files, model, explainer, target, view, device)
    options = {} if zoom is None else {"zoom": zoom}
    from .layout import figure_of

    drawn = figure_of(
        explanations, titles=title, columns=columns, width=width, panels=panels, same_scale=same_scale, scale=scale, **options
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    print(
        f"Figure: {save_figure(drawn, out, dpi=dpi, format=form, metadata={'Title': '; '.join(x.title() for x in explanations)})}"
    )


def saved(paths: list[Path], view: str | None) -> list[Explanation]:
    """Explanations in files and, in the order of their names, in folders.

    Parameters
    ----------
    paths : list of Path
    view : str or None

    Raises
    ------
    ModelError
        If a folder holds none, or a file is none.
    """
    from xaudio.plugin import Explanation

    files = [file for path in paths for file in (sorted(path.rglob(SAVED)) if path.is_dir() else [path])]
    empty = next((path for path in paths if path.is_dir() and not any(path.rglob(SAVED))), None)
    if empty is not None:
        raise ModelError(f"{empty}: holds no {SAVED}; give what `xaudio explain` wrote, or recordings with --model.")
    items = [Explanation.load(file) for file in files]
    return items if view is None else [item.view(view) for item in items]


def explained(
    paths: list[Path], model: str, explainers: list[str] | None, targets: list[str] | None, view: str | None, device: str
) -> list[Explanation]:
    """Every recording explained for every class by every explainer.

    Parameters
    ----------
    paths : list of Path
    model : str
    explainers, targets : list of str or None
    view : str or None
    device : str
    """
    from xaudio.plugin import explain, load_model, read_audio

    loaded = load_model(model, device)
    clips = [read_audio(path, channels="all" if loaded.channels > 1 else None) for path in paths]
    asked: list[str | None] = [*targets] if targets else [None]
    return [
        item
        for explainer in explainers or ["lrp"]
        for target in asked
        for item in explain(loaded, clips, explainer=explainer, target=target, view=view)
    ]
