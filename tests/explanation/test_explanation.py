"""An explanation is kept in one file that runs no code, and read back as it was."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from safetensors.numpy import load_file, save_file

from xaudio import create
from xaudio.errors import ModelError, OutputError, PluginError
from xaudio.explanation.explanation import Explanation
from xaudio.output.seals import SEAL
from xaudio.types import Axis, Clip


def made(**changes: Any) -> Explanation:
    """An explanation with every field set."""
    rng = np.random.default_rng(0)
    clip = Clip(
        rng.uniform(-1, 1, 50).astype(np.float32),
        8000,
        labels={"digit": 2, "sex": None},
        speaker="07",
        source="häß/7_07 \U0001f600.wav",
        notes=("mixed down", "trimmed"),
        channel=1,
        truth={"f0": rng.uniform(size=7), "times.inner": np.arange(7), "scalar": np.array(3.0), "mask": np.eye(3, dtype=bool)},
    )
    explanation = Explanation(
        clip=clip,
        features=rng.normal(size=(1, 4, 5)).astype(np.float32),
        relevance=np.asfortranarray(rng.normal(size=(1, 4, 5)).astype(np.float32)),
        axes=(Axis("frequency", "Hz", np.arange(4) * 17.58), Axis("time", "s", (np.arange(5) * 0.004).astype(np.float32))),
        logits=np.array([0.0, 1.0, 3.0], np.float32),
        classes=("null", "eins", "zwei, ü"),
        target=1,
        task="digit",
        provenance={
            "representation": {"name": "waveform", "options": {}},
            "explainer": {
                "name": "lrp",
                "given": {"composite": "epsilon_plus", "epsilon": 1e-6},
                "options": {"composite": "epsilon_plus", "epsilon": 1e-6, "limit": None},
            },
            "seed": 3,
        },
    )
    return replace(explanation, **changes)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray) and one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
        )
    if isinstance(one, Clip | Axis):
        return type(one) is type(other) and all(equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


def test_the_comparison_sees_differences() -> None:
    assert equal(made().clip, made().clip)
    assert not equal(made().clip, replace(made().clip, notes=()))
    assert not equal(np.zeros(1), np.zeros(()))
    assert not equal(np.zeros(1), np.zeros(1, np.float32))


def test_everything_is_read_back(tmp_path: Path) -> None:
    before = made()
    path = before.save(tmp_path / "new" / "a.safetensors")
    after = Explanation.load(str(path))
    for field in fields(Explanation):
        assert equal(getattr(before, field.name), getattr(after, field.name)), field.name
    assert (after.title(), after.explainer, after.label, after.predicted) == (
        before.title(),
        before.explainer,
        before.label,
        before.predicted,
    )
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_the_least_explanation_is_read_back(tmp_path: Path) -> None:
    least = Explanation(Clip(np.zeros(2, np.float32), 8000), np.zeros((1, 2)), np.zeros((1, 2)), (), np.zeros(1), ("a",), 0)
    after = Explanation.load(least.save(tmp_path / "a.safetensors"))
    for field in fields(Explanation):
        assert equal(getattr(least, field.name), getattr(after, field.name)), field.name


def test_saving_needs_no_torch(run_python: Any, tmp_path: Path) -> None:
    made().save(tmp_path / "a.safetensors")
    code = """
import sys
from xaudio import Explanation
Explanation.load(sys.argv[1]).save(sys.argv[1])
print("torch" in sys.modules)
"""
    done = run_python(code, tmp_path / "a.safetensors")
    assert done.stdout.strip() == "False"


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Explanation.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


def test_what_is_no_explanation_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "missing.safetensors")
    assert "is not an explanation" in refused(tmp_path)
    for name, content in {"empty": b"", "text": b"hello " * 99, "zero": bytes(99), "pickle": b"\x80\x04N."}.items():
        (tmp_path / name).write_bytes(content)
        assert "is not an explanation saved by xaudio, or is damaged" in refused(tmp_path / name)
    save_file({"a": np.zeros(3)}, tmp_path / "foreign")
    assert "is not an explanation" in refused(tmp_path / "foreign")


@pytest.mark.parametrize("metadata", ["", "[]", "null", "3", '"a"', "{", '{"format": 1}', '{"format": 1, "clip": 3, "axes": []}'])
def test_metadata_of_another_kind_is_refused(tmp_path: Path, metadata: str) -> None:
    save_file({"waveform": np.zeros(3)}, tmp_path / "a", metadata={"xaudio.explanation": metadata})
    assert "is not an explanation" in refused(tmp_path / "a")


def test_another_format_is_refused_by_number(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "a", metadata={"xaudio.explanation": '{"format": 99}'})
    assert "has format 99; this version of xaudio reads format 1" in refused(tmp_path / "a")


def test_a_file_with_a_tensor_less_is_refused(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = made().save(tmp_path / "a")
    with safe_open(path, framework="numpy") as file:
        metadata = {name: text for name, text in file.metadata().items() if name != SEAL}  # else all of them are refused
    tensors = load_file(path)
    for name in tensors:
        rest = {other: tensor for other, tensor in tensors.items() if other != name}
        save_file(rest, tmp_path / "b", metadata=metadata)
        if name.startswith("truth."):
            Explanation.load(tmp_path / "b")
        else:
            refused(tmp_path / "b")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made().save(tmp_path_factory.mktemp("whole") / "whole.safetensors")


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_a_damaged_file_is_an_explanation_or_refused(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path = whole.parent / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        assert isinstance(Explanation.load(path), Explanation)
    except ModelError as error:
        assert len(str(error).splitlines()) == 1


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = made().save(tmp_path / "a")
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"a/b: cannot be written"):
        made().save(path / "b")
    with pytest.raises(TypeError):  # not JSON: a mistake of the caller
        made(provenance={"object": object()}).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


FULL_DISK = """
import resource, signal, sys
from xaudio import Explanation, OutputError
import numpy as np
explanation = Explanation.load(sys.argv[1])
explanation.clip.truth["large"] = np.zeros(100_000)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    explanation.save(sys.argv[1])
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_an_error_and_leaves_the_old_file(run_python: Any, tmp_path: Path) -> None:
    path = made().save(tmp_path / "a.safetensors")
    before = path.read_bytes()
    done = run_python(FULL_DISK, path)
    assert "cannot be written" in done.stdout, done.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


