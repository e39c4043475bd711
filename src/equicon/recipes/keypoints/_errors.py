"""Errors of a keypoint model, beside those of the mean pose."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from equicon.metrics import epe, nme, pck, rmse

NEAR = 0.2
"""PCK counts a keypoint as correct within this share of the longer side of the box, as is usual for animals."""


class KeypointErrors(NamedTuple):
    """The errors of predicted keypoints: means over all keypoints that are labelled.

    Args:
        pixels: Distance from the true place, in pixels of the source pictures.
        rmse: Root of the mean square of that distance.
        nme: The distance, divided by the longer side of the box.
        pck: The share within ``NEAR`` of the longer side of the box.
    """

    pixels: float
    rmse: float
    nme: float
    pck: float


def keypoint_errors(found: Tensor, true: Tensor, visible: Tensor, boxes: Tensor) -> KeypointErrors:
    """Measure predicted keypoints.

    Args:
        found: (N, K, 2) in pixels of the source pictures.
        true: (N, K, 2), likewise.
        visible: (N, K), 0 where a keypoint is not labelled.
        boxes: (N, 4), likewise in pixels.
    """
    known, sides = visible > 0, (boxes[:, 2:] - boxes[:, :2]).amax(1)
    return KeypointErrors(
        pixels=epe(found, true, visible=known).item(),
        rmse=rmse(found, true, visible=known).item(),
        nme=nme(found, true, sides, visible=known).item(),
        pck=pck(found, true, [NEAR], scale=sides, visible=known).item(),
    )


def format_keypoint_errors(rows: Mapping[str, KeypointErrors]) -> str:
    """Write errors as plain text, with a line for each name.

    Args:
        rows: The errors, by name.
    """
    width = max(map(len, rows))
    lines = [f"{'':{width}}  error [px]  error [% of the box]  PCK@{NEAR:g} [%]"]
    for name, errors in rows.items():
        lines.append(f"{name:{width}}  {errors.pixels:10.2f}  {100 * errors.nme:20.2f}  {100 * errors.pck:11.1f}")
    return "\n".join(lines)
