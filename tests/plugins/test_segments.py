"""Segments: what they sum to, where they lie, and files that other programs read; events as parts of explainers."""

import csv
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, strategies as st
from torch import nn

import xaudio
from xaudio import Clip, DataError, Explanation, PluginError, create
from xaudio.explanation.rendering import render
from xaudio.plugin import Axis, Excerpt, Placed, Sound, original_recording
from xaudio.sound.audio import at_rate
from xaudio_segments import Event, partition, read_events

RATE, SAMPLES, OFFSET, START, HEARD = 8000, 8000, 1000, 400, 6000
TRACKS = ["segments.csv", "segments.jsonl", "segments-audacity.txt", "segments-raven.txt", "segments.rttm", "segments.TextGrid"]


def explained(relevance, axes=None, source="a recording.wav", **provenance):
    """An explanation of which the relevance is known; the recording lies at sample 1000, without its first 400."""
    waveform = np.zeros(SAMPLES, np.float32)
    waveform[OFFSET : OFFSET + HEARD] = 0.5 * np.random.default_rng(0).uniform(-1, 1, HEARD)
    relevance = np.asarray(relevance)[None]
    return Explanation(
        clip=Clip(waveform, RATE, source=source),
        features=np.ones_like(relevance),
        relevance=relevance,
        axes=axes or (Axis("time", "s", np.arange(SAMPLES) / RATE),),
        logits=np.array([2.0, 0.0]),
        classes=("zero", "one"),
        target=0,
        provenance={
            "placement": {"offset": OFFSET, "start": START, "samples": HEARD},
            "representation": {"name": "waveform", "options": {"normalisation": "none"}},
            **provenance,
        },
    )


def planted():
    """Relevance of two stretches for and one against, with known sums."""
    relevance = np.zeros(SAMPLES)
    relevance[2000:3000], relevance[4001:4500], relevance[6000:6100] = 0.01, -0.02, 0.05
    return relevance


def found(explanation, **options):
    return create("renderer", "segments", **options).segments(explanation)


def boxes():
    """An explanation in time and frequency with two boxes, one of each sign."""
    relevance = np.zeros((20, 100))
    relevance[2:5, 20:40], relevance[10:12, 30:60] = 1.0, -2.0
    return explained(relevance, (Axis("frequency", "Hz", np.arange(20) * 200.0), Axis("time", "s", np.arange(100) * 0.01)))


def test_segments_lie_to_the_sample_in_the_recording():
    rows = found(explained(planted()), smooth_ms=0, mass=1, shortest_ms=0, gap_ms=0)
    expected = [
        ("for", 2000, 3000, 10.0),
        ("against", 4001, 4500, -9.98),
        ("for", 6000, 6100, 5.0),
    ]
    for row, (kind, first, last, held) in zip(rows, expected, strict=False):
        assert (row.kind, row.label) == (kind, "zero")
        assert row.start_s * RATE == first - OFFSET + START
        assert row.end_s * RATE == last - OFFSET + START
        assert row.relevance == pytest.approx(held)
        assert row.share == pytest.approx(abs(held) / 24.98)
        assert row.score == pytest.approx(1 / (1 + math.exp(-2)))
    assert [row.kind for row in rows] == ["for", "against", "for", "rest"]
    assert (rows[-1].start_s, rows[-1].end_s) == (START / RATE, (START + HEARD) / RATE)


