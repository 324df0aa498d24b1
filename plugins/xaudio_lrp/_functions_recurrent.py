"""Recurrent layers: with gates that are held as one function, else step by step, so that each sum and product has its rule."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ._functions_gates import Loop, State, Weights, are_held, recurrent_of, run, signal_of
from ._functions_mode import Rules, rule

Cell = Callable[[Tensor, State, tuple[Tensor, Tensor | None, Tensor | None]], State]
"""From what a step reads (already times its weight), the state and the recurrent weights to the next state."""


def _lstm_cell(read: Tensor, state: State, weights: Any) -> State:
    hidden, cell = state
    entry, forget, signal, out = (read + functional.linear(hidden, weights[0])).chunk(4, 1)
    cell = forget.sigmoid() * cell + entry.sigmoid() * signal.tanh()
    hidden = out.sigmoid() * cell.tanh()
    return (hidden if weights[2] is None else functional.linear(hidden, weights[2])), cell


def _gru_cell(read: Tensor, state: State, weights: Any) -> State:
    (hidden,) = state
    reset, update, signal = read.chunk(3, 1)
    by_reset, by_update, by_signal = functional.linear(hidden, weights[0], weights[1]).chunk(3, 1)
    reset, update = (reset + by_reset).sigmoid(), (update + by_update).sigmoid()
    signal = (signal + reset * by_signal).tanh()
    return (signal * (1 - update) + update * hidden,)


def _rnn_cell(activation: Callable[[Tensor], Tensor]) -> Cell:
    def cell(read: Tensor, state: State, weights: Any) -> State:
        return (activation(read + functional.linear(state[0], weights[0])),)

    return cell


CELLS: dict[str, Cell] = {
    "lstm": _lstm_cell,
    "gru": _gru_cell,
    "rnn_tanh": _rnn_cell(torch.tanh),
    "rnn_relu": _rnn_cell(torch.relu),
}


def _entering(name: str, weights: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of what is read; in a GRU the bias of the state is one of its own, since the reset gate weighs it."""
    enters, _, *rest = weights
    if len(rest) < 2:
        return enters, None
    return enters, rest[0] if name == "gru" else rest[0] + rest[1]


def _read(name: str, inputs: Tensor, weights: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor | None, Tensor | None]]:
    """All that is read, times its weight; and what the steps need: recurrent weight, its bias, projection."""
    _, recurs, *rest = weights
    enters, bias = _entering(name, weights)
    projection = rest[-1] if len(rest) % 2 else None
    later = rest[1] if name == "gru" and len(rest) >= 2 else None
    return functional.linear(inputs, enters, bias), (recurs, later, projection)


def _direction(
    mode: Rules, name: str, inputs: Tensor, sizes: list[int], state: State, weights: list[Tensor], *, backwards: bool
) -> tuple[Tensor, State]:
    """Outputs of all steps and the last state; steps may have fewer and fewer recordings."""
    if are_held(mode, weights):
        return _with_gates_held(mode, name, inputs, sizes, state, weights, backwards=backwards)
    with mode:
        return _step_by_step(name, inputs, sizes, state, weights, backwards=backwards)


def _with_gates_held(
    mode: Rules, name: str, inputs: Tensor, sizes: list[int], state: State, weights: list[Tensor], *, backwards: bool
) -> tuple[Tensor, State]:
    """The same in one function, as nothing but the signal has relevance."""
    reads, recurrent = _read(name, inputs.detach(), weights)
    enters, bias = _entering(name, weights)
    with mode:
        signal = functional.linear(inputs, signal_of(name, enters), None if bias is None else signal_of(name, bias))
    whole = len(sizes) > 1 and min(sizes) == max(sizes) and not inputs.is_cuda  # cuDNN warns of weights of single layers
    simple = name == "lstm" and recurrent[2] is None and whole
    known = (
        _by_torch(inputs.detach().reshape(len(sizes), -1, inputs.shape[1]), state, weights, backwards=backwards)
        if simple
        else None
    )
    own = Weights(*recurrent)
    loop = Loop(name, reads, sizes, own, recurrent_of(mode, name, own), backwards, known)
    return run(mode, signal, loop, state)


