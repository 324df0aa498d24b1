"""The canvas of files draws as matplotlib's does, but for places of texts within a pixel, and packs what it drew."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from xaudio.output import canvas
from xaudio.output.figures import clean_texts, own_style, save_figure

TEXTS = {
    "plain": {"s": "Frequency (Hz)"},
    "upright": {"s": "Relevance (red: for 'gy')", "rotation": 90},
    "slanted": {"s": "slanted gjq", "rotation": 30},
    "two lines": {"s": "one\ntwo gjq", "ha": "center"},
    "formula": {"s": "$10^{-2}$ and $x_1$"},
    "large": {"s": "Large", "fontsize": 30, "color": "#a33c00"},
    "translucent": {"s": "alpha", "alpha": 0.4, "fontsize": 20},
    "translucent colour": {"s": "alpha", "color": (0.8, 0, 0, 0.4), "fontsize": 20},
    "blank": {"s": "  "},
}


def ink(kind, text):
    figure = Figure(figsize=(4, 3), dpi=100)
    drawn = kind(figure)
    figure.text(0.4, 0.5, **text)
    drawn.draw()
    return 255.0 - np.asarray(drawn.buffer_rgba())[..., :3]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("again", [False, True])
def test_texts_lie_where_matplotlib_draws_them(name, again):
    with own_style():
        expected = ink(FigureCanvasAgg, TEXTS[name])
        found = [ink(canvas.Canvas, TEXTS[name]) for _ in range(1 + again)][-1]
    assert found.sum((0, 1)) == pytest.approx(expected.sum((0, 1)), rel=0.02)
    if expected.any():
        for axis in (0, 1):
            places = np.arange(expected.shape[axis])
            centres = [(image.sum((1 - axis, 2)) @ places) / image.sum() for image in (expected, found)]
            assert abs(centres[0] - centres[1]) < 0.75
        assert found.max((0, 1)) == pytest.approx(expected.max((0, 1)), abs=40)


def test_what_is_no_text_is_the_same_to_the_bit():
    images = []
    for kind in (FigureCanvasAgg, canvas.Canvas):
        figure = Figure(figsize=(4, 3), dpi=100)
        drawn = kind(figure)
        axes = figure.add_subplot()
        axes.plot(np.sin(np.arange(100)))
        axes.imshow(np.eye(5), extent=(10, 30, -0.5, 0.5), aspect="auto")
        axes.set(xticks=[], yticks=[])
        drawn.draw()
        images.append(np.array(drawn.buffer_rgba()))
    np.testing.assert_array_equal(*images)


def test_a_png_file_holds_the_pixels_and_the_words(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 4), np.uint8)
    for mode in ("RGBA", "RGB"):
        (tmp_path / "a.png").write_bytes(canvas.packed(pixels, 150, {"Title": "日本語 é", "Software": None}))
        with Image.open(tmp_path / "a.png") as image:
            image.load()
            assert image.mode == mode
            assert image.info["Title"] == "日本語 é"
            assert "Software" not in image.info
            assert image.info["dpi"] == pytest.approx((150, 150), abs=0.02)
            np.testing.assert_array_equal(np.asarray(image), pixels[..., : len(mode)])
        pixels[..., 3] = 255


def test_a_figure_saved_twice_at_other_resolutions_has_their_sizes(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.text(0.2, 0.5, "text")
    for dpi in (50, 120, 50):
        with Image.open(save_figure(figure, tmp_path / "a.png", dpi=dpi)) as image:
            assert image.size == (2 * dpi, dpi)


def test_texts_of_every_kind_are_cleaned():
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], label="a\x01")
    axes.legend(title="b\x01")
    axes.annotate("c\x01", (0, 0))
    axes.set(title="d\x01", xlabel="e\x01", ylabel="f\x01")
    figure.suptitle("g\x01")
    clean_texts(figure)
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert not [text for text in texts if "\x01" in text]
    assert {letter + "\ufffd" for letter in "abcdefg"} <= set(texts)
