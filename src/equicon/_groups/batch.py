"""A batch of matrices as a container: its type and device, how to move it, and how to index it."""

from typing import Any, NoReturn, Self

import torch
from torch import Tensor

from equicon._checks import check_int, check_matrix_type, describe, type_error
from equicon._plane.matrix import rows


class MatrixBatch:
    """A batch of matrices (B, 3, 3): the base class of group elements that are matrices."""

    matrix: Tensor

    @classmethod
    def _of(cls, matrix: Tensor) -> Self:
        """Wrap a matrix that the library made: no check, so nothing waits for the device."""
        made = object.__new__(cls)
        object.__setattr__(made, "matrix", matrix)
        return made

    @property
    def device(self) -> torch.device:
        """Where the matrices are."""
        return self.matrix.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the matrices, float32 or float64."""
        return self.matrix.dtype

    def to(
        self,
        device: torch.device | torch.dtype | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        non_blocking: bool | None = None,
    ) -> Self:
        """Move to a device or a type.

        Args:
            device: The device to move to; by default the matrices stay where they are. A dtype given here counts as
                ``dtype``, as for tensors.
            dtype: float32 or float64; half precision becomes float32.
            non_blocking: Whether to continue while the matrices are copied. By default a copy from the CPU to a device
                does not block, which is safe, and a copy to the CPU does.
        """
        if isinstance(device, torch.dtype):
            if dtype is not None:
                raise type_error("device", "a device where dtype is given", describe(device))
            device, dtype = None, device
        from_host = self.matrix.device.type == "cpu"
        kept = None if dtype is None else check_matrix_type(dtype)
        goes_on = from_host if non_blocking is None else non_blocking
        return self._of(self.matrix.to(device=device, dtype=kept, non_blocking=goes_on))

    def pin_memory(self) -> Self:
        """Copy to page-locked memory. A ``DataLoader`` with ``pin_memory=True`` calls this for its batches."""
        return self._of(self.matrix.pin_memory())

    def cpu(self) -> Self:
        """Move to the CPU, and wait for the copy."""
        return self.to("cpu", non_blocking=False)

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, index: Any) -> Self:
        """Select part of the batch by an int, a slice, a list or a tensor (N,). An int gives a batch of one."""
        return self._of(rows(self.matrix, index))

    def repeat_interleave(self, repeats: int) -> Self:
        """Repeat each element, for embeddings of single frames of clips that were moved as a whole.

        Args:
            repeats: How often, at least 1. The first element is that of the first ``repeats`` frames, and so on.

        Raises:
            ValueError: If repeats is below 1.
            TypeError: If repeats is not a whole number.

        Examples:
            >>> views, g = RandomRotation(45)(torch.rand(2, 5, 3, 64, 64))  # two clips of five frames
            >>> len(g), len(g.repeat_interleave(5))
            (2, 10)
        """
        return self._of(self.matrix.repeat_interleave(check_int("repeats", repeats, low=1), 0))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} elements, {self.dtype}, {self.device})"

    def __eq__(self, other: object) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"{name} has no ==: compare with torch.testing.assert_close(g.matrix, h.matrix), or use `is` for identity."
        )

    __hash__ = object.__hash__
