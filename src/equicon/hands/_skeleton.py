"""The hand as data: an image, 21 joints and a camera."""

from typing import NamedTuple

from torch import Tensor

from equicon._checks import check_floating
from equicon.hands._camera import project

JOINT_NAMES = (
    "wrist",
    *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{part}" for finger in ("index", "middle", "ring", "little") for part in ("mcp", "pip", "dip", "tip")),
)
"""The 21 joints in FreiHAND's order: the wrist, then each finger from the palm to the tip."""

BONES = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))
"""The 20 bones as (parent, child) pairs of joint indices; bone ``j - 1`` ends at joint ``j``."""

SCALE_BONE = (9, 10)
"""The bone that hands are measured by, FreiHAND's ``scale``: the first phalanx of the middle finger."""

VERTICES = 778
"""The number of vertices of the MANO mesh, with which FreiHAND and YouTube3DHands are labelled."""


def bone_length(xyz: Tensor) -> Tensor:
    """Measure hands by the bone from joint 9 to joint 10, the first phalanx of the middle finger: FreiHAND's ``scale``.

    ``‖xyz₁₀ − xyz₉‖``. Joints divided by it are in bone lengths, the unit of ``Pose``.

    Convention: FreiHAND's joint order.

    Args:
        xyz: (..., 21, 3) joints, in any unit.

    Returns:
        (...) lengths, in that unit.

    Raises:
        TypeError: If the joints are not a floating tensor.
        ValueError: If there are not 21 of them in space.

    Examples:
        >>> hand = SyntheticHands(num_samples=2, size=64).render(range(2))
        >>> bone_length(hand.xyz).shape
        torch.Size([2])
    """
    check_floating("xyz", xyz, "(..., 21, 3)", last=(21, 3))
    start, end = SCALE_BONE
    length: Tensor = (xyz[..., end, :] - xyz[..., start, :]).norm(dim=-1)
    return length


class Hand(NamedTuple):
    """One hand with its image and camera, or a batch of them.

    It is a tuple of tensors, so the default ``collate_fn`` of a ``DataLoader`` turns a list of hands into a batch.

    Convention: camera frame, x right, y down, z forward; pixel centres are integers.

    Args:
        image: (3, H, W) uint8, or (B, 3, H, W).
        xyz: (21, 3) float32, the joints in metres in the camera frame, or (B, 21, 3).
        K: (3, 3) float32, the pinhole intrinsics in pixels, or (B, 3, 3).

    Examples:
        >>> from equicon.hands import SyntheticHands
        >>> hand = SyntheticHands(num_samples=1)[0]
        >>> hand.xy.shape
        torch.Size([21, 2])
    """

    image: Tensor
    xyz: Tensor
    K: Tensor

    @property
    def xy(self) -> Tensor:
        """The joints in the image, (21, 2) or (B, 21, 2), in pixels."""
        return project(self.xyz, self.K)
