"""What fine-tuning is measured beside: the mean pose, and the same model from random weights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from equicon.hands import Pose, Pose25D, PoseErrors, PoseTarget, lift, wrist_from_palm
from equicon.hands.recipes._networks import build_encoder
from equicon.hands.recipes._refining import CLIP_NORM, REFINE_RATE
from equicon.training import parameter_groups

TUNED, SCRATCH, MEAN = "this model", "from scratch", "mean pose"
"""What predictions are called: of the model that is kept, of the same from random weights, and what sees no image."""

_COLUMNS = {"px": "2D [px]", "mm": "from the wrist [mm]", "pa_mm": "aligned (PA) [mm]", "epe_mm": "EPE [mm]"}


class Models(nn.Module):
    """A 2.5D model, and perhaps the same from random weights, which sees the same views. Neither knows of the other.

    Args:
        arch: Of the encoders, one of ``ARCHS``.
        weights: Of the one that is kept, as ``build_encoder`` takes them.
        baseline: Whether there is the other one.

    Raises:
        WeightsError: If the weights cannot be had, or are those of another network.
    """

    def __init__(self, arch: str, weights: str, baseline: bool) -> None:
        super().__init__()
        begun = {TUNED: weights} | ({SCRATCH: "none"} if baseline else {})
        self.by_name = nn.ModuleDict({name: Pose25D(*build_encoder(arch, where)) for name, where in begun.items()})

    def forward(self, images: Tensor, K: Tensor) -> list[Pose]:
        """Predict by each, in their order."""
        return [model(images, K) for model in self]

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.by_name.values())

    @property
    def kept(self) -> nn.Module:
        """The one that is kept."""
        return self.by_name[TUNED]

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Group the parameters for an optimizer, as ``parameter_groups`` does; refinements learn faster."""
        each = (parameter_groups(model, weight_decay, {"refine": REFINE_RATE}) for model in self)
        return [group for groups in each for group in groups]

    def clip_gradients(self) -> None:
        """Shorten the gradient of each where it is longer than ``CLIP_NORM``."""
        for model in self:
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)


def mean_pose(targets: Sequence[PoseTarget]) -> Tensor:
    """Predict the mean of the joints, from the palm and in bone lengths, where palms are on average: without an image.

    The palm's place is the mean one in the views. Its depth is the mean of depth over focal length, times the focal
    length.

    Args:
        targets: Batches of the very hands that it is measured on, which makes it a little better than it could be.

    Returns:
        (N, 21, 3) joints in metres, with the wrist for joint 0.
    """
    xyz, K, xy, scale = (
        torch.cat([getattr(t, name) for t in targets]).double() for name in ("xyz", "K", "xy", "scale")
    )
    focal = torch.linalg.det(K[:, :2, :2]).abs().sqrt()
    depth = (xyz[:, 0, 2] / focal).mean() * focal
    palm = lift(xy[:, :1].mean(0).expand(len(K), 1, 2), torch.zeros_like(depth)[:, None], depth, K)
    return wrist_from_palm(palm + (xyz - xyz[:, :1]).mean(0)) * scale[:, None, None]


def format_errors(rows: Mapping[str, PoseErrors]) -> str:
    """Write errors as plain text, a line for each name.

    Args:
        rows: What was measured, by what it is called.
    """
    width = max(len(name) for name in rows)
    lines = [" " * width + "".join(f"  {title}" for title in _COLUMNS.values())]
    for name, errors in rows.items():
        cells = (f"{getattr(errors, field):{len(title) + 2}.1f}" for field, title in _COLUMNS.items())
        lines.append(f"{name:{width}}" + "".join(cells))
    return "\n".join(lines)
