"""Recurrent layers whose gates are held, as one function: forward in a loop without autograd, and back in another.

What is let through is linear then, so that the way back of a step is a few products of single values and one product with the
rows of the weight that make the signal.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ._functions_elementwise import slope_of
from ._functions_mode import Rules
from ._functions_weights import PLAIN
from ._rules import STABILISER, stabilised

State = tuple[Tensor, ...]


class Recurrent(NamedTuple):
    """The way back through the weight of the state, by the rule of linear layers: epsilon, or gamma where that is given.

    Parameters
    ----------
    rows : Tensor
        Of the weight, those that make the signal.
    bias : Tensor or None
        Of these rows.
    gamma : float or None
    both : Tensor or None, shape (2, rows, states)
        The rows and their sizes, as gamma weighs them.
    """

    rows: Tensor
    bias: Tensor | None
    gamma: float | None = None
    both: Tensor | None = None

    def held(self, states: Tensor) -> tuple[Tensor, ...]:
        """What the way back of each step multiplies by, from the states before the steps; see `_functions_weights._gamma`."""
        if self.gamma is None:
            return ()
        half, bias = self.gamma / 2, self.bias
        values = functional.linear(states, self.rows, bias)
        sizes = functional.linear(states.abs(), self.rows.abs(), None if bias is None else bias.abs()).copysign_(values)
        shares = values / stabilised(sizes.mul_(half).add_(values, alpha=1 + half), STABILISER)
        pair = torch.stack([shares, torch.where(values < 0, -shares, shares)], 1)
        return pair, torch.where(states < 0, -1.0, 1.0).to(states.dtype)

    def back(self, signal: Tensor, beside: Tensor | None, held: tuple[Tensor, ...]) -> Tensor:
        """From the gradient of a step's signal to that of the state before, plus what is beside it."""
        if self.both is None:
            return signal @ self.rows if beside is None else torch.addmm(beside, signal, self.rows)
        pair, signs = held
        first, second = torch.bmm((signal[:, None] * pair).transpose(0, 1), self.both)
        return torch.addcmul(first if beside is None else first + beside, second, signs)

    def absorbed(self, signals: Tensor, held: tuple[Tensor, ...]) -> Tensor | None:
        """What the bias, and what gamma adds to its denominators, have of the signals of all steps."""
        if self.gamma is None:
            return None if self.bias is None else signals.sum(0) @ self.bias
        first, second = (signals[:, None] * held[0]).sum(0)
        added: Tensor = STABILISER * second.sum()
        if self.bias is not None:
            half = self.gamma / 2
            added = added + (1 + half) * first @ self.bias + half * second @ self.bias.abs()
        return added


class Weights(NamedTuple):
    """Weight of the state (transposed where steps run) and its bias, and the projection of an LSTM."""

    recurs: Tensor
    bias: Tensor | None
    projection: Tensor | None


Back = Callable[[Tensor, Tensor | None], Tensor]


class Cell(NamedTuple):
    """One step of a kind of layer.

    Parameters
    ----------
    gates : int
        How many blocks of rows a weight has; where there are several, the third one makes the signal.
    step : callable
        From what a step reads (already times its weight), its state and the weights to the next state, and to what `held` takes.
    held : callable
        What the way back multiplies by, of all steps at once.
    back : callable
        From gradients of the state behind a step, what is held of it, weights and the way back through the state's weight
        (of a signal, and what is beside it) to the gradients of what the signal reads and of the state before.
    """

    gates: int
    step: Callable[[Tensor, State, Weights], tuple[State, tuple[Tensor, ...]]]
    held: Callable[..., tuple[Tensor, ...]]
    back: Callable[[State, tuple[Tensor, ...], Weights, Back], tuple[Tensor, State]]


def _slope(values: Tensor, inputs: Tensor, at_zero: float = 1.0) -> Tensor:
    return slope_of(values, inputs, 0.0, at_zero)


