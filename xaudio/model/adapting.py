"""Networks of any form as one form: features (batch, channels, *axes) to scores (batch, *frames, outputs).

What a network takes and returns is found by running it on a sound, alone and beside another, and said in a note.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, listing
from ..types import Kind
from .running import Around, described, run_network

Move = Callable[[Tensor], Tensor]

LENGTHS = {"length", "lengths", "lens", "input_length", "input_lengths", "x_len", "x_lens", "feature_lengths", "audio_lengths"}
"""Arguments that ask how long each recording is, in steps of the last axis."""

RELATIVE_LENGTHS = {"wav_lens", "rel_lens", "relative_lengths"}
"""The same as shares of the longest one of the batch."""

MASKS = {
    "mask",
    "attention_mask",
    "input_mask",
    "valid_mask",
    "padding_mask",
    "key_padding_mask",
    "pad_mask",
    "src_key_padding_mask",
}
"""Arguments that ask which steps are the recording; of those with "pad" in their names, which are not."""

RATES = {"sr", "fs", "sample_rate", "sampling_rate"}


@dataclass(frozen=True)
class Layout:
    """Which dimension of a network's output is what.

    Parameters
    ----------
    batch : int
        The dimension of the batch.
    squeezed : bool
        Whether it is missing where there is one recording.
    frames : int or None
        The dimension of the frames, counted without that of the batch.
    outputs : int or None
        The same of the outputs; None where there is one output and no dimension of it.
    """

    batch: int = 0
    squeezed: bool = False
    frames: int | None = None
    outputs: int | None = 0

    def __call__(self, output: Tensor, count: int) -> Tensor:
        """The output as (batch, outputs) or (batch, frames, outputs)."""
        if self.squeezed and count == 1:
            output = output.unsqueeze(self.batch)
        if self.batch:
            output = output.movedim(self.batch, 0)
        kept = [part for part in (self.frames, self.outputs) if part is not None]
        if kept != list(range(output.ndim - 1)):
            rest = [part for part in range(output.ndim - 1) if part not in kept]  # each of size 1
            output = output.permute(0, *(part + 1 for part in (*kept, *rest)))
            output = output.reshape(output.shape[: 1 + len(kept)])
        return output.unsqueeze(-1) if self.outputs is None else output

    @property
    def plain(self) -> bool:
        """Whether the output is as it should be."""
        return self == Layout() or self == Layout(frames=0, outputs=1)


class Adapted(Around):
    """A network that is given what it takes, and whose output is brought to (batch, *frames, outputs).

    Parameters
    ----------
    network : nn.Module
    takes : str
        One of `forms`.
    asks : tuple of str
        Names of further arguments: of `LENGTHS`, `MASKS` or `RATES`.
    output : str or None
        Which part of what it returns, as `parts_of` names them; None where it returns one tensor.
    layout : Layout
    sample_rate : int
        In Hz.
    flipped : bool
        Whether a mask says the opposite of what its name says.
    alone : bool
        Whether it takes one recording at a time.
    """

    def __init__(
        self,
        network: nn.Module,
        takes: str,
        asks: tuple[str, ...] = (),
        output: str | None = None,
        layout: Layout | None = None,
        sample_rate: int = 0,
        flipped: bool = False,
        alone: bool = False,
    ) -> None:
        super().__init__(network)
        self.takes, self.asks, self.output = takes, asks, output
        self.layout, self.sample_rate, self.flipped, self.alone = layout or Layout(), sample_rate, flipped, alone

    def forward(self, features: Tensor) -> Tensor:
        """Scores (batch, *frames, outputs) of features ``(batch, channels, *axes)``."""
        if self.alone and len(features) > 1:
            return torch.cat([self(features[row : row + 1]) for row in range(len(features))])
        scores = self.raw(features)
        return self.layout(scores, len(features))

    def raw(self, features: Tensor) -> Tensor:
        """The chosen tensor, as the network returns it."""
        taken = forms(features)[self.takes](features)
        returned = self.network(taken, **{name: self._given(name, taken, features) for name in self.asks})
        return part_of(returned, self.output)

    def _given(self, name: str, taken: Tensor, features: Tensor) -> Any:
        count, steps = len(features), features.shape[-1]
        if name in RATES:
            return self.sample_rate
        if name in RELATIVE_LENGTHS:
            return torch.ones(count, device=taken.device)
        if name in MASKS:
            valid = ("pad" not in name) != self.flipped
            return torch.full((count, steps), valid, dtype=torch.bool, device=taken.device)
        return torch.full((count,), steps, dtype=torch.int64, device=taken.device)

    @property
    def is_needed(self) -> bool:
        """Whether it does anything to what the network takes and returns."""
        as_it_is = self.takes == AS_IT_IS and not self.asks and self.output is None and not self.alone
        return not (as_it_is and self.layout.plain)


AS_IT_IS = "(batch, channels, *axes)"


def takes_one(takes: str) -> bool:
    """Whether features are given in a form without a dimension of the batch."""
    return not takes.startswith("(batch")


def forms(features: Tensor) -> dict[str, Move]:
    """Forms in which features may be given, the likeliest first: as they are, without channels, and with time first."""
    moves: dict[str, Move] = {AS_IT_IS: lambda tensor: tensor}
    count = features.shape[1]
    if count != 1 and features.ndim == 3:
        return moves | {
            f"(batch, samples, {count})": lambda tensor: tensor.transpose(1, 2),
            f"({count}, samples)": lambda tensor: tensor[0],
        }
    if count != 1:
        return moves | {f"(batch, {count}, frames, frequencies)": lambda tensor: tensor.transpose(2, 3)}
    if features.ndim == 3:
        return moves | {
            "(batch, samples)": lambda tensor: tensor[:, 0],
            "(batch, samples, 1)": lambda tensor: tensor.transpose(1, 2),
            "(samples,)": lambda tensor: tensor[0, 0],
        }
    return moves | {
        "(batch, frequencies, frames)": lambda tensor: tensor[:, 0],
        "(batch, 1, frames, frequencies)": lambda tensor: tensor.transpose(2, 3),
        "(batch, frames, frequencies)": lambda tensor: tensor[:, 0].transpose(1, 2),
    }


def parts_of(returned: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in what a network returned, with their names: keys, fields and indices, with dots between them."""
    if isinstance(returned, Tensor):
        yield name or "0", returned
        return
    for key, value in _items(returned):
        yield from parts_of(value, f"{name}.{key}" if name else str(key))


