"""What is told of a model on the command line, and how it becomes one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xaudio import Model, ModelError
from xaudio.plugin import as_model, class_names, digest_bytes, evaluation_mode, example_sound, format_spec


@dataclass(frozen=True)
class Told:
    """The options that all loaders share; see the package for their words."""

    representation: str | None = None
    classes: str | None = None
    kind: str | None = None
    sample_rate: int | None = None
    samples: int | None = None
    task: str | None = None
    gives: str | None = None

    def with_samples(self, samples: int | None) -> Told:
        """The same with a length of waveforms, where none is told."""
        plain = self.representation is None and self.sample_rate is not None and self.samples is None
        return replace(self, samples=samples) if plain else self

    def reads(self) -> str | None:
        """The representation as `xaudio.explain` takes it, None if nothing is said.

        Raises
        ------
        ModelError
            If it is said in both ways, or by its length alone.
        """
        if self.representation is not None:
            if self.sample_rate is not None or self.samples is not None:
                raise ModelError("The representation says the sample rate and the length: give it, or sample_rate and samples.")
            return nested(self.representation)
        if self.sample_rate is None:
            if self.samples is not None:
                raise ModelError("The option samples needs sample_rate beside it.")
            return None
        length = {} if self.samples is None else {"samples": self.samples}
        return format_spec("raw", {"sample_rate": self.sample_rate, **length})

    def names(self) -> Any:
        """The classes as `xaudio.explain` takes them."""
        return None if self.classes is None else names_of(self.classes)

    def model_of(self, network: Any, *, otherwise: str | None = None) -> Model:
        """A model of a module, or of what a plugin knows.

        Parameters
        ----------
        network : object
        otherwise : str, optional
            What it reads where nothing is said.
        """
        if isinstance(network, Model):
            return tried(self._renamed(network))
        own = getattr(network, "classes", None)
        classes = self.names() if self.classes is not None or isinstance(own, int | None) else own
        model = as_model(network, self.reads() or otherwise, classes, self.kind)  # type: ignore[arg-type]
        return tried(replace(model, task=self.task or getattr(network, "task", "") or model.task))

    def _renamed(self, model: Model) -> Model:
        """A model that says all itself, with other names or another kind of outputs where they are told."""
        if self.reads() is not None:
            raise ModelError("An xaudio.Model says what it reads: leave representation, sample_rate and samples out.")
        renamed: Model = model.renamed(None if self.classes is None else class_names(self.names()), self.kind)  # type: ignore[arg-type]
        return renamed if self.task is None else replace(renamed, task=self.task)


def nested(spec: str) -> str:
    """A representation with options as it stands within options: '+' separates where a comma would end it.

    Examples
    --------
    >>> nested("waveform:sample_rate=16000+samples=16000")
    'waveform:sample_rate=16000,samples=16000'
    """
    name, colon, rest = spec.partition(":")
    parts: list[str] = []
    for part in rest.split("+"):
        if "=" in part or not parts:
            parts.append(part)
        else:
            parts[-1] += f"+{part}"
    return name + colon + ",".join(parts)


def names_of(text: str) -> Any:
    """Class names from names separated by '+', a single one, or from a file.

    Raises
    ------
    ModelError
        If the file cannot be read, or holds no names.
    """
    if text.startswith("["):
        return _json(text, "classes")
    path = Path(text)
    if "+" in text and not path.exists():
        return [name.strip() for name in text.split("+")]
    if not path.is_file():
        name = text.strip()
        if not name or path.suffix or path.name != text:  # it was meant as a file
            raise ModelError(f"The classes {text!r} are neither a file nor names separated by '+', as in dog+cat.")
        return [name]
    try:
        content = path.read_text(encoding="utf-8-sig")
        return _json(content, str(path)) if path.suffix == ".json" else _of_lines(content)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: the class names cannot be read ({' '.join(str(error).split())}).") from None


def _of_lines(content: str) -> list[str]:
    return [line.strip() for line in content.splitlines() if line.strip()]


def _json(text: str, where: str) -> Any:
    """A list of names, a mapping as id2label, or a configuration that has one."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{where}: the class names cannot be read ({error}).") from None
    names = content.get("id2label", content) if isinstance(content, dict) else content
    if not isinstance(names, list | dict):
        raise ModelError(f"{where}: holds a JSON {type(names).__name__}; expected a list of names, or a mapping as id2label.")
    return names


def tried(model: Model) -> Model:
    """The same model, which was asked about a sound.

    Raises
    ------
    ModelError
        If it does not take what it should read, or its output does not fit what is told of it.
    """
    import torch

    with torch.no_grad(), evaluation_mode(model.network):
        model.answer(model.features(example_sound(model.representation).to(model.device)))
    return model


def noted(model: Model, path: Path) -> Model:
    """The model, which says what its file holds; so that results name what they were computed with."""
    return replace(model, facts={**model.facts, "content": digest_bytes([path.read_bytes()])})