def _lstm(read: Tensor, state: State, weights: Weights) -> tuple[State, tuple[Tensor, ...]]:
    hidden, cell = state
    sums = torch.addmm(read, hidden, weights.recurs)
    gates = sums.sigmoid()
    entry, forget, _, out = gates.chunk(4, 1)
    size = cell.shape[1]
    passed = sums.narrow(1, 2 * size, size).tanh()
    cell = torch.addcmul(forget * cell, entry, passed)
    shown = cell.tanh()
    hidden = out * shown
    if weights.projection is not None:
        hidden = functional.linear(hidden, weights.projection)
    return (hidden, cell), (sums, gates, passed, shown, cell)


def _lstm_held(*kept: Tensor) -> tuple[Tensor, ...]:
    sums, gates, passed, shown, cell = kept
    entry, forget, _, out = gates.chunk(4, 1)
    return forget, entry * _slope(passed, sums.chunk(4, 1)[2]), out * _slope(shown, cell)


def _lstm_back(state: State, held: tuple[Tensor, ...], weights: Weights, through: Back) -> tuple[Tensor, State]:
    hidden, cell = state
    forget, enters, shows = held
    if weights.projection is not None:
        hidden = hidden @ weights.projection
    cell = torch.addcmul(cell, hidden, shows)
    signal = cell * enters
    return signal, (through(signal, None), cell * forget)


def _gru(read: Tensor, state: State, weights: Weights) -> tuple[State, tuple[Tensor, ...]]:
    (hidden,) = state
    size, bias = hidden.shape[1], weights.bias
    states = hidden @ weights.recurs if bias is None else torch.addmm(bias, hidden, weights.recurs)
    gates = (read.narrow(1, 0, 2 * size) + states.narrow(1, 0, 2 * size)).sigmoid()
    reset, update = gates.chunk(2, 1)
    signal = torch.addcmul(read.narrow(1, 2 * size, size), reset, states.narrow(1, 2 * size, size))
    passed = signal.tanh()
    return ((hidden - passed) * update + passed,), (gates, passed, signal)


def _gru_held(*kept: Tensor) -> tuple[Tensor, ...]:
    gates, passed, signal = kept
    reset, update = gates.chunk(2, 1)
    return reset, update, (1 - update) * _slope(passed, signal)


def _gru_back(state: State, held: tuple[Tensor, ...], weights: Weights, through: Back) -> tuple[Tensor, State]:
    (hidden,) = state
    reset, update, enters = held
    signal = hidden * enters
    return signal, (through(signal * reset, hidden * update),)


def _plain(activation: Callable[[Tensor], Tensor], at_zero: float) -> Cell:
    """A layer without gates."""

    def step(read: Tensor, state: State, weights: Weights) -> tuple[State, tuple[Tensor, ...]]:
        signal = torch.addmm(read, state[0], weights.recurs)
        hidden = activation(signal)
        return (hidden,), (hidden, signal)

    def held(*kept: Tensor) -> tuple[Tensor, ...]:
        values, signal = kept
        return (_slope(values, signal, at_zero),)

    def back(state: State, held: tuple[Tensor, ...], weights: Weights, through: Back) -> tuple[Tensor, State]:
        signal = state[0] * held[0]
        return signal, (through(signal, None),)

    return Cell(1, step, held, back)


CELLS = {
    "lstm": Cell(4, _lstm, _lstm_held, _lstm_back),
    "gru": Cell(3, _gru, _gru_held, _gru_back),
    "rnn_tanh": _plain(torch.tanh, 1.0),
    "rnn_relu": _plain(torch.relu, 0.0),
}


def signal_of(name: str, weight: Tensor) -> Tensor:
    """The rows of a weight or bias that make the signal."""
    gates = CELLS[name].gates
    return weight if gates == 1 else weight.chunk(gates)[2]