def _items(returned: Any) -> list[tuple[Any, Any]]:
    if isinstance(returned, Mapping):
        return list(returned.items())
    if isinstance(returned, tuple) and hasattr(returned, "_fields"):
        return list(zip(returned._fields, returned, strict=True))
    if isinstance(returned, tuple | list):
        return list(enumerate(returned))
    if is_dataclass(returned):
        return [(item.name, getattr(returned, item.name)) for item in fields(returned)]
    return list(vars(returned).items()) if hasattr(returned, "__dict__") else []


def part_of(returned: Any, name: str | None) -> Tensor:
    """The part of that name; the tensor itself without one."""
    if name is None and isinstance(returned, Tensor):
        return returned
    return dict(parts_of(returned))[name or "0"]


def chosen_part(returned: Any, wanted: int | str | None) -> str | None:
    """Which part of what a network returned holds its answer: the one that is asked for, ``logits``, or the only numbers.

    Raises
    ------
    ModelError
        If there are none or several, with their names.
    """
    if isinstance(returned, Tensor) and wanted is None:
        return None
    parts = dict(parts_of(returned))
    floats = [name for name, part in parts.items() if part.is_floating_point()]
    if wanted is not None:
        name = _asked_for(str(wanted), list(parts), wanted)
        if name is None:
            raise ModelError(
                f"The network returns {described(returned)}: there is no output {wanted!r} ({listing(list(parts))})."
            )
        return name
    if "logits" in floats:
        return "logits"
    if len(floats) == 1:
        return floats[0]
    what = described(returned)
    if not floats:
        raise ModelError(f"The network's output is {what}: there is no tensor of numbers in it that could be explained.")
    raise ModelError(f"The network's output is {what}: say which is its answer, as in output={_as_written(floats[0])}.")


def _asked_for(wanted: str, names: list[str], output: int | str) -> str | None:
    if wanted in names:
        return wanted
    index = (
        output
        if isinstance(output, int) and not isinstance(output, bool)
        else int(wanted)
        if wanted.lstrip("-").isdecimal()
        else None
    )
    return names[index] if index is not None and -len(names) <= index < len(names) else None


def _as_written(name: str) -> str:
    return name if name.isdecimal() else repr(name)


def asked_arguments(network: nn.Module) -> tuple[str, ...]:
    """Arguments of a network's forward, besides the first, that have no default and whose meaning is known."""
    understood = LENGTHS | RELATIVE_LENGTHS | MASKS | RATES
    return tuple(name for name in _required(network)[1:] if name in understood)


def _required(network: nn.Module) -> list[str]:
    schema = getattr(getattr(network, "forward", None), "schema", None)  # of TorchScript
    if schema is not None:
        return [item.name for item in schema.arguments if item.name != "self" and not item.has_default_value()]
    try:
        parameters = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [item.name for item in parameters if item.kind in named and item.default is item.empty]


