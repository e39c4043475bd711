"""How an ``Action`` makes views: the frames of clips, the crop, one view, the filters, the normalisation."""

from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from equicon._checks import (
    Counted,
    Size,
    check_bool,
    check_choice,
    check_floating,
    count,
    value_error,
)
from equicon._devices import without_autocast
from equicon._groups.affine import Affine, check_affine
from equicon._groups.arguments import size_or
from equicon._transforms.looks import warn_of_looks
from equicon._views.view import check_output, make_view
from equicon._views.warp import PaddingMode

if TYPE_CHECKING:
    from equicon._transforms.action import Action


def apply_action(
    action: "Action",
    images: Tensor,
    size: Size | None,
    frame: Affine | None,
    anchor: Tensor | None,
    dtype: torch.dtype | None,
    memory_format: torch.memory_format,
    padding_mode: PaddingMode,
    rgb_first: bool,
) -> Tensor:
    """Make views of images (B, C, H, W), or of clips (B, T, C, H, W), which have passed ``check_images``.

    Actions and transforms call this function themselves. In a compiled graph, torch 2.11 cannot call an object that was
    made in the graph; and the warning of ``warn_of_looks`` names the line that calls its caller.
    """
    check_bool("rgb_first", rgb_first)
    frames = _frames_of_each("images", action, images)
    warn_of_looks(images, action.color, action.normalization, rgb_first)
    if action.color is not None:
        action.color.check(images, rgb_first)
    if action.normalization is not None:
        action.normalization.check(images)
    if frames > 1:
        action = action.repeat_interleave(frames)
    if frame is not None:
        frames = _frames_of_each("frame", check_affine("frame", frame), images)
        frame = frame.repeat_interleave(frames) if frames > 1 else frame
    if anchor is not None:
        shape = "(B, 2), or (B · T, 2) for clips, in pixels of the source"
        check_floating("anchor", anchor, shape, last=(2,), ndim=2)
        frames = _frames_of_each("anchor", anchor, images)
        anchor = anchor.repeat_interleave(frames, 0) if frames > 1 else anchor
    pictures = images.flatten(0, 1) if images.ndim == 5 else images
    views = _make(action, pictures, size, frame, anchor, dtype, memory_format, padding_mode)
    return views.unflatten(0, images.shape[:2]) if images.ndim == 5 else views


def _frames_of_each(argument: str, batch: Counted, images: Tensor) -> int:
    """Check the length of a batch that belongs to images. Return for how many frames each of it is: T, or 1.

    For clips (B, T, C, H, W) it has one for each of B clips, or one for each of B · T frames. The length of the action
    is right: where they differ, the argument to blame is images.
    """
    found, clips = count(batch), images.shape[0]
    frames = images.shape[1] if images.ndim == 5 else 1
    if found == clips:
        return frames
    if found == clips * frames:
        return 1
    if argument == "images":
        if images.ndim == 5:
            expected = f"a batch of {found} clips, or of clips with {found} frames in all, like the Action"
            raise value_error("images", expected, f"{clips} clips of {frames} frames")
        raise value_error("images", f"a batch of {found}, like the Action", f"a batch of {clips}")
    expected = f"a batch of {clips}, like images"
    if images.ndim == 5:
        expected = f"a batch of {clips}, like the clips of images, or of {clips * frames}, like their frames"
    raise value_error(argument, expected, f"a batch of {found}")


def _make(
    action: "Action",
    images: Tensor,
    size: Size | None,
    frame: Affine | None,
    anchor: Tensor | None,
    dtype: torch.dtype | None,
    memory_format: torch.memory_format,
    padding_mode: PaddingMode,
) -> Tensor:
    """Make views (B, C, h, w) of images (B, C, H, W), each by its own part of the action, frame and anchor."""
    total = action.affine
    if frame is not None:
        total = total._after(frame.to(total.device))
    if images.device != total.device:
        raise value_error(
            "images", f"images on {total.device}", f"images on {images.device}", "Move the Action with .to(device)."
        )
    source = (images.shape[-2], images.shape[-1])
    view = size_or("size", size, source)
    if anchor is not None:
        from_host = anchor.device.type == "cpu"
        anchor = total.points(anchor.to(total.device, non_blocking=from_host), source, view)
    check_choice("padding_mode", padding_mode, get_args(PaddingMode))
    computed = torch.promote_types(images.dtype, torch.float32)
    kept = check_output(dtype or (images.dtype if images.is_floating_point() else computed), memory_format)
    filters, normalization = action.filters, action.normalization
    with without_autocast(images.device):
        views = make_view(
            images,
            total.matrix,
            view,
            dtype=computed if filters else kept,
            color=action.color,
            normalization=None if filters else normalization,
            memory_format=torch.contiguous_format if filters else memory_format,
            padding_mode=padding_mode,
        )
        for drawn in filters:
            views = drawn._run(views, anchor)
        if filters and normalization is not None:
            views = normalization.apply(views)
    return views.to(kept, memory_format=memory_format)
