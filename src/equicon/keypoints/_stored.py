"""Keypoint models in files, with all that you need to use them: names, skeleton, normalisation, size, mean pose."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from equicon._checks import (
    check_choice,
    check_factor,
    check_floating,
    check_images,
    check_int,
    describe,
    plain_fields,
    value_error,
)
from equicon._groups.affine import Affine
from equicon._plane.frames import edges, pixel_points
from equicon._transforms.photometric import Normalize
from equicon._weights import load_weights
from equicon.backbones import build_backbone
from equicon.data._labels import check_names, check_skeleton
from equicon.keypoints._model import Head, KeypointModel, KeypointPrediction

_KIND, _FORMAT = "keypoint model", 1


@dataclass(frozen=True)
class KeypointTask:
    """What a keypoint model predicts, and how its views are made.

    Convention: the frame of a sample is the square about its box, of side ``margin`` × the box's longer side.

    Args:
        arch: The encoder, a name of ``equicon.backbones``.
        head: The head: ``"heatmap"`` or ``"regression"``.
        size: Side of the square views in pixels.
        margin: Side of the frame divided by the longer side of the box.
        names: Names of the K keypoints.
        skeleton: Pairs of keypoints, counted from 0, to draw a line between.
        flip: For each keypoint the one that takes its place in a mirror.
        mean: Mean of the normalisation, for each channel.
        std: Standard deviation of the normalisation, for each channel.
        mean_pose: Mean place of each keypoint in the training data, in units of the frame, [-1, 1] inside. Empty if it
            is not known.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or there is not an entry for each name.

    Examples:
        >>> task = KeypointTask("quarter_resnet18", "heatmap", 64, 1.25, ("nose", "tail"), ((0, 1),), (0, 1))
        >>> task.normalize
        Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    """

    arch: str
    head: Head
    size: int
    margin: float
    names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    mean: tuple[float, ...] = Normalize.imagenet().mean
    std: tuple[float, ...] = Normalize.imagenet().std
    mean_pose: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        plain_fields(self)
        check_choice("head", self.head, get_args(Head))
        check_int("size", self.size, low=1)
        check_factor("margin", self.margin)
        count = len(check_names(self.names))
        check_skeleton(self.skeleton, count)
        if sorted(self.flip) != list(range(count)):
            raise value_error("flip", f"each of the keypoints 0 to {count - 1} once", describe(self.flip))
        if self.mean_pose and len(self.mean_pose) != count:
            raise value_error("mean_pose", f"{count} places, one for each name", f"{len(self.mean_pose)}")

    @property
    def normalize(self) -> Normalize:
        """The normalisation of the views."""
        return Normalize(self.mean, self.std)

    def build(self) -> KeypointModel:
        """Build the model, with random weights."""
        return KeypointModel(build_backbone(self.arch, size=(self.size, self.size)), len(self.names), self.head)


def write_keypoint_model(path: str | Path, state: Mapping[str, Tensor], task: KeypointTask) -> None:
    """Write a keypoint model to a file, whole or not at all.

    Args:
        path: The file.
        state: The model's state dict.
        task: What it predicts.

    Raises:
        OSError: If the file cannot be written.

    Examples:
        >>> import tempfile
        >>> task = KeypointTask("quarter_resnet18", "heatmap", 64, 1.25, ("nose", "tail"), ((0, 1),), (0, 1))
        >>> path = tempfile.mkdtemp() + "/best.pt"
        >>> write_keypoint_model(path, task.build().state_dict(), task)
        >>> read_keypoint_model(path).task == task
        True
    """
    from equicon.data._files import write_whole

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    about = {"kind": _KIND, "format": _FORMAT, "task": asdict(task)}
    write_whole(Path(path), lambda file: torch.save({"equicon": about, "state_dict": tensors}, file))


def read_keypoint_model(path: str | Path) -> "KeypointPredictor":
    """Read a keypoint model from a file of ``write_keypoint_model``, such as the ``best.pt`` of a training run.

    Args:
        path: The file. Nothing in it runs.

    Returns:
        The model in evaluation mode, on the CPU, with what it predicts.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is damaged, holds something else, or was written by a newer equicon.
        ModuleNotFoundError: If the encoder needs a package that is not installed.

    Examples:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/weights.pt"
        >>> torch.save({"fc.weight": torch.zeros(2, 2)}, path)
        >>> read_keypoint_model(path)
        Traceback (most recent call last):
        ValueError: ...weights.pt: expected a keypoint model, as finetune_keypoints.py writes it, got another file.
    """
    wanted = "a keypoint model, as finetune_keypoints.py writes it"
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file may raise nearly anything
        raise value_error(str(path), wanted, f"a file that torch.load cannot read ({type(error).__name__})") from error
    about = found.get("equicon") if isinstance(found, dict) else None
    if not isinstance(about, dict) or about.get("kind") != _KIND or "state_dict" not in found:
        raise value_error(str(path), wanted, "another file")
    if about.get("format") != _FORMAT:
        got = f"format {about.get('format')}"
        raise value_error(str(path), f"format {_FORMAT}", got, "A newer equicon reads it.")
    try:
        task = KeypointTask(**about["task"])
    except (KeyError, TypeError) as error:
        raise value_error(str(path), wanted, f"one with a damaged description ({error})") from error
    with torch.random.fork_rng(devices=[]):
        model = task.build()
    load_weights(model, found["state_dict"], str(path))
    return KeypointPredictor(model.eval(), task)


@dataclass(frozen=True)
class KeypointPredictor:
    """A keypoint model with what it needs, to find keypoints in pictures of any size.

    Args:
        model: The model, in evaluation mode.
        task: What it predicts.

    Examples:
        >>> task = KeypointTask("quarter_resnet18", "regression", 64, 1.25, ("nose", "tail"), ((0, 1),), (0, 1))
        >>> predictor = KeypointPredictor(task.build().eval(), task)
        >>> predictor(torch.rand(2, 3, 120, 160)).xy.shape
        torch.Size([2, 2, 2])
    """

    model: KeypointModel
    task: KeypointTask

    @torch.no_grad()
    def __call__(self, images: Tensor, boxes: Tensor | None = None) -> KeypointPrediction:
        """Find the keypoints of one thing in each picture.

        Args:
            images: (B, 3, H, W), uint8 or floating in [0, 1], on the model's device.
            boxes: (B, 4) x1, y1, x2, y2 in pixels of the pictures; None takes the whole pictures.

        Returns:
            The prediction, xy in pixels of the pictures.

        Raises:
            TypeError: If a tensor is of the wrong type.
            ValueError: If a shape is wrong.
        """
        check_images(images)
        source, views = (images.shape[-2], images.shape[-1]), (self.task.size,) * 2
        frame = self.frame(len(images), source, images.device, boxes)
        dtype = next(self.model.parameters()).dtype
        found: KeypointPrediction = self.model(self.task.normalize(frame.warp(images, views))[0].to(dtype))
        return found._replace(xy=frame.inverse().points(found.xy, views, source))

    def mean_pose(self, images: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Give the mean place (B, K, 2) of each keypoint in the training data, in pixels of the pictures.

        Args:
            images: As in a call. Only their number and size count.
            boxes: As in a call.
        """
        source, views = (images.shape[-2], images.shape[-1]), (self.task.size,) * 2
        frame = self.frame(len(images), source, images.device, boxes)
        if not self.task.mean_pose:
            raise value_error("task", "a task with a mean pose", "one without")
        pose = torch.tensor(self.task.mean_pose, device=images.device).expand(len(images), -1, 2)
        return frame.inverse().points(pixel_points(pose, views), views, source)

    def frame(self, count: int, source: tuple[int, int], device: torch.device, boxes: Tensor | None) -> Affine:
        """Make the maps from pictures to the squares about their boxes."""
        if boxes is None:
            boxes = torch.tensor([edges(source)], device=device).expand(count, 4)
        check_floating("boxes", boxes, "(B, 4)", last=(4,), ndim=2)
        return Affine.from_boxes(boxes, source, self.task.margin)