@dataclass(frozen=True)
class Shapes:
    """Shapes of an output: of one recording, of two, and of one that is longer (None where none was tried)."""

    one: tuple[int, ...]
    two: tuple[int, ...] | None
    longer: tuple[int, ...] | None = None


def layout_of(shapes: Shapes, kind: Kind | None, names: int) -> Layout:
    """Which dimension of an output is what.

    Parameters
    ----------
    shapes : Shapes
    kind : str or None
        What the user says that the outputs are.
    names : int
        How many outputs are named, 0 if none.

    Raises
    ------
    ModelError
        If that cannot be told.
    """
    batch, squeezed = _batch_of(shapes)
    rest = tuple(size for place, size in enumerate(shapes.one) if squeezed or place != batch)
    longer = None
    if shapes.longer is not None and len(shapes.longer) == len(shapes.one):
        longer = tuple(size for place, size in enumerate(shapes.longer) if squeezed or place != batch)
    frames, outputs = _parts(rest, longer, kind, names, shapes.one)
    return Layout(batch, squeezed, frames, outputs)


def _batch_of(shapes: Shapes) -> tuple[int, bool]:
    one, two = shapes.one, shapes.two
    if two is None:
        return 0, not one or one[0] != 1
    if len(two) == len(one) + 1:
        places = [place for place in range(len(two)) if two[place] == 2 and two[:place] + two[place + 1 :] == one]
        if places:
            return places[0], True
    if len(two) == len(one):
        places = [place for place in range(len(two)) if (one[place], two[place]) == (1, 2)]
        if places and all(a == b for place, (a, b) in enumerate(zip(one, two, strict=True)) if place != places[0]):
            return places[0], False
    raise ModelError(
        f"The network's output has shape {one} for one recording and {two} for two: no dimension of it is that of the recordings."
    )


def _parts(
    rest: tuple[int, ...], longer: tuple[int, ...] | None, kind: Kind | None, names: int, shape: tuple[int, ...]
) -> tuple[int | None, int | None]:
    """The dimensions of frames and outputs, counted without that of the batch."""
    framed = kind in ("frames", "ctc")
    wide = [place for place, size in enumerate(rest) if size != 1]
    growing = [place for place in wide if longer is not None and longer[place] != rest[place]]
    if len(wide) > 2 or len(growing) > 1:
        raise _unclear(shape, "give output=, or wrap the network in a module that returns one of these two forms")
    if len(wide) == 2:
        if kind in ("classes", "labels", "values", "embedding") and not growing:
            raise _unclear(
                shape, f"it is said to be of the kind {kind!r}, which has no frames; say kind='frames', or take a mean"
            )
        if not names and not growing and kind is None:
            raise _unclear(shape, "say classes=[...], or kind='frames' of (batch, frames, classes)")
        frames = _frames_of_two(rest, wide, growing, names)
        return frames, next(place for place in wide if place != frames)
    if not wide:
        if framed and len(rest) >= 2:
            return 0, 1
        return (0, None) if framed and rest else (None, 0 if rest else None)
    (only,) = wide
    size, others = rest[only], [place for place in range(len(rest)) if place != only]
    single = (framed and names != size) or names == 1 or (bool(growing) and names != size)
    if kind in ("classes", "labels", "values", "embedding") and not growing:
        single = False
    if not single and not framed and names == 0 and kind is None and len(rest) > 1 and longer is None:
        raise _unclear(shape, "say classes=[...], or kind='frames'")
    if single:
        return only, next((place for place in others), None)
    if framed:
        return next((place for place in others), None), only
    return None, only


def _frames_of_two(rest: tuple[int, ...], wide: list[int], growing: list[int], names: int) -> int:
    if growing:
        return growing[0]
    matching = [place for place in wide if rest[place] == names]
    return next(place for place in wide if place != matching[0]) if len(matching) == 1 else wide[0]


def _unclear(shape: tuple[int, ...], advice: str) -> ModelError:
    expected = "logits of shape (batch, classes), or (batch, frames, classes)"
    return ModelError(f"The network's output has shape {shape}; expected {expected}: {advice}.")


def run_form(adapted: Adapted, features: Tensor) -> Any:
    """What the network inside returns; one line if it does not take the features."""
    taken = forms(features)[adapted.takes](features)
    arguments = {name: adapted._given(name, taken, features) for name in adapted.asks}
    return run_network(lambda entered: adapted.network(entered, **arguments), taken)  # type: ignore[arg-type]
