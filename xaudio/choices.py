"""What recordings and models may be, in words that plugins and the core exchange; see `xaudio.types`."""

from typing import Literal

Fit = Literal["error", "trim", "loudest"]
"""What happens to a recording longer than the representation takes.

``error`` refuses it, ``trim`` removes silence at both ends (and refuses it if that is not enough), ``loudest`` keeps
the window with the most energy: of those that begin on a grid of 10 ms (or 1 % of the window, if that is less) or end with the
recording, the first whose energy is within 0.1 % of the largest.
"""

Resampling = Literal["fft", "soxr"]
"""``fft`` is scipy.signal.resample, as the paper used; ``soxr`` is a band-limited resampler without its ringing."""

Placement = Literal["file", "step", "centre", "start"]
"""Where a recording shorter than the representation's window is placed within the zeros.

``file`` is a position drawn once per recording from the seed and the recording's content, ``step`` draws again at each
training step (and is ``file`` outside training), ``centre`` and ``start`` are fixed.
"""

Kind = Literal["classes", "labels", "frames", "ctc", "embedding", "values"]
"""What a model's outputs are: ``classes``, of which one is true (softmax), ``labels``, several of which may be true (a sigmoid
each), scores of ``frames`` in time, the symbols of a ``ctc`` in each frame, an ``embedding``, or ``values`` such as a quality.
A single output of classes is always a label: there is nothing that it could exclude."""

Baseline = Literal["zero", "silence", "noise_floor", "mean_spectrum"]
"""What stands in for what is taken away; see `xaudio.plugin.baseline_features`."""
