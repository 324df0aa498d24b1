"""Which operations and modules carry relevance on correctly when the plain gradient is taken instead of a rule.

The plain gradient shares relevance correctly exactly where an output is one of the inputs: copies, and maxima, which
pass it to the winner. It is also right for ReLU, because where ReLU's output is 0 the rules above it left no relevance.
It is wrong for anything that mixes inputs (it counts both summands of a sum in full, and shares a mean in equal parts)
and for other activations (it multiplies the relevance by their slope).
"""

from torch import nn

from ..model.copies import WEIGHTED as LAYERS

COPIES = frozenset(
    [
        "clone",
        "contiguous",
        "copy",
        "_to_copy",
        "cat",
        "stack",
        "constant_pad_nd",
        "pad",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "index",
        "index_select",
        "index_copy",
        "index_put",
        "_index_put_impl",
        "gather",
        "flip",
        "roll",
        "repeat",
        "repeat_interleave",
        "where",
        "masked_fill",
        "masked_scatter",
        "scatter",
        "select_scatter",
        "slice_scatter",
        "take",
        "take_along_dim",
        "sort",
        "topk",
        "im2col",
        "unfold",
        "_unsafe_view",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "native_channel_shuffle",
        "upsample_nearest1d",
        "upsample_nearest2d",
        "upsample_nearest3d",
        "tril",
        "triu",
        "fill",
        "zero",
        "lift_fresh",
        "max",
        "maximum",
        "min",
        "minimum",
        "amin",
        "amax",
        "max_pool2d_with_indices",
        "max_pool3d_with_indices",
        "adaptive_max_pool2d",
        "adaptive_max_pool3d",
        "mkldnn_max_pool2d",
        "relu",
        "threshold",
        "clamp_min",
        "nan_to_num",
        "view_copy",
        "_reshape_copy",
        "resolve_conj",
        "alias_copy",
    ]
)
"""Operations through which the plain gradient carries relevance correctly. Views do so as well and are not listed."""

PLACED = frozenset(
    {"clone", "copy", "_to_copy", "cat", "stack", "constant_pad_nd", "reflection_pad1d", "replication_pad1d", "flip"}
)
"""Copies around the convolution of a module of one's own that LRP takes for one layer with it."""

ACTIVATIONS = frozenset(
    [
        "relu",
        "threshold",
        "leaky_relu",
        "prelu",
        "_prelu_kernel",
        "rrelu",
        "rrelu_with_noise",
        "elu",
        "celu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "tanh",
        "sigmoid",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "hardshrink",
        "softshrink",
        "log_sigmoid_forward",
        "log_sigmoid",
    ]
)
"""Operations of activation functions."""

SQUASHING = frozenset({"_softmax", "_log_softmax", "_safe_softmax", "logsumexp", "sigmoid", "log_sigmoid_forward", "tanh"})
"""Operations that make probabilities of logits, or other numbers that saturate."""

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
"""Modules whose functions that saturate are gates and states of their own."""

LOGARITHMS = frozenset({"log", "log2", "log10", "logit", "atan2", "angle", "acos", "acosh", "erfinv"})
"""Operations that no rule of functions conserves relevance through."""

WEIGHTED = frozenset(
    [
        *("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution", "mkldnn_rnn_layer", "_cudnn_rnn"),
        *("addmm", "mm", "bmm", "baddbmm", "addmv", "mv", "matmul", "linear", "dot"),
        *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math"),
    ]
)
"""Operations of layers with weights, and other products of matrices."""

SUMS = frozenset({"add", "sub"})
"""Operations that are harmless with a constant: it takes none of the relevance."""

MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
ACTIVATION_MODULES = (
    *(nn.ELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardtanh, nn.Hardswish, nn.LeakyReLU, nn.LogSigmoid, nn.PReLU, nn.ReLU, nn.ReLU6),
    *(nn.RReLU, nn.SELU, nn.CELU, nn.GELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh),
    *(nn.Mish, nn.Tanhshrink, nn.Threshold),
)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
DIFFERENT_IN_TRAINING = (*DROPOUTS, *BATCH_NORMS, nn.RReLU)


def gives_on(name: str, operands: list[set[str]]) -> bool:
    """Whether the output of an operation consists of probabilities, or what else saturates, if its operands do.

    Parameters
    ----------
    name : str
        Of the operation.
    operands : list of set of str
        For each, the names of the operations of `SQUASHING` that it consists of; none for a signal, which probabilities weigh.
    """
    if name in COPIES or (name in SUMS and {"logsumexp"} in operands):  # a softmax written out
        return True
    is_product = len(operands) > 1 and name not in SUMS
    return all(operands) and not (is_product and {"tanh"} in operands)  # a tanh is a signal where something weighs it


def remembers_input(kind: type) -> bool:
    """Whether the LRP rule of a module shares relevance according to the module's input."""
    return issubclass(kind, (*LAYERS, *MEANS)) or _is_of_zennit(kind)


def has_rule(kind: type) -> bool:
    """Whether LRP has a rule for a module of this type."""
    return issubclass(kind, (*LAYERS, *MEANS, *BATCH_NORMS, *ACTIVATION_MODULES)) or _is_of_zennit(kind)


def _is_of_zennit(kind: type) -> bool:
    return any(parent.__module__ == "zennit.layer" for parent in kind.__mro__)
