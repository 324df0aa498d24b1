"""What LRP of any computation costs: ``python benchmarks/lrp_cost.py`` prints tables of time and memory.

The unit is one pass forward and one back to the input of the network itself; each side is timed in turns, by process time, with
one thread. ``least`` is a bound from below, in the same turns: that pass under a mode that sees every function and changes none,
and back to the biases as well, whose gradient is their share of the answer; for a recurrent layer the bare products and loops
that its rules need. Memory is the most that all tensors take at once, beside the network, against that of the unit.
``--small`` measures small networks alone, ``--large`` those of the size that is in use.
Weights are drawn at random; the speed is that of trained networks. `xaudio bench speed --parts functions` measures the large ones
by the clock on the wall.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

import xaudio
from xaudio.plugin import beside_torchvision
from xaudio_bench_speed.functions import Logits, networks

COMPOSITES = ("epsilon", "epsilon_plus", "epsilon_gamma", "gamma")
ROUNDS = 7
Run = Callable[[], Any]


class Recurrent(nn.Module):
    """Two recurrent layers in both directions."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.layers, self.out = kind(128, 128, 2, batch_first=True, bidirectional=True), nn.Linear(256, 5)

    def forward(self, features: Tensor) -> Tensor:
        """Sequences (batch, steps, 128) to logits (batch, classes)."""
        logits: Tensor = self.out(self.layers(features)[0].mean(1))
        return logits


class Encoder(nn.Module):
    """The transformer of torch."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, activation="gelu", batch_first=True, norm_first=True)
        self.layers, self.out = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), nn.Linear(128, 10)

    def forward(self, features: Tensor) -> Tensor:
        """Sequences (batch, steps, 128) to logits (batch, classes)."""
        logits: Tensor = self.out(self.layers(features).mean(1))
        return logits


def _depthwise(channels: int, after: int, kernel: int) -> list[nn.Module]:
    """A block as of an EfficientNet, with inputs of both signs."""
    wide = 4 * channels
    between = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide, bias=False)
    start = [nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU()]
    return [*start, between, nn.BatchNorm2d(wide), nn.SiLU(), nn.Conv2d(wide, after, 1, bias=False), nn.BatchNorm2d(after)]


def small() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Names, networks and features of some milliseconds."""
    with beside_torchvision():
        import transformers
    wave = transformers.Wav2Vec2Config(
        num_labels=10, hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512, conv_dim=[64] * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, classifier_proj_size=64,
    )  # fmt: skip
    yield "wav2vec 2.0, 4 layers of 128", Logits(transformers.Wav2Vec2ForSequenceClassification(wave)), torch.randn(1, 16000)
    patches = transformers.ASTConfig(
        max_length=100, num_mel_bins=64, num_hidden_layers=4, hidden_size=96, num_attention_heads=4, intermediate_size=384,
        num_labels=10,
    )  # fmt: skip
    yield "AST, 4 layers of 96", Logits(transformers.ASTForAudioClassification(patches)), torch.randn(1, 100, 64)
    yield "TransformerEncoder, 4 layers of 128", Encoder(), torch.randn(1, 100, 128)
    sizes = [(16, 24, 3), (24, 24, 5), (24, 24, 3), (24, 40, 5), (40, 40, 3), (40, 40, 5)]
    blocks = [layer for block in sizes for layer in _depthwise(*block)]
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10)]
    yield "six depthwise blocks", nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), *blocks, *ends), torch.randn(1, 1, 64, 100)
    yield "LSTM, two layers both ways of 128", Recurrent(nn.LSTM), torch.randn(1, 100, 128)
    yield "GRU of that size", Recurrent(nn.GRU), torch.randn(1, 100, 128)


def large() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Names, networks and features of the size that is in use."""
    return ((name, Logits(network), features) for name, network, features in networks())


class _Seen(TorchFunctionMode):
    """Sees every function and changes none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def gradient(network: nn.Module, features: Tensor, target: Tensor, also: tuple[Tensor, ...] = ()) -> Any:
    """One pass forward and back to the features, and to some parameters."""
    leaf = features.detach().clone().requires_grad_()
    return torch.autograd.grad(network(leaf).gather(1, target[:, None]).sum(), (leaf, *also), allow_unused=True)


