"""Warnings in colour and remarks in grey, shares that add up, and counted things."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from torch import nn

import xaudio
from xaudio import Clip, create
from xaudio.output.words import counted, percentages

CLICK = np.zeros(8000, np.float32)
CLICK[3000:3100] = 0.5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(lambda shares: sum(shares) > 1e-3))
def test_percentages_add_up_and_are_near(shares):
    found = percentages(shares)
    assert sum(found) == 100
    assert all(abs(percent - 100 * share / sum(shares)) < 1 + 1e-9 for percent, share in zip(found, shares, strict=True))


def test_percentages_of_halves_and_of_nothing():
    assert percentages([0.745, 0.255]) in ([74, 26], [75, 25])
    assert percentages([1, 1, 1]) == [34, 33, 33]
    assert percentages([0, 0]) == [0, 0]


def test_counted():
    assert [counted(count, "recording") for count in (0, 1, 2000)] == ["0 recordings", "1 recording", "2000 recordings"]
    assert counted(2, "class", "classes") == "2 classes"


@pytest.fixture(scope="module")
def explained(run_folder):
    return xaudio.explain(run_folder, Clip(CLICK, 8000, notes=("resampled from 48000 to 8000 Hz (soxr)",)), explainer="gradient")


def _with(explanation, **facts):
    return replace(explanation, provenance={**explanation.provenance, **facts})


def test_a_model_of_generated_sounds_is_warned_of_and_resampling_is_a_remark(explained):
    (warning,) = explained.warnings
    assert "trained on generated sounds alone (synthetic speech" in warning
    assert explained.remarks == ("resampled from 48000 to 8000 Hz (soxr)",)
    assert not _with(explained, synthetic=False).warnings


def test_a_missed_sum_a_finding_a_silent_recording_and_a_view_that_lacks_much_are_warned_of(explained, run_folder):
    doubtful = _with(
        explained,
        synthetic=False,
        completeness={"sum": 1.2, "expected": 1.7, "miss": 0.3, "holds": False},
        findings=[{"severity": "error", "text": "module-reused (layers.3): lrp: Relevance is wrong. Register it twice."}],
    )
    assert doubtful.warnings == (
        "the doctor says: module-reused (layers.3): lrp: Relevance is wrong. Register it twice",
        "relevance sums to 1.2 where it should sum to 1.7",
    )
    silent = xaudio.explain(run_folder, Clip(np.zeros(8000, np.float32), 8000), explainer="gradient")
    assert "the recording is silent" in silent.warnings
    assert "the recording is silent" not in silent.remarks
    everywhere = explained.with_relevance(np.ones_like(explained.relevance)).view("frequency")
    assert any("of the relevance lay where the sound is exactly zero" in warning for warning in everywhere.warnings)


def test_findings_of_the_doctor_stay_with_the_explanation():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8000, 8), nn.Linear(8, 2)

        def forward(self, features):
            return self.last(self.first(features[:, 0].mul_(1.0)).relu())

    model = InPlace()
    for said in (True, False):  # said once, kept always
        with pytest.warns(xaudio.XaudioWarning) if said else contextlib.nullcontext():
            found = xaudio.explain(model, Clip(CLICK, 8000), representation="waveform", explainer="input_x_gradient")
        assert any("the doctor says: " in warning for warning in found.warnings)


def test_page_picture_and_table_show_them(explained):
    from xaudio.explanation.table import Explanations

    item = _with(explained, completeness={"sum": 1.2, "expected": 1.7, "miss": 0.3, "holds": False})
    page = create("renderer", "html").page(item)
    assert page.count('<p class="xa-warning"><strong>Warning:</strong>') == 2
    assert '<p class="xa-note">Resampled from 48000 to 8000 Hz (soxr).</p>' in page
    texts = {text.get_text(): text.get_color() for text in create("renderer", "visual").figure(item).artists}
    assert any("Warning: relevance sums to 1.2" in text and colour == "#a33c00" for text, colour in texts.items())
    assert "Warning: relevance sums to 1.2 where it should sum to 1.7" in Explanations([item])._repr_html_()
    pro, contra = item.percentages
    assert f"{pro} % of the relevance speaks for" in page
    assert f"{contra} % against it" in page
