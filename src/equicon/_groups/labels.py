"""How a map of the plane moves a picture and its labels: pixels, points, boxes and intrinsics."""

from typing import get_args

from torch import Tensor

from equicon._checks import (
    check_choice,
    check_floating,
    check_images,
    check_size,
    describe,
    value_error,
)
from equicon._groups.arguments import check_labels, check_mapped, size_or
from equicon._groups.bounds import BoundsMap
from equicon._groups.fields import FieldMap
from equicon._groups.polygons import box_around, corners_of
from equicon._plane.frames import covered, extent_matrix, grid, map_points, pixel_matrix, pixel_points, unit_points
from equicon._plane.matrix import at_least_float32, matmul
from equicon._plane.values import check_intrinsics, check_upright
from equicon._views.filled import check_fill, filled_view
from equicon._views.warp import Mode, PaddingMode


class PlaneMap(FieldMap, BoundsMap):
    """A batch of maps of the plane, given by matrices in the unit frame, that move pictures and labels."""

    matrix: Tensor

    def pixels(self, source: tuple[int, int], view: tuple[int, int] | None = None) -> Tensor:
        """Return the pixel matrices (B, 3, 3) from a source to a view.

        Args:
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.

        Convention: integer pixel centres, for ``kornia.geometry.transform.warp_affine(..., align_corners=True)`` and
        ``cv2.warpAffine``. The identity makes the centres and the shorter sides of source and view coincide.

        Examples:
            >>> Affine.identity(1).pixels((4, 4), (2, 2))[0, 0]
            tensor([ 0.5000,  0.0000, -0.2500])
        """
        source = check_size("source", source)
        return pixel_matrix(self.matrix, source, size_or("view", view, source))

    def warp(
        self,
        images: Tensor,
        size: tuple[int, int] | None = None,
        *,
        antialias: bool = True,
        mode: Mode = "bilinear",
        padding_mode: PaddingMode = "zeros",
        fill: float = 0.0,
    ) -> Tensor:
        """Warp pictures or clips, with one resampling per image.

        The result is that of Kornia's warp. Where the map shrinks an image, the image is read from a pyramid.

        Args:
            images: (B, C, H, W), uint8 or floating; with ``nearest`` also masks of whole numbers and bool. uint8 gives
                float32 in [0, 1]; half precision is computed in float32 and given back in its own type. Clips are
                (B, T, C, H, W): one element moves all frames of a clip.
            size: (h, w) of the views; the source's by default.
            antialias: Whether to low-pass filter an image that the map shrinks. The filter follows the shrink, up to
                twice the ratio of the sizes.
            mode: ``bilinear``, or ``nearest`` for masks. ``nearest`` is never anti-aliased, and masks of whole numbers
                or bool keep their type and their values.
            padding_mode: What lies outside the source: ``zeros``, ``border`` or ``reflection``.
            fill: The value of what lies outside, in place of zero, with ``zeros``. It is in the units of the views: of
                uint8 pictures in [0, 1]. Where a bilinear read lies partly outside, both are mixed. The type of masks
                must hold it.

        Returns:
            Views (B, C, h, w), or (B, T, C, h, w) of clips.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit, a mode is not known, or the views cannot hold
                fill.
            TypeError: If mode is ``bilinear``, and images are bool or of a whole-number type other than uint8.

        Examples:
            >>> Affine.identity(2).warp(torch.rand(2, 3, 48, 64), (24, 24)).shape
            torch.Size([2, 3, 24, 24])
        """
        check_choice("mode", mode, get_args(Mode))
        check_images(images, masks=mode == "nearest", clips=True)
        check_mapped("images", images, self.matrix)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        return filled_view(
            images,
            self.matrix,
            size_or("size", size, (images.shape[-2], images.shape[-1])),
            antialias=antialias,
            mode=mode,
            padding_mode=padding_mode,
            fill=check_fill(fill, images, mode, padding_mode),
        )

    def coverage(self, source: tuple[int, int], view: tuple[int, int] | None = None) -> Tensor:
        """Compute for each pixel of a view the share that shows the source: the part of its bilinear read on pixels.

        It equals the warp of a white picture with zeros outside. Its ``.mean((1, 2, 3))`` is the share of each view
        that shows the source. With a frame, call ``(g @ frame).coverage(...)``.

        Args:
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.

        Returns:
            (B, 1, h, w) in [0, 1].

        Raises:
            ValueError: If a size does not fit.

        Examples:
            >>> Affine.identity(1).coverage((2, 2), (2, 4))  # as high as the source, and longer
            tensor([[[[0., 1., 1., 0.],
                      [0., 1., 1., 0.]]]])
        """
        source = check_size("source", source)
        view = size_or("view", view, source)
        return covered(grid(extent_matrix(self.matrix, source, view), view), source)[:, None]

    def points(self, xy: Tensor, source: tuple[int, int] | None = None, view: tuple[int, int] | None = None) -> Tensor:
        """Move points to where the pixels under them go.

        Args:
            xy: (B, ..., 2), in pixels of the source, or in units if ``source`` is None.
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default. The points come back in its pixels.

        Examples:
            >>> Affine.identity(1).points(torch.tensor([[[0.0, 0.0]]]), (4, 4), (2, 2))
            tensor([[[-0.2500, -0.2500]]])
        """
        check_labels("xy", xy, 2, self.matrix)
        if source is None:
            if view is not None:
                raise value_error("view", "None where source is None", describe(view), "Give source, or neither.")
            return map_points(self.matrix, xy)
        source = check_size("source", source)
        moved = map_points(self.matrix, unit_points(at_least_float32(xy), source))
        return pixel_points(moved, size_or("view", view, source))

    def boxes(
        self, boxes: Tensor, source: tuple[int, int] | None = None, view: tuple[int, int] | None = None
    ) -> Tensor:
        """Move boxes: the smallest upright boxes around the moved corners.

        Args:
            boxes: (B, ..., 4) as x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, in units or pixels as in ``points``.
            source: (H, W) of the source, in pixels.
            view: (h, w) of the view; the source's by default.

        Raises:
            ValueError: If a shape or size does not fit. On the CPU also if a box has x1 > x2 or y1 > y2.
            TypeError: If boxes are not floating.

        Examples:
            >>> Affine.identity(1).boxes(torch.tensor([[0.0, 0.0, 3.0, 3.0]]), (8, 8), (4, 4))
            tensor([[-0.2500, -0.2500,  1.2500,  1.2500]])
        """
        check_labels("boxes", boxes, 4, self.matrix)
        check_upright("boxes", boxes)
        return box_around(self.points(corners_of(boxes), source, view))

    def intrinsics(self, K: Tensor, source: tuple[int, int], view: tuple[int, int] | None = None) -> Tensor:
        """Move pinhole intrinsics: to project with the result is to project with K and then move the points.

        Args:
            K: (B, 3, 3) in pixels of the source, last row (0, 0, 1), invertible.
            source: (H, W) of the source, in pixels.
            view: (h, w) of the view; the source's by default.

        Returns:
            (B, 3, 3). If the map turns the picture, the upper left 2 × 2 block has no zeros.

        Raises:
            ValueError: If a shape or size does not fit. On the CPU also if K cannot be intrinsics.
            TypeError: If K is not floating.

        Examples:
            >>> K = torch.tensor([[[100.0, 0.0, 31.5], [0.0, 100.0, 31.5], [0.0, 0.0, 1.0]]])
            >>> Affine.identity(1).intrinsics(K, (64, 64), (32, 32))[0, 0]
            tensor([50.0000,  0.0000, 15.5000])
        """
        check_floating("K", K, "(B, 3, 3)", last=(3, 3), ndim=3)
        check_mapped("K", K, self.matrix)
        check_intrinsics("K", K)
        return matmul(self.pixels(source, view), at_least_float32(K))