def test_options_close_gaps_leave_out_what_is_short_and_take_the_largest_mass():
    relevance = planted()
    assert len(found(explained(relevance), smooth_ms=0, mass=0.15, shortest_ms=0)) == 2  # the loudest 100 samples hold 20 %
    relevance[2500:2600] = 0
    closed = found(explained(relevance), smooth_ms=0, mass=1, gap_ms=100 / RATE * 1000, shortest_ms=0)
    assert [row.relevance for row in closed if row.kind == "for"] == pytest.approx([9, 5])
    apart = found(explained(relevance), smooth_ms=0, mass=1, gap_ms=99 / RATE * 1000, shortest_ms=13)
    assert [row.relevance for row in apart if row.kind == "for"] == pytest.approx([5, 4])
    (most, rest) = found(explained(relevance), smooth_ms=0, mass=1, gap_ms=0, shortest_ms=0, most=1)
    assert (most.kind, most.relevance, rest.relevance) == ("against", pytest.approx(-9.98), pytest.approx(14))
    relevance[2550] = -1  # a gap that holds the other sign is no gap
    other = found(explained(relevance), smooth_ms=0, mass=1, gap_ms=100, shortest_ms=0)
    assert [row.kind for row in other] == ["for", "against", "for", "against", "for", "rest"]


@pytest.mark.slow
@given(
    st.integers(0, 2**31),
    st.sampled_from(["auto", "time", "boxes"]),
    st.floats(0.01, 1),
    st.floats(0, 200),
    st.floats(0, 100),
    st.floats(0, 100),
    st.booleans(),
)
def test_segments_and_the_rest_are_the_whole(seed, shape, mass, smooth, shortest, gap, in_time):
    draw = np.random.default_rng(seed)
    explanation = explained(draw.normal(size=SAMPLES)) if in_time else boxes()
    if not in_time:
        explanation = explanation.with_relevance(draw.normal(size=explanation.relevance.shape))
    rows = found(explanation, shape=shape, mass=mass, smooth_ms=smooth, shortest_ms=shortest, gap_ms=gap)
    seen = explanation.view("time-frequency") if shape == "boxes" and in_time else explanation
    whole = float(seen.relevance.astype(float).sum())
    assert math.fsum(row.relevance for row in rows) == pytest.approx(whole, abs=1e-9)
    assert math.fsum(row.share for row in rows) == pytest.approx(1)
    assert all(START / RATE <= row.start_s < row.end_s <= (START + HEARD) / RATE for row in rows)
    assert all(row.kind in ("for", "against", "rest") for row in rows)


def test_boxes_bound_time_and_frequency():
    rows = found(boxes(), smooth_ms=0, mass=1, gap_ms=0)
    (pro,) = (row for row in rows if row.kind == "for")
    (contra,) = (row for row in rows if row.kind == "against")
    assert (pro.low_hz, pro.high_hz, contra.low_hz, contra.high_hz) == (300, 900, 1900, 2300)
    # Frame 20 is centred at 0.2 s and begins 5 ms before; the window begins 75 ms after the recording's first sample would.
    assert pro.start_s == pytest.approx(0.195 + (START - OFFSET) / RATE)
    assert pro.end_s == pytest.approx(0.395 + (START - OFFSET) / RATE)
    assert (pro.relevance, contra.relevance) == (60, -120)


def test_relevance_without_time_has_bands_of_the_whole_recording():
    rows = found(explained(planted()).view("frequency"), smooth_hz=100)
    assert rows[0].low_hz is not None
    assert all((row.start_s, row.end_s) == (START / RATE, (START + HEARD) / RATE) for row in rows)
    assert math.fsum(row.relevance for row in rows) == pytest.approx(planted().sum())


def test_no_relevance_has_no_segments(tmp_path):
    create("renderer", "segments")(explained(np.zeros(SAMPLES)), tmp_path)
    assert [row["kind"] for row in csv.DictReader((tmp_path / "segments.csv").open())] == ["rest"]
    for name in TRACKS:
        assert read_events(tmp_path / name) == []


