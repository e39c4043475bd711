"""What is given to group elements: labels, one entry for each element, and sizes."""

from torch import Tensor

from equicon._checks import check_batch, check_floating, check_size, value_error


def check_labels(argument: str, value: Tensor, width: int, matrix: Tensor) -> None:
    """Check for labels (B, ..., width), such as points or boxes, one batch entry for each matrix (B, 3, 3)."""
    check_floating(argument, value, f"(B, ..., {width})", last=(width,))
    if value.ndim < 2:
        fix = f"Add the batch dimension: {argument}[None]."
        raise value_error(argument, f"a tensor of shape (B, ..., {width})", value, fix)
    check_mapped(argument, value, matrix)


def check_mapped(argument: str, value: Tensor, matrix: Tensor) -> None:
    """Check that a tensor has one entry for each map, and that it is on their device."""
    if (found := value.shape[0]) != (wanted := matrix.shape[0]):
        clips = value.ndim > 2 and found * value.shape[1] == wanted  # such as those of a path
        fix = f"For clips, write {argument}.flatten(0, 1)." if clips else ""
        check_batch(argument, found, wanted, "the map", fix)
    if value.device != matrix.device:
        expected, came = (f"{argument} on {tensor.device}" for tensor in (matrix, value))
        raise value_error(argument, expected, came, "Move one of the two with .to(device).")


def size_or(argument: str, given: tuple[int, int] | None, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Check a size, or return ``otherwise`` if none is given."""
    return otherwise if given is None else check_size(argument, given)
