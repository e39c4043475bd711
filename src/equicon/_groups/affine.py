"""``Affine``: a batch of invertible affine maps of the plane, in a frame that has no pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Self, final, get_args

import torch
from torch import Tensor

from equicon._checks import (
    check_affine_values,
    check_batch,
    check_choice,
    check_floating,
    check_images,
    check_int,
    check_positive,
    check_size,
    readable,
    type_error,
    value_error,
)
from equicon._plane.frames import map_points, pixel_matrix, pixel_points, unit_matrix, unit_points
from equicon._plane.matrix import affine_matrix, at_least_float32, inverse_affine, matmul, polar_angle
from equicon._views.view import make_view
from equicon._views.warp import Mode, PaddingMode


@final
@dataclass(frozen=True, eq=False)
class Affine:
    """A batch of affine group elements: what was done to each image, and how to undo it.

    Laws: ``(f @ g) @ h = f @ (g @ h)``, ``g.inverse() @ g = identity``, and ``(g @ h).points(p) =
    g.points(h.points(p))``.

    Convention: the matrix maps source to view in the unit frame: origin at the image's centre, x right, y down, half
    of the shorter side as the unit. Sizes are (height, width). Pixel centres are integers, as in Kornia and OpenCV.

    Args:
        matrix: (B, 3, 3), last row (0, 0, 1). Half precision is kept as float32: in bfloat16 a coordinate of 200 is
            off by a pixel.

    Raises:
        ValueError: if the shape is wrong or, where the matrix is on the CPU, it is not finite, affine and invertible.
        TypeError: if it is not a floating tensor.

    Examples:
        >>> turn = Affine.from_linear(torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]]))
        >>> turn.degrees
        tensor([90.])
        >>> (turn.inverse() @ turn).points(torch.tensor([[0.5, 0.0]]))
        tensor([[0.5000, 0.0000]])
    """

    matrix: Tensor

    def __post_init__(self) -> None:
        matrix = check_floating("matrix", self.matrix, "(B, 3, 3)", last=(3, 3), ndim=3)
        check_affine_values("matrix", matrix)
        object.__setattr__(self, "matrix", at_least_float32(matrix))

    @classmethod
    def identity(
        cls, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> Self:
        """Make the identity, ``batch_size`` times.

        Examples:
            >>> len(Affine.identity(4))
            4
        """
        check_int("batch_size", batch_size, low=0)
        return cls._of(torch.eye(3, device=device, dtype=_matrix_type(dtype)).repeat(batch_size, 1, 1))

    @classmethod
    def from_linear(cls, linear: Tensor, translation: Tensor | None = None) -> Self:
        """Make maps ``p ↦ linear · p + translation`` of the unit frame.

        Args:
            linear: (B, 2, 2).
            translation: (B, 2) in units (half of the shorter side); zero by default.

        Examples:
            >>> Affine.from_linear(2 * torch.eye(2)[None]).points(torch.tensor([[0.1, 0.2]]))
            tensor([[0.2000, 0.4000]])
        """
        check_floating("linear", linear, "(B, 2, 2)", last=(2, 2), ndim=3)
        if translation is None:
            translation = torch.zeros_like(linear[:, 0])
        check_floating("translation", translation, "(B, 2)", last=(2,), ndim=2)
        check_batch("translation", len(translation), len(linear), "linear")
        return cls(affine_matrix(at_least_float32(linear), at_least_float32(translation)))

    @classmethod
    def from_pixels(cls, matrix: Tensor, size: tuple[int, int], out_size: tuple[int, int] | None = None) -> Self:
        """Take pixel matrices, as Kornia's and OpenCV's warps do, to the unit frame.

        Args:
            matrix: (B, 3, 3) or (B, 2, 3), from source pixels to view pixels.
            size: (H, W) of the source.
            out_size: (h, w) of the view; the source's by default.

        Convention: pixel centres are integers (``align_corners=True`` in Kornia).

        Examples:
            >>> shift = torch.tensor([[[1.0, 0.0, 8.0], [0.0, 1.0, 0.0]]])  # 8 pixels to the right
            >>> Affine.from_pixels(shift, (64, 64)).translation
            tensor([[0.2500, 0.0000]])
        """
        if isinstance(matrix, Tensor) and matrix.shape[-2:] == (2, 3):
            check_floating("matrix", matrix, "(B, 2, 3)", last=(2, 3), ndim=3)
            matrix = affine_matrix(matrix[:, :, :2], matrix[:, :, 2])
        check_floating("matrix", matrix, "(B, 3, 3) or (B, 2, 3)", last=(3, 3), ndim=3)
        check_affine_values("matrix", matrix)
        size = check_size("size", size)
        return cls._of(unit_matrix(at_least_float32(matrix), size, _or_same(out_size, size)))

    @classmethod
    def from_boxes(cls, boxes: Tensor, size: tuple[int, int], margin: float = 1.0) -> Self:
        """Crop squares around boxes: each square goes to [−1, 1]², the centred square of the view.

        Args:
            boxes: (B, 4) as x1, y1, x2, y2 in pixels, corners at integer pixel centres.
            size: (H, W) of the source.
            margin: side of the square over the longer side of the box.

        Examples:
            >>> Affine.from_boxes(torch.tensor([[8.0, 8.0, 24.0, 24.0]]), (64, 64)).linear[0, 0, 0]
            tensor(4.)
        """
        check_floating("boxes", boxes, "(B, 4)", last=(4,), ndim=2)
        corners = unit_points(at_least_float32(boxes).unflatten(-1, (2, 2)), check_size("size", size))
        extent = corners[:, 1] - corners[:, 0]
        # A box that is turned inside out on one axis is as wrong as an empty one.
        half = torch.where((extent < 0).any(-1), extent.amin(-1), extent.amax(-1)) / 2
        return cls._square("boxes", corners.mean(1), half * check_positive("margin", margin))

    @classmethod
    def from_points(cls, xy: Tensor, size: tuple[int, int], margin: float = 1.0) -> Self:
        """Crop squares around points, such as a hand's joints: each square goes to [−1, 1]².

        The square is centred on the points' mean; its half-side is the largest distance from it, times ``margin``.

        Args:
            xy: (B, N, 2) in pixels of the source.
            size: (H, W) of the source.
            margin: half-side of the square over the largest distance; the paper draws it from 0.9 to 1.5 (Spurr et
                al. 2021).

        Examples:
            >>> joints = torch.tensor([[[10.0, 10.0], [20.0, 10.0]]])
            >>> Affine.from_points(joints, (64, 64)).points(joints, (64, 64), (11, 11))
            tensor([[[-0.5000,  5.0000],
                     [10.5000,  5.0000]]])
        """
        check_floating("xy", xy, "(B, N, 2)", last=(2,), ndim=3)
        if xy.shape[1] == 0:
            raise value_error("xy", "at least one point", xy)
        points = unit_points(at_least_float32(xy), check_size("size", size))
        center = points.mean(1)
        half = (points - center[:, None]).norm(dim=-1).amax(-1) * check_positive("margin", margin)
        return cls._square("xy", center, half)

    @classmethod
    def cat(cls, affines: Sequence["Affine"]) -> Self:
        """Join batches into one, as ``torch.cat`` does.

        Examples:
            >>> len(Affine.cat([Affine.identity(2), Affine.identity(3)]))
            5
        """
        for i, g in enumerate(affines):
            check_affine(f"affines[{i}]", g)
        if not affines:
            raise value_error("affines", "at least one Affine", "none")
        return cls._of(torch.cat([g.matrix for g in affines]))

    @classmethod
    def _of(cls, matrix: Tensor) -> Self:
        """Wrap a matrix that the library made: no check, so nothing waits for the device."""
        affine = object.__new__(cls)
        object.__setattr__(affine, "matrix", matrix)
        return affine

    @classmethod
    def _square(cls, argument: str, center: Tensor, half: Tensor) -> Self:
        if readable(half) and not bool((half.isfinite() & (half > 0)).all()):
            index = int((~(half.isfinite() & (half > 0))).nonzero()[0])
            raise value_error(
                argument,
                "a finite extent above 0",
                f"an extent of {float(half[index]):g} at index {index}",
                "x2 and y2 must lie beyond x1 and y1, and points must not all be one.",
            )
        linear = torch.eye(2, device=half.device, dtype=half.dtype) / half[:, None, None]
        return cls._of(affine_matrix(linear, -center / half[:, None]))

    @property
    def linear(self) -> Tensor:
        """The linear parts, (B, 2, 2)."""
        return self.matrix[:, :2, :2]

    @property
    def translation(self) -> Tensor:
        """The translations, (B, 2), in units of half of the shorter side."""
        return self.matrix[:, :2, 2]

    @property
    def degrees(self) -> Tensor:
        """The angles (B,) in (−180, 180] by which the picture is turned, counter-clockwise on the screen.

        It is the angle of the orthogonal polar factor; where that reflects, of what remains after a horizontal flip.
        """
        return torch.rad2deg(polar_angle(self.linear)[0])

    @property
    def device(self) -> torch.device:
        """Where the matrices are."""
        return self.matrix.device

    @property
    def dtype(self) -> torch.dtype:
        """The matrices' type: float32 or float64."""
        return self.matrix.dtype

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Affine":
        """Move to a device or a type, without waiting for the device."""
        from_host = self.matrix.device.type == "cpu"
        kept = None if dtype is None else _matrix_type(dtype)
        return Affine._of(self.matrix.to(device=device, dtype=kept, non_blocking=from_host))

    def __matmul__(self, other: "Affine") -> "Affine":
        """Compose: the right operand acts first."""
        return self._after(other) if isinstance(other, Affine) else NotImplemented

    def _after(self, other: "Affine") -> "Affine":
        # The library composes by this name: in a compiled graph, torch 2.11 knows no @ but that of tensors.
        check_batch("right operand of @", len(other), len(self), "the left operand")
        return Affine._of(matmul(self.matrix, other.matrix))

    def inverse(self) -> "Affine":
        """Invert in closed form, which never waits for the device.

        Examples:
            >>> Affine.from_linear(2 * torch.eye(2)[None]).inverse().linear
            tensor([[[0.5000, -0.0000],
                     [-0.0000, 0.5000]]])
        """
        return Affine._of(inverse_affine(self.matrix))

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, index: Any) -> "Affine":
        """Take part of the batch by an int, a slice, a list, or a tensor (N,); one index gives a batch of one."""
        chosen = self.matrix[index]
        if chosen.shape[-2:] != (3, 3) or chosen.ndim > 3 or isinstance(index, tuple):
            raise type_error("index", "an int, a slice, a list or a tensor (N,), of the batch alone", index)
        return Affine._of(chosen[None] if chosen.ndim == 2 else chosen)

    def __repr__(self) -> str:
        return f"Affine({len(self)} elements, {self.dtype}, {self.device})"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(
            "Affine has no ==: compare with torch.testing.assert_close(g.matrix, h.matrix), or use `is` for identity."
        )

    __hash__ = object.__hash__

    def pixels(self, size: tuple[int, int], out_size: tuple[int, int] | None = None) -> Tensor:
        """Give the pixel matrices (B, 3, 3) from a source of ``size`` to a view of ``out_size`` (by default the same).

        Convention: integer pixel centres, for ``kornia.geometry.transform.warp_affine(..., align_corners=True)`` and
        ``cv2.warpAffine``. Source and view lie on each other by their shorter sides.

        Examples:
            >>> Affine.identity(1).pixels((4, 4), (2, 2))[0, 0]
            tensor([ 0.5000,  0.0000, -0.2500])
        """
        size = check_size("size", size)
        return pixel_matrix(self.matrix, size, _or_same(out_size, size))

    def warp(
        self,
        images: Tensor,
        size: tuple[int, int] | None = None,
        *,
        antialias: bool = True,
        mode: Mode = "bilinear",
        padding_mode: PaddingMode = "zeros",
    ) -> Tensor:
        """Move the pictures: one resampling per image, as Kornia's warp does, from a pyramid where the map shrinks it.

        Args:
            images: (B, C, H, W), uint8 or floating. uint8 gives float32 in [0, 1]; half precision is computed in
                float32 and
                given back in its own type.
            size: (h, w) of the views; the source's by default.
            antialias: low-pass an image first where the map shrinks it, as far as it shrinks it, up to twice the ratio
                of the sizes.
            mode: ``bilinear``, or ``nearest`` for masks: never anti-aliased, and uint8 labels stay uint8.
            padding_mode: what lies outside the source: ``zeros``, ``border`` or ``reflection``.

        Returns:
            Views (B, C, h, w).

        Examples:
            >>> Affine.identity(2).warp(torch.rand(2, 3, 48, 64), (24, 24)).shape
            torch.Size([2, 3, 24, 24])
        """
        check_images(images)
        check_batch("images", len(images), len(self), "the Affine")
        if images.device != self.device:
            raise value_error(
                "images", f"images on {self.device}", f"images on {images.device}", "Move the Affine with .to(device)."
            )
        check_choice("mode", mode, get_args(Mode))
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        out_size = _or_same(size, (images.shape[-2], images.shape[-1]), "size")
        labels = mode == "nearest" and images.dtype == torch.uint8
        kept = images.dtype if images.is_floating_point() or labels else torch.float32
        with torch.autocast(images.device.type, enabled=False):
            return make_view(
                images.float() if labels else images,
                self.matrix,
                out_size,
                dtype=kept,
                antialias=antialias,
                mode=mode,
                padding_mode=padding_mode,
            )

    def points(
        self, xy: Tensor, size: tuple[int, int] | None = None, out_size: tuple[int, int] | None = None
    ) -> Tensor:
        """Move points to where the pixels under them go.

        Args:
            xy: (B, ..., 2): in units where ``size`` is None, else in pixels of a source of that size.
            size: (H, W) of the source.
            out_size: (h, w) of the view, in whose pixels the points are given back; the source's by default.

        Examples:
            >>> Affine.identity(1).points(torch.tensor([[[0.0, 0.0]]]), (4, 4), (2, 2))
            tensor([[[-0.2500, -0.2500]]])
        """
        check_floating("xy", xy, "(B, ..., 2)", last=(2,))
        if xy.ndim < 2:
            raise value_error("xy", "a tensor of shape (B, ..., 2)", xy, "Add the batch dimension: xy[None].")
        check_batch("xy", len(xy), len(self), "the Affine")
        if size is None:
            if out_size is not None:
                raise value_error("out_size", "None where size is None", out_size, "Give size, or neither.")
            return map_points(self.matrix, xy)
        size = check_size("size", size)
        moved = map_points(self.matrix, unit_points(at_least_float32(xy), size))
        return pixel_points(moved, _or_same(out_size, size))

    def boxes(
        self, boxes: Tensor, size: tuple[int, int] | None = None, out_size: tuple[int, int] | None = None
    ) -> Tensor:
        """Move boxes: the smallest upright boxes around the moved corners.

        Args:
            boxes: (B, ..., 4) as x1, y1, x2, y2, in units or pixels like ``points``.
            size: (H, W) of the source.
            out_size: (h, w) of the view; the source's by default.

        Examples:
            >>> Affine.identity(1).boxes(torch.tensor([[0.0, 0.0, 3.0, 3.0]]), (8, 8), (4, 4))
            tensor([[-0.2500, -0.2500,  1.2500,  1.2500]])
        """
        check_floating("boxes", boxes, "(B, ..., 4)", last=(4,))
        if boxes.ndim < 2:
            raise value_error("boxes", "a tensor of shape (B, ..., 4)", boxes, "Add the batch dimension: boxes[None].")
        check_batch("boxes", len(boxes), len(self), "the Affine")
        x1, y1, x2, y2 = boxes.unbind(-1)
        corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], -1).unflatten(-1, (4, 2))
        moved = self.points(corners, size, out_size)
        return torch.cat([moved.amin(-2), moved.amax(-2)], -1)

    def intrinsics(self, K: Tensor, size: tuple[int, int], out_size: tuple[int, int] | None = None) -> Tensor:
        """Move pinhole intrinsics: projecting with the result is projecting with K and then moving the points.

        Args:
            K: (B, 3, 3), pixels of the source, last row (0, 0, 1).
            size: (H, W) of the source.
            out_size: (h, w) of the view; the source's by default.

        Returns:
            (B, 3, 3), of which the rotation of the picture makes a full upper block.

        Examples:
            >>> K = torch.tensor([[[100.0, 0.0, 31.5], [0.0, 100.0, 31.5], [0.0, 0.0, 1.0]]])
            >>> Affine.identity(1).intrinsics(K, (64, 64), (32, 32))[0, 0]
            tensor([50.0000,  0.0000, 15.5000])
        """
        check_floating("K", K, "(B, 3, 3)", last=(3, 3), ndim=3)
        check_batch("K", len(K), len(self), "the Affine")
        return matmul(self.pixels(size, out_size), at_least_float32(K))


def check_affine(argument: str, value: object) -> Affine:
    """Check for an ``Affine``, and tell the owner of a bare matrix how to make one."""
    if not isinstance(value, Affine):
        raise type_error(
            argument,
            "an equicon.Affine",
            value,
            "Wrap a matrix in pixels with Affine.from_pixels(matrix, size), one in the unit frame with Affine(matrix).",
        )
    return value


def _matrix_type(dtype: torch.dtype) -> torch.dtype:
    """Check the type of a matrix; half precision becomes float32."""
    if not dtype.is_floating_point:
        raise type_error("dtype", "float32 or float64", str(dtype))
    return torch.float64 if dtype == torch.float64 else torch.float32


def _or_same(out_size: tuple[int, int] | None, size: tuple[int, int], name: str = "out_size") -> tuple[int, int]:
    return size if out_size is None else check_size(name, out_size)
