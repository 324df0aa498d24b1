"""What a notebook shows of explanations, and the notebook of the documentation."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
import torch
from matplotlib.figure import Figure
from nbclient import NotebookClient

import xaudio

NOTEBOOK = Path(__file__).parents[2] / "docs" / "guide" / "notebook.ipynb"


class Cells(HTMLParser):
    """The texts of a table's cells, row by row."""

    def __init__(self, page):
        super().__init__()
        self.rows = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def model(run_folder):
    return xaudio.load_model(run_folder)


@pytest.fixture(scope="module")
def clips():
    speech = xaudio.open_dataset("synthetic")
    return [speech[index] for index in (0, 45)]


@pytest.fixture(scope="module")
def explanations(model, clips):
    return xaudio.explain(model, clips, explainer="gradient")


def test_notebook_of_the_documentation_runs_and_shows_what_is_kept_in_it(processes):
    """A page, a figure, a player, a table, a contrast and a view, and not one error."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    html, picture, words = "text/html", "image/png", "text"
    expected = [set(), {html}, {picture}, {html}, {html}, {words, picture}, {words, picture}]
    for cells in (nbformat.read(NOTEBOOK, as_version=4).cells, notebook.cells):
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert [set(contents(cell)) - {"text/plain"} for cell in code] == expected
        assert all(text for cell in code for text in contents(cell).values())
        contrast, view = (contents(cell)[words] for cell in code[-2:])
        assert contrast.startswith("digit '7' rather than 'no digit' explained; predicted '7'")
        before, after = map(float, view.split())
        assert after == pytest.approx(before, rel=0.03), "relevance on zeros belongs to no time"
    assert NOTEBOOK.stat().st_size < 600_000
    assert not re.search(r"/(?:home|root|tmp|usr|opt|Users)/|[A-Z]:\\\\", NOTEBOOK.read_text()), "a path of somebody's computer"


def contents(cell):
    """What the outputs of a cell hold, by their kind."""
    words = "".join(output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
    shown = {kind: data for output in cell["outputs"] for kind, data in output.get("data", {}).items()}
    return shown | ({"text": words} if words else {})


def test_figure_can_be_restyled_and_is_shown_without_pyplot(explanations):
    figure = explanations[0].plot(dpi=80)
    assert isinstance(figure, Figure)
    figure.axes[0].set_title("mine")
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(xaudio.PluginError, match="dip"):
        explanations[0].plot(dip=80)


def test_player_holds_the_sound_that_the_renderer_writes(explanations, tmp_path):
    explanations[0].render("audible:level=reference", folder=tmp_path)
    player = explanations[0].play("positive")
    assert player.content == (tmp_path / "positive.wav").read_bytes()
    source = re.search(r'src="data:audio/wav;base64,([^"]+)"', player._repr_html_())[1]
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(source)))
    assert rate == 8000
    assert len(sound) == len(explanations[0].clip.waveform)
    assert "speaks for" in player._repr_html_()
    flac = explanations[0].play("original", format="flac")
    assert flac.kind == "audio/flac"
    assert flac.content.startswith(b"fLaC")


def test_player_of_silence_says_why(explanations):
    nothing = explanations[0].with_relevance(np.zeros_like(explanations[0].relevance))
    page = nothing.play("negative")._repr_html_()
    assert "<audio" not in page
    assert "there is no negative relevance" in page
    assert "silent" in repr(nothing.play("negative"))


def test_unknown_part_lists_the_parts(explanations):
    with pytest.raises(xaudio.PluginError, match=r"no sound 'postive'.*original, positive, negative"):
        explanations[0].play("postive")


def test_list_shows_as_a_table(explanations):
    page = (explanations + explanations[:1])._repr_html_()
    head, *rows = Cells(page).rows
    assert head[:3] == ["Recording", "Explained", "Predicted"]
    assert len(rows) == 3
    for row, item in zip(rows, [*explanations, explanations[0]], strict=True):
        cells = dict(zip(head, row, strict=True))
        assert cells["Recording"] == Path(item.clip.source).name
        assert cells["Truth"] == item.classes[item.label]
        assert cells["Explainer"] == "gradient"
        relevance = item.relevance.astype(float)
        share = relevance[relevance > 0].sum() / np.abs(relevance).sum()
        assert int(cells["For"].removesuffix(" %")) == pytest.approx(100 * share, abs=1)
        strongest = item.recording_axes[0].centres[np.abs(relevance[0]).argmax()]
        assert float(cells["Strongest at"].split()[0]) == pytest.approx(strongest, rel=1e-2, abs=1e-3)


def test_bars_of_the_table_follow_the_relevance(explanations):
    """All relevance in the second half of the window, positive: bars above the line, right of the middle."""
    relevance = np.zeros_like(explanations[0].relevance)
    relevance[:, 6000:6100] = 1.0
    page = xaudio.Explanations([explanations[0].with_relevance(relevance)])._repr_html_()
    bars = [
        (float(x), float(y), float(h))
        for x, y, h in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="1.6" height="([\d.]+)"', page)
    ]
    tall = [(x, y) for x, y, height in bars if height > 1]
    assert tall
    assert all(abs(x - 2 * 60 * 6050 / 8000) < 4 and y < 20 for x, y in tall)


def test_names_in_the_table_are_escaped(explanations):
    from dataclasses import replace

    item = explanations[0]
    odd = replace(item, clip=replace(item.clip, source="<script>.wav"), classes=("<b>", *item.classes[1:]), target=0)
    page = xaudio.Explanations([odd])._repr_html_()
    assert "<script>" not in page
    assert "<b>" not in page


def test_slices_stay_tables_and_items_are_explanations(explanations):
    assert isinstance(explanations, xaudio.Explanations)
    assert isinstance(explanations[:1], xaudio.Explanations)
    assert isinstance(explanations[0], xaudio.Explanation)


def test_contrast_is_the_difference_of_two_explanations(model, clips):
    one = xaudio.explain(model, clips, target="3", explainer="input_x_gradient")
    other = xaudio.explain(model, clips, target="5", explainer="input_x_gradient")
    found = xaudio.explain(model, clips, target="3", contrast="5", explainer="input_x_gradient")
    for item, first, second in zip(found, one, other, strict=True):
        np.testing.assert_array_equal(item.relevance, first.relevance - second.relevance)
        assert item.question == "3 rather than 5"
        assert "'3' rather than '5' explained" in item.title()
        assert first.question == "3"


def test_contrast_conserves_the_difference_of_the_logits(model, clips):
    """Integrated gradients sum to the difference between the recording and silence, of either logit."""
    contrasts = xaudio.explain(model, clips, target="3", contrast="5", explainer="integrated_gradients", steps=20)
    start = model.logits(model.features(torch.zeros(1, 8000)))[0].detach().numpy()
    for item in contrasts:
        difference = (item.logits - start)[3] - (item.logits - start)[5]
        assert item.relevance.sum() == pytest.approx(difference, rel=1e-4)


def test_contrast_in_a_view_and_saved(model, clips, tmp_path):
    item = xaudio.explain(model, clips[0], target="3", contrast="5", explainer="gradient", view="frequency")
    again = xaudio.Explanation.load(item.save(tmp_path / "contrast.safetensors"))
    assert again.question == "3 rather than 5"
    assert again.domain == "frequency"
    (picture,) = item.render("visual", folder=tmp_path)
    assert picture.exists()


def test_contrast_refuses_what_cannot_be_compared(model, clips, explanations):
    with pytest.raises(xaudio.ModelError, match="cannot be contrasted with itself"):
        xaudio.explain(model, clips, target="3", contrast="3", explainer="gradient")
    with pytest.raises(xaudio.ModelError, match="differ in their recording"):
        explanations[0].contrast(explanations[1])
    other = xaudio.explain(model, clips[0], target="5", explainer="input_x_gradient")
    with pytest.raises(xaudio.ModelError, match="differ in their explainer"):
        explanations[0].contrast(other)
    with pytest.raises(xaudio.ModelError, match="'x'"):
        xaudio.explain(model, clips, contrast="x", explainer="gradient")


def test_contrast_on_the_command_line(run_folder, recording, tmp_path):
    from typer.testing import CliRunner

    from xaudio.cli.app import app

    command = ["explain", str(recording), "--model", str(run_folder), "--out", str(tmp_path / "out"), "--explainer", "gradient"]
    result = CliRunner().invoke(app, [*command, "--target", "3", "--contrast", "5", "--render", "visual,audible", "--json"])
    assert result.exit_code == 0, result.output
    (record,) = json.loads(result.stdout)
    assert (record["explained"], record["contrast"]) == ("3", "5")
