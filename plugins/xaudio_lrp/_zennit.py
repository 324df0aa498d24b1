"""Import zennit also where torchvision does not work.

zennit imports torchvision for three classes: the blocks of its ResNets, which zennit's canonizers for them look for,
and (from 1.0) its frozen batch normalisation. No model that xaudio explains needs them where torchvision cannot be
imported.
"""

import sys
from importlib import import_module

from xaudio.plugin import beside_torchvision

CLASSES = {"torchvision.models.resnet": ("BasicBlock", "Bottleneck"), "torchvision.ops": ("FrozenBatchNorm2d",)}
"""What zennit takes from torchvision."""


if "zennit" not in sys.modules:
    with beside_torchvision(CLASSES):
        import_module("zennit")

from zennit.attribution import Gradient  # noqa: E402
from zennit.canonizers import NamedMergeBatchNorm  # noqa: E402
from zennit.composites import layer_map_base  # noqa: E402
from zennit.core import Composite  # noqa: E402
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, Pass, ZBox, ZPlus  # noqa: E402
from zennit.types import Convolution  # noqa: E402

__all__ = [
    "AlphaBeta",
    "Composite",
    "Convolution",
    "Epsilon",
    "Flat",
    "Gamma",
    "Gradient",
    "NamedMergeBatchNorm",
    "Pass",
    "ZBox",
    "ZPlus",
    "layer_map_base",
]
