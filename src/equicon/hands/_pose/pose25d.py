"""The 2.5D model: where each joint is in the picture, how far behind the palm, and how far away the palm is."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from equicon._checks import check_batch, check_floating, check_images, check_int, check_positive_values
from equicon._devices import without_autocast
from equicon._plane.frames import pixel_points
from equicon.hands._pose.lift import along_rays, rays, root_of_rays, wrist_from_palm

_NEAREST, _FARTHEST = 4.0, 50.0  # bounds of the closed form, in bone lengths, as in the official program


class Pose(NamedTuple):
    """What ``Pose25D`` predicts for a batch of hands.

    Convention: FreiHAND's joint order, with the palm for joint 0: the middle of wrist and middle MCP. Camera frame
    x right, y down, z forward; pixel centres are integers. A bone length is that of the bone from joint 9 to joint 10,
    FreiHAND's ``scale``.

    Args:
        xy: (B, 21, 2) in pixels of the view.
        depth: (B, 21) depths minus that of the palm, in bone lengths.
        root: (B,) depth of the palm, in bone lengths.
        xyz: (B, 21, 3) in bone lengths, in the camera frame.

    Examples:
        >>> pose = Pose(torch.rand(2, 21, 2), torch.rand(2, 21), torch.rand(2), torch.rand(2, 21, 3))
        >>> pose.joints(torch.full((2,), 0.03)).shape
        torch.Size([2, 21, 3])
    """

    xy: Tensor
    depth: Tensor
    root: Tensor
    xyz: Tensor

    def joints(self, scale: Tensor) -> Tensor:
        """Return the joints in metres, with the wrist as joint 0, as in FreiHAND's labels and leaderboard.

        Args:
            scale: (B,) lengths of the bone from joint 9 to joint 10, in metres, above 0.

        Returns:
            (B, 21, 3) in metres.

        Raises:
            TypeError: If ``scale`` is not a floating tensor.
            ValueError: If there is not one for each hand. On the CPU also if one is not above 0.
        """
        number = self.xyz.shape[0]
        check_floating("scale", scale, f"({number},), one for each hand", last=(number,), ndim=1)
        check_positive_values("scale", scale)
        return wrist_from_palm(self.xyz) * scale[:, None, None]


class Pose25D(nn.Module):
    """Predict hands in 3D from single images: an encoder, a 2.5D head, and a refined depth of the root.

    The head gives for each joint (x, y) in the unit frame, and its depth minus the palm's. The palm's depth follows in
    closed form from the bone of length 1 (``root_depth``; Iqbal et al., ECCV 2018, equations 6 and 7). It is clamped to
    [4, 50] and detached. A small network corrects it, which sees the joints' depths, their rays, and the palm's depth
    (Spurr et al., ECCV 2020). In a new model the correction is zero.

    Whatever type the encoder's features have, all that follows is computed in float32 at least, also under autocast. In
    bfloat16, joints would be off by half a pixel. The matrix products of head and refinement follow
    ``torch.set_float32_matmul_precision``, as those of the encoder do.

    Convention: as in ``Pose``. The unit frame has its origin at the view's centre and half of its shorter side as the
    unit.

    Args:
        encoder: Any module (B, 3, H, W) → (B, width), such as a torchvision ResNet whose ``fc`` is the identity.
        width: Width of its features.
        hidden: Width of the refinement's two hidden layers.

    Raises:
        TypeError: If a width is not a whole number.
        ValueError: If a width is below 1; in a call, if images, K or features have another shape.

    Examples:
        >>> encoder = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten())
        >>> model = Pose25D(encoder, width=48).eval()
        >>> K = torch.tensor([[[480.0, 0.0, 112.0], [0.0, 480.0, 112.0], [0.0, 0.0, 1.0]]])
        >>> model(torch.rand(1, 3, 224, 224), K).xyz.shape
        torch.Size([1, 21, 3])
    """

    def __init__(self, encoder: nn.Module, width: int, hidden: int = 128) -> None:
        super().__init__()
        width, hidden = check_int("width", width, low=1), check_int("hidden", hidden, low=1)
        self.encoder = encoder
        self.head = nn.Linear(width, 63)
        last = nn.Linear(hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.refine = nn.Sequential(
            nn.Linear(64, hidden),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(),
            last,
        )

    def forward(self, images: Tensor, K: Tensor) -> Pose:
        """Predict the pose of each hand.

        Args:
            images: (B, 3, H, W), as the encoder takes them.
            K: (B, 3, 3) intrinsics in pixels of these images, last row (0, 0, 1), invertible.

        Returns:
            The pose, xy in pixels of these images.
        """
        check_images(images)
        features = self.encoder(images)
        check_floating("encoder(images)", features, "(B, width)", last=(self.head.in_features,), ndim=2)
        check_batch("encoder(images)", features, images, "images")
        weight = self.head.weight
        with without_autocast(weight.device):
            out = self.head(features.to(weight.dtype)).unflatten(1, (21, 3))
            out = out.to(torch.promote_types(out.dtype, torch.float32))
            depth = torch.cat([torch.zeros_like(out[:, :1, 2]), out[:, 1:, 2]], 1)
            xy = pixel_points(out[..., :2], (images.shape[-2], images.shape[-1]))
            at = rays(xy, K)
            root = root_of_rays(at, depth).clamp(_NEAREST, _FARTHEST).detach()
            seen = torch.cat([depth, at.flatten(1), root[:, None]], 1)
            root = root + self.refine(seen.to(weight.dtype))[:, 0]
            return Pose(xy, depth, root, along_rays(at, depth + root[:, None]))
