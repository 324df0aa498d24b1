"""The pictures: planted relevance must be found again in the pixels."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from pictured import RATE, SAMPLES, Levels, Samples, explanation

from xaudio import OutputError, PluginError, create
from xaudio.output import canvas
from xaudio.plugin import AGAINST, FOR, Axis
from xaudio_visual import _thinning
from xaudio_visual._visual import Visual


@pytest.fixture
def planted():
    relevance = np.zeros((1, 20, 40))
    relevance[0, 2:6, 5:12] = 3.0
    relevance[0, 12:16, 25:32] = -3.0
    return explanation(Levels(), relevance)


@pytest.fixture
def planted_samples():
    relevance = np.zeros((1, SAMPLES))
    relevance[0, 610:620] = 2.0
    relevance[0, 620:630] = -2.0
    return explanation(Samples(), relevance)


def pixel(figure, axes, x, y):
    """Colour (0 to 1) of a figure at a place given in the units of its axes."""
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    column, row = axes.transData.transform((x, y))
    return image[image.shape[0] - 1 - int(row), int(column)]


@pytest.mark.slow
def test_red_where_relevance_was_planted_for_and_blue_against(planted):
    figure = Visual().figure(planted)
    axes = figure.axes[0]
    assert pixel(figure, axes, 0.2, 100) == pytest.approx(to_rgb(FOR), abs=0.01)
    assert pixel(figure, axes, 0.7, 350) == pytest.approx(to_rgb(AGAINST), abs=0.01)
    loud, quiet = pixel(figure, axes, 0.5, 470), pixel(figure, axes, 0.5, 5)
    assert np.ptp(loud) == np.ptp(quiet) == 0, "there is no relevance there: it must be grey"
    assert loud[0] == pytest.approx(0.2, abs=0.05)
    assert quiet[0] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_weaker_relevance_is_paler_and_the_level_shines_through():
    relevance = np.zeros((1, 20, 40))
    relevance[0, :, 10:13], relevance[0, :, 20:23] = 4.0, 1.0
    figure = Visual(percentile=100).figure(explanation(Levels(), relevance))
    axes = figure.axes[0]
    strong, weak = pixel(figure, axes, 0.275, 5), pixel(figure, axes, 0.525, 5)
    assert strong[1] < weak[1] < 1
    assert pixel(figure, axes, 0.525, 470)[1] < weak[1] - 0.3


@pytest.mark.slow
def test_axes_and_cells_are_where_their_centres_say(planted):
    figure = Visual().figure(planted)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Time (s)", "Frequency (Hz)")
    assert axes.get_xlim() == pytest.approx((-0.0125, 0.9875))
    assert axes.get_ylim() == pytest.approx((-12.5, 487.5))
    # Rows 2 to 5 are centred at 50 to 125 Hz, columns 5 to 11 at 0.125 to 0.275 s.
    for x, y in ((0.115, 40), (0.285, 135)):
        assert pixel(figure, axes, x, y) == pytest.approx(to_rgb(FOR), abs=0.01)
    for x, y in ((0.105, 100), (0.295, 100), (0.2, 30), (0.2, 145)):
        assert np.ptp(pixel(figure, axes, x, y)) == 0


@pytest.mark.slow
def test_time_lies_horizontally_whatever_the_order_of_the_axes(planted):
    class Turned(Levels):
        axes = Levels.axes[::-1]

        def __call__(self, waveforms):
            return Levels.__call__(self, waveforms).transpose(2, 3)

    turned = explanation(Turned(), planted.relevance.transpose(0, 2, 1))
    pictures = []
    for item in (planted, turned):
        figure = Visual().figure(item)
        figure.canvas.draw()
        pictures.append(np.array(figure.canvas.buffer_rgba()))
    np.testing.assert_array_equal(*pictures)


@pytest.mark.slow
def test_uneven_axis(planted):
    class Octaves(Levels):
        axes = (Axis("frequency", "Hz", 10 * 1.25 ** np.arange(20)), Levels.axes[1])

    figure = Visual().figure(explanation(Octaves(), planted.relevance))
    centres = Octaves.axes[0].centres
    assert pixel(figure, figure.axes[0], 0.7, centres[13]) == pytest.approx(to_rgb(AGAINST), abs=0.01)
    assert np.ptp(pixel(figure, figure.axes[0], 0.7, centres[11])) == 0


@pytest.mark.slow
def test_channels_are_summed(planted):
    two = np.concatenate([planted.relevance, -planted.relevance + np.eye(20, 40)[None]])
    figure = Visual().figure(explanation(Levels(), two))
    assert np.ptp(pixel(figure, figure.axes[0], 0.2, 100)) == 0
    assert pixel(figure, figure.axes[0], 0.25, 250) == pytest.approx(to_rgb(FOR), abs=0.01)


@pytest.mark.slow
def test_title_names_what_a_reader_must_know(planted):
    title = " ".join(Visual().figure(planted).get_suptitle().split("\n"))
    for part in (
        "digit",
        "predicted 'one' (70%)",
        "explained 'zero' (20%)",
        "truth 'zero'",
        "lrp:epsilon=1e-06",
        "Some Digits",
        "no bias",
    ):
        assert part in title
    assert "zero.wav" in title
    assert "/where" not in title
    same = replace(planted, target=1, clip=replace(planted.clip, labels={}))
    title = Visual().figure(same).get_suptitle()
    assert "predicted and explained 'one' (70%)" in title
    assert "truth" not in title
    labels = [axes.get_ylabel() for axes in Visual().figure(planted).axes[1:]]
    assert labels == ["Level (dB)", "Relevance (red: for 'zero', blue: against)"]


@pytest.mark.slow
def test_title_fits_the_picture(planted):
    long = {"explainer": {"name": "lrp", "options": {f"option_{i}": "some_value" for i in range(8)}}, "data": "A " * 60}
    figure = Visual().figure(replace(planted, provenance=long))
    figure.canvas.draw()
    box, picture = figure._suptitle.get_window_extent(), figure.bbox
    assert 0 <= box.x0 < box.x1 <= picture.x1
    assert figure.axes[0].get_window_extent().y1 < box.y0 < box.y1 <= picture.y1


@pytest.mark.slow
def test_names_are_not_read_as_formulas(planted, tmp_path):
    odd = replace(planted, classes=(r"$\frac{$", "$x^2$", "{}%"), task="$_$")
    assert Visual(dpi=40)(odd, tmp_path)[0].stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["planted", "planted_samples"])
def test_png_has_the_size_that_was_asked_for(shape, request, tmp_path):
    (path,) = Visual(dpi=50)(request.getfixturevalue(shape), tmp_path)
    assert path == tmp_path / "explanation.png"
    height, width, _ = imread(path).shape
    inches = Visual().figure(request.getfixturevalue(shape)).get_size_inches()
    assert (width, height) == pytest.approx(tuple(inches * 50), abs=1)
    assert list(tmp_path.iterdir()) == [path]


def test_png_says_what_it_shows(planted, tmp_path):
    (path,) = Visual(dpi=40)(planted, tmp_path)
    assert planted.title().encode() in path.read_bytes()


@pytest.mark.slow
def test_svg_and_pdf(planted_samples, tmp_path):
    (svg,) = Visual(format="svg")(planted_samples, tmp_path)
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    (pdf,) = Visual(format="pdf")(planted_samples, tmp_path)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert {path.name for path in tmp_path.iterdir()} == {"explanation.svg", "explanation.pdf"}


def bars_of(panel):
    """Places and heights of the bars of each colour; each stands on 0."""
    bars = {}
    for patch in panel.patches:
        if not patch.get_fill():
            feet, ends = patch.get_path().vertices[::2], patch.get_path().vertices[1::2]
            assert (feet[:, 1] == 0).all()
            assert (feet[:, 0] == ends[:, 0]).all()
            bars[to_hex(patch.get_edgecolor())] = (ends[:, 0], ends[:, 1])
    return bars


def test_waveform_panels(planted_samples):
    figure = Visual().figure(planted_samples)
    whole, below, detail, bar = figure.axes
    np.testing.assert_allclose(whole.lines[0].get_ydata(), planted_samples.clip.waveform)
    bars = bars_of(below)
    np.testing.assert_allclose(bars[FOR], (np.arange(610, 620) / RATE, np.full(10, 2.0)))
    np.testing.assert_allclose(bars[AGAINST], (np.arange(620, 630) / RATE, np.full(10, -2.0)))
    assert [panel.get_xlabel() for panel in (whole, below, detail)] == ["Time (s)"] * 3
    assert "red: for 'zero', blue: against" in bar.get_ylabel()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("no", "Relevance\n(red: for 'no', blue: against)"),
        ("high tone", "Relevance\n(red: for 'high tone',\nblue: against)"),
        ("high tone, 0.5 to 0.7 s", "Relevance\n(red: for 'high tone, 0.5 to 0.7\ns', blue: against)"),
    ],
)
def test_what_colours_mean_stands_in_as_few_lines_as_fit_beside_a_panel(planted_samples, name, label):
    *_, bar = Visual().figure(replace(planted_samples, classes=(name, *planted_samples.classes[1:]))).axes
    assert bar.get_ylabel() == label


@pytest.mark.slow
def test_detail_shows_single_samples_in_their_colours(planted_samples):
    figure = Visual().figure(planted_samples)
    figure.canvas.draw()
    (points,) = figure.axes[2].collections
    places = np.asarray(points.get_offsets())
    assert len(places) == 50, "50 ms at 1 kHz"
    samples = np.round(places[:, 0] * RATE).astype(int)
    np.testing.assert_allclose(places[:, 1], planted_samples.clip.waveform[samples], rtol=1e-6)
    for sample, colour in zip(samples, points.get_facecolors()[:, :3], strict=True):
        expected = to_rgb(FOR) if 610 <= sample < 620 else to_rgb(AGAINST) if 620 <= sample < 630 else (1, 1, 1)
        assert tuple(colour) == pytest.approx(expected, abs=0.01)


def test_default_segment_holds_the_most_relevance_as_a_slow_search_finds_it():
    relevance = np.random.default_rng(0).standard_normal((1, SAMPLES)) ** 5
    figure = Visual().figure(explanation(Samples(), relevance))
    shown = np.asarray(figure.axes[2].collections[0].get_offsets())[:, 0]
    slow = max(range(SAMPLES - 50 + 1), key=lambda start: np.abs(relevance[0, start : start + 50].astype(np.float32)).sum())
    assert shown[0] == pytest.approx(slow / RATE)


def test_zoom_chooses_the_segment(planted, planted_samples):
    figure = Visual(zoom=(0.5, 0.55)).figure(planted_samples)
    shown = np.asarray(figure.axes[2].collections[0].get_offsets())[:, 0]
    np.testing.assert_allclose(shown, np.arange(500, 550) / RATE)
    assert Visual(zoom=(0.1, 0.3)).figure(planted).axes[0].get_xlim() == (0.1, 0.3)


@pytest.mark.parametrize("shape", ["planted", "planted_samples"])
def test_zoom_outside_of_the_recording(shape, request):
    with pytest.raises(OutputError, match=r"zoom 2 to 3 .* choose another"):
        Visual(zoom=(2, 3)).figure(request.getfixturevalue(shape))


def test_single_axis_of_another_kind():
    class Spectrum(Levels):
        axes = (Levels.axes[0],)

        def __call__(self, waveforms):
            return torch.arange(20.0).expand(len(waveforms), 1, 20)

    figure = Visual().figure(explanation(Spectrum(), np.eye(1, 20, 7)[None][0]))
    assert figure.axes[0].get_xlabel() == "Frequency (Hz)"
    assert figure.axes[0].get_ylabel() == "Level (dB)"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), np.arange(20))


def test_colour_saturates_at_the_percentile(planted):
    relevance = np.zeros((1, 20, 40))
    relevance[0, 0] = np.arange(1, 41)
    item = explanation(Levels(), relevance)
    assert Visual(percentile=50).limit(item) == pytest.approx(20.5)
    assert Visual(percentile=100).limit(item) == 40
    assert Visual().limit(planted) == 3


def test_no_relevance_is_said(planted, planted_samples):
    for item in (planted, planted_samples):
        nothing = item.with_relevance(np.zeros_like(item.relevance))
        assert Visual().limit(nothing) == 1
        assert "no relevance" in Visual().figure(nothing).get_suptitle()
    assert "no relevance" not in Visual().figure(planted).get_suptitle()


@pytest.mark.slow
def test_panels_can_be_composed(planted, planted_samples):
    figure = Figure()
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2).ravel()
    Visual().draw_spectrogram(panels[0], planted)
    Visual().draw(planted_samples, *panels[1:])
    assert pixel(figure, panels[0], 0.2, 100) == pytest.approx(to_rgb(FOR), abs=0.01)
    assert len(panels[3].collections) == 1
    with pytest.raises(OutputError, match="got 2 axes and 3 panels"):
        Visual().draw(planted, *panels[1:])


def test_pyplot_keeps_no_figure(planted, tmp_path):
    import matplotlib.pyplot as pyplot

    before = pyplot.get_fignums()
    Visual(dpi=40)(planted, tmp_path)
    assert pyplot.get_fignums() == before


def test_three_axes_are_refused(planted):
    cube = replace(planted, axes=(*planted.axes, planted.axes[0]), relevance=np.zeros((1, 20, 40, 20)))
    with pytest.raises(OutputError, match="3 axes"):
        Visual().figure(cube)


@pytest.mark.slow
def test_relevance_that_is_not_a_number_is_refused(planted, tmp_path):
    with pytest.raises(OutputError, match=r"zero\.wav holds NaN"):
        Visual()(replace(planted, relevance=np.full_like(planted.relevance, np.nan)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(planted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Visual(dpi=40)(planted, tmp_path / "file")


@pytest.mark.slow
def test_failure_leaves_the_old_picture(planted, tmp_path, monkeypatch):
    (path,) = Visual(dpi=40)(planted, tmp_path)
    before = path.read_bytes()

    def full(figure, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(canvas, "write_png", full)
    with pytest.raises(OutputError, match="No space left"):
        Visual(dpi=40)(planted, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dpi": 0}, "dpi"),
        ({"percentile": 0}, "percentile"),
        ({"percentile": 101}, "percentile"),
        ({"zoom": (0.5, 0.4)}, "zoom"),
        ({"format": "gif"}, "format"),
        ({"zom": 1}, "Did you mean 'zoom'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(PluginError, match=message):
        create("renderer", "visual", **options)


def test_options_reach_the_renderer():
    made = create("renderer", "visual", dpi="72", percentile="90", format="svg", zoom=(0.1, 0.2))
    assert made == Visual(dpi=72, percentile=90, format="svg", zoom=(0.1, 0.2))


@pytest.fixture
def two_tones():
    """A waveform explanation of a sound of 100 and 300 Hz, 100 Hz for the class and 300 Hz against it in its second half."""
    time = np.arange(SAMPLES) / RATE
    low, high = np.sin(2 * np.pi * 100 * time), np.sin(2 * np.pi * 300 * time) * (time >= 0.5)
    sound = low + high
    relevance = sound * 2 * (low - high)
    item = explanation(create("representation", "waveform", sample_rate=RATE, samples=SAMPLES), relevance[None])
    return replace(item, clip=replace(item.clip, waveform=sound.astype(np.float32)))


@pytest.mark.slow
def test_frequency_view_is_a_curve_of_relevance_per_frequency(two_tones):
    seen = two_tones.view("frequency")
    figure = Visual(percentile=100).figure(seen)
    spectrum, below, detail = figure.axes[:3]
    assert [panel.get_xlabel() for panel in (spectrum, below, detail)] == ["Frequency (Hz)"] * 3
    assert spectrum.get_ylabel() == "Level (dB)"
    np.testing.assert_array_equal(spectrum.lines[0].get_xydata(), np.stack([np.arange(501), seen.features[0]], axis=1))
    assert spectrum.get_xlim() == (0, 500)
    assert "every frequency" in below.get_title(loc="left")
    assert "sample" not in detail.get_title(loc="left")
    assert "lrp:epsilon=1e-06 · frequency view" in figure.get_suptitle()
    total = next(panel for panel in figure.axes if "Sum up to here" in panel.get_ylabel())
    climb = np.asarray(total.lines[0].get_ydata())
    assert climb[-1] == pytest.approx(two_tones.relevance.sum(), rel=1e-6)
    assert climb[200] == pytest.approx(1000, rel=0.05)
    bars = bars_of(below)
    assert max(bars[FOR][1]) == pytest.approx(seen.relevance.max())
    assert min(bars[AGAINST][1]) == pytest.approx(seen.relevance.min())
    assert Visual(zoom=(280, 320)).figure(seen).axes[2].get_xlim() == pytest.approx((280, 319), abs=1)


@pytest.mark.slow
def test_time_frequency_view_is_an_image_in_hertz_and_seconds(two_tones):
    figure = Visual().figure(two_tones.view("time-frequency", window="hann", length=100, hop=25))
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Time (s)", "Frequency (Hz)")
    assert pixel(figure, axes, 0.25, 100) == pytest.approx(to_rgb(FOR), abs=0.05)
    assert pixel(figure, axes, 0.75, 300) == pytest.approx(to_rgb(AGAINST), abs=0.05)
    for place in ((0.25, 300), (0.25, 450), (0.75, 450)):
        assert np.ptp(pixel(figure, axes, *place)) < 0.01, "nothing is there: it must be grey"
    assert "time-frequency view (window hann, length 100, hop 25)" in figure.get_suptitle()


def test_time_view_of_a_spectrogram_is_drawn_as_a_waveform(planted):
    sound = planted.clip.waveform
    levels = create("representation", "spectrogram", sample_rate=RATE, samples=SAMPLES, window=64, hop=16)
    shape = (1, *(len(axis.centres) for axis in levels.axes))
    item = replace(planted, axes=levels.axes, features=np.zeros(shape), relevance=np.ones(shape), _representation=levels)
    figure = Visual().figure(item.view("time"))
    assert figure.axes[0].get_ylabel() == "Amplitude"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), sound)
    assert "every sample" in figure.axes[1].get_title(loc="left")


@pytest.mark.slow
def test_times_are_those_of_the_recording_and_zeros_are_hatched(planted, planted_samples):
    """A quarter of a second from 57 s on, in the middle of the model's second; the model's own times are there on request."""
    place = {"offset": 375, "start": 57_000, "samples": 250}
    for item, panel in ((planted, 0), (planted_samples, 0), (planted_samples, 1)):
        item = replace(item, provenance={**item.provenance, "placement": place})
        for times, start, label in (("recording", 56.625, "Time (s)"), ("model", 0, "Time in the model's window (s)")):
            axes = Visual(times=times).figure(item).axes[panel]
            assert axes.get_xlim() == pytest.approx((start, start + 1), abs=0.02)
            assert axes.get_xlabel() == label
            hatched = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches if patch.get_hatch()]
            ends = [(box.x0 - start, box.x1 - start) for box in hatched]
            assert ends == [pytest.approx((0, 0.375)), pytest.approx((0.625, 1))]
    later = Visual(zoom=(57.0, 57.1)).figure(item).axes[2].collections[0].get_offsets()
    assert later[0, 0] == pytest.approx(57.0)
    assert not [patch for patch in Visual().figure(planted).axes[0].patches if patch.get_hatch()]


def test_long_signals_are_drawn_by_the_extremes_of_each_column():
    values = np.random.default_rng(0).normal(size=100_003)
    values[[7, 77_777]] = 50, -60
    places = np.arange(len(values)) / 16000
    x, y = _thinning.thinned_line(places, values)
    assert len(x) == len(y) <= 2 * _thinning.COLUMNS
    assert (y.max(), y.min()) == (50, -60)
    assert abs(x[int(y.argmin())] - places[77_777]) <= 26 / 16000
    for sign in (1, -1):
        x, bars = _thinning.thinned_bars(places, values, sign)
        assert (sign * bars).max() == (sign * values).max()
        assert (sign * bars > 0).all()
    relevance = np.stack([values, -values])
    thinned = _thinning.thinned_relevance(relevance)
    assert thinned.shape[1] == len(_thinning.thinned_edges(np.arange(len(values) + 1))) - 1
    assert np.abs(thinned).max() == 60
    assert np.array_equal(thinned[0], -thinned[1])


def test_short_signals_are_drawn_as_they_are():
    values = np.random.default_rng(0).normal(size=16000)
    assert _thinning.thinned_line(values, values)[1] is values
    assert _thinning.thinned_relevance(values[None])[0] is not None
    places, bars = _thinning.thinned_bars(np.arange(16000), values, 1)
    assert np.array_equal(places, np.flatnonzero(values > 0))
    assert np.array_equal(bars, values[values > 0])
