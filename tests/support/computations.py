"""Small networks that are more than chains of modules, with weights and constants drawn so that none of them is 0."""

import math

import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
    """Parts, and a forward written as a function of the network and its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.way = [forward]
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, features):
        return self.way[0](self, features)


def drawn(network, seed=0):
    """The network in double precision, with weights of unit gain, and biases, means and variances far from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double().eval()
    for parameter in network.parameters():
        spread = 0.3 if parameter.ndim < 2 else 1.2 / math.sqrt(parameter[0].numel())
        parameter.data = spread * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator, dtype=torch.float64))
        if name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=torch.float64))
    return network


class Residual(nn.Module):
    """A block of two convolutions, or with a bottleneck three, beside a shortcut."""

    def __init__(self, channels, outputs, stride=1, bottleneck=False):
        super().__init__()
        inner = outputs // 2 if bottleneck else outputs
        first = nn.Conv2d(
            channels, inner, 1 if bottleneck else 3, 1 if bottleneck else stride, 0 if bottleneck else 1, bias=False
        )
        second = nn.Conv2d(inner, inner, 3, stride if bottleneck else 1, 1, bias=False)
        layers = [first, nn.BatchNorm2d(inner), nn.ReLU(inplace=True), second, nn.BatchNorm2d(inner)]
        if bottleneck:
            layers += [nn.ReLU(inplace=True), nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.body = nn.Sequential(*layers)
        same = channels == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv2d(channels, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, features):
        hidden = self.body(features)
        hidden += self.shortcut(features)
        return functional.relu(hidden, inplace=True)


def resnet(blocks, bottleneck):
    stem = [nn.Conv2d(1, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels, layers = 8, []
    for stage, count in enumerate(blocks):
        for block in range(count):
            outputs = 8 * 2**stage
            layers.append(Residual(channels, outputs, 2 if stage and not block else 1, bottleneck))
            channels = outputs
    return nn.Sequential(*stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


class Squeezed(nn.Module):
    """A block of an EfficientNet: expansion, depthwise convolution, squeeze and excitation, projection, shortcut."""

    def __init__(self, channels, gate=torch.sigmoid):
        super().__init__()
        wide = 3 * channels
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU(inplace=True))
        self.depth = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.SiLU(inplace=True)
        )
        self.squeeze, self.excite, self.gate = nn.Conv2d(wide, 2, 1), nn.Conv2d(2, wide, 1), gate
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, features):
        hidden = self.depth(self.expand(features))
        weights = self.excite(functional.silu(self.squeeze(hidden.mean((2, 3), keepdim=True))))
        return self.project(hidden * self.gate(weights)) + features


def efficientnet():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, 2, 1), nn.SiLU(), Squeezed(6), Squeezed(6, functional.hardsigmoid)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    )


def _statistics(network, features):
    """Attentive statistics pooling: means and standard deviations under weights that also read their context."""
    hidden = functional.relu(network.first(features.squeeze(1)))
    parts = list(torch.chunk(hidden, 4, 1))
    for place in range(1, 4):
        parts[place] = functional.relu(network.scales[place - 1](parts[place] + parts[place - 1]))
    hidden = network.norm(torch.cat(parts, 1)) + hidden
    mean, spread = hidden.mean(2, keepdim=True), hidden.var(2, keepdim=True).clamp(min=1e-9).sqrt()
    context = torch.cat([hidden, mean.expand_as(hidden), spread.expand_as(hidden)], 1)
    weights = torch.softmax(network.attend(torch.tanh(network.squeeze(context))), 2)
    mean = (weights * hidden).sum(2)
    spread = ((weights * hidden**2).sum(2) - mean**2).clamp(min=1e-9).sqrt()
    return network.out(torch.cat([mean, spread], 1))


def ecapa():
    return Network(
        _statistics,
        first=nn.Conv1d(20, 8, 5, padding=2),
        scales=nn.ModuleList(nn.Conv1d(2, 2, 3, padding=1) for _ in range(3)),
        norm=nn.BatchNorm1d(8),
        squeeze=nn.Conv1d(24, 4, 1),
        attend=nn.Conv1d(4, 8, 1),
        out=nn.Linear(16, 4),
    )


