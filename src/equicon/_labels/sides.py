"""Swap left and right in the labels of mirrored pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_batch, check_int, describe, plain, readable, type_error, value_error

SIDE_PAIRS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "coco": ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    "human36m": ((1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)),
    "300w": (
        *((i, 16 - i) for i in range(8)),
        *((i, 43 - i) for i in range(17, 22)),
        *((31, 35), (32, 34)),
        *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
        *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),
        *((60, 64), (61, 63), (65, 67)),
    ),
}
"""The pairs of keypoints (i, j) that trade places in a mirror, by the name of the keypoints, for ``swap_sides``.

- ``coco``: the 17 keypoints of COCO's persons: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, the
  left one first (https://cocodataset.org/#format-data).
- ``human36m``: the 17 joints of Human3.6M in the order of VideoPose3D and MMPose: pelvis; right hip, knee, foot; left
  hip, knee, foot; spine, thorax, neck, head; left shoulder, elbow, wrist; right shoulder, elbow, wrist.
- ``300w``: the 68 landmarks of faces in iBUG's order, counted from 0: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47,
  mouth 48–67 (https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/).
"""

_COUNTS = {"coco": 17, "human36m": 17, "300w": 68}


def swap_sides(
    values: Tensor, pairs: str | Sequence[tuple[int, int]] | Tensor, *, where: Tensor | None = None
) -> Tensor:
    """Swap the entries of left and right, as a mirror does: what was the left eye looks like a right eye.

    A flip moves the points, and keeps their order. This changes the order. So the labels of a view are
    ``swap_sides(g.points(xy, ...), pairs, where=g.reflects)``.

    Law: to swap twice changes nothing.

    Args:
        values: (B, K, ...) of any type: for each of K keypoints its xy, xyz, visibility, heatmap or mask. The second
            dimension is swapped, so labels of clips (B, T, K, ...) need ``values.transpose(1, 2)``.
        pairs: Pairs (i, j) of keypoints that trade places, counted from 0. Or a name in ``SIDE_PAIRS``: ``coco``,
            ``human36m`` or ``300w``. Or int64 (K,): for each keypoint the one that takes its place, as the ``flip`` of
            a data set.
        where: (B,) of type bool: the rows in which to swap, such as ``g.reflects``; all by default.

    Returns:
        (B, K, ...), of the type of ``values``.

    Raises:
        ValueError: If a shape, batch size or device does not fit, a name is not known or has another number of
            keypoints, or a keypoint has two partners or does not exist. A tensor ``pairs`` is checked on the CPU only.
        TypeError: If an argument is of the wrong type.

    Examples:
        >>> eyes = torch.tensor([[[10.0, 20.0], [30.0, 20.0]]])  # the left one, then the right one
        >>> flip = Affine.from_linear(torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]]))
        >>> swap_sides(flip.points(eyes, (64, 64)), [(0, 1)], where=flip.reflects)
        tensor([[[33., 20.],
                 [53., 20.]]])
    """
    if not isinstance(values, Tensor):
        raise type_error("values", "a tensor (B, K, ...)", describe(values), "Convert it with torch.as_tensor.")
    if values.ndim < 2:
        raise value_error("values", "a tensor of shape (B, K, ...)", values, "Add the batch dimension: values[None].")
    if isinstance(pairs, Tensor):
        swapped = values.index_select(1, _permutation(pairs, values))
    else:
        # Not an index: on an accelerator its numbers would have to be copied there.
        parts = values.unbind(1)
        swapped = torch.stack([parts[k] for k in _partners(pairs, values)], 1) if parts else values
    if where is None:
        return swapped
    if not isinstance(where, Tensor) or where.dtype != torch.bool:
        raise type_error("where", "a tensor (B,) of type bool", describe(where), "Pass g.reflects.")
    if where.ndim != 1:
        raise value_error("where", "a tensor of shape (B,)", where)
    check_batch("where", where, values, "values")
    if where.device != values.device:
        raise value_error("where", f"a tensor on {values.device}, where values are", f"one on {where.device}")
    return torch.where(where.reshape(-1, *(1,) * (values.ndim - 1)), swapped, values)


def _permutation(flip: Tensor, values: Tensor) -> Tensor:
    """Check a permutation (K,) that is its own inverse, and bring it to where values (B, K, ...) are."""
    count = values.shape[1]
    if flip.dtype != torch.int64:
        raise type_error("pairs", "int64, if it is a tensor", flip, "Write pairs of keypoints as (i, j).")
    if flip.shape != (count,):
        fix = "Write pairs (i, j) as pairs.tolist()." if flip.ndim == 2 else "Or write pairs (i, j)."
        raise value_error("pairs", f"one entry for each of {count} keypoints", flip, fix)
    if readable(flip):
        given = flip.tolist()
        for k, other in enumerate(given):
            if not 0 <= other < count or given[other] != k:
                expected = f"for each of {count} keypoints the one that takes its place, which has it in turn"
                raise value_error("pairs", expected, f"{other} for keypoint {k}")
    return flip.to(values.device, non_blocking=flip.device.type == "cpu")


def _partners(pairs: Any, values: Tensor) -> list[int]:
    """Check pairs or a name, and list for each keypoint of values (B, K, ...) the one that takes its place."""
    count = values.shape[1]
    if isinstance(pairs, str):
        if pairs not in SIDE_PAIRS:
            raise value_error("pairs", f"one of {', '.join(SIDE_PAIRS)}, or pairs (i, j)", describe(pairs))
        if count != _COUNTS[pairs]:
            expected = f"the name of pairs for {count} keypoints, the second dimension of values"
            raise value_error("pairs", expected, f"{pairs}, for {_COUNTS[pairs]}", _fix_place(values, _COUNTS[pairs]))
        pairs = SIDE_PAIRS[pairs]
    given = plain(pairs)
    if not isinstance(given, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in given):
        fix = "Write a permutation as a tensor: torch.tensor(pairs)." if isinstance(given, tuple) else ""
        raise type_error("pairs", "pairs (i, j), a name or a tensor (K,)", describe(pairs), fix)
    partners = list(range(count))
    for n, (i, j) in enumerate(given):
        for k in (i, j):
            if check_int(f"pairs[{n}]", k, low=0) >= count:
                raise value_error(f"pairs[{n}]", f"keypoints from 0 to {count - 1}", f"{k}")
        if i == j or partners[i] != i or partners[j] != j:
            raise value_error(f"pairs[{n}]", "each keypoint in one pair at most", f"({i}, {j})", "Leave out one.")
        partners[i], partners[j] = j, i
    return partners


def _fix_place(values: Tensor, count: int) -> str:
    """Suggest how to bring ``count`` keypoints to the second dimension."""
    shape = values.shape
    if len(shape) == 2 and shape[0] == count:
        return "Add the batch dimension: values[None]."
    if len(shape) == 2 and shape[1] in (2 * count, 3 * count):
        return f"Write values.unflatten(1, ({count}, {shape[1] // count}))."
    if len(shape) > 2 and shape[2] == count:
        return "For clips, write values.transpose(1, 2), and transpose the result back."
    return "Write the pairs of your own keypoints as (i, j)."
