"""The loss of a 2.5D model."""

from torch import Tensor

from equicon._checks import check_batch, check_number, describe, is_several, value_error
from equicon.hands._pose.pose25d import Pose
from equicon.hands._pose.target import PoseTarget

_PARTS = ("2D", "depth", "3D")


def pose_loss(pose: Pose, target: PoseTarget, weights: tuple[float, float, float]) -> dict[str, Tensor]:
    """Compute the loss of a prediction in three parts: means of absolute differences, each times its weight.

    ``w₁·mean|xy − xy*| · 2/side``, ``w₂·mean|depth − depth*|`` and ``w₃·mean|xyz − xyz*|``. Their sum is the loss.

    Convention: as in ``Pose``.

    Args:
        pose: What ``Pose25D`` predicted for the B views.
        target: What it should have predicted, from ``pose_target``.
        weights: Weights of the three parts, in their order, each at least 0.

    Returns:
        A dictionary of three scalars. ``"2D"`` is in units of half the view's shorter side. ``"depth"``, relative to
        the palm, and ``"3D"``, from the camera, are in bone lengths.

    Raises:
        TypeError: If a weight is not a number.
        ValueError: If there are not three weights, one is below 0, or pose and target are not of the same hands.

    Examples:
        >>> hand = SyntheticHands(num_samples=2, size=64).render(range(2))
        >>> target = pose_target(hand, hand.image, Affine.identity(2))
        >>> model = Pose25D(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten()), width=48)
        >>> list(pose_loss(model(target.images / 255, target.K), target, (10.0, 1.0, 0.2)))
        ['2D', 'depth', '3D']

    Source: Iqbal et al., ECCV 2018; Spurr et al., ECCV 2020.
    """
    if not is_several(weights) or len(weights) != len(_PARTS):
        came = f"{len(weights)}" if is_several(weights) else describe(weights)
        raise value_error("weights", f"{len(_PARTS)} numbers, of {', '.join(_PARTS)}", came)
    each = [check_number("weights", weight, low=0.0) for weight in weights]
    check_batch("pose", pose.xyz, target.xyz, "target")
    misses = (
        (pose.xy - target.xy) * (2 / min(target.images.shape[-2:])),
        pose.depth - (target.xyz[..., 2] - target.xyz[:, :1, 2]),
        pose.xyz - target.xyz,
    )
    return {name: weight * miss.abs().mean() for name, weight, miss in zip(_PARTS, each, misses, strict=True)}
