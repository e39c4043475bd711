"""How tests get at the study on real photographs, and the small sets that they give it."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from examples.loading import EXAMPLES

from equicon.data import write_coco_keypoints, write_deeplabcut
from equicon.hands import SyntheticHands, write_freihand


def part(name: str) -> ModuleType:
    """Load a module of ``examples/real_images``."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module(f"real_images.{name}")
    finally:
        sys.path.remove(str(EXAMPLES))


def write_sets(folder: Path) -> dict[str, Path]:
    """Write a small set in each layout, and give the folders by name. The video is an empty file."""
    hand = SyntheticHands(60, 40, seed=3, scenes=3, side="right").render(range(60))
    image, seen = (hand.image * 1.0).round().to(torch.uint8), torch.full((60, 2), 2)
    boxes = torch.tensor([[4.0, 4.0, 35.0, 35.0]]).repeat(60, 1)
    tips = hand.xy[:, [4, 8]].float()
    for name in ("ti1k", "lspet"):
        write_coco_keypoints(folder / name, image, tips, seen, names=["thumb_tip", "index_tip"], boxes=boxes)
    write_deeplabcut(folder / "mirror_mouse", image, tips, seen, names=["paw", "nose"])
    (folder / "mirror_mouse" / "videos").mkdir()
    (folder / "mirror_mouse" / "videos" / "mouse.mp4").touch()
    write_freihand(folder / "real_joints", 24, num_evaluation=6, size=40, side="right")
    pictures = folder / "real_hands"
    pictures.mkdir()
    for i, path in enumerate(sorted((folder / "ti1k" / "images").iterdir())):
        (pictures / f"{('rooms', 'digits')[i % 2]}_{i:06d}.png").symlink_to(path)
    return {name: folder / name for name in ("ti1k", "real_joints", "mirror_mouse", "lspet", "real_hands")}


def finish(plan: Any, validation: Any = lambda piece: 1.0, test: Any = lambda piece: 1.0) -> dict[str, dict[str, Any]]:
    """Do all pieces as they become ready, two at a time, and give what is done."""
    done: dict[str, dict[str, Any]] = {}
    while todo := plan.todo(done):
        for piece in todo[:2]:
            done[piece.key] = {"validation": validation(piece), "minutes": 1.0, "labels": 5, "test": test(piece)}
    return done
