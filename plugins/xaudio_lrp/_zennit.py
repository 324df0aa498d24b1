"""Import zennit also where torchvision does not work.

zennit imports torchvision for three classes: the blocks of its ResNets, which zennit's canonizers for them look for,
and (from 1.0) its frozen batch normalisation. No model that xaudio explains needs them where torchvision cannot be
imported, and torchvision is often missing or broken beside a torch from another source ("operator torchvision::nms does
not exist"), which should not stop anyone from explaining a sound.
"""

import sys
from importlib import import_module
from types import ModuleType

CLASSES = {"torchvision.models.resnet": ("BasicBlock", "Bottleneck"), "torchvision.ops": ("FrozenBatchNorm2d",)}
"""What zennit takes from torchvision."""


def _stand_in() -> dict[str, ModuleType]:
    """Modules with just those classes, empty."""
    modules = {name: ModuleType(name) for name in ("torchvision", "torchvision.models", *CLASSES)}
    for name, classes in CLASSES.items():
        for class_name in classes:
            setattr(modules[name], class_name, type(class_name, (), {}))
    vars(modules["torchvision"])["ops"] = modules["torchvision.ops"]  # zennit reads it as an attribute
    return modules


def _import_zennit() -> None:
    if "zennit" in sys.modules:
        return
    try:
        for name in CLASSES:
            import_module(name)
    except Exception:  # a broken torchvision fails in many ways: ImportError, RuntimeError, OSError
        sys.modules.update(_stand_in())
        try:
            import_module("zennit")
        finally:  # whoever imports torchvision later must get the real one, or its own error
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]


_import_zennit()

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