@pytest.mark.parametrize("explanation", [explained(planted()), boxes()], ids=["time", "boxes"])
def test_each_format_is_read_as_it_was_written(explanation, tmp_path):
    rows = [row for row in found(explanation, mass=0.9) if row.kind != "rest"]
    create("renderer", "segments", mass=0.9)(explanation, tmp_path)
    for name in TRACKS:
        events = read_events(tmp_path / name, "elsewhere/a recording.wav")
        times = np.array([(event.start, event.end) for event in events])
        assert times == pytest.approx(np.array(sorted((row.start_s, row.end_s) for row in rows)), abs=2e-9), name
        kinds = {event.label.replace("_", " ") for event in events}
        assert kinds == ({"zero", "against zero"} if "csv" not in name and "jsonl" not in name else {"zero"}), name
        if name in ("segments.csv", "segments.jsonl", "segments-audacity.txt"):
            bands = sorted((event.low, event.high) for event in events if event.low is not None)
            expected = sorted((row.low_hz, row.high_hz) for row in rows if row.low_hz is not None)
            assert np.array(bands) == pytest.approx(np.array(expected))


def test_the_tables_have_the_columns_that_are_promised(tmp_path):
    create("renderer", "segments", formats="csv+jsonl+raven+rttm")(explained(planted()), tmp_path)
    columns = "source,channel,start_s,end_s,low_hz,high_hz,label,score,relevance,share,kind,window".split(",")
    table = list(csv.DictReader((tmp_path / "segments.csv").open()))
    lines = [json.loads(line) for line in (tmp_path / "segments.jsonl").read_text().splitlines()]
    assert list(table[0]) == list(lines[0]) == columns
    assert sum(float(row["relevance"]) for row in table) == pytest.approx(planted().sum())
    header = (tmp_path / "segments-raven.txt").read_text().splitlines()[0].split("\t")
    assert header[:7] == [
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
    ]
    assert all(len(line.split(" ")) == 10 for line in (tmp_path / "segments.rttm").read_text().splitlines())


def test_a_textgrid_has_no_gaps(tmp_path):
    create("renderer", "segments", formats="textgrid")(boxes(), tmp_path)
    text = (tmp_path / "segments.TextGrid").read_text()
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = ')
    end = text.split("xmax = ")[1].split()[0]
    for tier in text.split("item [")[2:]:
        marks = [line.split(" = ")[1] for line in tier.split("intervals [", 1)[1].splitlines() if " = " in line]
        starts, ends = marks[0::3], marks[1::3]
        assert [starts[0], *ends] == ["0", *starts[1:], end]
        assert all(float(first) < float(last) for first, last in zip(starts, ends, strict=True))


def test_labels_with_quotes_tabs_and_other_scripts(tmp_path):
    explanation = replace(explained(planted()), classes=('say "no"\tnow', "قف"))
    for target in (0, 1):
        create("renderer", "segments")(replace(explanation, target=target), tmp_path)
        for name in ("segments-audacity.txt", "segments-raven.txt", "segments.TextGrid"):
            labels = {event.label for event in read_events(tmp_path / name)}
            assert labels == ({'say "no" now', 'against say "no" now'} if target == 0 else {"قف", "against قف"})


def test_numbers_have_a_point_for_readers_that_want_no_whole_ones(tmp_path):
    """crowsetta refuses a column of frequencies such as 0 and 4000."""
    create("renderer", "segments", formats="csv+raven+audacity")(explained(planted()), tmp_path)
    raven = csv.DictReader((tmp_path / "segments-raven.txt").open(), delimiter="\t")
    rows = [row[name] for row in raven for name in ("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")]
    rows += [cell for line in (tmp_path / "segments-audacity.txt").read_text().splitlines() for cell in line.split("\t")[:2]]
    assert len(rows) > 5
    assert all(re.fullmatch(r"\d+\.\d{1,9}", cell) for cell in rows)


def test_many_explanations_have_one_table_with_cumulative_times_for_raven(tmp_path):
    one, other = explained(planted(), source="one.wav"), explained(planted(), source="other.wav")
    written = {path.name for path in render([one, other, one], ["segments"], tmp_path)}
    assert written >= set(TRACKS)
    rows = list(csv.DictReader((tmp_path / "segments-raven.txt").open(), delimiter="\t"))
    last = [row for row in rows if row["Begin Path"] == "other.wav"]
    seconds = (START + HEARD) / RATE
    assert all(float(row["Begin Time (s)"]) == pytest.approx(seconds + float(row["File Offset (s)"])) for row in last)
    for name in ("one.wav", "other.wav"):
        events = read_events(tmp_path / "segments-raven.txt", name)
        assert {event.start for event in events} == {row.start_s for row in found(one) if row.kind != "rest"}
    assert not (tmp_path / "segments.TextGrid").exists()


