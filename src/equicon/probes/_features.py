"""Frozen features of an encoder, with the keypoints that a probe learns to read out of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equicon._averages.evaluation import evaluating
from equicon._checks import check_batch, check_floating, check_progress, describe, first_bad, type_error, value_error

_BATCH = "tuples (views, xy), or with xyz, visible and groups after it, or None for them"


class Features(NamedTuple):
    """The features of N views, and the keypoints in them.

    Keypoints are any K points, always in the same order: the joints of a hand, the corners of a face, the ends of a
    tool. A view may lack labels of some of them.

    Views that resemble each other belong to one group: frames of one video, pictures of one person. What a probe tries
    on views that it left out, it then tries on whole groups. A frame that was left out alone would have its neighbours
    among those that were learned from, and so it would say nothing about other videos.

    Convention: camera frame, x right, y down, z forward; pixel centres are integers.

    Args:
        z: (N, D), the features.
        xy: (N, K, 2), the keypoints in pixels of the view that the encoder saw; K is at least 1.
        xyz: (N, K, 3), the same keypoints in metres in the camera frame; None where they are known in 2D only.
        visible: (N, K), which keypoints have a label: bool, or whole numbers such as COCO's, where 0 says that there is
            none. The coordinates of the others do not matter; they may be NaN. None if all have one.
        groups: (N,), whole numbers: the group of each view. None if each view is a group of its own.

    Examples:
        >>> features = Features(z=torch.rand(8, 512), xy=torch.rand(8, 17, 2), groups=torch.arange(8) // 4)
        >>> features.z.shape, features.xyz, features.groups
        (torch.Size([8, 512]), None, tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    """

    z: Tensor
    xy: Tensor
    xyz: Tensor | None = None
    visible: Tensor | None = None
    groups: Tensor | None = None


def extract_features(
    encoder: nn.Module,
    batches: Iterable[Sequence[Tensor | None]],
    *,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Features:
    """Run a frozen encoder over labelled views and collect its features.

    Meanwhile the encoder is in evaluation mode, and no gradients are computed. Afterwards each of its modules is back
    in its own mode. Views go to the device of the encoder's parameters. The caller crops, normalises and sets autocast.

    Args:
        encoder: Maps views (B, C, H, W) to features (B, D).
        batches: Tuples (views, xy), (views, xy, xyz), (views, xy, xyz, visible) or (views, xy, xyz, visible, groups):
            what ``Features`` holds, with views (B, C, H, W) in the place of features. So a batch may be written as
            ``Features(views, xy, groups=groups)``. What is not known is None or left out, in all batches alike.
        progress: Wraps the batches, for example ``tqdm``.

    Returns:
        The features and keypoints of all batches, in their order, on the CPU. They are in float32, ``visible`` is bool
        and ``groups`` are int64.

    Raises:
        TypeError: If the encoder is not a module, a batch is not a sequence, or its parts are not tensors of the right
            types.
        ValueError: If a shape is wrong or differs between batches, or there is no batch.

    Examples:
        >>> encoder = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())
        >>> batches = [(torch.rand(4, 3, 64, 64), torch.rand(4, 17, 2)) for _ in range(2)]
        >>> extract_features(encoder, batches).z.shape
        torch.Size([8, 48])
    """
    if not isinstance(encoder, nn.Module):
        raise type_error("encoder", "a torch.nn.Module", describe(encoder))
    check_progress(progress)
    device = next((parameter.device for parameter in encoder.parameters()), None)
    found: list[Features] = []
    with evaluating(encoder), torch.no_grad():
        for batch in batches if progress is None else progress(batches):
            views, *labels = _check_batch(batch)
            z = encoder(views if device is None else views.to(device, non_blocking=True))
            checked = check_features(Features(z, *labels), "batches: ")
            if found:
                check_alike(checked, found[0], "batches: ", "the first batch", Features._fields[2:])
            found.append(_stored(checked))
    if not found:
        raise value_error("batches", "at least one batch", "none", "An iterator can be used once only.")
    parts = ([part for part in field if part is not None] for field in zip(*found, strict=True))
    return Features(*(torch.cat(part) if part else None for part in parts))  # type: ignore[arg-type]


def check_features(features: Features, where: str) -> Features:
    """Check the types and shapes of features and keypoints, and that each view has both."""
    z, xy, xyz, visible, groups = features
    if not isinstance(z, Tensor) or not z.is_floating_point():
        raise type_error(f"{where}z", "a floating tensor (N, D)", z)
    if z.ndim != 2 or z.shape[1] == 0:
        fix = "Remove the encoder's classifier, and pool and flatten its output: (B, C, H, W) is not yet (B, D)."
        raise value_error(f"{where}z", "features of shape (N, D)", z, fix)
    check_floating(f"{where}xy", xy, "(N, K, 2)", last=(2,), ndim=3)
    count = xy.shape[1]
    if count == 0:
        raise value_error(f"{where}xy", "at least one keypoint", xy)
    check_batch(f"{where}xy", xy, z, "z")
    if xyz is not None:
        check_floating(f"{where}xyz", xyz, f"(N, {count}, 3)", last=(count, 3), ndim=3)
        check_batch(f"{where}xyz", xyz, z, "z")
    if visible is not None:
        fix = "Write visible > 0."
        _check_whole(
            f"{where}visible", visible, f"(N, {count})", (count,), f"(N, {count}) of bool or whole numbers", fix
        )
        check_batch(f"{where}visible", visible, z, "z")
    if groups is not None:
        fix = "Number the names of videos or persons."
        _check_whole(f"{where}groups", groups, "(N,)", (), "(N,) of whole numbers", fix)
        check_batch(f"{where}groups", groups, z, "z")
    return features


def check_alike(features: Features, like: Features, where: str, of: str, optional: Sequence[str] = ("xyz",)) -> None:
    """Check that features have the width and the number of keypoints of others, and what is optional if those do."""
    if features.z.shape[1] != like.z.shape[1]:
        raise value_error(f"{where}z", f"{like.z.shape[1]} features, as in {of}", features.z, "Use the same encoder.")
    if features.xy.shape[1] != like.xy.shape[1]:
        raise value_error(f"{where}xy", f"{like.xy.shape[1]} keypoints, as in {of}", features.xy)
    for field in optional:
        value, known = getattr(features, field), getattr(like, field)
        if (value is None) != (known is None):
            wanted = "None" if known is None else {"xyz": "keypoints in 3D"}.get(field, "a tensor")
            got = "None" if value is None else describe(value)
            raise value_error(f"{where}{field}", f"{wanted}, as in {of}", got, f"Give {field} everywhere or nowhere.")


def check_pair(train: Features, test: Features) -> None:
    """Check features to learn from and to test with. Waiting for their device takes no time beside the fit."""
    for name, features in (("train", train), ("test", test)):
        check_features(features, f"{name}.")
        known = labels_of(features)
        for field, value in (("z", features.z), ("xy", features.xy), ("xyz", features.xyz)):
            if value is None:
                continue
            good = value.isfinite().all(dim=-1)
            if field != "z":
                good = (good | ~known).all(dim=1)
            if (row := first_bad(good)) is not None:
                fix = (
                    "Has the encoder diverged?" if field == "z" else "Give visible, which is 0 where there is no label."
                )
                raise value_error(f"{name}.{field}", "finite numbers", f"NaN or infinity at index {row}", fix)
    check_alike(test, train, "test.", "train")
    if len(test.z) == 0:
        raise value_error("test.z", "at least one view", test.z)
    if not bool(labels_of(test).any()):
        raise value_error("test.visible", "at least one keypoint with a label", "none")


def labels_of(features: Features) -> Tensor:
    """Tell which keypoints (N, K) have a label."""
    if features.visible is None:
        return torch.ones(features.xy.shape[:2], dtype=torch.bool, device=features.xy.device)
    return (features.visible > 0).to(features.xy.device)


def _stored(features: Features) -> Features:
    z, xy, xyz = (None if value is None else value.float().cpu() for value in features[:3])
    visible, groups = features.visible, features.groups
    return Features(
        z,  # type: ignore[arg-type]
        xy,  # type: ignore[arg-type]
        xyz,
        None if visible is None else (visible > 0).cpu(),
        None if groups is None else groups.long().cpu(),
    )


def _check_whole(argument: str, value: Any, shape: str, last: tuple[int, ...], wanted: str, fix: str) -> None:
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        raise type_error(argument, f"a tensor {wanted}", describe(value), fix)
    if tuple(value.shape[1:]) != last or value.ndim == 0:
        raise value_error(argument, f"a tensor of shape {shape}", value)


def _check_batch(batch: Any) -> Sequence[Any]:
    if not isinstance(batch, Sequence):
        raise type_error("batches", _BATCH, describe(batch))
    if not 2 <= len(batch) <= len(Features._fields):
        raise value_error("batches", _BATCH, f"a tuple of {len(batch)}")
    return batch
