"""``Affine``: a batch of invertible affine maps of the plane, in a frame that does not depend on pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Tensor

from equicon._checks import (
    check_batch,
    check_factor,
    check_floating,
    check_int,
    check_matrix_type,
    check_size,
    describe,
    type_error,
    value_error,
)
from equicon._groups.arguments import size_or
from equicon._groups.bounds import crop_matrix
from equicon._groups.crop_around import around_boxes, around_points, check_labelled
from equicon._groups.inside import check_holds, magnified
from equicon._groups.labels import PlaneMap
from equicon._groups.path import PathBatch
from equicon._hints import FIX_MATRIX
from equicon._plane.frames import unit_matrix
from equicon._plane.matrix import affine_matrix, at_least_float32, determinant, inverse_affine, matmul, polar_angle
from equicon._plane.values import check_affine_values
from equicon._torch import collate_by


@final
@dataclass(frozen=True, eq=False, repr=False)
class Affine(PathBatch, PlaneMap):
    """A batch of affine group elements: what was done to each image, and how to undo it.

    Laws: ``(f @ g) @ h = f @ (g @ h)``, ``g.inverse() @ g = identity``, and ``(g @ h).points(p) =
    g.points(h.points(p))``.

    Convention: the matrix maps source to view in the unit frame: origin at the image's centre, x right, y down, half
    of the shorter side as the unit. Sizes are (height, width). Pixel centres are integers, as in Kornia and OpenCV.

    Args:
        matrix: (B, 3, 3), last row (0, 0, 1). Half precision becomes float32, since in bfloat16 a coordinate of 200 is
            off by a pixel.

    Raises:
        ValueError: If the shape is wrong. On the CPU also if a matrix is not finite, not affine, or has no inverse in
            its own type: in float32, 1e-30 times the identity has none.
        TypeError: If it is not a floating tensor.

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
        """Make the identity, ``batch_size`` times, on the CPU where no device is given.

        Examples:
            >>> len(Affine.identity(4))
            4
        """
        batch_size = check_int("batch_size", batch_size, low=0)
        place = "cpu" if device is None else device
        return cls._of(torch.eye(3, device=place, dtype=check_matrix_type(dtype)).repeat(batch_size, 1, 1))

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
        check_batch("translation", translation, linear, "linear")
        return cls(affine_matrix(at_least_float32(linear), at_least_float32(translation)))

    @classmethod
    def from_pixels(cls, matrix: Tensor, source: tuple[int, int], view: tuple[int, int] | None = None) -> Self:
        """Convert pixel matrices, as the warps of Kornia and OpenCV take them, to the unit frame.

        Args:
            matrix: (B, 3, 3) or (B, 2, 3), from source pixels to view pixels.
            source: (H, W) of the source.
            view: (h, w) of the view; the source's by default.

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
        source = check_size("source", source)
        unit = unit_matrix(at_least_float32(matrix), source, size_or("view", view, source))
        check_affine_values("matrix", unit)
        return cls._of(unit)

    @classmethod
    def from_boxes(cls, boxes: Tensor, source: tuple[int, int], margin: float = 1.0) -> Self:
        """Crop squares around boxes: each square goes to [−1, 1]², the centred square of the view.

        Args:
            boxes: (B, 4) as x1, y1, x2, y2 in pixels, corners at integer pixel centres.
            source: (H, W) of the source.
            margin: Side of the square divided by the longer side of the box, in [1e-4, 1e4].

        Examples:
            >>> Affine.from_boxes(torch.tensor([[8.0, 8.0, 24.0, 24.0]]), (64, 64)).linear[0, 0, 0]
            tensor(4.)
        """
        check_floating("boxes", boxes, "(B, 4)", last=(4,), ndim=2)
        return cls._of(around_boxes(boxes, check_size("source", source), check_factor("margin", margin)))

    @classmethod
    def from_points(
        cls, xy: Tensor, source: tuple[int, int], margin: float = 1.0, *, known: Tensor | None = None
    ) -> Self:
        """Crop squares around points, such as a hand's joints: each square goes to [−1, 1]².

        The square is centred on the mean of the points. Its half-side is the largest distance of a point from the mean,
        times ``margin``.

        Args:
            xy: (B, N, 2) in pixels of the source.
            source: (H, W) of the source.
            margin: Half-side of the square divided by the largest distance, in [1e-4, 1e4]. The paper draws it from 0.9
                to 1.5 (Spurr et al. 2021).
            known: (B, N) of type bool: which points count; by default all. If NaN marks points that nobody saw, give
                ``~xy.isnan().any(-1)``.

        Raises:
            ValueError: If a shape does not fit. On the CPU also if the points that count are not finite, or all equal.
                On an accelerator, the matrix of such a row is not finite.
            TypeError: If the points are not floating, or known is not of type bool.

        Examples:
            >>> joints = torch.tensor([[[10.0, 10.0], [20.0, 10.0]]])
            >>> Affine.from_points(joints, (64, 64)).points(joints, (64, 64), (11, 11))[0, 1]
            tensor([10.5000,  5.0000])
        """
        check_labelled(xy, known)
        return cls._of(around_points(xy, check_size("source", source), check_factor("margin", margin), known))

    @classmethod
    def from_crop(cls, boxes: Tensor, source: tuple[int, int]) -> Self:
        """Map sources to crops, pixel by pixel: ``(g @ Affine.from_crop(boxes, size).inverse()).warp(crops, view)``.

        Args:
            boxes: (B, 4) whole numbers, half open, as ``read_box`` returns. A crop is ``image[:, y1:y2, x1:x2]``.
            source: (H, W) of the source.

        Raises:
            ValueError: If a shape is wrong. On the CPU also if a box is empty or leaves the source.
            TypeError: If boxes are not whole numbers.

        Examples:
            >>> Affine.from_crop(torch.tensor([[10, 20, 42, 52]]), (64, 64)).pixels((64, 64), (32, 32))[0, :2, 2]
            tensor([-10., -20.])
        """
        return cls._of(crop_matrix(boxes, check_size("source", source)))

    @classmethod
    def cat(cls, affines: Sequence["Affine"]) -> Self:
        """Join batches into one, as ``torch.cat`` does.

        Examples:
            >>> len(Affine.cat([Affine.identity(2), Affine.identity(3)]))
            5
        """
        affines = list(affines)
        for i, g in enumerate(affines):
            check_affine(f"affines[{i}]", g)
        if not affines:
            raise value_error("affines", "at least one Affine", "none")
        return cls._of(torch.cat([g.matrix for g in affines]))

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
        """The angles (B,) in degrees, in (−180, 180], by which the picture is turned counter-clockwise on the screen.

        It is the angle of the orthogonal polar factor. If the factor reflects, it is a horizontal flip and then a
        rotation, and the angle is that of the rotation.
        """
        degrees = torch.rad2deg(polar_angle(self.linear)[0])
        return degrees.masked_fill(degrees.abs() >= 180, 180.0)  # rounding may give half a turn either sign

    @property
    def reflects(self) -> Tensor:
        """Whether each element mirrors the picture, (B,) of type bool. There, left and right swap (``swap_sides``)."""
        return determinant(self.linear) < 0

    def __matmul__(self, other: "Affine") -> "Affine":
        """Compose: the right operand acts first."""
        return self._after(other) if isinstance(other, Affine) else NotImplemented

    def _after(self, other: "Affine") -> "Affine":
        # The library composes by this method, since in a compiled graph torch 2.11 supports @ for tensors only.
        check_batch("right operand of @", other, self, "the left operand")
        return Affine._of(matmul(self.matrix, other.matrix))

    def inverse(self) -> "Affine":
        """Invert in closed form, which never waits for the device.

        Examples:
            >>> Affine.from_linear(2 * torch.eye(2)[None]).inverse().linear[0, 0]
            tensor([0.5000, -0.0000])
        """
        return Affine._of(inverse_affine(self.matrix))

    def inside(
        self, source: tuple[int, int], view: tuple[int, int] | None = None, frame: "Affine | None" = None
    ) -> "Affine":
        """Magnify each element about the view's centre by the least factor that leaves nothing outside the source.

        An element whose view shows nothing outside does not change. The factor has a limit: twice the factor that the
        view would need in the middle of the source. A view that lies too far out for this is *pulled in*: it moves
        towards the middle, on each axis on which it is too far out, until the limit suffices. Angle, shear and flips
        do not change.

        The result is another element: warp with it, move labels with it, and **give it to the loss**.

        Args:
            source: (H, W) of the source, at least 2 × 2.
            view: (h, w) of the view; the source's by default.
            frame: Applied before the element, as in a call of ``Action``. It is not part of the result.

        Returns:
            The elements, in their own type. ``(result @ frame).coverage(source, view)`` is 1 up to rounding: at least
            1 − 1e-4 in float32. A second call of ``inside`` changes nothing.

        Raises:
            ValueError: If a size or batch size does not fit, or the source is one pixel wide or high.
            TypeError: If frame is not an ``Affine``.

        Examples:
            >>> turn = RandomRotation((45, 45)).sample(1).affine
            >>> turn.coverage((64, 64)).mean() < 0.9, turn.inside((64, 64)).coverage((64, 64)).mean() > 0.9999
            (tensor(True), tensor(True))
            >>> turn.inside((64, 64)).linear.det().sqrt()
            tensor([1.4142])
        """
        source = check_size("source", source)
        check_holds(source)
        total = self
        if frame is not None:
            check_batch("frame", check_affine("frame", frame), self, "the map")
            total = self._after(frame.to(self.device))
        found = magnified(self.matrix, total.matrix, source, size_or("view", view, source))
        return Affine._of(found.to(self.dtype))


def check_affine(argument: str, value: object) -> Affine:
    """Check for an ``Affine``. The error for a bare matrix says how to make one of it."""
    if not isinstance(value, Affine):
        raise type_error(argument, "an equicon.Affine", describe(value), FIX_MATRIX)
    return value


collate_by(Affine, Affine.cat)
torch.serialization.add_safe_globals([Affine])
