"""Frozen features of an encoder, with the joints that a probe looks for in them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equicon._checks import check_batch, check_floating, describe, type_error, value_error
from equicon.hands._skeleton import JOINT_NAMES

_JOINTS = len(JOINT_NAMES)


class Features(NamedTuple):
    """What an encoder says about N hands, and where their joints are.

    Convention: camera frame, x right, y down, z forward; pixel centres are integers.

    Args:
        z: (N, D), the features.
        xy: (N, 21, 2), the joints in pixels of the view that the encoder saw.
        xyz: (N, 21, 3), the joints in metres in the camera frame; ``probe`` takes the wrist as their origin.

    Examples:
        >>> features = Features(z=torch.rand(8, 512), xy=torch.rand(8, 21, 2), xyz=torch.rand(8, 21, 3))
        >>> features.z.shape
        torch.Size([8, 512])
    """

    z: Tensor
    xy: Tensor
    xyz: Tensor


def extract_features(
    encoder: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor, Tensor]],
    *,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Features:
    """Run a frozen encoder over labelled views and keep what it says.

    The encoder is in evaluation mode and without gradients meanwhile; afterwards each of its modules is in the mode it
    was in. Views go to the device of the encoder's parameters. Cropping, normalising and autocast are the caller's.

    Args:
        encoder: From views (B, C, H, W) to features (B, D).
        batches: Of (views (B, C, H, W), joints in their pixels (B, 21, 2), joints in metres (B, 21, 3)).
        progress: What to wrap around the batches, for example ``tqdm``.

    Returns:
        The features and joints of all batches, in their order, in float32 on the CPU.

    Raises:
        TypeError: The encoder is not a module, or something is not a floating tensor.
        ValueError: A shape is wrong, or there is no batch.

    Examples:
        >>> encoder = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())
        >>> batches = [(torch.rand(4, 3, 64, 64), torch.rand(4, 21, 2), torch.rand(4, 21, 3)) for _ in range(2)]
        >>> extract_features(encoder, batches).z.shape
        torch.Size([8, 48])
    """
    if not isinstance(encoder, nn.Module):
        raise type_error("encoder", "a torch.nn.Module", describe(encoder))
    if progress is not None and not callable(progress):
        raise type_error("progress", "a callable such as tqdm", progress)
    device = next((parameter.device for parameter in encoder.parameters()), None)
    modes = [(module, module.training) for module in encoder.modules()]
    found = []
    encoder.eval()
    try:
        with torch.no_grad():
            for views, xy, xyz in batches if progress is None else progress(batches):
                z = encoder(views if device is None else views.to(device, non_blocking=True))
                checked = check_features(Features(z, xy, xyz), "batches: ")
                found.append([value.float().cpu() for value in checked])
    finally:
        for module, mode in modes:
            module.training = mode  # module by module: a frozen batch norm may have been in evaluation mode before
    if not found:
        raise value_error("batches", "at least one batch", "none", "An iterator can be used once only.")
    return Features(*(torch.cat(values) for values in zip(*found, strict=True)))


def check_features(features: Features, where: str) -> Features:
    """Check the types and shapes of features and joints, and that there is one of each for each hand."""
    z = features.z
    if not isinstance(z, Tensor) or not z.is_floating_point():
        raise type_error(f"{where}z", "a floating tensor (N, D)", z)
    if z.ndim != 2 or z.shape[1] == 0:
        fix = "Leave out the encoder's classifier, pool and flatten: (B, C, H, W) is not yet (B, D)."
        raise value_error(f"{where}z", "features of shape (N, D)", z, fix)
    for name, value, dim in (("xy", features.xy, 2), ("xyz", features.xyz, 3)):
        check_floating(f"{where}{name}", value, f"(N, {_JOINTS}, {dim})", last=(_JOINTS, dim), ndim=3)
        check_batch(f"{where}{name}", len(value), len(z), "z")
    return features
