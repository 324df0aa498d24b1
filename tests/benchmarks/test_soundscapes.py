"""Scenes of real events: a label track says where the event is heard."""

import runpy
import sys
from pathlib import Path

import numpy as np

from xaudio import create

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soundscapes.py"


def test_scenes_hold_the_event_where_their_label_track_says(real_data, tmp_path, monkeypatch):
    esc10, events = real_data("esc10"), real_data("events/soundscapes")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(esc10), str(events), str(tmp_path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    scenes = create("dataset", "folder", data=tmp_path, several="no")
    names = scenes.tasks["label"]
    assert len(scenes) == 160
    assert sorted(names) == sorted(path.name for path in esc10.iterdir() if path.is_dir())
    assert np.bincount(scenes.labels("label")).tolist() == [16] * 10
    park = []
    for scene in (scenes[index] for index in range(0, 160, 5)):
        ((start, end, low, high),) = scene.truth[f"boxes.label.{names[scene.labels['label']]}"]
        assert (scene.duration, low, high) == (5, 0, scene.sample_rate / 2)
        assert 0 <= start < end <= 5
        power = scene.waveform**2
        first, last = round(start * scene.sample_rate), round(end * scene.sample_rate)
        park.append(power[first:last].mean() / np.percentile(power.reshape(50, -1).mean(1), 10))
    assert np.median(park) > 3  # the event is 6 dB above the park
