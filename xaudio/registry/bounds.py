"""Types of options that many plugins have: each carries its bounds and, where it is always the same, its description."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

Count = Annotated[int, Ge(1)]
"""How many of something: 1 or more."""
Seed = Annotated[int, Ge(0)]
"""Of what is drawn at random: 0 or more."""
Amount = Annotated[float, Ge(0)]
"""A finite number, 0 or more."""
Positive = Annotated[float, Gt(0)]
"""A finite number above 0."""
Share = Annotated[float, Ge(0), Le(1)]
"""A share of a whole, 0 to 1."""
PositiveShare = Annotated[float, Gt(0), Le(1)]
"""A share of a whole, above 0."""
Percentile = Annotated[float, Gt(0), Le(100)]
"""Of values, above 0 and up to 100."""
AtOnce = Annotated[
    int | None, Ge(1), Doc("How many inputs the model computes at once, to bound the memory; none computes all at once.")
]
"""How much of the work an explainer does at once."""
ProductPrecision = Annotated[
    Literal["float32", "bfloat16"],
    Doc(
        "Number format of the network's products. bfloat16 is faster where the device has units for it (processors with AMX, "
        "CUDA since Ampere); what follows then has two to three digits: the order of most cells, not their sum. The prediction "
        "stays that of float32."
    ),
]
"""Number format of a network's products."""
