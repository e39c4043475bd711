"""What a view sees of its source: which points, how much of a box, and which pixels its warp reads."""

from typing import NamedTuple, get_args

import torch
from torch import Tensor

from equicon._checks import (
    Size,
    check_bool,
    check_choice,
    check_size,
    describe,
    first_bad,
    readable,
    type_error,
    value_error,
)
from equicon._groups.arguments import check_labels, size_or
from equicon._groups.polygons import area, as_cut, box_around, corners_of, cut, rectangle
from equicon._groups.reads import read_boxes
from equicon._hints import FIX_BOXES
from equicon._plane.frames import edges, map_points, pixel_matrix, pixel_points, unit_points, within
from equicon._plane.matrix import affine_matrix, at_least_float32, inverse_affine
from equicon._plane.values import check_upright
from equicon._views.warp import PaddingMode


class ClippedBoxes(NamedTuple):
    """What views can see of boxes.

    Args:
        boxes: (B, ..., 4) as x1, y1, x2, y2 in pixels of the views.
        share: (B, ...) in [0, 1]: the share of the area of each box that a view can see.

    Examples:
        >>> boxes, share = Affine.identity(1).clip_boxes(torch.tensor([[-16.5, 0.0, 15.5, 32.0]]), (64, 64))
        >>> boxes, share
        (tensor([[-0.5000,  0.0000, 15.5000, 32.0000]]), tensor([0.5000]))
    """

    boxes: Tensor
    share: Tensor


class BoundsMap:
    """A batch of maps of the plane, given by matrices in the unit frame, that know what their views see."""

    matrix: Tensor

    def visible(self, xy: Tensor, source: tuple[int, int], view: tuple[int, int] | None = None) -> Tensor:
        """Tell which points a view can see: those that lie in the source, and that come to lie in the view.

        A picture ends half a pixel beyond its outermost pixel centres. A point outside the source is not visible, even
        if its place is in the view: padding is there.

        Args:
            xy: (B, ..., 2) in pixels of the source. A point with NaN or infinity is not visible.
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.

        Returns:
            (B, ...) of type bool.

        Raises:
            ValueError: If a shape, batch size or size does not fit.
            TypeError: If xy is not floating.

        Examples:
            >>> shift = Affine.from_linear(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))  # by half of the side
            >>> shift.visible(torch.tensor([[[10.0, 10.0], [40.0, 10.0], [-10.0, 10.0]]]), (64, 64))
            tensor([[ True, False, False]])
        """
        check_labels("xy", xy, 2, self.matrix)
        source = check_size("source", source)
        view = size_or("view", view, source)
        xy = at_least_float32(xy)
        return within(xy, source) & within(self._moved(xy, source, view), view)

    def clip_boxes(self, boxes: Tensor, source: tuple[int, int], view: tuple[int, int] | None = None) -> ClippedBoxes:
        """Move boxes, and cut off what the view cannot see: what lies outside of it, or outside the source.

        The share is exact: that of the moved box, which may be turned, and not of an upright box around it.

        Args:
            boxes: (B, ..., 4) as x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, in pixels of the source.
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.

        Returns:
            The smallest upright boxes in the view around what remains, and the share of the area that remains.
            A point or a line has the share 1 if any of it remains, else 0. If nothing remains of a box, it becomes a
            point or a line, and its share is 0. If a number of a box is NaN, all become NaN, and its share is 0.

        Raises:
            ValueError: If a shape, batch size or size does not fit. On the CPU also if a box has x1 > x2 or y1 > y2.
            TypeError: If boxes are not floating.

        Examples:
            >>> turn = RandomRotation((45, 45)).sample(1).affine
            >>> turn.clip_boxes(torch.tensor([[-0.5, -0.5, 31.5, 31.5]]), (64, 64)).share  # the upper left quarter
            tensor([0.8284])
        """
        check_labels("boxes", boxes, 4, self.matrix)
        source = check_size("source", source)
        view = size_or("view", view, source)
        boxes = at_least_float32(boxes)
        x1, y1, x2, y2 = boxes.unbind(-1)
        check_upright("boxes", boxes)
        left, top, right, bottom = edges(source)
        met = (x1 <= right) & (x2 >= left) & (y1 <= bottom) & (y2 >= top)
        held = [x1.clamp(left, right), y1.clamp(top, bottom), x2.clamp(left, right), y2.clamp(top, bottom)]
        corners = self._moved(corners_of(torch.stack(held, -1)), source, view)
        polygons, some = cut(corners, *edges(view))
        some = some & met

        flat = (x1 == x2) | (y1 == y2)
        whole, part = area(as_cut(corners)), area(polygons)
        extent = ((x2 - x1) * (y2 - y1)).masked_fill(flat, 1.0)
        in_source = (held[2] - held[0]) * (held[3] - held[1]) / extent
        share = (in_source * part / whole.masked_fill(whole == 0, 1.0)).clamp(0, 1)
        solid = (held[2] > held[0]) & (held[3] > held[1])
        some = some & (flat | (solid & (part > 0)))
        found = torch.where(some[..., None], box_around(polygons), _nearest(corners, view))
        # NaN compares as False, so a box with NaN has the share 0.
        share = torch.where(some, torch.where(flat, 1.0, share), 0.0)
        return ClippedBoxes(found.masked_fill(boxes.isnan().any(-1, keepdim=True), float("nan")), share)

    def footprint(self, source: tuple[int, int], view: tuple[int, int] | None = None) -> Tensor:
        """Compute the polygons that views show of their source.

        A polygon is the view's rectangle, brought back to the source and cut by the source's rectangle. Both
        rectangles end half a pixel beyond the outermost pixel centres.

        Args:
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.

        Returns:
            (B, 8, 2) in pixels of the source, the corners of convex polygons, in the order in which they lie clockwise
            in the view. Polygons of fewer corners repeat the last. A view that shows nothing of its source has NaN.

        Raises:
            ValueError: If a size does not fit.

        Examples:
            >>> shift = Affine.from_linear(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))  # by half of the side
            >>> shift.footprint((64, 64))[0, :5].tolist()
            [[-0.5, -0.5], [31.5, -0.5], [31.5, 63.5], [-0.5, 63.5], [-0.5, 63.5]]
        """
        source = check_size("source", source)
        view = size_or("view", view, source)
        back = pixel_matrix(inverse_affine(self.matrix), view, source)
        polygons, some = cut(rectangle(back, *edges(view)), *edges(source))
        return polygons.masked_fill(~some[:, None, None], float("nan"))

    def read_box(
        self,
        source: tuple[int, int],
        view: tuple[int, int] | None = None,
        *,
        antialias: bool = True,
        padding_mode: PaddingMode = "zeros",
    ) -> Tensor:
        """Find the boxes of source pixels that ``warp`` reads, so that a loader can crop before it decodes or copies.

        Pixels outside a box do not change the view, bit for bit. ``Affine.from_crop`` maps the source to such a crop.
        With a frame, call ``(g @ frame).read_box(...)``. For several views of one picture, take ``amin`` of the first
        two columns and ``amax`` of the last two.

        The boxes are slightly too large: on each side by at most a pixel of the source, and with ``zeros`` also a pixel
        of the view. Then they are rounded outward to multiples of 2ᵏ⁻¹, where k is the last level of the pyramid, so
        that a crop has the pyramid of the source: from 480 × 640 to 128 × 128, to multiples of 4. If little of the
        source is read, they grow to the least crop that has the pyramid's level.

        Args:
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.
            antialias: As in ``warp``; False also for ``nearest``.
            padding_mode: As in ``warp``.

        Returns:
            (B, 4) int64 as x1, y1, x2, y2, half open. The crop is ``image[:, y1:y2, x1:x2]``. No box is empty.

        Raises:
            ValueError: If a size does not fit, or padding_mode is not known.
            TypeError: If antialias is not True or False.

        Examples:
            >>> frame = Affine.from_boxes(torch.tensor([[100.0, 200.0, 227.0, 327.0]]), (480, 640))
            >>> frame.read_box((480, 640), (128, 128))
            tensor([[100, 200, 228, 328]])
        """
        check_bool("antialias", antialias)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        source = check_size("source", source)
        return read_boxes(self.matrix, source, size_or("view", view, source), antialias, padding_mode)

    def _moved(self, xy: Tensor, source: Size, view: Size) -> Tensor:
        return pixel_points(map_points(self.matrix, unit_points(xy, source)), view)


