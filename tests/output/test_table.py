"""Tables: what programs read has all digits, what people read has three; no spreadsheet computes a text."""

import csv
import io
import re

import pytest

from xaudio.output.table import in_words
from xaudio.output.words import without_folders
from xaudio.plugin import Table

NASTY = ("=1+2", "+1", "-dog", "@x")


@pytest.fixture
def table():
    return Table(
        ("name", "value", "right", "n_1"),
        (("a|b\r\n", 0.123456789, True, 3), ("50 % & {x}_y\\z~^#$", -2.5, False, 12), ("", None, None, None)),
        caption="All of <it>",
    )


def test_csv_holds_all_digits_and_nothing_for_none(table, tmp_path):
    text = table.to_csv(tmp_path / "table.csv")
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[0] for row in rows] == ["name", "a|b", "50 % & {x}_y\\z~^#$", ""]
    assert rows[0] == ["name", "value", "right", "n_1"]
    assert float(rows[1][1]) == 0.123456789
    assert rows[2][1:] == ["-2.5", "no", "12"]
    assert rows[3] == ["", "", "", ""]
    assert (tmp_path / "table.csv").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("text", NASTY)
def test_no_text_is_a_formula(text):
    table = Table(("name", text), ((text, -1.5),))
    head, row = csv.reader(io.StringIO(table.to_csv()))
    assert head == ["name", f"'{text}"]
    assert row == [f"'{text}", "-1.5"], "numbers stay numbers"


def test_markdown_is_a_table_whatever_names_hold(table):
    lines = table.to_markdown().splitlines()
    assert lines[0] == "| name | value | right | n_1 |"
    assert lines[1] == "| --- | ---: | --- | ---: |"
    assert lines[2] == r"| a\|b | 0.123 | yes | 3 |"
    assert lines[-1] == "All of &lt;it>"
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:5]} == {5}


def test_latex_has_every_special_letter_escaped(table):
    text = table.to_latex()
    assert text.startswith("\\begin{table}\n")
    assert r"50 \% \& \{x\}\_y\textbackslash{}z\textasciitilde{}\textasciicircum{}\#\$ & $-$2.5 & no & 12 \\" in text
    assert r"\begin{tabular}{lrlr}" in text
    assert r"n\_1" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert not Table(("a",), (("b",),)).to_latex().startswith(r"\begin{table}")


def test_it_is_shown_in_a_terminal_and_a_notebook(table):
    assert str(table).splitlines()[2] == "50 % & {x}_y\\z~^#$   −2.5  no      12"
    assert repr(table) == "<Table of 3 rows: name, value, right, n_1>"
    assert "<caption>All of &lt;it&gt;</caption>" in table._repr_html_()
    assert [row["value"] for row in table] == table.column("value") == [0.123456789, -2.5, None]


def test_a_number_below_nothing_has_one_sign_however_it_is_written():
    shown = [in_words(value) for value in (-0.5, -3, -1e-6, -2e7, 3, True)]
    assert shown == ["−0.5", "−3", "−1.00e−06", "−2.00e+07", "3", "yes"]
    assert in_words("-x") == "-x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/x.wav", "x.wav"),
        ("C:\\Users\\me\\x.wav", "x.wav"),
        ("python:at=/home/me/model.py:build", "python:at=model.py:build"),
        ("onnx:path=C:\\Users\\me\\x.onnx", "onnx:path=x.onnx"),
        ("read from file:///home/me/x.pt", "read from file://x.pt"),
        (["a /home/me/y b", {"path": "/x/z", "count": 3}], ["a y b", {"path": "z", "count": 3}]),
        ("https://a.b/c/d", "https://a.b/c/d"),
        ("runs/digits, 3 / 4 m/s and/or", "runs/digits, 3 / 4 m/s and/or"),
    ],
)
def test_pages_show_no_folders(text, shown):
    assert without_folders(text) == shown
