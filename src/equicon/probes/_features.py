"""Frozen features of an encoder, with the keypoints that a probe learns to read out of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equicon._checks import check_batch, check_floating, check_progress, describe, first_bad, type_error, value_error


class Features(NamedTuple):
    """The features of N views, and the keypoints in them.

    Keypoints are any K points that each view has, always in the same order: the joints of a hand, the corners of a
    face, the ends of a tool.

    Convention: camera frame, x right, y down, z forward; pixel centres are integers.

    Args:
        z: (N, D), the features.
        xy: (N, K, 2), the keypoints in pixels of the view that the encoder saw; K is at least 1.
        xyz: (N, K, 3), the same keypoints in metres in the camera frame; None where they are known in 2D only.

    Examples:
        >>> features = Features(z=torch.rand(8, 512), xy=torch.rand(8, 17, 2))
        >>> features.z.shape, features.xyz
        (torch.Size([8, 512]), None)
    """

    z: Tensor
    xy: Tensor
    xyz: Tensor | None = None


def extract_features(
    encoder: nn.Module,
    batches: Iterable[Sequence[Tensor]],
    *,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Features:
    """Run a frozen encoder over labelled views and collect its features.

    Meanwhile the encoder is in evaluation mode, and no gradients are computed. Afterwards each of its modules is back
    in its own mode. Views go to the device of the encoder's parameters. The caller crops, normalises and sets autocast.

    Args:
        encoder: Maps views (B, C, H, W) to features (B, D).
        batches: Tuples (views, xy) or (views, xy, xyz): views (B, C, H, W), keypoints (B, K, 2) in pixels of the views,
            and the same keypoints (B, K, 3) in metres. All batches have the same keypoints.
        progress: Wraps the batches, for example ``tqdm``.

    Returns:
        The features and keypoints of all batches, in their order, in float32 on the CPU.

    Raises:
        TypeError: If the encoder is not a module, a batch is not a sequence, or its parts are not floating tensors.
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
    modes = [(module, module.training) for module in encoder.modules()]
    found: list[Features] = []
    encoder.eval()
    try:
        with torch.no_grad():
            for batch in batches if progress is None else progress(batches):
                views, *keypoints = _check_batch(batch)
                z = encoder(views if device is None else views.to(device, non_blocking=True))
                checked = check_features(Features(z, *keypoints), "batches: ")
                if found:
                    check_alike(checked, found[0], "batches: ", "the first batch")
                found.append(Features(*(value.float().cpu() for value in checked if value is not None)))
    finally:
        for module, mode in modes:
            module.training = mode  # module by module: a frozen batch norm may have been in evaluation mode before
    if not found:
        raise value_error("batches", "at least one batch", "none", "An iterator can be used once only.")
    z, xy = torch.cat([features.z for features in found]), torch.cat([features.xy for features in found])
    xyz = [features.xyz for features in found if features.xyz is not None]
    return Features(z, xy, torch.cat(xyz) if xyz else None)


def check_features(features: Features, where: str) -> Features:
    """Check the types and shapes of features and keypoints, and that each view has both."""
    z, xy, xyz = features
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
    return features


def check_alike(features: Features, like: Features, where: str, of: str) -> None:
    """Check that features have the width and the number of keypoints of others, and 3D keypoints only if those do."""
    if features.z.shape[1] != like.z.shape[1]:
        raise value_error(f"{where}z", f"{like.z.shape[1]} features, as in {of}", features.z, "Use the same encoder.")
    if features.xy.shape[1] != like.xy.shape[1]:
        raise value_error(f"{where}xy", f"{like.xy.shape[1]} keypoints, as in {of}", features.xy)
    if (features.xyz is None) != (like.xyz is None):
        wanted = "None" if like.xyz is None else "keypoints in 3D"
        got = "None" if features.xyz is None else describe(features.xyz)
        raise value_error(f"{where}xyz", f"{wanted}, as in {of}", got, "Give 3D everywhere or nowhere.")


def check_pair(train: Features, test: Features) -> None:
    """Check features to learn from and to test with. Waiting for their device takes no time beside the fit."""
    for name, features in (("train", train), ("test", test)):
        check_features(features, f"{name}.")
        for field, value in zip(Features._fields, features, strict=True):
            if value is None:
                continue
            if (row := first_bad(value.isfinite().flatten(1).all(dim=1))) is not None:
                fix = "Has the encoder diverged?" if field == "z" else "Leave out views without labels."
                raise value_error(f"{name}.{field}", "finite numbers", f"NaN or infinity at index {row}", fix)
    check_alike(test, train, "test.", "train")
    if len(test.z) == 0:
        raise value_error("test.z", "at least one view", test.z)


def _check_batch(batch: Any) -> Sequence[Tensor]:
    wanted = "tuples (views, xy) or (views, xy, xyz)"
    if not isinstance(batch, Sequence):
        raise type_error("batches", wanted, describe(batch))
    if len(batch) not in (2, 3):
        raise value_error("batches", wanted, f"a tuple of {len(batch)}")
    return batch
