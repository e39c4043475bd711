"""``predict``: find joints in your own pictures of hands, with the model that comes with the package."""

from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from equicon._checks import check_choice, check_images, value_error
from equicon._groups.affine import Affine
from equicon._pretrained.encoders import pretrained
from equicon._pretrained.files import is_stored, read_stored, shipped
from equicon._transforms.photometric import Normalize
from equicon._weights import load_weights
from equicon.hands._camera import project
from equicon.hands._pose.pose25d import Pose25D
from equicon.hands._pose.released import read_pose25d

SHIPPED = "hands-r18-quarter-pose"
"""The 2.5D model that comes with the package."""


class HandJoints(NamedTuple):
    """Where the joints of hands are, in FreiHAND's order (``JOINT_NAMES``), the wrist first.

    Args:
        xy: (B, 21, 2) in pixels of the pictures; pixel centres are integers.
        xyz: (B, 21, 3) in metres from the wrist, x right, y down, z away from the camera, for a hand of average size.

    Examples:
        >>> HandJoints(torch.rand(2, 21, 2), torch.rand(2, 21, 3)).xy.shape
        torch.Size([2, 21, 2])
    """

    xy: Tensor
    xyz: Tensor


class _Loaded(NamedTuple):
    model: Pose25D
    normalize: Normalize
    size: tuple[int, int]
    focal: float
    bone_length: float


def predict(images: Tensor, *, side: Literal["right", "left"] = "right", model: str | Path = SHIPPED) -> HandJoints:
    """Find the 21 joints of hands, with the model that comes with the package. Nothing is downloaded.

    Each picture should be a crop of one hand that fills about half to four fifths of its longer side. The model looks
    at the whole picture, at 64 × 64 pixels, and was trained on rendered right hands only. Use it for a first look, or
    as a start for fine-tuning. Its card, ``pretrained(model).card``, gives its errors. The camera is not known, so
    depths assume the camera of the training, and lengths assume an average hand.

    This needs the extra ``train``: ``pip install 'equicon[train]'``.

    Args:
        images: (B, 3, H, W), or one picture (3, H, W); uint8, or floating in [0, 1].
        side: Which hands they are. Left hands are mirrored for the model, and the result is mirrored back.
        model: A 2.5D model: a name of ``equicon.list_pretrained``, or the path of a file.

    Returns:
        The joints, on the device of the images; B is 1 for one picture.

    Raises:
        TypeError: If the images are not a tensor of one of these types.
        ValueError: If a shape is wrong, ``side`` is neither, or the file is damaged or no 2.5D model.
        OSError: If there is no such model.
        ModuleNotFoundError: If torchvision or safetensors is not installed.

    Examples:
        >>> hand = SyntheticHands(num_samples=2, size=128, side="right").render(range(2))
        >>> found = predict(hand.image)
        >>> found.xy.shape, found.xyz.shape
        (torch.Size([2, 21, 2]), torch.Size([2, 21, 3]))
    """
    if isinstance(images, Tensor) and images.ndim == 3:
        images = images[None]
    check_images(images)
    check_choice("side", side, ("right", "left"))
    loaded = _load(*_version(model), images.device)
    images = images if images.dtype == torch.uint8 else images.float()
    if side == "left":
        images = images.flip(-1)
    source = (images.shape[-2], images.shape[-1])
    whole = torch.eye(2, device=images.device) * (min(source) / max(source))  # all of the longer side
    frame = Affine.from_linear(whole.expand(len(images), 2, 2))
    views, _ = loaded.normalize(frame.warp(images, loaded.size, padding_mode="border"))
    focal, (height, width) = loaded.focal * min(loaded.size), loaded.size
    rows = [[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]]
    K = torch.tensor(rows, device=images.device).expand(len(images), 3, 3)
    with torch.inference_mode():
        joints = loaded.model(views, K).joints(views.new_full((len(images),), loaded.bone_length))
    joints = joints.clone()  # a tensor of inference mode could not take part in autograd
    xy = frame.inverse().points(project(joints, K), loaded.size, source)
    xyz = joints - joints[:, :1]
    if side == "left":
        xy = torch.stack([source[1] - 1 - xy[..., 0], xy[..., 1]], -1)
        xyz = xyz * xyz.new_tensor([-1.0, 1.0, 1.0])
    return HandJoints(xy, xyz)


def _version(model: str | Path) -> tuple[str, int | str]:
    """Identify the state of a file, so that it is read again after it has changed."""
    if str(model) in (known := shipped()):
        return str(model), known[str(model)]
    if not is_stored(model):
        raise value_error("model", f"one of {', '.join(shipped())}, or a file of safetensors", str(model))
    path = Path(model).resolve()
    return str(path), path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=4)
def _load(model: str, _: int | str, device: torch.device) -> _Loaded:
    state, about = read_pose25d(model), read_stored(model).about
    kept = pretrained(model)
    built = Pose25D(kept.encoder, kept.width)
    load_weights(built, state, model)
    return _Loaded(built.to(device).eval(), kept.normalize, kept.size, about["focal"], about["bone_length"])
