"""What is kept of a forward pass for the way back: as little as can be, as much can be computed again from the rest."""

from collections.abc import Callable

from torch import Tensor


class Kept:
    """Tensors for the way back.

    Parameters
    ----------
    *tensors : Tensor
    copies : bool
        Whether copies are kept, since the model writes into its own tensors.
    """

    def __init__(self, *tensors: Tensor, copies: bool = False) -> None:
        self._tensors = [tensor.detach().clone() if copies else tensor.detach() for tensor in tensors]
        self._versions = [tensor._version for tensor in self._tensors]

    def copied(self) -> "Kept":
        """The same as copies."""
        return Kept(*self._tensors, copies=True)

    def tensors(self) -> list[Tensor]:
        """What is kept, in that order.

        Raises
        ------
        RuntimeError
            If they have been written to.
        """
        if self._versions != [tensor._version for tensor in self._tensors]:
            raise RuntimeError("an inplace operation has changed what the way back needs")
        return list(self._tensors)


class Again:
    """A function of single values of a tensor that is kept, computed once more on the way back, so that its values need not be.

    Parameters
    ----------
    compute : callable
    kept : Kept
        Of that tensor.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], kept: Kept) -> None:
        self._compute, self._kept = compute, kept
        self._values: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """What the function gives, which will be asked for once more."""
        if self._values is None:
            self._values = self._compute(*self._kept.tensors())
        return [self._values]

    def last(self) -> tuple[Tensor, Tensor]:
        """What the function reads and gives, for the last time on this way back."""
        (values,), self._values = self.tensors(), None
        return self._kept.tensors()[0], values


class KeptLayer:
    """Inputs and outputs of a layer.

    Parameters
    ----------
    inputs : Kept or Again
    outputs : Tensor
        As the layer gave them.
    kept : Kept or None
        The outputs; None if the rule computes them again.
    """

    def __init__(self, inputs: Kept | Again, outputs: Tensor, kept: Kept | None) -> None:
        self._inputs, self._outputs, self._version = inputs, kept, outputs._version

    def before_writing(self) -> None:
        """Keep a copy of the outputs, as these are about to be written to."""
        self._outputs = self._outputs and self._outputs.copied()

    def outputs(self, outputs: Tensor) -> Kept:
        """The outputs, for something else that needs them, so that they are kept all the same.

        Once they have been written to without a gradient, the other needs what is there now, and the layer what it gave.
        """
        if outputs._version != self._version:
            return Kept(outputs)
        self._outputs = self._outputs or Kept(outputs)
        return self._outputs

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Inputs, and outputs where they are kept; see `Kept.tensors`."""
        (inputs,) = self._inputs.tensors()
        return inputs, None if self._outputs is None else self._outputs.tensors()[0]