def crop_matrix(boxes: Tensor, source: Size) -> Tensor:
    """Make unit-frame matrices (B, 3, 3) from a source to crops of it, whose boxes (B, 4) are half open."""
    if not isinstance(boxes, Tensor) or boxes.is_floating_point() or boxes.is_complex() or boxes.dtype == torch.bool:
        fix = "A crop has whole pixels: pass what read_box returns. For any other box, call Affine.from_boxes."
        raise type_error("boxes", "a tensor (B, 4) of whole numbers", describe(boxes), fix)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise value_error("boxes", "a tensor of shape (B, 4)", boxes)
    height, width = source
    if readable(boxes):
        x1, y1, x2, y2 = boxes.unbind(-1)
        good = (x1 >= 0) & (x1 < x2) & (x2 <= width) & (y1 >= 0) & (y1 < y2) & (y2 <= height)
        if (bad := first_bad(good)) is not None:
            expected = f"boxes of at least one pixel inside {height} × {width}, without x2 and y2"
            raise value_error("boxes", expected, f"{boxes[bad].tolist()} at index {bad}", FIX_BOXES)
    first, end = boxes.float().unflatten(-1, (2, 2)).unbind(1)
    side = (end - first).amin(-1, keepdim=True)
    scale = min(source) / side
    across, down = (-first - end).unbind(-1)
    translation = torch.stack([across + width, down + height], -1) / side
    return affine_matrix(torch.eye(2, device=boxes.device, dtype=torch.float32) * scale[..., None], translation)


def _nearest(corners: Tensor, view: Size) -> Tensor:
    """Return boxes (..., 4) without area, for corners (..., 4, 2) of which a view sees nothing."""
    left, top, right, bottom = edges(view)
    x, y = (v.clamp(*span) for v, span in zip(corners.unbind(-1), ((left, right), (top, bottom)), strict=True))
    box = box_around(torch.stack([x, y], -1))
    (mx, my) = corners.mean(-2).unbind(-1)
    middle = torch.stack([mx.clamp(left, right), my.clamp(top, bottom)], -1)
    # A turned box may pass by a corner of the view, and the upright box around it not.
    has_area = ((box[..., 2:] - box[..., :2]) > 0).all(-1, keepdim=True)
    return torch.where(has_area, torch.cat([middle, middle], -1), box)