def _pooled_twice(network, features):
    """The way of PANNs: means over frequency, then mean and maximum over time, summed up."""
    hidden = network.norm(features.transpose(1, 2)).permute(0, 2, 3, 1)
    hidden = functional.avg_pool2d(functional.relu(network.bn1(network.conv1(hidden))), 2)
    hidden = functional.avg_pool2d(functional.relu_(network.bn2(network.conv2(hidden))), 2)
    hidden = functional.dropout(hidden, 0.2, training=network.training).mean(3)
    return network.out(functional.relu_(network.embed(hidden.amax(2) + hidden.mean(2))))


def cnn14():
    return Network(
        _pooled_twice,
        norm=nn.BatchNorm2d(20),
        conv1=nn.Conv2d(1, 6, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(6),
        conv2=nn.Conv2d(6, 6, 3, padding=1, bias=False),
        bn2=nn.BatchNorm2d(6),
        embed=nn.Linear(6, 8),
        out=nn.Linear(8, 4),
    )


def _sinc_graph(network, features):
    """Band-pass filters of a few numbers, attention over a graph of bands, and of the bands only the most important."""
    time = torch.arange(-8, 9, dtype=features.dtype)
    low = network.low.abs()[:, None]
    filters = torch.sinc(2 * (low + 0.1) * time) - torch.sinc(2 * low * time)
    hidden = functional.conv1d(features.flatten(2), filters[:, None] * torch.hamming_window(17, dtype=features.dtype), padding=8)
    nodes = network.norm(torch.abs(hidden)).unfold(2, 20, 20).mean(3)
    pairs = torch.einsum("bnf,bmf->bnm", network.query(nodes), nodes)
    nodes = torch.matmul(functional.softmax(pairs, -1), network.value(nodes)) + nodes
    scores = torch.sigmoid(network.score(nodes)).squeeze(2)
    best, chosen = scores.topk(3, 1)
    kept = nodes.gather(1, chosen[:, :, None].expand(-1, -1, nodes.shape[2])) * best[:, :, None]
    return network.out(functional.selu(kept).flatten(1))


def sinc_graph():
    low = nn.Parameter(torch.rand(5))
    network = Network(
        _sinc_graph,
        norm=nn.BatchNorm1d(5),
        query=nn.Linear(40, 40),
        value=nn.Linear(40, 40),
        score=nn.Linear(40, 1),
        out=nn.Linear(120, 4),
    )
    network.low = low
    return network


def _sound_events(network, features):
    """Convolutions with gates, pooling by powers, a recurrent layer both ways, attention pooling."""
    hidden = network.conv(features)
    hidden = network.pool(hidden * torch.sigmoid(network.gate(hidden)))
    hidden = network.recur(hidden.flatten(1, 2).transpose(1, 2))[0]
    strong = network.strong(hidden)
    weights = torch.softmax(network.weigh(hidden), 1).clamp(1e-7, 1)
    return (strong * weights).sum(1) / weights.sum(1)


def sound_events():
    return Network(
        _sound_events,
        conv=nn.Conv2d(1, 4, 3, padding=1),
        gate=nn.Conv2d(4, 4, 1),
        pool=nn.LPPool2d(4, (5, 4)),
        recur=nn.GRU(16, 5, bidirectional=True, batch_first=True),
        strong=nn.Linear(10, 4),
        weigh=nn.Linear(10, 4),
    )


def transformer():
    layer = nn.TransformerEncoderLayer(20, 2, 24, activation="gelu", batch_first=True, norm_first=True)

    def forward(network, features):
        frames = features.squeeze(1).transpose(1, 2)
        frames = torch.cat([network.token.expand(len(frames), -1, -1), frames], 1) + network.positions
        return network.out(network.encoder(frames)[:, 0])

    network = Network(forward, encoder=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), out=nn.Linear(20, 4))
    network.token, network.positions = nn.Parameter(torch.zeros(1, 1, 20)), nn.Parameter(torch.zeros(1, 41, 20))
    return network


