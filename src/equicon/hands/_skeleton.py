"""The hand as data: an image, 21 joints and a camera."""

from typing import NamedTuple

from torch import Tensor

from equicon.hands._camera import project

JOINT_NAMES = (
    "wrist",
    *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{part}" for finger in ("index", "middle", "ring", "little") for part in ("mcp", "pip", "dip", "tip")),
)
"""The 21 joints in FreiHAND's order: the wrist, then each finger from the palm to the tip."""

BONES = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))
"""The 20 bones as (parent, child) pairs of joint indices; bone ``j - 1`` ends at joint ``j``."""


class Hand(NamedTuple):
    """One hand with its image and camera, or a batch of them.

    A tuple of tensors, so the default ``collate_fn`` of a ``DataLoader`` turns a list of hands into a batch of them.

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
        """The joints in the image: (21, 2), or (B, 21, 2), in pixels."""
        return project(self.xyz, self.K)
