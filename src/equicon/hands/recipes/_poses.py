"""What a 2.5D model is shown, taught and measured by, and the picture of what it sees."""

from typing import NamedTuple

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import equicon as eq
from equicon.hands import BONES, Hand, Pose, palm_from_wrist, pose_frame, project
from equicon.metrics import auc, epe, procrustes_align

REFINING = 10.0  # times the learning rate: the root's depth, some ten bone lengths, begins at a rough closed form
CLIP = 1.0  # length of the gradient: an early closed form can be far off


class View(NamedTuple):
    """Hands as a model sees them, and what it should answer.

    Args:
        images: (B, 3, size, size).
        K: (B, 3, 3), in pixels of the views.
        xy: (B, 21, 2) joints in pixels of the views, the palm for joint 0.
        xyz: (B, 21, 3) joints in bone lengths in the camera frame, the palm for joint 0.
        scale: (B,) metres to a bone length.
    """

    images: Tensor
    K: Tensor
    xy: Tensor
    xyz: Tensor
    scale: Tensor


def frame_of(hand: Hand, size: int) -> eq.Affine:
    """Frame hands by the boxes about their joints, the palm for the wrist, as the evaluation's second pass does."""
    xy = project(palm_from_wrist(hand.xyz), hand.K)
    boxes = torch.cat([xy.amin(1), xy.amax(1)], -1)
    return pose_frame(boxes, (hand.image.shape[-2], hand.image.shape[-1]), (size, size))


def see(hand: Hand, images: Tensor, g: eq.Affine) -> View:
    """Say what is to be seen in views of hands that ``g`` made of the hands' images; joints and K are carried along.

    The map moves pixels only: the joints in space stay where they are, in the frame of the camera that took the image.
    """
    source, size = (hand.image.shape[-2], hand.image.shape[-1]), (images.shape[-2], images.shape[-1])
    K, scale = g.intrinsics(hand.K, source, size), (hand.xyz[:, 10] - hand.xyz[:, 9]).norm(dim=-1)
    palm = palm_from_wrist(hand.xyz)
    return View(images, K, project(palm, K), palm / scale[:, None, None], scale)


def pose_loss(pose: Pose, view: View, weights: tuple[float, float, float]) -> dict[str, Tensor]:
    """Measure by how much a prediction misses, each as a mean of absolute differences times its weight.

    Returns:
        ``"2D"`` in units of half the view's side, ``"depth"`` relative to the palm and ``"3D"``, from the camera, in
        bone lengths (Iqbal et al., ECCV 2018; Spurr et al., ECCV 2020).
    """
    depth = view.xyz[..., 2] - view.xyz[:, :1, 2]
    misses = {
        "2D": (pose.xy - view.xy) * (2 / min(view.images.shape[-2:])),
        "depth": pose.depth - depth,
        "3D": pose.xyz - view.xyz,
    }
    return {name: weight * miss.abs().mean() for (name, miss), weight in zip(misses.items(), weights, strict=True)}


class Errors(NamedTuple):
    """How far predicted hands are from the true ones: means over joints and hands.

    Args:
        px: 2D error in pixels of the given K.
        mm: 3D error with both wrists at the origin.
        epe_mm: 3D error from the camera (EPE).
        pa_mm: 3D error after Procrustes alignment (PA-EPE).
        auc: Area under the PCK curve from 0 to 5 cm, of the error from the camera.
        pa_auc: The same after alignment.
    """

    px: float
    mm: float
    epe_mm: float
    pa_mm: float
    auc: float
    pa_auc: float


def pose_errors(joints: Tensor, xyz: Tensor, K: Tensor) -> Errors:
    """Measure predicted joints (N, 21, 3) [m] by the true ones; K (N, 3, 3) says in which pixels 2D errors count."""
    joints, xyz, K = joints.double(), xyz.double(), K.double()
    aligned = procrustes_align(joints, xyz)
    return Errors(
        px=epe(project(joints, K), project(xyz, K)).item(),
        mm=1000 * epe(joints - joints[:, :1], xyz - xyz[:, :1]).item(),
        epe_mm=1000 * epe(joints, xyz).item(),
        pa_mm=1000 * epe(aligned, xyz).item(),
        auc=auc(joints, xyz).item(),
        pa_auc=auc(aligned, xyz).item(),
    )


def draw_skeletons(images: Tensor, predicted: Tensor, true: Tensor | None = None) -> Figure:
    """Draw joints (N, 21, 2) over images (N, 3, H, W) in [0, 1]: predicted ones, and where known the true ones."""
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.6 * rows + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, axis in zip(range(len(images)), axes.flat, strict=False):
        axis.imshow(images[i].permute(1, 2, 0).clamp(0, 1).numpy())
        if true is not None:
            draw_bones(axis, true[i], color="white", linestyle=":")
        draw_bones(axis, predicted[i])
        axis.set(xlim=(-0.5, images.shape[-1] - 0.5), ylim=(images.shape[-2] - 0.5, -0.5))
    figure.suptitle("predicted (colour)" + (" and true (white, dotted)" if true is not None else ""), fontsize=10)
    figure.tight_layout()
    return figure


def draw_bones(axis: Axes, xy: Tensor, *, color: str | None = None, linestyle: str = "-") -> None:
    """Draw a skeleton (21, 2), a colour to a finger."""
    for parent, child in BONES:
        bone = xy[[parent, child]]
        shade = color or plt.get_cmap("hsv")((child - 1) // 4 / 5)
        axis.plot(bone[:, 0], bone[:, 1], color=shade, linestyle=linestyle, linewidth=1.5)