def bound(network: nn.Module, features: Tensor, target: Tensor) -> Run:
    """The least that must be computed; see the top of this file."""
    if isinstance(network, Recurrent):
        return partial(_bare_loops, network, features)
    biases = tuple(value for name, value in network.named_parameters() if name.endswith("bias"))

    def run() -> None:
        for value in biases:
            value.requires_grad_()
        with _Seen():
            gradient(network, features, target, biases)
        for value in biases:
            value.requires_grad_(False)

    return run


@torch.no_grad()
def _bare_loops(network: Recurrent, features: Tensor) -> None:
    """Outputs by torch, and per layer and direction the sums of all gates at once and the way back of each step.

    That is one product with the rows of the signal for each step; an LSTM's cells, which torch does not give, take a loop forward
    and two more products of single values back.
    """
    outputs, layers = network(features), network.layers
    size, steps = layers.hidden_size, features.shape[1]
    known = torch.randn(steps, len(features), size)
    for name, weight in layers.named_parameters():
        if "weight_ih" in name:
            gates = torch.randn(steps, weight.shape[1]) @ weight.t()
        elif "weight_hh" in name:
            gates = (gates + known.flatten(0, 1) @ weight.t()).sigmoid()
            lstm, rows = isinstance(layers, nn.LSTM), weight[2 * size : 3 * size]
            cell, hidden, held = known[0], known[0], known.unbind()
            for part in held if lstm else ():
                cell = torch.addcmul(part, part, cell)
            for part in held:
                cell = torch.addcmul(cell, hidden, part) if lstm else hidden
                signal = cell * part
                cell = cell * part
                hidden = torch.addmm(part, signal, rows)
    del outputs


def runs_of(network: nn.Module, features: Tensor) -> dict[str, Run]:
    """The unit, each composite, and the bound."""
    with torch.no_grad():
        target = network(features).argmax(1)
    runs: dict[str, Run] = {"unit": partial(gradient, network, features, target)}
    for composite in COMPOSITES:
        lrp = xaudio.create("explainer", "lrp", composite=composite, engine="functions", strict=False)
        runs[composite] = partial(lrp, network, features, target)
    return runs | {"least": bound(network, features, target)}


def units(runs: dict[str, Run]) -> dict[str, float]:
    """Medians over rounds of each run's time in units, and the unit itself in milliseconds."""
    for run in runs.values():  # the first calls are slower
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS):
        for name in sorted(runs, reverse=bool(number % 2)):
            start = time.process_time()
            runs[name]()
            times[name].append(time.process_time() - start)
    shares = {name: statistics.median(one / base for one, base in zip(times[name], times["unit"], strict=True)) for name in runs}
    return shares | {"unit": 1000 * statistics.median(times["unit"])}


def most_memory(run: Run) -> int:
    """Bytes of tensors that a run has at once at most."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(max(itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))))


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen = [*([] if "--large" in sys.argv else [small]), *([] if "--small" in sys.argv else [large])]
    columns = (*COMPOSITES, "least")
    print("| network | unit, ms |", " | ".join(columns), "| memory:", " | ".join(COMPOSITES), "|")
    for name, network, features in itertools.chain(*(rows() for rows in chosen)):
        runs = runs_of(network.eval().requires_grad_(False), features)
        measured = units(runs)
        many = runs_of(network, features.repeat(-(-16 // len(features)), *[1] * (features.ndim - 1)))
        memory = {key: most_memory(many[key]) for key in ("unit", *COMPOSITES)}
        times = " | ".join(f"{measured[key]:.2f}" for key in columns)
        shares = " | ".join(f"{memory[key] / memory['unit']:.2f}" for key in COMPOSITES)
        print(f"| {name} | {measured['unit']:.1f} | {times} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