@given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=10))
def test_probabilities_are_the_softmax(logits: list[float]) -> None:
    explanation = made(logits=np.array(logits), classes=tuple(map(str, range(len(logits)))), target=0)
    found = explanation.probabilities
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert found[explanation.predicted] == found.max()
    for i, one in enumerate(logits):
        for j, other in enumerate(logits):
            if found[i] > 1e-100 and found[j] > 1e-100:
                assert np.log(found[i] / found[j]) == pytest.approx(one - other, abs=1e-6)


def test_the_title_names_everything() -> None:
    expected = (
        "digit 'eins' explained; predicted 'zwei, ü' (84%), truth 'zwei, ü'; "
        "lrp:composite=epsilon_plus,epsilon=1e-06; 7_07 \U0001f600.wav"
    )
    assert made().title() == expected
    unknown = made(clip=Clip(np.zeros(2), 8000), task="", provenance={})
    assert unknown.title() == "'eins' explained; predicted 'zwei, ü' (84%); ?; array"
    assert unknown.label is None


def test_the_representation_is_made_again(tmp_path: Path) -> None:
    spec = {"name": "waveform", "options": {"placement": "start"}}
    after = Explanation.load(made(provenance={"representation": spec}).save(tmp_path / "a"))
    assert after.representation.placement == "start"
    assert type(after.representation) is type(create("representation", "waveform"))
    assert after.representation is after.representation


def test_a_representation_of_the_callers_own_is_kept_but_not_saved(tmp_path: Path) -> None:
    own = object()
    explanation = made(_representation=own, provenance={"representation": {}})
    assert explanation.representation is own
    with pytest.raises(ModelError, match="does not say which representation made it"):
        _ = Explanation.load(explanation.save(tmp_path / "a")).representation


def test_a_representation_that_is_not_installed_is_named() -> None:
    with pytest.raises(PluginError, match="Unknown representation 'wavelets'"):
        _ = made(provenance={"representation": {"name": "wavelets", "options": {}}}).representation


def test_with_relevance_keeps_the_rest() -> None:
    before = made()
    after = before.with_relevance(before.relevance * 2)
    assert np.array_equal(after.relevance, before.relevance * 2)
    assert after.clip is before.clip
    with pytest.raises(ModelError, match=r"The relevance has shape \(4, 5\); expected that of the features, \(1, 4, 5\)"):
        before.with_relevance(before.relevance[0])


def test_an_explanation_is_rendered_and_shows_itself(tmp_path: Path) -> None:
    path = tmp_path / "out"
    written: list[str] = []

    def renderer(explanation: Explanation, folder: Path) -> list[Path]:
        written.append(explanation.title())
        (folder / "a.json").write_text(json.dumps(explanation.provenance))
        return [folder / "a.json"]

    assert made().render(renderer, folder=path) == [path / "a.json"]  # type: ignore[arg-type]
    assert written == [made().title()]
    assert (path / "a.json").exists()


def test_folders_tell_recording_class_and_method_whatever_their_names(tmp_path: Path) -> None:
    """Of any script and length, alike but for what a file name cannot hold, or but for case."""
    from xaudio.explanation.rendering import save_and_render

    long = "très long " * 40
    names = ("a/b", "a:b", "A B", "собака", long, "..", "con/tact\udcff")
    items = [replace(made(), classes=names, target=target) for target in range(len(names))]
    items += [replace(items[0], clip=replace(items[0].clip, source=source)) for source in ("x/7_07 \U0001f600.wav", "..", long)]
    folders = [files[0].path.parent for files in save_and_render(items, [], tmp_path)]
    assert [folder.name for folder in folders[:4]] == [
        "7_07-a_b-lrp_composite_epsilon_plus_epsilon_1e-06",
        "7_07-a_b-lrp_composite_epsilon_plus_epsilon_1e-06-2",
        "7_07-A_B-lrp_composite_epsilon_plus_epsilon_1e-06-3",
        "7_07-собака-lrp_composite_epsilon_plus_epsilon_1e-06",
    ]
    assert len({folder.name.casefold() for folder in folders}) == len(items)
    assert all(folder.parent == tmp_path and len(folder.name.encode()) < 200 for folder in folders)
    assert folders[7].name == "7_07-a_b-lrp_composite_epsilon_plus_epsilon_1e-06-4"
