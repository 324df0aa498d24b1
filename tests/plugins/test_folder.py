"""Recordings of one's own: every layout, and what people's folders really hold."""

import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from torch import nn

import xaudio
from xaudio import DataError
from xaudio.plugin import in_channels
from xaudio.sound.inspection import describe, inspect
from xaudio.testing import check
from xaudio_folder._listing import natural
from xaudio_html._words import provenance_rows

RATE = 8000


def tone(number: int, seconds: float = 0.1, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 37 * number) * time)


def make(folder: Path, *names: str, seconds: float = 0.1, rate: int = RATE) -> Path:
    """Recordings of these names, each with a sound of its own."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(number, seconds, rate), rate)
    return folder


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def opened(folder: Path, **options: Any) -> Any:
    return xaudio.create("dataset", "folder", data=folder, **options)


def labels_by_name(dataset: Any, task: str = "label") -> dict[str, str]:
    names = dataset.tasks[task]
    return {item.name: names[label] for item, label in zip(dataset.items, dataset.labels(task).tolist(), strict=True)}


def noted(dataset: Any, *words: str) -> bool:
    return any(all(word in note for word in words) for note in dataset.notes)


FILES = [f"{name}{number}.wav" for name in ("dog", "cat", "cow") for number in range(6)]


def rows(*, label: bool = True) -> list[str]:
    return [f"{name},{name[:3]}" if label else name for name in FILES]


def test_a_folder_per_class(tmp_path: Path) -> None:
    make(tmp_path, *(f"sounds/{name[:3]}/{name}" for name in FILES), "readme.wav")
    dataset = opened(tmp_path)
    assert dataset.tasks == {"label": ("cat", "cow", "dog")} or dataset.tasks == {"label": ("sounds",)}
    make(tmp_path / "b", *(f"sounds/{name[:3]}/{name}" for name in FILES))
    dataset = opened(tmp_path / "b")
    assert dataset.tasks == {"label": ("cat", "cow", "dog")}
    assert labels_by_name(dataset)["sounds/dog/dog3.wav"] == "dog"
    assert noted(dataset, "folder for each class")
    assert noted(dataset, "not speaker-disjoint")


def test_a_folder_per_class_within_the_parts(tmp_path: Path) -> None:
    parts = {0: "train", 1: "train", 2: "train", 3: "dev", 4: "test", 5: "test"}
    make(tmp_path, *(f"{parts[int(name[3])]}/{name[:3]}/{name}" for name in FILES))
    dataset = opened(tmp_path)
    (fold,) = dataset.folds("label")
    assert [len(part) for part in fold] == [9, 3, 6]
    assert {dataset.items[index].name.split("/")[0] for index in fold.test} == {"test"}


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["file,label", *rows()]),
        "\ufeff" + "\n".join(["file,label", *rows()]),
        "\r\n".join(["file,label", "", *rows(), ",", ""]),
        "\n".join(["File Name;Category", *rows()]).replace(",", ";"),
        "\n".join(["path\tclass", *rows()]).replace(",", "\t"),
        "\n".join(['"filename", "emotion"', *(f'"{row.split(",")[0]}", "{row.split(",")[1]}"' for row in rows())]),
        "\n".join(rows()),
        "\n".join(["what,it_is", *rows()]),
    ],
    ids=["comma", "mark of order", "windows and empty rows", "semicolon", "tab", "quoted", "no header", "unusual names"],
)
def test_a_table_of_any_writing(tmp_path: Path, text: str) -> None:
    make(tmp_path, *FILES)
    write(tmp_path / "table.csv", text)
    dataset = opened(tmp_path, label=("it_is",) if "it_is" in text else ())
    (task,) = dataset.tasks
    assert dataset.tasks[task] == ("cat", "cow", "dog")
    assert len(dataset) == 18
    assert labels_by_name(dataset, task)["cow4.wav"] == "cow"


def test_a_table_in_utf_16_or_latin_1_keeps_its_letters(tmp_path: Path) -> None:
    text = "\n".join(["file,label", *rows()]).replace(",cow", ",Kühe, große").replace("Kühe, große", '"Kühe, große"')
    for name, content in (("a", text.encode("utf-16")), ("b", text.encode("latin-1"))):
        make(tmp_path / name, *FILES)
        write(tmp_path / name / "table.csv", content)
        dataset = opened(tmp_path / name)
        assert "Kühe, große" in dataset.tasks["label"]
        assert noted(dataset, "not in UTF-8") == (name == "b")


def test_audio_folder_takes_the_metadata_and_not_the_folders(tmp_path: Path) -> None:
    make(tmp_path, *(f"train/x/{name}" for name in FILES[:12]), *(f"test/y/{name}" for name in FILES[12:]))
    for part, names in (("train", FILES[:12]), ("test", FILES[12:])):
        folder = {"train": "x", "test": "y"}[part]
        lines = [json.dumps({"file_name": f"{folder}/{name}", "species": "abc"[int(name[3]) % 3], "rating": 3}) for name in names]
        write(tmp_path / part / "metadata.jsonl", "\n".join(lines))
    dataset = opened(tmp_path)
    assert dataset.tasks == {"species": ("a", "b", "c")}
    (fold,) = dataset.folds("species")
    assert len(fold.test) == 6
    assert len(fold.train) + len(fold.validation) == 12
    assert noted(dataset, "AudioFolder")


def test_parquet_is_read_with_its_kinds_of_numbers_and_lists(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    make(tmp_path, *(f"{part}/{name}" for part, names in (("train", FILES[:12]), ("test", FILES[12:])) for name in names))
    for part, names in (("train", FILES[:12]), ("test", FILES[12:])):
        columns = {
            "file_name": names,
            "class": pyarrow.array([int(name[3]) % 3 for name in names], pyarrow.int8()),
            "heard": [["wind"] if int(name[3]) % 2 else ["wind", "rain"] for name in names],
            "speaker": pyarrow.array([f"s{number % 4}" for number, _ in enumerate(names)]).dictionary_encode(),
            "loudness": [None if number % 2 else -20.5 for number, _ in enumerate(names)],
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / part / "metadata.parquet")
    dataset = opened(tmp_path, label=("class", "heard"))
    assert dataset.tasks == {"label": ("0", "1", "2"), "heard": ("rain", "wind")}
    assert dataset.labels("heard").sum(0).tolist() == [9, 18]
    assert dataset.grouped_by == "speaker"
    (fold,) = dataset.folds("label")
    assert len(fold.test) == 6
    write(tmp_path / "train/metadata.parquet", b"PAR1 and no more")
    with pytest.raises(xaudio.DataError, match=r"metadata.parquet: cannot be read as Parquet \("):
        opened(tmp_path)


def test_without_pyarrow_parquet_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    make(tmp_path, *FILES)
    write(tmp_path / "metadata.parquet", b"PAR1")
    with pytest.raises(xaudio.DataError, match=r"pip install 'xaudio\[parquet\]'; or give the table as CSV or JSON lines"):
        opened(tmp_path)


def test_esc_50_has_its_folds_and_sources(tmp_path: Path) -> None:
    names = [f"{fold}-{100 + fold}-{take}-{target}.wav" for fold in (1, 2, 3, 4, 5) for target in (0, 1) for take in "AB"]
    make(tmp_path, *(f"audio/{name}" for name in names))
    lines = [f"{name},{name[0]},{name[-5]},{'dog' if name[-5] == '0' else 'rain'},True,{name[2:5]},{name[6]}" for name in names]
    write(tmp_path / "meta/esc50.csv", "\n".join(["filename,fold,target,category,esc10,src_file,take", *lines]))
    for data in (tmp_path, tmp_path / "meta/esc50.csv"):
        dataset = opened(data)
        assert dataset.tasks == {"category": ("dog", "rain")}
        folds = dataset.folds("category")
        assert len(folds) == 5
        for number, fold in enumerate(folds):
            assert {dataset.items[index].name[6] for index in fold.test} == {str(number + 1)}
        assert dataset.grouped_by == "src_file"
        assert dataset.speakers[0] == "src_file 101"


def test_what_holds_recordings_together_is_called_what_it_is(tmp_path: Path) -> None:
    make(tmp_path, *(f"audio/{name}" for name in FILES))
    lines = [f"audio/{name},{name[:3]},{number // 3}" for number, name in enumerate(FILES)]
    for column, group in (("src_file", "src_file 2"), ("site", "site 2"), ("speaker", "speaker 2")):
        write(tmp_path / "table.csv", "\n".join([f"file,label,{column}", *lines]))
        clip = opened(tmp_path)[7]
        assert clip.group == group
        network = nn.Sequential(nn.Flatten(), nn.Linear(RATE, 2))
        asked = {"representation": "waveform", "explainer": "random", "kind": "values"}
        explanation = xaudio.explain(network, clip, **asked)
        explanation.save(tmp_path / "kept.safetensors")
        assert xaudio.Explanation.load(tmp_path / "kept.safetensors").outcome.endswith(f", {group}")
        assert dict(provenance_rows(explanation))[group.split()[0]] == "2"


def test_urban_sound_has_files_in_folders_of_folds_and_its_times_are_not_excerpts(tmp_path: Path) -> None:
    names = [f"{number}-{number % 2}-0-0.wav" for number in range(12)]
    make(tmp_path, *(f"audio/fold{1 + number % 3}/{name}" for number, name in enumerate(names)))
    lines = [
        f"{name},{name.split('-')[0]},0.0,4.0,1,{1 + number % 3},{number % 2},{'ab'[number % 2]}"
        for number, name in enumerate(names)
    ]
    write(
        tmp_path / "metadata/UrbanSound8K.csv", "\n".join(["slice_file_name,fsID,start,end,salience,fold,classID,class", *lines])
    )
    dataset = opened(tmp_path)
    assert len(dataset) == 12
    assert len(dataset.folds("label")) == 3
    assert dataset[0].duration == pytest.approx(0.1)
    assert dataset.grouped_by == "fsID"


def test_speech_commands_are_divided_by_their_lists(tmp_path: Path) -> None:
    names = [f"{word}/{speaker:08x}_nohash_{take}.wav" for word in ("yes", "no") for speaker in range(6) for take in (0, 1)]
    make(tmp_path, *names, "_background_noise_/pink.wav")
    write(tmp_path / "validation_list.txt", "\n".join(name for name in names if "00000004_" in name))
    write(tmp_path / "testing_list.txt", "\n".join([*(name for name in names if "00000005_" in name), "yes/gone_nohash_0.wav"]))
    dataset = opened(tmp_path)
    (fold,) = dataset.folds("word")
    assert [len(part) for part in fold] == [16, 4, 4]
    assert dataset.grouped_by == "speaker"
    assert dataset[0].speaker == "00000000"
    assert not noted(dataset, "not speaker-disjoint")
    assert noted(dataset, "background noise")
    assert noted(dataset, "gone_nohash_0")


def test_nemo_has_paths_from_the_manifest_and_offsets(tmp_path: Path) -> None:
    make(tmp_path, "clips/long.wav", seconds=2.0)
    lines = [
        json.dumps(
            {"audio_filepath": "clips/long.wav", "offset": 0.1 * n, "duration": 0.1, "label": "ab"[n % 2], "speaker": n // 2}
        )
        for n in range(10)
    ]
    write(tmp_path / "manifest.json", "\n".join(lines))
    dataset = opened(tmp_path)
    assert len(dataset) == 10
    assert dataset.tasks == {"label": ("a", "b")}
    whole = xaudio.read_audio(tmp_path / "clips/long.wav").waveform
    assert np.array_equal(dataset[3].waveform, whole[2400:3200])
    assert dataset.header(3) == (0.1, RATE)
    assert dataset.grouped_by == "speaker"


def test_speechbrain_has_placeholders_and_excerpts_in_samples(tmp_path: Path) -> None:
    make(tmp_path, *FILES[:6], seconds=1.0)
    lines = [
        f"id{n}, 0.5, $data_folder/{name}, wav, start:1000 stop:5000, spk{n % 3}, {'ab'[n % 2]}"
        for n, name in enumerate(FILES[:6])
    ]
    write(tmp_path / "train.csv", "\n".join(["ID, duration, wav, wav_format, wav_opts, spk_id, command", *lines]))
    dataset = opened(tmp_path / "train.csv")
    assert len(dataset) == 6
    assert dataset[1].waveform.shape == (4000,)
    assert dataset.grouped_by == "speaker"
    content = {
        f"id{n}": {"wav": f"{{data_root}}/{name}", "duration": 1.0, "command": "ab"[n % 2]} for n, name in enumerate(FILES[:6])
    }
    write(tmp_path / "json/data.json", json.dumps(content))
    make(tmp_path / "json", *FILES[:6])
    assert opened(tmp_path / "json").tasks == {"command": ("a", "b")}


def test_kaldi_refuses_commands(tmp_path: Path) -> None:
    make(tmp_path, *FILES)
    marker = tmp_path / "was-run"
    lines = [f"utt{n} {name}" for n, name in enumerate(FILES)]
    write(tmp_path / "wav.scp", "\n".join([*lines, f"evil touch {marker} |", "away ../../etc/passwd"]))
    write(tmp_path / "utt2spk", "\n".join(f"utt{n} spk{n % 6}" for n in range(18)))
    write(tmp_path / "text", "\n".join(f"utt{n} {name[:3]}" for n, name in enumerate(FILES)))
    dataset = opened(tmp_path)
    assert len(dataset) == 18
    assert dataset.grouped_by == "speaker"
    assert noted(dataset, "pipe", "never run")
    assert noted(dataset, "leads out of the folder")
    assert not marker.exists()


def test_kaldi_segments_are_excerpts(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav", seconds=1.0)
    write(tmp_path / "wav.scp", "rec1 a.wav\nrec2 b.wav\n")
    write(tmp_path / "segments", "u1 rec1 0.0 0.2\nu2 rec1 0.5 0.75\nu3 rec2 0.1 -1\n")
    write(tmp_path / "utt2label", "u1 yes\nu2 no\nu3 yes\n")
    dataset = opened(tmp_path)
    assert [round(dataset[index].duration, 3) for index in range(3)] == [0.2, 0.25, 0.9]
    assert "a.wav [0.5-0.75 s]" in dataset[1].source


def test_kaldi_keeps_its_parts_in_folders(tmp_path: Path) -> None:
    make(tmp_path, *(f"wav/u{number}.wav" for number in range(12)))
    for part, numbers in (("train", range(8)), ("dev", range(8, 10)), ("test", range(10, 12)), ("train_sp", range(4))):
        for name, line in (("wav.scp", "u{0} wav/u{0}.wav"), ("text", "u{0} {1}"), ("utt2spk", "u{0} s{0}")):
            lines = [line.format(number, ["yes", "no"][number % 2]) for number in numbers]
            write(tmp_path / "data" / part / name, "\n".join(lines))
    dataset = opened(tmp_path)
    assert len(dataset) == 12
    assert dataset.tasks == {"label": ("no", "yes")}
    (fold,) = dataset.folds("label")
    assert [len(part) for part in fold] == [8, 2, 2]
    assert noted(dataset, "Kaldi (wav.scp, label from text, utt2spk in data/")


def test_a_list_of_objects_within_json_is_a_table(tmp_path: Path) -> None:
    make(tmp_path, *FILES)
    tracks = [{"path": name, "genre": name[:3]} for name in FILES]
    write(tmp_path / "manifest.json", json.dumps({"version": 2, "license": ["free"], "tracks": tracks}))
    assert opened(tmp_path).tasks == {"genre": ("cat", "cow", "dog")}


def test_columns_and_folders_that_could_be_labels_are_named(tmp_path: Path) -> None:
    make(tmp_path / "heart", *FILES)
    lines = [f"{name},{['present', 'absent'][number % 2]}" for number, name in enumerate(FILES)]
    write(tmp_path / "heart/data.csv", "\n".join(["recording,murmur", *lines]))
    assert noted(opened(tmp_path / "heart"), "Columns that were not used: murmur.")
    assert opened(tmp_path / "heart", label=("murmur",)).tasks == {"murmur": ("absent", "present")}
    folders = ("strings/cello", "strings/violin", "winds/flute", "winds/oboe")
    make(tmp_path / "music", *(f"{folder}/{number}.wav" for folder in folders for number in range(3)))
    dataset = opened(tmp_path / "music")
    assert dataset.tasks == {"label": ("strings", "winds")}
    (said,) = (note for note in dataset.notes if "hold folders (cello, flute, oboe ...)" in note)
    inner = opened(tmp_path / "music", labels=said.partition("labels=")[2])
    assert inner.tasks == {"label": ("cello", "flute", "oboe", "violin")}


def test_lhotse_takes_files_only(tmp_path: Path) -> None:
    import gzip

    make(tmp_path, *FILES[:6])
    recordings = [
        {
            "id": f"r{n}",
            "sources": [{"type": "file", "channels": [0], "source": name}],
            "sampling_rate": RATE,
            "num_samples": 800,
            "duration": 0.1,
        }
        for n, name in enumerate(FILES[:6])
    ] + [{"id": "r6", "sources": [{"type": "command", "channels": [0], "source": "touch x"}], "duration": 1.0}]
    supervisions = [
        {"id": f"s{n}", "recording_id": f"r{n}", "start": 0.0, "duration": 0.1, "text": "ab"[n % 2], "speaker": f"p{n % 3}"}
        for n in range(7)
    ]
    write(tmp_path / "recordings.jsonl.gz", gzip.compress("\n".join(map(json.dumps, recordings)).encode()))
    write(tmp_path / "supervisions.jsonl", "\n".join(map(json.dumps, supervisions)))
    dataset = opened(tmp_path)
    assert len(dataset) == 6
    assert dataset.tasks == {"label": ("a", "b")}
    assert noted(dataset, "not a file (a command")


def test_web_dataset_is_read_from_its_tar(tmp_path: Path) -> None:
    make(tmp_path / "in", *FILES[:6])
    shard = tmp_path / "out/train-000000.tar"
    shard.parent.mkdir()
    with tarfile.open(shard, "w") as tar:
        for n, name in enumerate(FILES[:6]):
            tar.add(tmp_path / "in" / name, f"{n:05d}.wav")
            told = json.dumps({"label": "ab"[n % 2], "speaker": f"p{n % 3}"}).encode()
            info = tarfile.TarInfo(f"{n:05d}.json")
            info.size = len(told)
            tar.addfile(info, io.BytesIO(told))
        link = tarfile.TarInfo("00009.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    for data in (shard, shard.parent):
        dataset = opened(data)
        assert len(dataset) == 6
        assert dataset.tasks == {"label": ("a", "b")}
        assert np.array_equal(dataset[2].waveform, xaudio.read_audio(tmp_path / "in" / FILES[2]).waveform)
        assert noted(dataset, "1 member that is not a file (a link or device)")
        assert inspect(dataset, 1.0)["problems"] == []
    before = opened(shard).fingerprint()
    assert opened(shard.parent).fingerprint() == before
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    assert opened(shard).fingerprint() != before


def test_several_labels_by_separator_rows_or_columns(tmp_path: Path) -> None:
    expected = {"dog0.wav": {"wind"}, "cat0.wav": {"wind", "rain"}, "cow0.wav": {"rain"}, "dog1.wav": set()}
    make(tmp_path / "a", *expected)
    write(
        tmp_path / "a/t.csv",
        "fname,labels\n" + "\n".join(f'{k},"{",".join(sorted(v))}"' for k, v in expected.items() if v) + "\ndog1.wav,\n",
    )
    make(tmp_path / "b", *expected)
    write(
        tmp_path / "b/t.csv",
        "file,wind,rain\n" + "\n".join(f"{k},{int('wind' in v)},{int('rain' in v)}" for k, v in expected.items()),
    )
    make(tmp_path / "c", *expected)
    write(tmp_path / "c/t.csv", "file,label\n" + "\n".join(f"{k},{label}" for k, v in expected.items() for label in sorted(v)))
    for name, options in (("a", {"empty": "none"}), ("b", {}), ("c", {"several": "yes"})):
        dataset = opened(tmp_path / name, **options)
        (task,) = dataset.tasks
        table = dataset.labels(task)
        told = {
            item.name: {dataset.tasks[task][k] for k in np.flatnonzero(row == 1)}
            for item, row in zip(dataset.items, table, strict=True)
        }
        assert told == {key: value for key, value in expected.items() if value or name != "c"}
        assert task in dataset.several
    with pytest.raises(xaudio.DataError, match=r"different labels, such as cat0.wav \(rain; wind\).*several=yes"):
        opened(tmp_path / "c")
    assert (opened(tmp_path / "a").labels("labels")[-1] == -1).all()


def test_rows_with_onsets_are_events_and_their_boxes_the_truth(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav", "c.wav", seconds=2.0)
    text = "filename\tonset\toffset\tevent_label\n"
    text += "a.wav\t0.5\t1.0\tdog\na.wav\t1.0\t1.5\tcat\nb.wav\t0.0\t0.25\tdog\nc.wav\t1\t3\tcat\n"
    write(tmp_path / "strong.tsv", text)
    dataset = opened(tmp_path)
    assert len(dataset) == 3
    assert dataset.several == {"label"}
    assert dataset[0].labels["label"] == ("dog", "cat")
    assert dataset[0].truth["boxes.label.dog"].tolist() == [[0.5, 1.0, 0.0, RATE / 2]]
    assert dataset[2].truth["boxes.label.cat"].tolist() == [[1.0, 2.0, 0.0, RATE / 2]]


def test_tables_that_say_nothing_of_the_recordings_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav")
    write(tmp_path / "empty.csv", "")
    write(tmp_path / "lost.csv", "file,label\nx.wav,yes\ny.wav,no\n")
    write(tmp_path / "other.csv", "day,rain\nmonday,3\n")
    dataset = opened(tmp_path)
    assert noted(dataset, "Left out: 1 table without rows; it is: empty.csv.")
    assert noted(dataset, "Left out: 1 table that names no recording that is there; it is: lost.csv (x.wav).")
    assert not noted(dataset, "other.csv")
    with pytest.raises(xaudio.DataError, match=r"names no recording that is there\. empty\.csv has no rows\.$"):
        opened(tmp_path / "empty.csv")


def test_a_header_with_an_impossible_rate_is_a_problem(tmp_path: Path) -> None:
    make(tmp_path, "a/1.wav", "a/2.wav", "b/3.wav", "b/4.wav")
    content = bytearray((tmp_path / "a/1.wav").read_bytes())
    content[24:28] = (3).to_bytes(4, "little")
    write(tmp_path / "a/1.wav", bytes(content))
    (problem,) = inspect(opened(tmp_path), 1.0)["problems"]
    assert problem.endswith("a/1.wav: the sample rate is 3 Hz; expected 1000 to 768000 Hz.")


def test_events_of_one_label_are_a_class_where_that_is_said(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav", "c.wav", seconds=2.0)
    for name, events in (("a", "0.5\t1.0\tdog\n1.5\t2\tdog\n"), ("b", "0.0\t0.25\tcat\n"), ("c", "")):
        write(tmp_path / f"{name}.txt", events)
    dataset = opened(tmp_path, several="no")
    assert not dataset.several
    assert dataset.labels("label").tolist() == [1, 0, -1]
    assert dataset[0].labels == {"label": 1}
    assert dataset[0].truth["boxes.label.dog"].tolist() == [[0.5, 1.0, 0.0, RATE / 2], [1.5, 2.0, 0.0, RATE / 2]]
    write(tmp_path / "b.txt", "0.0\t0.25\tcat\n1\t2\tdog\n")
    with pytest.raises(xaudio.DataError, match=r"b.wav: has 2 labels \(cat, dog\); with several=no each has one at most"):
        opened(tmp_path, several="no")


def test_rows_with_a_start_are_excerpts_unless_they_are_called_events(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav", seconds=2.0)
    write(tmp_path / "t.csv", "file,start,end,label\na.wav,0,1,x\na.wav,1,2,y\nb.wav,0.5,1.5,x\nb.wav,2,1,y\n")
    dataset = opened(tmp_path)
    assert len(dataset) == 3
    assert dataset.speakers[:2] == ["a.wav", "a.wav"]
    assert noted(dataset, "1 row whose end is not after its start")
    assert len(opened(tmp_path, rows="events")) == 2


def test_label_tracks_with_bounds_and_raven_tables(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav", "c.wav", seconds=2.0)
    write(tmp_path / "a.txt", "0.5\t1.0\tSP\n\\\t1000.0\t2000.0\n1.0\t1.5\tCR\n")
    write(tmp_path / "b.txt", "")
    header = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
    write(tmp_path / "c.Table.1.selections.txt", header + "1\tSpectrogram 1\t1\t0.1\t0.2\t500\t900\tSP\n")
    dataset = opened(tmp_path)
    assert [item.name for item in dataset.items] == ["a.wav", "b.wav", "c.wav"]
    assert dataset[0].truth["boxes.label.SP"].tolist() == [[0.5, 1.0, 1000.0, 2000.0]]
    assert dataset[1].labels["label"] == ()
    assert dataset[2].truth["boxes.label.SP"].tolist() == [[0.1, 0.2, 500.0, 900.0]]
    clips = opened(tmp_path, rows="clips")
    assert len(clips) == 3
    assert clips[0].duration == pytest.approx(0.5)


def test_every_file_of_events_is_read_that_the_parts_of_explainers_may_be(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav", "c.wav", seconds=1.0)
    tier = 'class = "IntervalTier" name = "words" xmin = 0 xmax = 1 intervals: size = 1 '
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n'
    grid = f"{head}xmin = 0 xmax = 1 tiers? <exists> size = 1 item []: item [1]: {tier}"
    write(tmp_path / "a.TextGrid", f'{grid}intervals [1]: xmin = 0.1 xmax = 0.4 text = "dog"')
    write(tmp_path / "b.rttm", "SPEAKER b 1 0.2 0.3 <NA> <NA> cat <NA> <NA>")
    write(tmp_path / "c.wav.jams", json.dumps({"annotations": [{"data": [{"time": 0.5, "duration": 0.1, "value": "dog"}]}]}))
    dataset = opened(tmp_path)
    boxes = [next(iter(dataset[number].truth.values()))[0, :2].tolist() for number in range(3)]
    assert boxes == [[0.1, 0.4], [0.2, 0.5], [0.5, 0.6]]
    assert noted(dataset, "JAMS, RTTM, TextGrid")
    write(tmp_path / "b.rttm", "SPEAKER b 1 zero 0.3 <NA> <NA> cat <NA> <NA>")
    with pytest.raises(xaudio.DataError, match="b.rttm: line 1 is"):
        opened(tmp_path)


def test_names_tell_labels_and_speakers_by_a_pattern(tmp_path: Path) -> None:
    make(tmp_path, *(f"03-01-0{emotion}-01-{actor:02d}.wav" for emotion in (1, 2, 3) for actor in range(1, 7)), "odd.wav")
    dataset = opened(tmp_path, labels=r"03-01-(?P<emotion>\d\d)-\d\d-(?P<speaker>\d\d)")
    assert dataset.tasks == {"emotion": ("01", "02", "03")}
    assert dataset.grouped_by == "speaker"
    assert len(dataset.folds("emotion")) == 5
    assert noted(dataset, "1 path not matched", "odd.wav")
    for fold in dataset.folds("emotion"):
        parts = [{dataset.speakers[index] for index in part} for part in fold]
        assert not (parts[0] & parts[1])
        assert not (parts[0] & parts[2])
        assert not (parts[1] & parts[2])
    for wrong in ("(", "abc", r"(?P<x>nothing here)"):
        with pytest.raises(xaudio.DataError, match="option labels"):
            opened(tmp_path, labels=wrong)


def test_hostile_folders_are_read_without_leaving_them(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "secret.wav")
    data = make(
        tmp_path / "data", *(f"{name[:3]}/{name}" for name in FILES), ".hidden.wav", "dog/._dog0.wav", "__MACOSX/dog0.wav"
    )
    (data / "dog/link.wav").symlink_to(outside / "secret.wav")
    (data / "dog/broken.wav").symlink_to("nowhere.wav")
    (data / "more").symlink_to(outside)
    (data / "loop").symlink_to(data)
    (data / "dog/inner.wav").symlink_to(data / "dog/dog0.wav")
    os.mkfifo(data / "dog/pipe.wav")
    write(data / "dog/notes.docx", "no sound")
    dataset = opened(data)
    names = {item.name for item in dataset.items}
    assert "dog/inner.wav" in names
    assert len(names) == 19
    assert all(str(outside) not in item.path for item in dataset.items)
    for word in (
        "lead out of the folder",
        "1 link that leads nowhere",
        "1 link to a folder",
        "1 entry that is not a file (a pipe",
        "hidden",
    ):
        assert noted(dataset, "Left out", word), word


def test_paths_of_a_table_stay_in_the_folder_unless_they_are_absolute(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "far.wav", "near.wav")
    data = make(tmp_path / "data", *FILES)
    extra = [
        f"{outside}/far.wav,dog",
        "../outside/near.wav,dog",
        "dog0.wav,dog",
        "gone.wav,cat",
        ",cow",
        "http://x.y/z.wav,cow",
        "dog1.wav",
    ]
    missing = [f"missing{number}.wav,cat" for number in range(15)]
    write(data / "t.csv", "\n".join(["file,label", *rows(), *extra, *missing]))
    dataset = opened(data)
    names = {item.name for item in dataset.items}
    assert f"{outside}/far.wav" in names
    assert not any("near" in name for name in names)
    assert noted(dataset, "leads out of the folder")
    assert noted(dataset, "is an address")
    assert noted(dataset, "repeat")
    line = next(note for note in dataset.notes if "not there" in note)
    assert "17 rows" in line
    assert "missing7.wav" in line
    assert "missing9.wav" not in line


def test_a_name_written_in_another_unicode_form_or_case_is_found(tmp_path: Path) -> None:
    names = ["cafe\u0301.wav", "B\u00e4r.WAV", "plain.wav", "x.wav"]
    make(tmp_path, *names)
    write(tmp_path / "t.csv", "file,label\ncaf\u00e9.wav,a\nB\u00e4r.wav,b\nplain,a\nsub\\x.wav,b\n")
    assert len(opened(tmp_path)) == 4


def test_what_is_no_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make(tmp_path / "two", *FILES)
    for name in ("a.csv", "b.csv"):
        write(tmp_path / "two" / name, "\n".join(["file,label", *rows()]))
    write(tmp_path / "gone/t.csv", "file,label\nnothing.wav,a\n")
    write(tmp_path / "odd/t.json", '{"file": "a.wav"\n')
    for data, options, words in (
        (tmp_path / "nowhere", {}, "no such folder"),
        (tmp_path / "empty", {}, "holds no recordings"),
        (tmp_path / "two", {}, "several tables of recordings"),
        (tmp_path / "two/a.csv", {"label": ("lable",)}, "Did you mean 'label'"),
        (tmp_path / "gone", {}, "names no recording that is there.*nothing.wav"),
        (tmp_path / "odd/t.json", {}, "not JSON"),
    ):
        with pytest.raises(xaudio.DataError, match=words) as error:
            opened(data, **options)
        assert "\n" not in str(error.value)


@pytest.mark.sweep
def test_ten_thousand_files_are_listed_in_seconds_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = make(tmp_path, "a.wav", seconds=0.02).joinpath("a.wav").read_bytes()
    data = tmp_path / "data"
    for label in range(10):
        (data / f"class{label}").mkdir(parents=True)
        for number in range(1000):
            (data / f"class{label}" / f"{number}.wav").write_bytes(sound)
    begun = time.process_time()
    dataset = opened(data)
    assert time.process_time() - begun < 10
    assert len(dataset) == 10_000
    monkeypatch.setattr("xaudio.sound.fingerprints.SETTLED", -1e9)
    first = dataset.fingerprint()

    def refuse(self: Path) -> bytes:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert opened(data).fingerprint() == first
    write(data / "class3/7.wav", sound + b"\0\0")
    assert opened(data).fingerprint() != first


def test_durations_are_read_from_headers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"{name[:3]}/{name}" for name in FILES))
    make(tmp_path / "dog", "other.flac", seconds=0.5, rate=44100)
    write(tmp_path / "dog/broken.wav", b"RIFF no sound at all")
    dataset = opened(tmp_path)
    monkeypatch.setattr(type(dataset), "__getitem__", lambda self, index: pytest.fail("decoded"))
    found = inspect(dataset, 1.0, decode=False)
    assert found["sample_rates"] == {"8000": 18, "44100": 1}
    assert found["duration"]["longest"] == 0.5
    assert len(found["problems"]) == 1
    assert "broken.wav" in found["problems"][0]
    assert "20 recordings, " in describe(found)


class Audio:
    """Stands for the feature of ``datasets`` of that name."""

    def __init__(self, sampling_rate: int | None = None, decode: bool = True) -> None:
        self.sampling_rate, self.decode = sampling_rate, decode


class Table:
    """A table as ``datasets.Dataset`` is one: columns with features, rows by number; decoding is not allowed."""

    def __init__(self, rows: list[dict[str, Any]], features: dict[str, Any]) -> None:
        self.rows, self.features, self.column_names = rows, features, list(features)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if any(getattr(feature, "decode", False) for feature in self.features.values()):
            raise ImportError("To support decoding audio data, please install 'torchcodec'.")
        return self.rows[index]

    def cast_column(self, name: str, feature: Any) -> "Table":
        return Table(self.rows, {**self.features, name: feature})


def test_a_dataset_of_hugging_face_is_taken_without_decoding(tmp_path: Path) -> None:
    make(tmp_path, *FILES)
    names = SimpleNamespace(names=["cat", "cow", "dog"])
    content = [{"audio": {"path": str(tmp_path / name), "bytes": None}, "label": names.names.index(name[:3])} for name in FILES]
    content[0]["audio"] = {"path": "inside.wav", "bytes": (tmp_path / FILES[0]).read_bytes()}
    content[1]["audio"] = {"path": None, "array": tone(1), "sampling_rate": RATE}
    table = Table(content, {"audio": Audio(), "label": names})
    dataset = xaudio.open_dataset(table)
    assert dataset.tasks == {"label": ("cat", "cow", "dog")}
    assert [dataset.tasks["label"][k] for k in dataset.labels("label")] == [name[:3] for name in FILES]
    for index in (0, 1, 2):
        assert np.allclose(dataset[index].waveform, tone(index), atol=1e-4)
    parts: Any = {"train": Table(content[6:], table.features), "test": Table(content[:6], table.features)}
    (fold,) = xaudio.open_dataset(parts).folds("label")
    assert len(fold.test) == 6
    with pytest.raises(xaudio.DataError, match="expected a name"):
        xaudio.open_dataset(3)


def test_clips_of_soundata_and_tracks_of_mirdata_are_taken(tmp_path: Path) -> None:
    make(tmp_path, *FILES[:8], seconds=1.0)
    events = SimpleNamespace(intervals=np.array([[0.1, 0.4], [0.5, 0.6]]), labels=["siren", "dog"])
    clips = {
        name: SimpleNamespace(
            audio_path=str(tmp_path / name), tags=None, events=events if n % 2 else None, split="train" if n < 6 else "test"
        )
        for n, name in enumerate(FILES[:8])
    }
    dataset = xaudio.open_dataset(SimpleNamespace(load_clips=lambda: clips))
    assert dataset.several == {"label"}
    assert dataset[1].truth["boxes.label.siren"].tolist() == [[0.1, 0.4, 0.0, RATE / 2]]
    tracks = {
        name: SimpleNamespace(audio_path=str(tmp_path / name), genre="ab"[n % 2], artist=f"artist{n % 4}")
        for n, name in enumerate(FILES[:8])
    }
    dataset = xaudio.open_dataset(SimpleNamespace(load_tracks=lambda: tracks))
    assert dataset.tasks == {"label": ("a", "b")}
    assert not dataset.several


def test_folders_of_data_sets_that_are_known_are_not_taken_for_others(real_data: Any, capsys: Any) -> None:
    for name in ("fsdd", "audiomnist-en", "audiomnist-az"):
        dataset = xaudio.open_dataset(None, real_data(name))
        assert dataset.name == {"audiomnist-en": "audiomnist"}.get(name, name)
        assert f"is read as the data set '{dataset.name}'" in capsys.readouterr().err


def test_real_folders(real_data: Any) -> None:
    esc = xaudio.open_dataset(None, real_data("esc10"))
    assert len(esc) == 400
    assert len(esc.tasks["label"]) == 10
    for number, fold in enumerate(esc.folds("label")):
        assert len(fold.test) == 80
        assert {Path(esc.items[index].path).name[0] for index in fold.test} == {str(number + 1)}
    arabic = xaudio.open_dataset(None, real_data("arabic-commands"))
    (fold,) = arabic.folds("label")
    assert [len(part) for part in fold] == [180, 144, 108]
    scenes = xaudio.open_dataset(None, real_data("events/soundscapes"))
    assert scenes.tasks == {"label": ("car_horn", "human_voice", "siren")}
    assert scenes.labels("label").sum() == 6
    birds = xaudio.open_dataset(None, real_data("events/birdsong"))
    assert len(birds) == 12
    assert noted(birds, "123 files", "not there")
    first = birds[birds.items.index(next(item for item in birds.items if item.name == "Wave/0.wav"))]
    assert first.truth["boxes.label.0"][0].tolist()[:2] == [(32000 + 2240) / 32000, (32000 + 2240 + 2688) / 32000]
    assert len(xaudio.create("dataset", "folder", data=real_data("events/birdsong"), rows="clips")) == 466
    field = xaudio.open_dataset(None, real_data("events/field"))
    assert field[0].truth["boxes.label.SP" if "SP" in field.tasks["label"] else "boxes.label.1"].shape[1] == 4


def test_numbers_in_names_are_in_their_order() -> None:
    assert sorted(["10", "9", "b2", "b10", "a"], key=natural) == ["9", "10", "a", "b2", "b10"]


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_it_keeps_the_contract_of_data_sets(tmp_path: Path, several: bool) -> None:
    make(tmp_path, *(f"{name[:3]}/{name}" for name in FILES))
    if several:
        write(tmp_path / "t.csv", "\n".join(["file,label", *(f"{name},{name[:3]};{name[1:3]}" for name in FILES)]))
    results = check("dataset", "folder", {"data": tmp_path})
    assert [(result.what, result.problem) for result in results if result.problem] == []


def test_folders_of_speakers_that_all_have_the_classes_are_groups(tmp_path: Path) -> None:
    make(
        tmp_path,
        *(f"{speaker:04d}/{mood}/{speaker}_{take}.wav" for speaker in range(4) for mood in ("calm", "cross") for take in "ab"),
    )
    dataset = opened(tmp_path)
    assert dataset.tasks == {"label": ("calm", "cross")}
    assert dataset.speakers[0] == "folder 0000"
    assert noted(dataset, "kept together by 'folder'")
    make(
        tmp_path / "b", *(f"{mood}/fold{fold}/{mood}{take}{fold}.wav" for fold in (1, 2) for mood in ("x", "y") for take in "ab")
    )
    assert opened(tmp_path / "b").tasks == {"label": ("x", "y")}


def test_of_several_tables_the_one_is_read_that_leads_to_the_recordings(tmp_path: Path) -> None:
    make(tmp_path, *(f"genres/{name[:3]}/{name}" for name in FILES))
    write(
        tmp_path / "features_3_sec.csv",
        "\n".join(["filename,label", *(f"{name[:-4]}.{k}.wav,{name[:3]}" for name in FILES for k in range(9))]),
    )
    write(tmp_path / "features_30_sec.csv", "\n".join(["filename,label", *rows()]))
    dataset = opened(tmp_path)
    assert len(dataset) == 18
    assert noted(dataset, "features_30_sec.csv")


def test_tables_without_header_in_each_folder_belong_together(tmp_path: Path) -> None:
    for part in "abc":
        names = [f"{part}{number:04d}" for number in range(6)]
        make(tmp_path, *(f"training-{part}/{name}.wav" for name in names))
        write(
            tmp_path / f"training-{part}/REFERENCE.csv",
            "\r\n".join(f"{name},{1 if k % 2 else -1}" for k, name in enumerate(names)) + "\r\n",
        )
    dataset = opened(tmp_path)
    assert len(dataset) == 18
    assert set(dataset.tasks["label"]) == {"-1", "1"}


def test_numbers_beside_recordings_are_no_label_track(tmp_path: Path) -> None:
    make(tmp_path, *FILES)
    for name in FILES:
        write(tmp_path / f"{name[:-4]}.txt", "0.036\t0.579\t0\t1\n0.579\t2.45\t1\t0\n")
    dataset = opened(tmp_path, labels=r"(?P<animal>[a-z]+)\d")
    assert dataset.tasks == {"animal": ("cat", "cow", "dog")}


def test_a_part_alone_divides_nothing(tmp_path: Path) -> None:
    make(tmp_path, *(f"audio/{name}" for name in FILES))
    write(tmp_path / "train_metadata.csv", "\n".join(["filename,primary_label", *rows()]))
    dataset = opened(tmp_path)
    assert len(dataset.folds("primary_label")) == 5
    assert noted(dataset, "All recordings belong to the part 'train'")


def test_a_folder_may_stand_for_the_name(tmp_path: Path, capsys: Any) -> None:
    make(tmp_path, *(f"{name[:3]}/{name}" for name in FILES))
    assert len(xaudio.open_dataset(str(tmp_path))) == 18
    assert "is read as the data set 'folder'" in capsys.readouterr().err
    with pytest.raises(xaudio.DataError, match="give --dataset NAME"):
        xaudio.open_dataset(None)
    with pytest.raises(xaudio.PluginError):
        xaudio.open_dataset(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("channels", ["mean", "left", "1", "all"])
def test_channels_of_its_recordings_are_chosen(tmp_path, channels):
    sounds = np.random.default_rng(0).uniform(-0.3, 0.3, (4, 2, 400)).astype(np.float32)
    for number, waveform in enumerate(sounds):
        place = tmp_path / ("cat", "dog")[number % 2] / f"{number}.wav"
        place.parent.mkdir(exist_ok=True)
        xaudio.write_audio(place, waveform, 8000)
    dataset = xaudio.open_dataset(in_channels(None, tmp_path, channels), tmp_path)
    expected = {"mean": sounds.mean(1), "left": sounds[:, 0], "1": sounds[:, 1], "all": sounds}[channels]
    heard = {Path(clip.source).stem: clip for clip in (dataset[index] for index in range(4))}
    for number, waveform in enumerate(expected):
        np.testing.assert_allclose(heard[str(number)].waveform, waveform, atol=1e-4)
    plain = xaudio.open_dataset("folder", tmp_path)
    assert (dataset.fingerprint() == plain.fingerprint()) == (channels == "mean")
    with pytest.raises(DataError, match="--channels is of recordings of your own"):
        in_channels(None, None, channels)
