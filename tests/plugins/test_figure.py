"""Several explanations on one figure, with one colour bar, and drawn into the axes of others."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image
from sounds import boxes, choices, clicks, of_samples, renamed
from torch import nn
from typer.testing import CliRunner

import xaudio
from xaudio import OutputError
from xaudio.cli.app import app
from xaudio_figure import figure_of


def strong():
    return boxes().with_relevance(10 * boxes().relevance)


def bars(figure):
    return [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_there_is_one_bar_and_a_panel_for_each(count):
    figure = figure_of([renamed(boxes(), f"/{number}.wav") for number in range(count)])
    assert len(bars(figure)) == 1
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes not in bars(figure)]
    letters = [""] if count == 1 else [f"({letter}) " for letter in "abcde"[:count]]
    assert [title.split(":")[0] for title in titles] == [f"{letter}{n}.wav" for n, letter in enumerate(letters)]
    assert bool(len(bars(figure)[0].get_yticks())) == (count == 1), "scales that differ have no numbers"


@pytest.mark.slow
@pytest.mark.parametrize(("count", "width"), [(1, 3), (2, 7), (3, 10), (4, 7)])
def test_the_words_of_the_bar_lie_within_the_figure(count, width):
    figure = figure_of([renamed(boxes(), f"/{number}.wav") for number in range(count)], width=width)
    figure.canvas.draw()
    words = bars(figure)[0].yaxis.label.get_window_extent()
    assert figure.bbox.y0 <= words.y0 < words.y1 <= figure.bbox.y1


def test_a_colour_is_the_same_relevance_where_that_is_asked_for():
    for same, ratio in ((False, 10), (True, 1)):
        first, second = figure_of([boxes(), strong()], same_scale=same).axes[:2]
        limits = [
            axes.images[-1].get_clim()[1] if axes.images else axes.collections[-1].get_clim()[1] for axes in (first, second)
        ]
        assert limits[1] / limits[0] == pytest.approx(ratio)


@pytest.mark.slow
def test_waveforms_have_three_panels_or_one_with_its_samples_coloured():
    assert len(figure_of([clicks(), clicks()]).axes) == 2 * 3 + 1
    figure = figure_of([clicks()] * 4)
    assert len(figure.axes) == 4 + 1
    assert len(figure_of([clicks(), boxes()]).axes) == 2 + 1
    (line,) = [item for item in figure.axes[0].collections if isinstance(item, LineCollection)]
    strongest = np.abs(line.get_array()) > 0
    assert strongest.sum() == 9, "every click keeps its colour, however many samples a column has"


def stereo(reads="raw:samples=4000,sample_rate=8000,channels=2"):
    """Two channels, the second much softer, whose relevance is their gradient."""

    class Both(nn.Module):
        def forward(self, features):
            energy = (features.flatten(2) ** 2).sum(2) @ torch.tensor([1.0, 2.0])
            return torch.stack([energy, -energy], 1)

    sound = np.random.default_rng(0).normal(0, 0.1, (2, 4000)).astype(np.float32) * [[1], [0.1]]
    return xaudio.explain(
        Both().eval(), sound, sample_rate=8000, channels="all", representation=reads, explainer="gradient", target=0, device="cpu"
    )


@pytest.mark.slow
def test_channels_lie_below_each_other_in_one_scale():
    figure = figure_of([stereo(), clicks()], titles=["both", "one"])
    axes = [item for item in figure.axes if item not in bars(figure)]
    assert len(axes) == 3 * 2 + 3
    assert [item.get_title(loc="left").split("\n")[0] for item in axes[::3]] == [
        "both",
        "Right channel, 17% of the relevance",
        "one",
    ]
    assert "Left channel, 83%" in axes[0].get_title(loc="left")
    figure.canvas.draw()
    heights = [item.get_position().y0 for item in axes[:6]]
    assert heights == sorted(heights, reverse=True)
    assert len({round(item.get_position().x0, 2) for item in axes[:6]}) == 1
    one = figure_of([stereo()], panels="one", same_scale=False)
    limits = [item.collections[-1].get_clim()[1] for item in one.axes if item not in bars(one)]
    assert len(limits) == 2
    assert limits[0] == limits[1], "a colour means the same in both channels"


@pytest.mark.parametrize("scale", ["log", "mel"])
@pytest.mark.parametrize("item", [boxes, lambda: choices()[1]], ids=["map", "spectrum"])
def test_frequencies_are_scaled(item, scale):
    axes = figure_of([item()], scale=scale, panels="one").axes[0]
    which = axes.yaxis if len(item().axes) == 2 else axes.xaxis
    low, high = which.get_view_interval()
    middle = which.get_transform().inverted().transform(np.mean(which.get_transform().transform(np.array([low, high]))))
    expected = np.sqrt(low * high) if scale == "log" else 700 * (10 ** (np.log10(1 + high / 700) / 2) - 1)
    assert middle == pytest.approx(expected, rel=0.02)
    assert high == pytest.approx(4000, rel=0.02)


def test_what_does_not_fit_is_one_line():
    with pytest.raises(OutputError, match="no explanation"):
        figure_of([])
    with pytest.raises(OutputError, match="2 titles for 1"):
        figure_of([boxes()], titles=["a", "b"])
    with pytest.raises(OutputError, match="single axis"):
        figure_of([boxes()], panels="three")


def test_an_explanation_is_drawn_into_axes_of_another_figure():
    figure = Figure()
    one, *three = figure.subplots(4, 1)
    assert boxes().plot(ax=one) is figure
    assert one.get_ylabel() == "Frequency (Hz)"
    clicks().plot(ax=three)
    clicks().plot(ax=one)
    assert len(figure.axes) == 4, "nothing is added"
    assert all(axes.has_data() for axes in figure.axes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_the_command_draws_what_was_saved(tmp_path, suffix):
    for number in range(2):
        folder = tmp_path / f"explained/{number}"
        folder.mkdir(parents=True)
        of_samples(np.ones(8000), np.ones(8000), source=f"/{number}.wav").save(folder / "explanation.safetensors")
    out = tmp_path / f"new/figure.{suffix}"
    arguments = ["figure", str(tmp_path / "explained"), "--out", str(out), "--dpi", "50", "--title", "One", "--title", "Other"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"Figure: {out}\n"
    start = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}[suffix]
    assert out.read_bytes().startswith(start)
    if suffix == "png":
        assert Image.open(out).width == 7 * 50


def test_the_command_explains_recordings(run_folder, recording, tmp_path):
    out = tmp_path / "figure.png"
    options = ["--explainer", "gradient", "--explainer", "random", "--dpi", "40"]
    done = CliRunner().invoke(app, ["figure", str(recording), "--model", str(run_folder), *options, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "figure.gif"], "ends in .pdf, .png or .svg"),
        (["--out", "figure.png"], "holds no explanation.safetensors"),
        (["--out", "figure.png", "--target", "9"], "--target needs --model"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["figure", "empty", *arguments])
    assert done.exit_code == 1 or told in str(done.exception)
    assert told in (done.output + str(done.exception))
