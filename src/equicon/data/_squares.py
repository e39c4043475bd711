"""Points moved between a picture and the square that ``cut_box`` cuts out of it."""

from torch import Tensor


def to_square(xy: Tensor, boxes: Tensor, margin: float, size: int) -> Tensor:
    """Move points (..., K, 2) from pixels of the pictures to those of the squares around boxes (..., 4)."""
    corner, scale = _corner_and_scale(boxes, margin, size)
    return ((xy.double() + 0.5 - corner) * scale - 0.5).to(xy.dtype)


def to_picture(xy: Tensor, boxes: Tensor, margin: float, size: int) -> Tensor:
    """Move points (..., K, 2) from pixels of the squares around boxes (..., 4) to those of the pictures."""
    corner, scale = _corner_and_scale(boxes.to(xy.device), margin, size)
    return ((xy.double() + 0.5) / scale + corner - 0.5).to(xy.dtype)


def _corner_and_scale(boxes: Tensor, margin: float, size: int) -> tuple[Tensor, Tensor]:
    # cut_box cuts whole pixels, and this rounds as it does: in double precision, halves to even.
    edges = (boxes + 0.5).double()[..., None, :]
    low, high = edges[..., :2], edges[..., 2:]
    side = (margin * (high - low).amax(-1, keepdim=True)).round().clamp(min=1)
    return ((low + high - side) / 2).round(), size / side
