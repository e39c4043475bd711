"""What a fine-tuned model is compared with: the mean pose, and the same model trained from random weights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import equicon as eq
from equicon._plane.frames import unit_points
from equicon.hands import Pose, Pose25D, PoseErrors, PoseTarget, lift, wrist_from_palm
from equicon.hands._pose.two_pass import FILL
from equicon.recipes._networks import build_encoder, encoder_rates
from equicon.recipes._refining import REFINE_RATE
from equicon.training import parameter_groups

TUNED, SCRATCH, MEAN = "this model", "from scratch", "mean pose"
"""The names of predictions: of the model that is kept, of the same model from random weights, and of the mean pose."""

_COLUMNS = {"px": "2D [px]", "mm": "from the wrist [mm]", "pa_mm": "aligned (PA) [mm]", "epe_mm": "EPE [mm]"}


class Models(nn.Module):
    """A 2.5D model and, if wanted, the same model from random weights.

    They see the same views and do not affect each other.

    Args:
        arch: The encoder of both models, one of ``ARCHS`` or ``timm/NAME``.
        weights: The weights of the model that is kept. ``build_encoder`` lists the choices.
        baseline: Whether to train the model from random weights too.
        options: What else ``build_encoder`` takes. All blocks of the model from random weights learn.

    Raises:
        WeightsError: If the weights cannot be read, or belong to another network.
    """

    def __init__(self, arch: str, weights: str, baseline: bool, **options: Any) -> None:
        super().__init__()
        models = {TUNED: Pose25D(*build_encoder(arch, weights, **options))}
        if baseline:
            models[SCRATCH] = Pose25D(*build_encoder(arch, "none", **(options | {"freeze_blocks": 0})))
        self.by_name = nn.ModuleDict(models)

    def forward(self, images: Tensor, K: Tensor, unlabelled: Tensor | None = None) -> list[Pose]:
        """Predict with each model, in order.

        Args:
            images: The views (B, 3, H, W).
            K: Their intrinsics (B, 3, 3).
            unlabelled: Views (C, 3, H, W) without labels. Only the model that is kept predicts them, after the others.
        """
        if unlabelled is None:
            return [model(images, K) for model in self]
        kept = self.kept(torch.cat([images, unlabelled]), torch.cat([K, some_intrinsics(K, len(unlabelled))]))
        return [kept, *(model(images, K) for model in self if model is not self.kept)]

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.by_name.values())

    @property
    def kept(self) -> nn.Module:
        """The model that is kept."""
        return self.by_name[TUNED]

    def groups(self, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
        """Group the parameters with ``parameter_groups``.

        The part that refines the root's depth learns faster. The lower blocks of the encoder of the model that is kept
        learn slower, by a factor of ``layer_decay`` from each block to the block below.
        """
        found: list[dict[str, Any]] = []
        for name, model in self.by_name.items():
            slower = encoder_rates(model.get_submodule("encoder"), layer_decay if name == TUNED else 1.0)
            found += parameter_groups(model, weight_decay, {"refine": REFINE_RATE} | slower)
        return found

    def clip_gradients(self, norm: float) -> None:
        """Shorten the gradient of each model to ``norm`` if it is longer; 0 leaves it as it is."""
        for model in self if norm else ():
            nn.utils.clip_grad_norm_(model.parameters(), norm)


def some_intrinsics(K: Tensor, count: int) -> Tensor:
    """Lend intrinsics (count, 3, 3) to pictures without, which cannot be known: those of others, in turn.

    Only the distance of the palm depends on them.

    Args:
        K: Known intrinsics (B, 3, 3).
        count: The number of pictures.
    """
    return K.repeat(-(-count // len(K)), 1, 1)[:count]


def flat_pose(pose: Pose, images: Tensor) -> Tensor:
    """Give what a pose says that does not depend on the camera, as (B, 63): 21 points in units of the view, and depths.

    Args:
        pose: What a model predicted.
        images: The views (B, 3, H, W).
    """
    xy = unit_points(pose.xy, (images.shape[-2], images.shape[-1]))
    return torch.cat([xy.flatten(1), pose.depth], 1)


def read_pose(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Predict what does not depend on the camera, as (B, 63), and the confidence (B, 21), which is 1.

    Args:
        model: A 2.5D model.
        images: The views (B, 3, H, W).
    """
    K = torch.eye(3, device=images.device).expand(len(images), 3, 3)  # any camera will do
    pose = model(images, K)
    return flat_pose(pose, images), torch.ones_like(pose.depth)


POSE_MARGIN = 1 / FILL
"""Side of the views of ``Pose25D`` divided by the longer side of a hand's box."""

FLAT_POSE = eq.DirectSum([(eq.Points(), 42), (eq.Invariant(), 21)])
"""How views act on ``flat_pose``: points move, and depths in bone lengths stay."""


def mean_pose(targets: Sequence[PoseTarget]) -> Tensor:
    """Predict the same hand everywhere, without looking at an image.

    The hand has the mean joints, relative to the palm and in bone lengths. The palm is at its mean place in the views.
    The depth of the palm is the focal length times the mean of depth over focal length.

    Args:
        targets: Batches of the hands that it is measured on. The mean is taken over these very hands, so it is a little
            better than a mean over other hands.

    Returns:
        The joints (N, 21, 3) in metres. Joint 0 is the wrist.
    """
    xyz, K, xy, scale = (
        torch.cat([getattr(t, name) for t in targets]).double() for name in ("xyz", "K", "xy", "scale")
    )
    focal = torch.linalg.det(K[:, :2, :2]).abs().sqrt()
    depth = (xyz[:, 0, 2] / focal).mean() * focal
    palm = lift(xy[:, :1].mean(0).expand(len(K), 1, 2), torch.zeros_like(depth)[:, None], depth, K)
    return wrist_from_palm(palm + (xyz - xyz[:, :1]).mean(0)) * scale[:, None, None]


def format_errors(rows: Mapping[str, PoseErrors]) -> str:
    """Write errors as plain text, with a line for each name.

    Args:
        rows: The errors, by name.
    """
    width = max(len(name) for name in rows)
    lines = [" " * width + "".join(f"  {title}" for title in _COLUMNS.values())]
    for name, errors in rows.items():
        cells = (f"{getattr(errors, field):{len(title) + 2}.1f}" for field, title in _COLUMNS.items())
        lines.append(f"{name:{width}}" + "".join(cells))
    return "\n".join(lines)
