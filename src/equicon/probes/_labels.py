"""The labels that a probe learns from, and those that it is measured by."""

from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_probability, first_bad, value_error
from equicon._devices import in_float64
from equicon.probes._features import Features, labels_of

_LEAST = 5  # labels: a fifth of them chooses the length of training


def choose_labels(train: Features, fraction: Any, seed: int, root: int, argument: str) -> Tensor:
    """Choose the views to learn from, and check that they are enough, of two groups, and show all keypoints."""
    count, share = len(train.z), check_probability(argument, fraction)
    labels = round(share * count)
    if labels < _LEAST:
        came = f"{share:g} of {count}, which is {labels}"
        raise value_error(argument, f"at least {_LEAST} labels", came, "Raise it, or give more views to learn from.")
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed), device="cpu")[:labels]
    if train.groups is not None and len(train.groups.cpu()[chosen].unique()) == 1:
        fix = "Frames of one video are grouped into blocks of consecutive ones, such as torch.arange(90) // 15."
        raise value_error("train.groups", "at least two groups to learn from", f"one among {labels} views", fix)
    for dim, known in zip("23", _known(train, root), strict=False):
        if (k := first_bad(known.cpu()[chosen].any(dim=0))) is not None:
            came = f"none in {dim}D of keypoint {k} among {labels} views"
            raise value_error("train.visible", "a label of each keypoint", came, "Raise the share, or leave it out.")
    return chosen


def targets_of(features: Features, root: int) -> list[Tensor]:
    """Return the keypoints in 2D and, if they are known, in 3D less the root. Those without a label are NaN."""
    targets = [in_float64(features.xy)]
    if features.xyz is not None:
        xyz = in_float64(features.xyz)
        targets.append(xyz - xyz[:, root, None])
    if features.visible is None:
        return targets
    return [
        y.masked_fill(~known[..., None].to(y.device), float("nan"))
        for y, known in zip(targets, _known(features, root), strict=True)
    ]


def _known(features: Features, root: int) -> list[Tensor]:
    """Tell which keypoints (N, K) are labelled in 2D and, if there are any, in 3D: there, the root must be so too."""
    known = labels_of(features)
    return [known] if features.xyz is None else [known, known & known[:, root, None]]
