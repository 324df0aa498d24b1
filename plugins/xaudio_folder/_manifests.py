"""Manifests of speech toolkits: Kaldi and lhotse. Commands in them are never run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from xaudio.plugin import DataError

from ._columns import Choice, Found, settled
from ._items import Item, part_of
from ._listing import Listing
from ._tables import objects_of, read_text


def kaldi(listing: Listing, choice: Choice) -> Found | None:
    """Data folders of Kaldi, such as data/train and data/test: wav.scp, utt2spk, text or utt2label, segments."""
    folders = [name.removesuffix("wav.scp") for name in listing.files if PurePosixPath(name).name == "wav.scp"]
    if not folders:
        return None
    read = [_data_folder(folder, listing) for folder in folders]
    each = {(item.path, item.start, item.stop): item for items, _ in read for item in items}  # a part may be there once more
    items, multi = settled(list(each.values()), {"rows": "clips"}, choice, listing)
    if not items:
        raise DataError(f"{listing.root}: wav.scp names no recording that is there. {' '.join(listing.left_out.notes())}")
    used = dict.fromkeys(name for _, names in read for name in names)
    where = "" if folders == [""] else f" in {', '.join(folder.rstrip('/') or '.' for folder in folders)}"
    return Found(f"Kaldi ({', '.join(['wav.scp', *used])}{where})", items, multi, "speaker" if "utt2spk" in used else "")


def _data_folder(folder: str, listing: Listing) -> tuple[list[Item], list[str]]:
    """The recordings of one data folder, and the files beside wav.scp that tell of them."""
    speakers, segments = _map(listing, f"{folder}utt2spk"), _map(listing, f"{folder}segments")
    label_file = next((name for name in ("utt2label", "utt2lang", "utt2class", "text") if folder + name in listing.files), "")
    labels = _map(listing, folder + label_file) if label_file else {}
    part, items = part_of(PurePosixPath(folder).name), []
    for key, (name, start, stop) in _utterances(_map(listing, f"{folder}wav.scp"), segments, listing).items():
        if file := _path(name, key, listing):
            shown, label = file.removeprefix(f"{listing.root}/"), {"label": labels.get(key, "")}
            items.append(Item(file, shown, label, speakers.get(key, ""), part, start, stop))
    told = {"segments": segments, f"label from {label_file}": labels, "utt2spk": speakers}
    return items, [name for name, content in told.items() if content]


def _map(listing: Listing, name: str) -> dict[str, str]:
    """A file of keys and what belongs to each."""
    if name not in listing.files:
        return {}
    lines = (line.split(None, 1) for line in read_text(Path(listing.files[name]))[0].splitlines() if line.strip())
    return {parts[0]: parts[1].strip() if len(parts) > 1 else "" for parts in lines}


def _utterances(
    files: Mapping[str, str], segments: Mapping[str, str], listing: Listing
) -> dict[str, tuple[str, float | None, float | None]]:
    """The file, start and end in seconds of each utterance."""
    if not segments:
        return {key: (name, None, None) for key, name in files.items()}
    told: dict[str, tuple[str, float | None, float | None]] = {}
    for key, line in segments.items():
        try:
            recording, start, stop = line.split()[:3]
            told[key] = (files[recording], float(start), float(stop) if float(stop) > 0 else None)
        except (KeyError, ValueError):
            listing.left_out.add(
                "segment without a recording, a start and an end", "segments without a recording, a start and an end", key
            )
    return told


def _path(name: str, key: str, listing: Listing) -> str:
    try:
        file = listing.find(name)
    except DataError as error:
        listing.left_out.add(f"entry of wav.scp whose path {error}", f"entries of wav.scp whose path {error}", key)
        return ""
    if not file:
        listing.left_out.add("file of wav.scp that is not there", "files of wav.scp that are not there", name)
    return file


def lhotse(listing: Listing, choice: Choice) -> Found | None:
    """Manifests of lhotse: recordings with supervisions, or cuts; files only."""
    recordings, supervisions, cuts = (_lines(listing, name) for name in ("recordings", "supervisions", "cuts"))
    if not cuts and not (recordings and supervisions):
        return None
    by_id = {item["id"]: item for item in recordings if "id" in item}
    items: list[Item] = []
    for part in cuts or supervisions:
        whole = (by_id.get(part.get("recording_id", "")), part, part.get("start"), part.get("duration"))
        recording, supervision, start, duration = _of_cut(part) if cuts else whole
        items += _lhotse_item(recording, supervision, start, duration, listing)
    items, multi = settled(items, {"rows": "clips"}, choice, listing)
    if not items:
        raise DataError(
            f"{listing.root}: the manifests of lhotse name no recording that is there. {' '.join(listing.left_out.notes())}"
        )
    return Found(f"lhotse ({'cuts' if cuts else 'recordings and supervisions'})", items, multi, "speaker")


def _lines(listing: Listing, stem: str) -> list[dict[str, Any]]:
    """The objects of a manifest, of all files of that name (cuts_train.jsonl.gz)."""
    names = [
        name for name in listing.with_suffix(".jsonl", ".jsonl.gz") if name.rpartition("/")[2].split(".")[0].split("_")[0] == stem
    ]
    objects: list[dict[str, Any]] = []
    for name in names:
        text, _ = read_text(Path(listing.files[name]))
        objects += [item for item in objects_of(text, Path(listing.files[name])) if isinstance(item, dict)]
    return objects


def _of_cut(cut: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], Any, Any]:
    supervisions = cut.get("supervisions") or [{}]
    return cut.get("recording"), supervisions[0], cut.get("start"), cut.get("duration")


def _lhotse_item(recording: Any, supervision: Mapping[str, Any], start: Any, duration: Any, listing: Listing) -> Iterable[Item]:
    """One item, or none where its recording is not a file that is there."""
    sources = (recording or {}).get("sources") or []
    files = [source.get("source", "") for source in sources if source.get("type") == "file"]
    if not files:
        listing.left_out.add(
            "cut whose recording is not a file (a command, an address or memory)",
            "cuts whose recording is not a file (a command, an address or memory)",
            str(supervision.get("id", "?")),
        )
        return []
    try:
        file = listing.find(str(files[0]))
    except DataError as error:
        listing.left_out.add(f"recording whose path {error}", f"recordings whose path {error}", str(files[0]))
        return []
    if not file:
        listing.left_out.add(
            "file of the manifests that is not there", "files of the manifests that are not there", str(files[0])
        )
        return []
    custom = supervision.get("custom") or {}
    label = next((str(value) for value in (custom.get("label"), supervision.get("label"), custom.get("class")) if value), "")
    label = label or str(supervision.get("text") or "")
    begin, length = (float(value) if isinstance(value, int | float) else None for value in (start, duration))
    whole = not begin and (length is None or abs(length - float((recording or {}).get("duration") or length)) < 1e-3)
    stop = None if whole or length is None else (begin or 0.0) + length
    shown = file.removeprefix(f"{listing.root}/")
    return [Item(file, shown, {"label": label}, str(supervision.get("speaker") or ""), start=None if whole else begin, stop=stop)]