def _by_torch(inputs: Tensor, state: State, weights: list[Tensor], *, backwards: bool) -> tuple[Tensor, State]:
    """Outputs and last state of an LSTM, in a fraction of the time of its single steps."""
    ordered = inputs.flip(0) if backwards else inputs
    begin = [part.detach()[None] for part in state]
    with torch.no_grad():
        outputs, *last = torch.lstm(ordered, begin, weights, len(weights) > 2, 1, 0.0, False, False, False)
    outputs = outputs.flip(0) if backwards else outputs
    return outputs.flatten(0, 1).clone(), tuple(part[0].clone() for part in last)  # no views, which may not be written to


def _step_by_step(
    name: str, inputs: Tensor, sizes: list[int], state: State, weights: list[Tensor], *, backwards: bool
) -> tuple[Tensor, State]:
    """By functions that each have their rule."""
    every, recurrent = _read(name, inputs, weights)
    reads = list(torch.split(every, sizes))
    outputs: list[Tensor] = []
    current = tuple(part[:0] if backwards else part for part in state)
    finished: list[State] = []
    for read in reversed(reads) if backwards else reads:
        rows, before = len(read), len(current[0])
        if rows > before:
            current = tuple(
                torch.cat([part, start[before:rows]]) if before else start[:rows]
                for part, start in zip(current, state, strict=True)
            )
        elif rows < before:
            finished.append(tuple(part[rows:] for part in current))
            current = tuple(part[:rows] for part in current)
        current = CELLS[name](read, current, recurrent)
        outputs.append(current[0])
    return torch.cat(outputs[::-1] if backwards else outputs), _last(current, finished)


def _last(current: State, finished: list[State]) -> State:
    """The last states of all recordings, the longest first."""
    if not finished:
        return current
    return tuple(torch.cat(list(parts)) for parts in zip(current, *reversed(finished), strict=True))


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """The layers of a recurrent network, of sequences of one length or packed ones."""
    name = func.__name__
    packed = isinstance(args[1], Tensor) and not args[1].is_floating_point()
    inputs = args[0]
    state, weights, biased, layers = args[2:6] if packed else args[1:5]
    both, first = args[8 if packed else 7], not packed and args[8]
    states = tuple(mode.begun(part) for part in (state if name == "lstm" else (state,)))
    sizes = args[1].tolist() if packed else [inputs.shape[0 if first else 1]] * inputs.shape[1 if first else 0]
    with mode:
        together = inputs if packed else (inputs.transpose(0, 1) if first else inputs).flatten(0, 1)
    projected = name == "lstm" and states[0].shape[-1] != states[1].shape[-1]
    parts = iter(_in_parts(list(weights), 2 + 2 * bool(biased) + projected))
    lasts: list[State] = []
    for layer in range(layers):
        ways = []
        for way in range(2 if both else 1):
            begin = tuple(part[layer * (2 if both else 1) + way] for part in states)
            outputs, last = _direction(mode, name, together, sizes, begin, next(parts), backwards=bool(way))
            ways.append(outputs)
            lasts.append(last)
        together = torch.cat(ways, -1) if both else ways[0]
    outputs = together if packed else together.unflatten(0, (-1, sizes[0]))
    outputs = outputs.transpose(0, 1) if first else outputs
    return outputs, *(torch.stack(list(part)) for part in zip(*lasts, strict=True))


def _in_parts(values: list[Tensor], size: int) -> Iterator[list[Tensor]]:
    return (values[start : start + size] for start in range(0, len(values), size))


@rule("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _cell(mode: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """One step of a recurrent network."""
    name = func.__name__.removesuffix("_cell")
    inputs, state, *weights = args
    states = tuple(mode.begun(part) for part in (state if name == "lstm" else (state,)))
    own = [weight for weight in weights if weight is not None]
    _, last = _direction(mode, name, inputs, [len(inputs)], states, own, backwards=False)
    return last if name == "lstm" else last[0]
