"""Labelled pictures that runs learn from, in both layouts, and a run without a break."""

import pytest
import torch

from equicon.data import write_coco_keypoints, write_deeplabcut
from equicon.hands import SyntheticHands

NAMES = ["wrist", "left_mcp", "left_pip", "left_dip", "left_tip", "right_tip"]
PICKED = [0, 1, 2, 3, 4, 20]


@pytest.fixture(scope="session")
def hands():
    """Two dozen rendered hands; a tenth of their labels are missing."""
    hand = SyntheticHands(24, 48, seed=7, side="right").render(range(24))
    visible = torch.where(torch.rand(24, 6, generator=torch.Generator().manual_seed(0)) < 0.1, 0, 2)
    return (hand.image * 1.0).round().to(torch.uint8), hand.xy[:, PICKED].float(), visible


@pytest.fixture(scope="session")
def coco(tmp_path_factory, hands):
    folder = tmp_path_factory.mktemp("coco")
    image, xy, visible = hands
    boxes = torch.tensor([[4.0, 4.0, 43.0, 43.0]]).repeat(24, 1)
    groups = torch.arange(24) // 3
    write_coco_keypoints(folder, image, xy, visible, names=NAMES, skeleton=[(0, 1), (1, 2)], boxes=boxes, groups=groups)
    return folder


@pytest.fixture(scope="session")
def mouse(tmp_path_factory, hands):
    folder = tmp_path_factory.mktemp("mouse")
    image, xy, visible = hands
    write_deeplabcut(folder, image[:, :, :40], xy, visible * (xy[..., 1] < 39), names=NAMES)
    return folder


@pytest.fixture(scope="session")
def whole(coco, tmp_path_factory):
    """A run without a break: 12 steps, validated after 6 and 12, and saved after every second."""
    from examples.keypoints.running import finetune, short

    out = tmp_path_factory.mktemp("whole")
    finetune(*short(coco), "--keep", 99, "--out", out)
    return out
