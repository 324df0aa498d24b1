"""Figures look the same and can be read everywhere: style sheets, missing fonts, odd names."""

import os
import subprocess
import sys
import warnings
import xml.dom.minidom
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sweeps import sweep
from torch import nn

import xaudio
from xaudio import Clip
from xaudio.output.figures import LACKING, drawable, own_style
from xaudio.output.runs import printable, write_text

SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 800).astype(np.float32)


def explained(source="a.wav", **more):
    network = nn.Sequential(nn.Flatten(), nn.Linear(len(SOUND), 2)).eval()
    clip = Clip(SOUND, 8000, source=source)
    read = f"waveform:samples={len(SOUND)}"
    return xaudio.explain(network, clip, representation=read, explainer="amplitude", device="cpu", **more)


NAMES = ["a\x01b.wav", "日本語.wav", "مرحبا.wav", "a\udce9.wav", "🎉\u200d.wav", "$x_1$ & <b> -- .wav", "a\nb.wav"]


@pytest.mark.slow
def test_no_style_of_the_users_changes_a_picture(tmp_path):
    found = explained()
    (plain,) = found.render("visual:dpi=40", folder=tmp_path / "plain")
    style = {"text.usetex": True, "font.size": 30, "axes.facecolor": "black", "savefig.bbox": "tight", "lines.linewidth": 9}
    with matplotlib.rc_context(style):
        (styled,) = found.render("visual:dpi=40", folder=tmp_path / "styled")
        assert matplotlib.rcParams["text.usetex"]
    assert styled.read_bytes() == plain.read_bytes()


def test_what_is_no_style_is_left_alone():
    before = dict(matplotlib.rcParams)
    with own_style():
        assert matplotlib.rcParams["backend"] == before["backend"]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep(NAMES, quick=["a\x01b.wav", "日本語.wav", "$x_1$ & <b> -- .wav"]))
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_any_name_is_drawn_without_a_warning_into_a_good_file(tmp_path, name, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = explained(name, classes=["音", "b\x02"], kind="classes")
        (path,) = found.render(f"visual:format={kind},dpi=40", folder=tmp_path)
    if kind == "svg":
        xml.dom.minidom.parse(str(path))


def test_letters_that_no_font_has_are_replaced_and_others_kept():
    assert drawable("Größe, часть, مرحبا, x²") == "Größe, часть, مرحبا, x²"
    assert drawable("a\U000f0000b\x01") == f"a{LACKING}b{LACKING}"


def test_a_text_file_holds_no_control_characters(tmp_path):
    assert printable("a\tb\nc\x01\ud800d\x7f") == "a\tb\nc\ufffd\ufffdd\ufffd"
    path = write_text(tmp_path / "a.html", "x\x00y\udce9")
    assert path.read_text(encoding="utf-8") == "x\ufffdy\ufffd"


def test_the_page_of_an_odd_name_is_clean(tmp_path):
    found = explained("a\x01b.wav", classes=["a", "b\x02"], kind="classes")
    page = next(path for path in found.render("html", folder=tmp_path) if path.suffix == ".html").read_text(encoding="utf-8")
    assert not any(letter < " " and letter not in "\t\n\r" for letter in page)


@pytest.mark.parametrize(
    "settings",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {
            "HOME": "/proc/nowhere",
            "XDG_CACHE_HOME": "/proc/nowhere",
            "MPLCONFIGDIR": "/proc/nowhere",
            "TZ": "Nowhere/Nothing",
            "LC_ALL": "xx_YY",
        },
        {"PYTHONOPTIMIZE": "1", "PYTHONWARNINGS": "error::xaudio.XaudioWarning"},
    ],
    ids=["backend of a notebook", "no backend", "no home", "optimised"],
)
def test_the_command_line_draws_on_any_machine(processes, tmp_path, settings, run_folder, recording):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\n")
    program = [str(Path(sys.executable).with_name("xaudio")), "explain", str(recording), "--model", str(run_folder)]
    ended = subprocess.run(
        [*program, "--out", "out", "--render", "visual", "--explainer", "gradient"],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "explanation.png").exists()