def recurrent(kind, **options):
    def forward(network, features):
        outputs = network.recur(features.squeeze(1).transpose(1, 2))[0]
        return network.out(outputs[:, -1] + outputs.mean(1))

    width = (options.get("proj_size") or 6) * (2 if options.get("bidirectional") else 1)
    return Network(forward, recur=kind(20, 6, 2, batch_first=True, **options), out=nn.Linear(width, 4))


def _scanned(network, features):
    """A state space whose steps depend on the input, beside a gate and a shortcut."""
    frames = features.squeeze(1).transpose(1, 2)
    signal, gate = network.enter(network.norm(frames)).chunk(2, 2)
    signal = functional.silu(network.conv(signal.transpose(1, 2))[..., : frames.shape[1]]).transpose(1, 2)
    step, reads, shows = network.chosen(signal).split([5, 3, 3], 2)
    step = functional.softplus(step)
    keeps = torch.exp(-step[..., None] * torch.arange(1, 4, dtype=features.dtype))
    state, outputs = features.new_zeros(len(features), 5, 3), []
    for time in range(frames.shape[1]):
        state = keeps[:, time] * state + (step[:, time] * signal[:, time])[..., None] * reads[:, time, None]
        outputs.append((state * shows[:, time, None]).sum(2))
    return network.out((network.leave(torch.stack(outputs, 1) * functional.silu(gate)) + frames).mean(1))


def selective_scan():
    return Network(
        _scanned,
        norm=nn.RMSNorm(20),
        enter=nn.Linear(20, 10),
        conv=nn.Conv1d(5, 5, 4, padding=3, groups=5),
        chosen=nn.Linear(5, 11),
        leave=nn.Linear(5, 20),
        out=nn.Linear(20, 4),
    )


def _separated(network, features):
    """A learned basis, a mask from dilated convolutions with skips, and the way back to samples."""
    basis = functional.relu(network.encode(features.flatten(1)[:, None]))
    hidden, skips = network.squeeze(network.norm(basis)), 0
    for dilation, block in zip((1, 2), network.blocks, strict=True):
        wide = functional.prelu(block[0](hidden), network.slope)
        wide = functional.conv1d(functional.group_norm(wide, 1), block[1].weight, block[1].bias, 1, dilation, dilation, 6)
        hidden, skips = hidden + block[2](wide), skips + block[3](wide)
    masked = basis * torch.sigmoid(network.mask(skips))
    return network.out(network.decode(masked).squeeze(1).abs().unfold(1, 80, 80).mean(1)[:, :20])


def separator():
    blocks = (
        nn.ModuleList([nn.Conv1d(4, 6, 1), nn.Conv1d(6, 6, 3, groups=6), nn.Conv1d(6, 4, 1), nn.Conv1d(6, 4, 1)])
        for _ in range(2)
    )
    network = Network(
        _separated,
        encode=nn.Conv1d(1, 8, 16, 8, bias=False),
        norm=nn.GroupNorm(1, 8),
        squeeze=nn.Conv1d(8, 4, 1),
        blocks=nn.ModuleList(blocks),
        mask=nn.Conv1d(4, 8, 1),
        decode=nn.ConvTranspose1d(8, 1, 16, 8),
        out=nn.Linear(20, 4),
    )
    network.slope = nn.Parameter(torch.zeros(1))
    return network


NETWORKS = {
    "resnet18": lambda: resnet((2, 2, 2, 2), bottleneck=False),
    "resnet50": lambda: resnet((3, 4, 6, 3), bottleneck=True),
    "efficientnet": efficientnet,
    "ecapa": ecapa,
    "cnn14": cnn14,
    "sinc filters and a graph": sinc_graph,
    "gates, powers and recurrence": sound_events,
    "transformer": transformer,
    "selective scan": selective_scan,
    "separator": separator,
    "lstm": lambda: recurrent(nn.LSTM),
    "lstm both ways with projections": lambda: recurrent(nn.LSTM, bidirectional=True, proj_size=4),
    "gru": lambda: recurrent(nn.GRU, bidirectional=True),
    "rnn": lambda: recurrent(nn.RNN, nonlinearity="relu"),
}
"""Networks of (batch, 1, 20, 40), as functions that make them."""
