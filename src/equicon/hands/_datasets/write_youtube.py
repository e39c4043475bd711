"""Synthetic hands on disk, in the layout of YouTube3DHands."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_int, value_error
from equicon.data._files import write_text
from equicon.hands._datasets.write_freihand import save_image
from equicon.hands._rendered.motion import pose_clips
from equicon.hands._rendered.pictures import render_hands
from equicon.hands._rendered.settings import Settings
from equicon.hands._skeleton import BONES, VERTICES, Hand

_PER_VIDEO = 4


def write_youtube(root: str | os.PathLike[str], num_images: int, *, size: int = 128, seed: int = 0) -> None:
    """Write synthetic hands to disk in the layout of YouTube3DHands (``youtube_train.json`` and frames of videos).

    The set has the difficulties of the real one. Images with an odd number show two hands side by side. About half of
    all hands are left hands. Every third image, from the second on, is annotated with twice its real size. Names in the
    annotations end in ``.png``, but the files end in ``.jpg``. And a fifth of the annotated images, those of the last
    videos, are not on disk.

    The hands are made without the MANO mesh. Their 778 vertices are the 21 joints and points along the bones, so their
    extent is that of the joints. Depths are in pixels too, relative to the wrist.

    Files appear whole or not at all, the annotations after all images.

    Args:
        root: The folder to write to; it is made where it does not exist.
        num_images: Number of images on disk, at least 1. Four images make a video.
        size: Height of the images in pixels, at least 8.
        seed: At least 0.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is too small, or the folder already holds such a set.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> write_youtube(root, num_images=4, size=64)
        >>> len(YouTube3DHands(root, size=48))
        6
    """
    num_images = check_int("num_images", num_images, low=1)
    size, settings = check_int("size", size, low=8), Settings(size, seed, "wild")
    folder = Path(root)
    for found in (*folder.glob("youtube_*.json"), *folder.glob("youtube")):
        there = f"{folder}, which already holds {found.relative_to(folder)}"
        raise value_error("root", "a folder without a YouTube3DHands set", there, "Choose or make an empty folder.")

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    missing = -(-num_images // 4)
    for image in range(num_images + missing):
        gone = image >= num_images
        video = f"missing{(image - num_images) // _PER_VIDEO}" if gone else f"video{image // _PER_VIDEO}"
        name = f"youtube/{video}/video/frames/{image:08d}"
        scale = 2 if image % 3 == 1 else 1
        samples = [2 * image, 2 * image + 1][: 1 + image % 2]
        hands = render_hands(samples, settings)
        if not gone:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            save_image(folder / f"{name}.jpg", torch.cat(list(hands.image), dim=-1))
        width, height = scale * size * len(samples), scale * size
        images.append({"id": image, "name": f"{name}.png", "width": width, "height": height})
        for place, (vertices, left) in enumerate(zip(_vertices(hands), _are_left(samples, settings), strict=True)):
            vertices[:, 0] += place * size
            vertices[:, :2] = (vertices[:, :2] + 0.5) * scale - 0.5
            vertices[:, 2] *= scale
            record = {"id": len(annotations), "image_id": image, "is_left": int(left), "vertices": vertices.tolist()}
            annotations.append(record)
    write_text(folder / "youtube_train.json", json.dumps({"images": images, "annotations": annotations}))


def _vertices(hands: Hand) -> Tensor:
    """Put points on the joints and along the bones: (B, 778, 3) in pixels of the image."""
    depth = hands.xyz[..., 2]
    z = (depth - depth[:, :1]) * hands.K[:, :1, 0] / depth[:, :1]
    joints = torch.cat([hands.xy, z[..., None]], -1)
    parent, child = torch.tensor(BONES, device="cpu").T
    points = torch.arange(VERTICES - joints.shape[1], device="cpu")
    bone, rest = points % len(BONES), (points // len(BONES)).to(joints.dtype)
    share = ((rest + 0.5) / (rest[-1] + 1))[:, None]
    along = (1 - share) * joints[:, parent[bone]] + share * joints[:, child[bone]]
    return torch.cat([joints, along], 1)


def _are_left(samples: list[int], settings: Settings) -> Tensor:
    """Tell which of the rendered hands are left hands: seen from the palm, fingers up, their thumb is to the left."""
    posed = pose_clips(samples, settings)
    wrist, index, little = posed.xyz[:, 0], posed.xyz[:, 5], posed.xyz[:, 17]
    across: Tensor = torch.linalg.cross(index - wrist, little - wrist)
    return (across * posed.pads[:, 0]).sum(-1) < 0