def are_held(mode: Rules, weights: Sequence[Tensor]) -> bool:
    """Whether gates are held and weights are the model's own, with a rule that the loop has."""
    method = mode.method
    plain = method.linear == "epsilon" and method.epsilon <= PLAIN
    gamma = method.linear == "gamma" and len(weights) % 2 == 0  # without a projection
    own = not any(weight.requires_grad for weight in weights)
    return (plain or gamma) and method.absorb and own and method.products == "gate"


def recurrent_of(mode: Rules, name: str, weights: Weights) -> Recurrent:
    """The way back through the weight of the state."""
    rows, bias = signal_of(name, weights.recurs), None if weights.bias is None else signal_of(name, weights.bias)
    if mode.method.linear != "gamma":
        return Recurrent(rows, bias)
    half = mode.method.gamma / 2
    return Recurrent(rows, bias, mode.method.gamma, torch.stack([(1 + half) * rows, half * rows.abs()]))


class Loop(NamedTuple):
    """A layer in one direction.

    Parameters
    ----------
    name : str
        Of the layer's kind.
    reads : Tensor, shape (steps of all recordings, rows)
        All that is read, times its weight.
    sizes : list of int
        Recordings in each step, the longest first.
    weights : Weights
    recurrent : Recurrent
    backwards : bool
    known : tuple of Tensor and tuple of Tensor, optional
        Outputs and last state of an LSTM without projection, of recordings of one length.
    """

    name: str
    reads: Tensor
    sizes: list[int]
    weights: Weights
    recurrent: Recurrent
    backwards: bool
    known: tuple[Tensor, State] | None = None

    def ordered(self, steps: Any) -> list[Any]:
        """Steps of time in the order in which they run, and the other way round."""
        return list(steps)[::-1] if self.backwards else list(steps)

    def forward(self, state: State) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        """Outputs, the last state, and what `whole` takes, each of all steps in the order in which they ran."""
        if self.known is not None:
            return self._of_known(*self.known, state)
        step, outputs, states, kept = CELLS[self.name].step, [], [], []
        weights = self.weights._replace(recurs=self.weights.recurs.t())
        for read in self.ordered(torch.split(self.reads, self.sizes)):
            before = _first(state, read)
            after, parts = step(read, before, weights)
            state = _replaced(state, after)
            states.append(before[0])
            outputs.append(after[0])
            kept.append(parts)
        held = CELLS[self.name].held(*(torch.cat(parts) for parts in zip(*kept, strict=True)))
        return torch.cat(self.ordered(outputs)), state, held + self._kept(torch.cat(states))

    def _of_known(self, outputs: Tensor, last: State, state: State) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        """The same of an LSTM whose outputs are known: all but its cells, one after the other, is computed at once."""
        order = [values.reshape(len(self.sizes), -1, values.shape[1]) for values in (outputs, self.reads)]
        hidden, reads = (values.flip(0) for values in order) if self.backwards else order
        states = torch.cat([state[0][None], hidden[:-1]])
        sums = reads + states @ self.weights.recurs.t()
        gates, passed = sums.sigmoid(), sums.chunk(4, 2)[2].tanh()
        entry, forget, _, _ = gates.chunk(4, 2)
        cell, cells = state[1], []
        for kept, added in zip(forget.unbind(), (entry * passed).unbind(), strict=True):
            cell = torch.addcmul(added, kept, cell)
            cells.append(cell)
        together = torch.stack(cells)
        held = _lstm_held(*(values.flatten(0, 1) for values in (sums, gates, passed, together.tanh(), together)))
        return outputs, last, held + self._kept(states.flatten(0, 1))

    def _kept(self, states: Tensor) -> tuple[Tensor, ...]:
        """The states before the steps, where the way back needs something of them: less than that is."""
        return () if self.recurrent.both is None else (states,)

    def whole(self, held: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What the way back needs, of what was kept for it."""
        return held if self.recurrent.both is None else (*held[:-1], *self.recurrent.held(held[-1]))

    def back(self, outputs: Tensor, state: State, held: tuple[Tensor, ...]) -> tuple[Tensor, State]:
        """Gradients of what the signal reads, in the order of the steps, and of the state at the beginning."""
        back, count = CELLS[self.name].back, len(held) - (2 if self.recurrent.both is not None else 0)
        arriving, sizes = self.ordered(torch.split(outputs, self.sizes)), self.ordered(self.sizes)
        parts = list(zip(*(torch.split(part, sizes) for part in held), strict=True))
        if self.name == "lstm" and self.weights.projection is None and min(sizes) == max(sizes):
            return _back_through_lstm(arriving, parts, state, self.recurrent)
        signals = []
        for gradient, now in zip(reversed(arriving), reversed(parts), strict=True):
            hidden, *rest = _first(state, gradient)
            through = partial(self.recurrent.back, held=now[count:])
            signal, before = back((hidden + gradient, *rest), now[:count], self.weights, through)
            state = _replaced(state, before)
            signals.append(signal)
        return torch.cat(signals[::-1]), state

    def in_time(self, values: Tensor) -> Tensor:
        """Values of steps in the order in which they ran, in that of time."""
        return torch.cat(torch.split(values, self.ordered(self.sizes))[::-1]) if self.backwards else values


def _back_through_lstm(
    arriving: Sequence[Tensor], parts: Sequence[tuple[Tensor, ...]], state: State, recurrent: Recurrent
) -> tuple[Tensor, State]:
    """The same as steps of `_lstm_back` for recordings of one length, with what arrives added in the product."""
    hidden, cell = state[0] + arriving[-1], state[1]
    steps = len(arriving)
    signals = torch.empty(steps, *cell.shape, dtype=cell.dtype, device=cell.device)
    for place, signal in zip(range(steps - 1, -1, -1), reversed(signals.unbind()), strict=True):
        forget, enters, shows, *held = parts[place]
        cell = torch.addcmul(cell, hidden, shows)
        torch.mul(cell, enters, out=signal)
        cell = cell * forget
        hidden = recurrent.back(signal, arriving[place - 1] if place else None, tuple(held))
    return signals.flatten(0, 1), (hidden, cell)


def _first(state: State, step: Tensor) -> State:
    """The state of as many recordings as a step has."""
    rows = step.shape[0]
    return state if state[0].shape[0] == rows else tuple(part[:rows] for part in state)


def _replaced(state: State, after: State) -> State:
    """A state whose first recordings have gone on."""
    rows = after[0].shape[0]
    if rows == state[0].shape[0]:
        return after
    return tuple(torch.cat([new, part[rows:]]) for new, part in zip(after, state, strict=True))


class _Run(torch.autograd.Function):
    """Outputs of all steps and the last state; relevance goes through the signal and the state."""

    @staticmethod
    def forward(context: Any, signal: Tensor, one: Tensor, loop: Loop, *state: Tensor) -> Any:
        outputs, last, held = loop.forward(state)
        context.loop, context.held = loop._replace(reads=loop.reads.new_empty(0), known=None), held
        return outputs, *last

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        loop, held = context.loop, context.loop.whole(context.held)
        signals, state = loop.back(gradients[0], gradients[1:], held)
        weighed = signals * held[0] if loop.name == "gru" else signals  # by the reset gate
        share = loop.recurrent.absorbed(weighed, held[-2:])
        return loop.in_time(signals), share, None, *state


def run(mode: Rules, signal: Tensor, loop: Loop, state: State) -> tuple[Tensor, State]:
    """Outputs of all steps, (steps of all recordings, values), and the last state.

    Parameters
    ----------
    mode : Rules
    signal : Tensor
        What the signal reads, which has all of the relevance.
    loop : Loop
    state : tuple of Tensor
        At the beginning.
    """
    outputs, *last = _Run.apply(mode.begun(signal), mode.one, loop, *state)  # type: ignore[no-untyped-call]
    return outputs, tuple(last)