def test_windows_of_one_recording_have_one_label_track(tmp_path):
    first = explained(planted(), source="long.wav", window={"number": 0})
    second = replace(first, provenance={**first.provenance, "placement": {"offset": OFFSET, "start": 9000, "samples": HEARD}})
    written = create("renderer", "segments").together([first, second], tmp_path)
    assert {file.path.name for file in written} == set(TRACKS)
    rows = [row for one in (first, second) for row in found(one) if row.kind != "rest"]
    for name in TRACKS:
        starts = sorted(event.start for event in read_events(tmp_path / name))
        assert starts == pytest.approx(sorted(row.start_s for row in rows)), name


def test_clips_are_the_recording_at_its_own_rate(tmp_path):
    sound = 0.8 * np.random.default_rng(1).uniform(-1, 1, 16000)
    soundfile.write(tmp_path / "sound.wav", sound, 16000, subtype="PCM_16")
    explanation = explained(planted(), source=str(tmp_path / "sound.wav"), original_sample_rate=16000)
    rows = found(explanation)
    create("renderer", "segments", formats="clips")(explanation, tmp_path)
    for row, path in zip(rows, sorted((tmp_path / "clips").iterdir()), strict=False):
        cut, rate = soundfile.read(path)
        assert rate == 16000
        assert cut == pytest.approx(sound[round(row.start_s * 16000) : round(row.end_s * 16000)], abs=1e-4)
    gone = replace(explanation, clip=replace(explanation.clip, source="gone.wav"))
    (path,) = create("renderer", "segments", formats="clips")(gone, tmp_path / "clips")[:1]
    assert soundfile.info(path.path).samplerate == RATE


