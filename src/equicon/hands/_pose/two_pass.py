"""The official evaluation: predict, crop around what was predicted, and predict again."""

from collections.abc import Callable

import torch
from torch import Tensor

from equicon._checks import (
    check_batch,
    check_factor,
    check_floating,
    check_images,
    check_int,
    check_size,
    first_bad,
    readable,
    value_error,
)
from equicon._groups.affine import Affine
from equicon._groups.arguments import size_or
from equicon.hands._pose.pose25d import Pose

FILL = 0.7
"""The part of a view that hands fill, unless something else is asked for."""

_FARTHEST = 1e9  # pixels; the inverse of a crop around a box farther off would be inexact in float32


def pose_frame(
    boxes: Tensor, source: tuple[int, int], view: tuple[int, int] | None = None, fill: float = FILL
) -> Affine:
    """Crop around boxes of hands as the official evaluation of PeCLR does.

    The longer side of a box fills ``fill`` of the view's shorter side: ``s = fill · min(view) / longer side``.

    Convention: boxes are xyxy in integer pixel centres. As in the official program, the centre of the box goes to
    ``(w / 2, h / 2)`` in pixels of the view, 112 of 224. This is half a pixel right of and below the centre of the
    view, where ``Affine.from_boxes`` puts it.

    Args:
        boxes: (B, 4) as x1, y1, x2, y2 in pixels. A longer side of less than a pixel counts as one pixel.
        source: (H, W) of the source.
        view: (h, w) of the view; the source's by default.
        fill: The part of the view that the box fills, in [1e-4, 1e4].

    Returns:
        The frames, from the source to the view.

    Raises:
        TypeError: If the boxes are not a floating tensor.
        ValueError: If a shape or a size is wrong. On the CPU also if a box has x1 > x2 or y1 > y2, or is not finite, or
            not within 1e9 pixels.

    Examples:
        >>> frame = pose_frame(torch.tensor([[80.0, 60.0, 160.0, 120.0]]), (224, 224))
        >>> frame.boxes(torch.tensor([[80.0, 60.0, 160.0, 120.0]]), (224, 224), (224, 224))
        tensor([[ 33.6000,  53.2000, 190.4000, 170.8000]])
    """
    check_floating("boxes", boxes, "(B, 4)", last=(4,), ndim=2)
    source = check_size("source", source)
    height, width = size_or("view", view, source)
    fill = check_factor("fill", fill)
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    low, high = boxes[:, :2], boxes[:, 2:]
    sides = high - low
    if readable(sides) and (bad := first_bad((sides >= 0).all(-1) & (boxes.abs() < _FARTHEST).all(-1))) is not None:
        wanted = "finite x1 <= x2 and y1 <= y2, within 1e9 pixels"
        raise value_error("boxes", wanted, f"{boxes[bad].tolist()} at index {bad}")
    s = fill * min(height, width) / sides.amax(-1).clamp(min=1)
    shift_x, shift_y = ((low + high) / 2 * -s[:, None]).unbind(-1)
    zero = torch.zeros_like(s)
    rows = [s, zero, shift_x + width / 2, zero, s, shift_y + height / 2]
    return Affine.from_pixels(torch.stack(rows, -1).unflatten(-1, (2, 3)), source, (height, width))


def predict_two_pass(
    model: Callable[[Tensor, Tensor], Pose],
    images: Tensor,
    K: Tensor,
    *,
    size: int = 224,
    first: float = 0.33,
    normalize: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Pose, Affine]:
    """Predict hands without boxes, by the protocol of the official evaluation.

    The first box is the middle of the picture. The second box is the extent of the first prediction, in pixels of its
    view and truncated to integers. The official program interpolates by OpenCV, without anti-aliasing. Here every view
    is made by ``Affine.warp``. Both show black outside the picture. Spurr et al., ICCV 2021 (the program that they
    released).

    Convention: as in ``Pose`` and ``pose_frame``. Nothing waits for the device.

    Args:
        model: Maps views (B, 3, size, size) and their intrinsics to a ``Pose``. Call its ``eval()`` first, and call
            this function under ``torch.inference_mode()``.
        images: (B, 3, H, W), uint8 or in [0, 1].
        K: (B, 3, 3) intrinsics in pixels of the images.
        size: Height and width of the views, in pixels.
        first: Sides of the first box divided by those of the picture. The official program's third suits FreiHAND,
            whose hands are small and central.
        normalize: Applied to the views before the model, such as torchvision's ``Normalize``; by default nothing.

    Returns:
        The second prediction, with xy in pixels of the second view, and the frame of that view.
        ``frame.inverse().points(pose.xy, (size, size), (H, W))`` gives pixels of the images.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If a shape is wrong. On the CPU also if a prediction is not finite.

    Examples:
        >>> model = Pose25D(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten()), width=48).eval()
        >>> K = torch.tensor([[[480.0, 0.0, 112.0], [0.0, 480.0, 112.0], [0.0, 0.0, 1.0]]])
        >>> pose, frame = predict_two_pass(model, torch.rand(1, 3, 224, 224), K)
        >>> pose.joints(torch.tensor([0.03])).shape
        torch.Size([1, 21, 3])
    """
    check_images(images)
    check_floating("K", K, "(B, 3, 3)", last=(3, 3), ndim=3)
    check_batch("K", K, images, "images")
    views = (check_int("size", size, low=1),) * 2
    first = check_factor("first", first)
    source = (images.shape[-2], images.shape[-1])

    def predict(frame: Affine) -> Pose:
        view = frame.warp(images, views)
        return model(view if normalize is None else normalize(view), frame.intrinsics(K, source, views))

    ends = [side * (1 + sign * first) / 2 for sign in (-1, 1) for side in reversed(source)]
    # Each number as an argument of a kernel: a copy of all four would wait for the device.
    middle = torch.stack(
        [torch.full((images.shape[0],), end, device=images.device, dtype=torch.float32) for end in ends], -1
    )
    frame = pose_frame(middle, source, views)
    xy = predict(frame).xy
    box = torch.cat([xy.amin(1), xy.amax(1)], -1).trunc()
    frame = pose_frame(frame.inverse().boxes(box, views, source), source, views)
    return predict(frame), frame
