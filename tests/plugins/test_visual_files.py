"""Pictures in files: drawn on figures that are kept, laid out by measuring once, and the same whatever was drawn before."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from pictured import Levels, Samples, explanation
from torch import nn

import xaudio
from xaudio import OutputError, create
from xaudio_visual import _sheet
from xaudio_visual._visual import Visual, _panels

DPI = 60


def planes(scale=1.0):
    relevance = np.zeros((1, 20, 40))
    relevance[0, 2:6, 5:12], relevance[0, 12:16, 25:32] = 3.0 * scale, -3.0 * scale
    return explanation(Levels(), relevance)


def waves(scale=1.0, **changes):
    relevance = np.zeros((1, 1000))
    relevance[0, 610:620], relevance[0, 620:630] = 2.0 * scale, -1.0 * scale
    return explanation(Samples(), relevance, **changes)


def placed(item):
    return replace(item, provenance={**item.provenance, "placement": {"offset": 375, "start": 57_000, "samples": 250}})


def left(item):
    return replace(item, provenance={**item.provenance, "channel": {"name": "left", "share": 0.73}})


def warned(item):
    missed = {"sum": 1.2, "expected": 1.7, "miss": 0.3, "holds": False}
    return replace(item, provenance={**item.provenance, "completeness": missed})


def dense():
    """A second at 16 kHz: noise that swells, with one spike."""
    sound = np.random.default_rng(0).standard_normal(16000) * np.linspace(0, 0.1, 16000)
    sound[4000] = 0.9
    item = explanation(create("representation", "waveform", sample_rate=16000, samples=16000), sound[None])
    return replace(item, clip=replace(item.clip, waveform=sound.astype(np.float32), sample_rate=16000))


def two_channels():
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 1000)).astype(np.float32)
    return xaudio.explain(
        nn.Sequential(nn.Flatten(), nn.Linear(2000, 2)).eval(),
        xaudio.Clip(sound, 8000),
        representation="raw:sample_rate=8000,channels=2,samples=1000",
        explainer="amplitude",
        classes=["a name of letters", "b"],
        kind="classes",
        device="cpu",
    )


KINDS = {
    "plane": planes,
    "large plane": lambda: planes(1e7),
    "wave": waves,
    "large wave": lambda: waves(1e7),
    "small wave": lambda: waves(3e-8),
    "wave within zeros": lambda: placed(waves()),
    "plane within zeros": lambda: placed(planes()),
    "long names": lambda: waves(classes=("a name that is too long to be shown", "another one of many letters", "c")),
    "warned": lambda: warned(waves()),
    "two channels": two_channels,
    "left channel": lambda: left(planes()),
    "nothing": lambda: waves(0.0),
    "dense": dense,
    "spectrum": lambda: dense().view("frequency"),
}


@pytest.fixture(autouse=True)
def _nothing_kept():
    _sheet._kept.clear()
    yield
    _sheet._kept.clear()


def content(item, folder, **options):
    (path,) = Visual(dpi=DPI, **options)(item, folder)
    return path.read_bytes()


@pytest.mark.slow
def test_a_picture_is_the_same_whatever_was_drawn_before(tmp_path):
    items = {name: make() for name, make in KINDS.items()}
    fresh = {}
    for name, item in items.items():
        _sheet._kept.clear()
        fresh[name] = content(item, tmp_path)
    assert len(set(fresh.values())) == len(fresh)
    generator = np.random.default_rng(0)
    for name in [*generator.permutation(list(items)), *generator.permutation(list(items))]:
        with matplotlib.rc_context({"font.size": float(generator.integers(5, 30)), "axes.grid": True, "figure.dpi": 33}):
            assert content(items[name], tmp_path) == fresh[name], name
    assert _sheet._kept, "figures are kept"


@pytest.mark.slow
def test_options_do_not_mix(tmp_path):
    item = placed(planes())
    options = [{}, {"percentile": 100}, {"zoom": (57.0, 57.2)}, {"scale": "mel"}, {"times": "model"}]
    fresh = []
    for chosen in options:
        _sheet._kept.clear()
        fresh.append(content(item, tmp_path, **chosen))
    assert [content(item, tmp_path, **chosen) for chosen in options * 2] == fresh * 2


@pytest.mark.slow
def test_few_figures_are_kept_and_no_explanation(tmp_path):
    for percentile in range(50, 60):
        content(waves(), tmp_path, percentile=percentile)
    assert len(_sheet._kept) == _sheet.MOST
    content(waves(), tmp_path, scale="log")
    Visual(dpi=400)(waves(), tmp_path)
    assert all(key[0].dpi == DPI and key[0].scale == "linear" for key in _sheet._kept)
    for sheet in _sheet._kept.values():
        for panel in sheet.panels:
            assert not [*panel.lines, *panel.collections, *panel.patches, *panel.images]
    item = waves()
    content(item, tmp_path)
    gone = weakref.ref(item)
    del item
    gc.collect()
    assert gone() is None


@pytest.mark.slow
def test_threads_draw_the_same(tmp_path):
    items = [make() for name, make in KINDS.items() if name != "spectrum"]
    folders = [tmp_path / str(number) for number in range(4)]
    expected = [content(item, tmp_path) for item in items]
    _sheet._kept.clear()

    def draw(folder):
        return [content(item, folder) for item in items]

    with matplotlib.rc_context({"font.size": 25, "axes.grid": True}):
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(draw, folders)) == [expected] * 4
        assert matplotlib.rcParams["font.size"] == 25
        assert matplotlib.rcParams["axes.grid"]


@pytest.mark.slow
def test_a_figure_that_could_not_be_filled_or_saved_is_not_used_again(tmp_path):
    expected = content(waves(), tmp_path)
    with pytest.raises(OutputError, match="NaN"):
        content(waves(np.nan), tmp_path)
    assert content(waves(), tmp_path) == expected
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        content(waves(2.0), tmp_path / "file")
    assert content(waves(), tmp_path) == expected


def filled(item, **options):
    """The figure behind a file, drawn."""
    sheet = _sheet.Sheet(*_panels(item), constrained=False)
    Visual(**options)._fill(sheet, item)
    sheet.figure.canvas.draw()
    return sheet.figure


def _extents(figure, count):
    return np.array([panel.get_position().extents for panel in figure.axes[:count]]).T


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_files_are_laid_out_as_figures_are(name):
    item = KINDS[name]()
    figures, (panels, channels) = [filled(item), Visual().figure(item)], _panels(item)
    figures[1].canvas.draw()
    count = panels * channels
    left, low, right, high = (np.array(edges) for edges in zip(*[_extents(figure, count) for figure in figures], strict=True))
    for edges in (left, low, high):
        np.testing.assert_allclose(*edges, atol=0.025)
    assert (right[0] > right[1] - 0.025).all(), "a bar stands beside its own panel alone"
    for figure in figures:
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        edges = figure.bbox
        for box in boxes:
            assert edges.x0 <= box.x0 < box.x1 <= edges.x1
            assert edges.y0 <= box.y0 < box.y1 <= edges.y1
        top = figure.get_tightbbox().y1 * figure.dpi
        assert top <= edges.y1
        assert max(box.y1 for box in boxes) < min(text.get_window_extent().y0 for text in figure.texts or [figure._suptitle])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["large wave", "small wave"])
def test_the_factor_of_the_ticks_lies_beside_no_title(name):
    panel = filled(KINDS[name]()).axes[1]
    factor, title = panel.yaxis.get_offset_text().get_window_extent(), panel._left_title.get_window_extent()
    assert panel.yaxis.get_offset_text().get_text().startswith("1e")
    assert factor.y1 <= title.y0 + 1


@pytest.mark.slow
def test_a_dense_waveform_reaches_as_far_in_every_column_of_pixels(tmp_path):
    """Beside every sample drawn as a line."""
    item = dense()
    reached = []
    for columns in (None, (8 * 150)):
        sheet = _sheet.Sheet(3, 1, constrained=False)
        Visual()._fill(sheet, item, columns=columns)
        sheet.figure.dpi = 150
        sheet.figure.canvas.draw()
        box = sheet.panels[0].get_window_extent().padded(-4)
        dark = np.asarray(sheet.figure.canvas.buffer_rgba())[::-1][int(box.y0) : int(box.y1), int(box.x0) : int(box.x1), 0] < 140
        rows = np.arange(len(dark))[:, None]
        low, high = np.where(dark, rows, 10_000).min(0), np.where(dark, rows, -1).max(0)
        beside = np.stack([[side[:-2], side[1:-1], side[2:]] for side in (low, high)])  # a column may lie a pixel aside
        reached.append((beside[0].min(0), beside[1].max(0)))
    for full, thinned in zip(*reached, strict=True):
        off = np.abs(full - thinned)
        assert np.median(off) <= 1
        assert np.mean(off > 6) < 0.02
    assert abs(reached[0][1].max() - reached[1][1].max()) <= 1, "the spike is there"
