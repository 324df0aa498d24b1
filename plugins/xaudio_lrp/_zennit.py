"""Import zennit also where torchvision does not work.

zennit imports torchvision for the block classes of its ResNets, which its canonizers for them look for. xaudio uses
none of them, and torchvision is often missing or broken beside a torch from another source ("operator torchvision::nms
does not exist"), which should not stop anyone from explaining a sound.
"""

import sys
from importlib import import_module
from types import ModuleType


def _torchvision_names() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "torchvision"]


def _stand_in() -> dict[str, ModuleType]:
    """Modules with just the two names that zennit imports from torchvision."""
    modules = {name: ModuleType(name) for name in ("torchvision", "torchvision.models", "torchvision.models.resnet")}
    for block in ("BasicBlock", "Bottleneck"):
        setattr(modules["torchvision.models.resnet"], block, type(block, (), {}))
    return modules


def _import_zennit() -> None:
    if "zennit" in sys.modules:
        return
    try:
        import_module("torchvision.models.resnet")
    except Exception:  # a broken torchvision fails in many ways: ImportError, RuntimeError, OSError
        for name in _torchvision_names():
            del sys.modules[name]
        sys.modules.update(_stand_in())
        try:
            import_module("zennit")
        finally:  # whoever imports torchvision later must get the real one, or its own error
            for name in _torchvision_names():
                del sys.modules[name]


_import_zennit()

from zennit.attribution import Gradient  # noqa: E402
from zennit.canonizers import SequentialMergeBatchNorm  # noqa: E402
from zennit.composites import SpecialFirstLayerMapComposite, layer_map_base  # noqa: E402
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, ZBox, ZPlus  # noqa: E402
from zennit.types import Convolution, Linear  # noqa: E402

__all__ = [
    "AlphaBeta",
    "Convolution",
    "Epsilon",
    "Flat",
    "Gamma",
    "Gradient",
    "Linear",
    "SequentialMergeBatchNorm",
    "SpecialFirstLayerMapComposite",
    "ZBox",
    "ZPlus",
    "layer_map_base",
]
