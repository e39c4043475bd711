"""How a map of the plane moves what is given for each pixel: masks, heatmaps, vector fields and depth."""

import torch
from torch import Tensor

from equicon._checks import describe, type_error, value_error
from equicon._groups.arguments import check_mapped, size_or
from equicon._plane.frames import pixel_matrix
from equicon._plane.matrix import at_least_float32
from equicon._views.filled import check_fill, filled_view
from equicon._views.warp import Mode


class FieldMap:
    """A batch of maps of the plane, given by matrices in the unit frame, that move labels of every pixel.

    Each field is interpolated once. What stands between the batch and the picture, such as frames and classes, goes
    through the same map.
    """

    matrix: Tensor

    def masks(self, masks: Tensor, size: tuple[int, int] | None = None, *, fill: float = 0) -> Tensor:
        """Move masks: each pixel of a view gets the label of the pixel that is nearest in the source.

        Args:
            masks: (B, ..., H, W), bool, whole numbers of any type, or floating.
            size: (h, w) of the views; the source's by default.
            fill: The label of what lies outside the source, which the type of the masks holds, such as 255 to ignore.

        Returns:
            (B, ..., h, w), in the type of the masks. It holds no other value than the masks and ``fill``.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit, or the type of the masks does not hold fill.
            TypeError: If masks are complex, or fill is not a number.

        Examples:
            >>> shift = Affine.from_linear(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))  # by half of the side
            >>> shift.masks(torch.tensor([[[1, 2, 3, 4]] * 4], dtype=torch.uint8), fill=255)[0, 0]
            tensor([255, 255,   1,   2], dtype=torch.uint8)
        """
        check_field("masks", masks, self.matrix)
        return _move(self.matrix, masks, size, "nearest", check_fill(fill, masks, "nearest"))

    def heatmaps(self, maps: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Move heatmaps, by a bilinear read without a low-pass filter: zeros lie outside.

        A filter would lower the peak, which is the score of a keypoint. If a view is so small that a peak is narrower
        than two of its pixels, the peak may fall between them. Then move the points, and draw the heatmaps anew.

        Args:
            maps: (B, ..., H, W), floating, such as one map for each keypoint.
            size: (h, w) of the views; the source's by default.

        Returns:
            (B, ..., h, w), in the type of the maps. Peaks keep their height, and lie where ``points`` puts them.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit.
            TypeError: If maps are not floating.

        Examples:
            >>> maps = torch.zeros(1, 17, 64, 64)
            >>> maps[:, :, 32, 32] = 0.9
            >>> Affine.identity(1).heatmaps(maps)[0, 0, 32, 32]
            tensor(0.9000)
        """
        check_field("maps", maps, self.matrix, floating=True)
        return _move(self.matrix, maps, size, "bilinear")

    def vectors(self, vectors: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Move fields of vectors, such as optical flow: each vector is read at its pixel, turned and scaled.

        ``points(p + v(p)) − points(p)`` is the moved field at ``points(p)``. A flow from one frame to the next becomes
        the flow between their views, if the same element makes both views. Zeros lie outside.

        Args:
            vectors: (B, ..., 2, H, W), floating: x and then y, in pixels of the source.
            size: (h, w) of the views; the source's by default.

        Returns:
            (B, ..., 2, h, w), in pixels of the view and the type of the vectors.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit.
            TypeError: If vectors are not floating.

        Examples:
            >>> right = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
            >>> Affine.identity(1).vectors(right, (32, 32))[0, :, 16, 16]  # a view of half the size
            tensor([0.5000, 0.0000])
        """
        check_field("vectors", vectors, self.matrix, floating=True, pairs=True)
        read = _move(self.matrix, at_least_float32(vectors), size, "bilinear")
        source, view = (vectors.shape[-2], vectors.shape[-1]), (read.shape[-2], read.shape[-1])
        linear = pixel_matrix(self.matrix.to(read.dtype), source, view)[:, :2, :2]
        (xx, xy), (yx, yy) = (
            (entry.reshape(-1, *(1,) * (read.ndim - 2)) for entry in row.unbind(-1)) for row in linear.unbind(-2)
        )
        x, y = read.unbind(-3)
        return torch.stack([xx * x + xy * y, yx * x + yy * y], -3).to(vectors.dtype)

    def depth(self, depth: Tensor, size: tuple[int, int] | None = None, *, fill: float = 0) -> Tensor:
        """Move depth maps: each pixel of a view gets the depth of the pixel that is nearest in the source.

        At an edge, a mean of near and far would be the depth of nothing. The values do not change if a view is
        magnified: ``intrinsics`` moves the camera instead.

        Args:
            depth: (B, ..., H, W), floating or of a whole-number type, such as millimetres in uint16.
            size: (h, w) of the views; the source's by default.
            fill: The depth of what lies outside the source; by default 0, which stands for unknown.

        Returns:
            (B, ..., h, w), in the type of the depth maps.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit, or the type of the depth maps does not hold fill.
            TypeError: If depth is complex or bool, or fill is not a number.

        Examples:
            >>> depth = torch.full((2, 480, 640), 1500, dtype=torch.int16)
            >>> Affine.identity(2).depth(depth, (128, 128))[0, 64, 64]
            tensor(1500, dtype=torch.int16)
        """
        check_field("depth", depth, self.matrix)
        if depth.dtype == torch.bool:
            raise type_error("depth", "a floating or whole-number type", depth, "Pass masks to Affine.masks.")
        return _move(self.matrix, depth, size, "nearest", check_fill(fill, depth, "nearest"))


def check_field(argument: str, value: object, matrix: Tensor, *, floating: bool = False, pairs: bool = False) -> None:
    """Check for a field on the pixels of pictures, one picture for each matrix (B, 3, 3).

    Args:
        argument: Its name.
        value: The field.
        matrix: (B, 3, 3), the map.
        floating: Whether only floating types will do.
        pairs: Whether each pixel has two numbers, x and y.
    """
    shape = "(B, ..., 2, H, W)" if pairs else "(B, ..., H, W)"
    if not isinstance(value, Tensor):
        raise type_error(argument, f"a tensor {shape}", describe(value), "Convert it with torch.as_tensor.")
    if value.ndim < 3 + pairs:
        raise value_error(argument, f"a tensor of shape {shape}", value, f"Add the batch dimension: {argument}[None].")
    if pairs and value.shape[-3] != 2:
        fix = f"Bring x and y before the rows: {argument}.movedim(-1, -3)." if value.shape[-1] == 2 else ""
        raise value_error(argument, f"a tensor of shape {shape}", value, fix)
    if 0 in value.shape[-2:]:
        raise value_error(argument, "at least one pixel", value)
    if floating and not value.is_floating_point():
        raise type_error(argument, "a floating type", value, "Convert it with .float().")
    if value.is_complex():
        raise type_error(argument, "bool, whole numbers or a floating type", value, "Move .real and .imag.")
    check_mapped(argument, value, matrix)


def _move(matrix: Tensor, field: Tensor, size: tuple[int, int] | None, mode: Mode, fill: float = 0) -> Tensor:
    """Move a field (B, ..., H, W). What stands between is folded into channels, which share one grid."""
    view = size_or("size", size, (field.shape[-2], field.shape[-1]))
    channels = field[:, None] if field.ndim == 3 else field.flatten(1, -3)
    if channels.shape[1] == 0:  # a batch without objects
        return field.new_empty((*field.shape[:-2], *view))
    return filled_view(channels, matrix, view, antialias=False, mode=mode, fill=fill).reshape(*field.shape[:-2], *view)