def test_the_original_of_an_explanation_that_says_not_how_it_was_resampled(tmp_path):
    soundfile.write(tmp_path / "sound.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 16000), 16000, subtype="FLOAT")
    heard = at_rate(xaudio.read_audio(tmp_path / "sound.wav"), RATE, "soxr").waveform
    explanation = explained(planted(), source=str(tmp_path / "sound.wav"), original_sample_rate=16000)
    waveform = explanation.clip.waveform.copy()
    waveform[OFFSET : OFFSET + HEARD] = heard[START : START + HEARD]
    explanation = replace(explanation, clip=replace(explanation.clip, waveform=waveform))
    assert "resampling" not in explanation.provenance
    original = original_recording(explanation)
    assert (original.sample_rate, original.start, len(original.waveform)) == (16000, START, 16000)


def test_the_channel_is_that_of_the_recording(tmp_path):
    both = 0.8 * np.random.default_rng(1).uniform(-1, 1, (SAMPLES, 2))
    soundfile.write(tmp_path / "both.wav", both, RATE, subtype="PCM_16")
    right = xaudio.read_audio(tmp_path / "both.wav", channels=1)
    explanation = explained(planted(), source=right.source)
    explanation = replace(explanation, clip=replace(explanation.clip, channel=right.channel))
    create("renderer", "segments")(explanation, tmp_path)
    rows = [row for row in found(explanation) if row.kind != "rest"]
    assert {row.channel for row in found(explanation)} == {2}
    assert {row["channel"] for row in csv.DictReader((tmp_path / "segments.csv").open())} == {"2"}
    assert {json.loads(line)["channel"] for line in (tmp_path / "segments.jsonl").read_text().splitlines()} == {2}
    raven = csv.DictReader((tmp_path / "segments-raven.txt").open(), delimiter="\t")
    assert [row["Channel"] for row in raven] == ["2"] * len(rows)
    assert {line.split()[2] for line in (tmp_path / "segments.rttm").read_text().splitlines()} == {"2"}
    for row, path in zip(rows, sorted((tmp_path / "clips").iterdir()), strict=True):
        cut = soundfile.read(path)[0]
        assert cut == pytest.approx(both[round(row.start_s * RATE) : round(row.end_s * RATE), 1], abs=1e-4)


def test_options_are_checked():
    with pytest.raises(PluginError, match="formats"):
        create("renderer", "segments", formats="elan")
    with pytest.raises(PluginError, match="mass"):
        create("renderer", "segments", mass=0)


WORDS = (("the", 0.1, 0.25), ("cat", 0.25, 0.5), ("sat", 0.55, 0.7))
LONG = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 0.8 \ntiers? <exists> \nsize = 2 \nitem []: \n'
    '    item [1]:\n        class = "IntervalTier" \n        name = "words" \n        xmin = 0 \n        xmax = 0.8 \n'
    "        intervals: size = 2 \n        intervals [1]:\n            xmin = 0 \n            xmax = 0.1 \n"
    '            text = "" \n        intervals [2]:\n            xmin = 0.1 \n            xmax = 0.8 \n'
    '            text = "a ""b"" ! 3" \n    item [2]:\n        class = "TextTier" \n        name = "points" \n'
    "        xmin = 0 \n        xmax = 0.8 \n        points: size = 1 \n        points [1]:\n            number = 0.3 \n"
    '            mark = "x" \n'
)
SHORT = '"ooTextFile"\n"TextGrid"\n0\n0.8\n<exists>\n1\n"IntervalTier"\n"words"\n0\n0.8\n1\n0.1\n0.8\n"a ""b"" ! 3"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace("\n", "\r\n")], ids=["long", "short", "windows"])
def test_textgrids_as_praat_writes_them(text, encoding, tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(text.encode(encoding))
    assert read_events(path) == [Event(0.1, 0.8, 'a "b" ! 3', tier="words")]


OTHERS = {
    "audacity": "0.100000\t0.250000\tthe\n\\\t100.0\t-1.0\n0.25\t0.5\tcat\n0,55\t0,7\tsat\n",
    "scaper": "0.1\t0.25\tthe\r\n0.25\t0.5\tcat\r\n0.55\t0.7\tsat\r\n",
    "crowsetta": "label,onset_s,offset_s,onset_sample,offset_sample,notated_path,annot_path,sequence,annotation\n"
    "the,0.1,0.25,,,x/a.wav,a,0,0\ncat,0.25,0.5,,,x/a.wav,a,0,0\nsat,0.55,0.7,,,x/a.wav,a,0,0\nno,1,2,,,b.wav,a,0,0\n",
    "dcase": "filename\tonset\toffset\tevent_label\na.wav\t0.1\t0.25\tthe\na.wav\t0.25\t0.5\tcat\na.wav\t0.55\t0.7\tsat\n",
    "semicolons": "start;duration;text\n0,1;0,15;the\n0,25;0,25;cat\n0,55;0,15;sat\n",
    "raven": "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
    "1\tWaveform 1\t1\t0.1\t0.25\t\t\tthe\n1\tSpectrogram 1\t1\t0.1\t0.25\t0\t900\tthe\n"
    "2\tSpectrogram 1\t1\t0.25\t0.5\t0\t900\tcat\n3\tSpectrogram 1\t1\t0.55\t0.7\t0\t900\tsat\n",
    "rttm": ";; made by hand\nSPEAKER a 1 0.1 0.15 <NA> <NA> the <NA> <NA>\nSPEAKER a 1 0.25 0.25 <NA> <NA> cat <NA>\n"
    "SPEAKER a 1 0.55 0.15 <NA> <NA> sat <NA> <NA>\nSPEAKER b 1 3 1 <NA> <NA> no <NA> <NA>\n",
    "lines": "".join(json.dumps({"start": a, "end": b, "label": word}) + "\n" for word, a, b in WORDS),
    "jams": json.dumps(
        {
            "annotations": [
                {"namespace": "segment_open", "data": [{"time": a, "duration": b - a, "value": w} for w, a, b in WORDS]},
                {"namespace": "scaper", "data": [{"time": 0, "duration": 9, "value": {"role": "background", "label": "park"}}]},
            ]
        }
    ),
    "old jams": json.dumps(
        {
            "annotations": [
                {
                    "data": {
                        "time": [a for _, a, _ in WORDS],
                        "duration": [b - a for _, a, b in WORDS],
                        "value": [w for w, _, _ in WORDS],
                    }
                }
            ]
        }
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_programs_files_are_read(kind, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(OTHERS[kind].encode())
    events = read_events(path, "/elsewhere/a.wav")
    assert [(event.label, event.start, event.end) for event in events] == [
        (word, pytest.approx(first), pytest.approx(last)) for word, first, last in WORDS
    ]


HOSTILE = {
    "latin": ("0.1\t0.2\tgr\xfcn\n".encode("latin-1"), "iconv"),
    "binary": (bytes(range(256)) * 4, "UTF-8"),
    "audio": (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x80\xff", "UTF-8"),
    "binary TextGrid": (b"ooBinaryFile\x08TextGrid" + b"abc", "binary"),
    "not a TextGrid": (b'File type = "ooTextFile"\nObject class = "Pitch 1"\n\n0\n', "holds a Pitch 1"),
    "cut": (LONG[:300].encode(), "ends in the middle"),
    "huge count": (SHORT.replace("\n1\n0.1", "\n999999999999\n0.1").encode(), "ends in the middle"),
    "no count": (SHORT.replace('"words"', '"words" "x"').encode(), "not a TextGrid"),
    "overlap": (SHORT.replace('1\n0.1\n0.8\n"a ""b"" ! 3"', '2\n0\n0.5\n"a"\n0.3\n0.8\n"b"').encode(), "begins before the one"),
    "negative": (b"-0.5\t0.2\tx\n", "begins before the recording"),
    "backwards": (b"0.5\t0.2\tx\n", "before it begins"),
    "frequencies": (b"0.1\t0.2\tx\n\\\t900\t100\n", "lower one first"),
    "lonely frequencies": (b"\\\t900\t1000\n", "no label stands before it"),
    "text": (b"0.1\t0.2\tx\nhello\n", "line 2 is 'hello'"),
    "no columns": (b"name,colour\nx,red\n", "start and end in seconds"),
    "no number": (b"start,end,label\n1,x,y\n", "row 1: has 'x'"),
    "not finite": (b"start,end,label\n1,inf,y\n", "not a number"),
    "rttm": (b"SPEAKER a 1 0.1\n", "line 1"),
    "json": (b'{"annotations": [1]}', "JAMS"),
    "json lines": (b'{"start": 1, "end": 2, "label": "x"}\n{"start"\n', "line 2 is not JSON"),
    "json numbers": (b"[1, 2]", "no records"),
    "deep json": (b"[" * 100_000, "JSON"),
    "xml": (b"<?xml version='1.0'?><a/>", "XML"),
    "quotes": (b'start,end,label\n1,2,"x\n', "not a table"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(kind, tmp_path):
    content, said = HOSTILE[kind]
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        read_events(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a.txt"
    path.write_bytes(content)
    try:
        events = read_events(path)
    except DataError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(0 <= event.start <= event.end for event in events)


def test_real_files_of_events_are_read(real_data):
    folder = real_data("events")
    spinetail = read_events(folder / "field/spinetail.txt")
    assert {event.label for event in spinetail} == {"SP", "CRER"}
    assert all(event.low is not None and event.low < event.high for event in spinetail)
    for name in ("reverb_soundscape_20190326_22050", "reverb_soundscape_20170928"):
        text, jams = (read_events(folder / f"soundscapes/{name}.{ending}") for ending in ("txt", "jams"))
        assert [event.label for event in text] == [event.label for event in jams] == ["siren", "car_horn", "human_voice"]
        assert [event.start for event in text] == pytest.approx([event.start for event in jams])
    assert read_events(folder / "soundscapes/bgonly_soundscape_20170928.txt") == []


def excerpt(offset=OFFSET, start=START, source="a.wav", duration=0.8):
    return Excerpt(source, duration, Placed(offset, start, HEARD))


def written(tmp_path, *events):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{start}\t{end}\t{label}\n" for start, end, label in events))
    return str(path)


def test_events_cut_a_waveform_to_the_sample(tmp_path):
    cut = partition(written(tmp_path, (0.1, 0.25, "the"), (0.25, 0.5, "cat")), excerpt(), RATE, SAMPLES)
    assert cut.edges.tolist() == [0, 1400, 2600, 4600, 8000]
    assert [cut.labels[owner] for owner in cut.owners] == ["", "the", "cat", ""]


def test_overlaps_are_parts_of_their_own_and_events_that_were_not_heard_have_none(tmp_path):
    path = written(tmp_path, (0.0, 0.04, "before"), (0.1, 0.5, "siren"), (0.3, 0.4, "horn"), (0.2, 0.2, "point"))
    cut = partition(path, excerpt(), RATE, SAMPLES)
    assert [cut.labels[owner] for owner in cut.owners] == ["", "siren", "siren + horn", "siren", ""]


@pytest.mark.parametrize(
    ("events", "said"),
    [([(0.1, 0.9, "late")], "beyond the end of a.wav at 0.8 s"), ([(7, 9, "far")], "beyond the end")],
)
def test_events_beyond_the_end_are_refused(tmp_path, events, said):
    with pytest.raises(DataError, match=said):
        partition(written(tmp_path, *events), excerpt(), RATE, SAMPLES)
    rounded = partition(written(tmp_path, (0.7, 0.81, "rounded")), excerpt(), RATE, SAMPLES)
    assert rounded.edges[-2] == 6400 - START + OFFSET


def test_a_folder_has_a_file_for_each_recording_and_a_textgrid_tiers(tmp_path):
    (tmp_path / "a.TextGrid").write_text(
        LONG.replace('"TextTier"', '"IntervalTier"').replace("number = 0.3", "xmin = 0.3\nxmax = 0.4")
    )
    with pytest.raises(DataError, match=r"'words' and 'points' overlap; choose one"):
        partition(str(tmp_path), excerpt(), RATE, SAMPLES)
    cut = partition(f"{tmp_path}#points", excerpt(), RATE, SAMPLES)
    assert cut.labels == ("", "x")
    with pytest.raises(DataError, match="no tier 'phones'"):
        partition(f"{tmp_path}/a.TextGrid#phones", excerpt(), RATE, SAMPLES)
    with pytest.raises(DataError, match=r"one file of events for b.wav, such as b.TextGrid; found none"):
        partition(str(tmp_path), excerpt(source="b.wav"), RATE, SAMPLES)
    (tmp_path / "a.csv").write_text("start,end\n")
    with pytest.raises(DataError, match=r"found a.TextGrid, a.csv"):
        partition(str(tmp_path), excerpt(), RATE, SAMPLES)


EXPLAINERS = {
    "slot_occlusion": {"overlap": 0},
    "feature_ablation": {},
    "kernel_shap": {},
    "shapley_value_sampling": {"permutations": 4},
    "lime": {"samples": 64, "ridge": 0},
    "audiolime": {"samples": 64, "kernel_width": 5, "ridge": 0, "score": "logit", "overlap": 0},
}


@pytest.fixture
def linear():
    """A network that adds up the samples with weights, so that each part's due is known to every explainer."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(SAMPLES, 2, bias=False)).eval()
    with torch.no_grad():
        network[1].weight.copy_(torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(1)))
    return network


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_linear_model_gives_each_word_its_due(name, linear, tmp_path):
    path = written(tmp_path, *((first, last, word) for word, first, last in WORDS))
    clips = [Clip(np.random.default_rng(n).uniform(-0.5, 0.5, 6400).astype(np.float32), RATE, source="a.wav") for n in (0, 1)]
    options = {"representation": "waveform:normalisation=none", "target": 1, "explainer": f"{name}:parts={path}"}
    both = xaudio.explain(linear, clips, **options, **EXPLAINERS[name])
    for explanation, clip in zip(both, clips, strict=True):
        weighted = linear[1].weight[1].detach().double().numpy() * explanation.clip.waveform
        rows = found(explanation)
        assert [(row.label, row.kind) for row in rows] == [
            ("the", "part"),
            ("cat", "part"),
            ("sat", "part"),
            ("1", "rest"),
        ]
        for row in rows[:-1]:
            first, last = (round(second * RATE) + explanation.placed.offset for second in (row.start_s, row.end_s))
            assert row.relevance == pytest.approx(weighted[first:last].sum(), rel=1e-3, abs=1e-3)
        alone = xaudio.explain(linear, clip, **options, **EXPLAINERS[name])
        np.testing.assert_allclose(alone.relevance, explanation.relevance, rtol=0, atol=1e-5)


def test_events_cut_a_spectrogram_in_time_and_bands_where_asked(tmp_path):
    path = written(tmp_path, *((first, last, word) for word, first, last in WORDS))
    clip = Clip(np.random.default_rng(0).uniform(-0.5, 0.5, 6400).astype(np.float32), RATE, source="a.wav")
    representation = create("representation", "spectrogram")
    size = int(np.prod([len(axis.centres) for axis in representation.axes]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(size, 2)).eval()
    whole = xaudio.explain(network, clip, representation=representation, explainer=f"feature_ablation:parts={path}")
    banded = xaudio.explain(network, clip, representation=representation, explainer=f"feature_ablation:parts={path},bands=4")
    assert [row.relevance for row in found(whole)] == pytest.approx([row.relevance for row in found(banded)], rel=1e-3)
    assert math.fsum(row.relevance for row in found(whole)) == pytest.approx(float(whole.relevance.sum()), rel=1e-5)


def test_a_file_that_names_no_recording_is_not_for_several(tmp_path, linear):
    path = tmp_path / "events.txt"
    path.write_text("0.1\t0.2\tx\n")
    clips = [Clip(np.random.default_rng(n).uniform(-0.5, 0.5, 6400).astype(np.float32), RATE, source=f"{n}.wav") for n in (0, 1)]
    asked = {"representation": "waveform:normalisation=none"}
    with pytest.raises(DataError, match="which of the 2 recordings"):
        xaudio.explain(linear, clips, explainer=f"slot_occlusion:parts={path}", **asked)
    path.write_text("start,end,label,file\n0.1,0.2,x,0.wav\n0.3,0.4,y,1.wav\n")
    both = xaudio.explain(linear, clips, explainer=f"slot_occlusion:parts={path}", **asked)
    assert [found(one)[0].label for one in both] == ["x", "y"]
    for number in (0, 1):
        (tmp_path / f"{number}.txt").write_text("0.1\t0.2\tz\n")
    both = xaudio.explain(linear, clips, explainer=f"slot_occlusion:parts={tmp_path}", **asked)
    assert [found(one)[0].label for one in both] == ["z", "z"]


def test_parts_need_to_know_the_recording(tmp_path, linear):
    representation = create("representation", "waveform", normalisation="none")
    waveforms = torch.rand(1, SAMPLES)
    for name in ("slot_occlusion", "feature_ablation"):
        with pytest.raises(PluginError, match="needs to know which recording"):
            create("explainer", name, parts=written(tmp_path, (0.1, 0.2, "x")))(
                linear, representation(waveforms), torch.tensor([0]), sound=Sound(waveforms, representation, representation)
            )
    with pytest.raises(PluginError, match="are its components"):
        create("explainer", "audiolime", parts="a.txt", components="nmf")
