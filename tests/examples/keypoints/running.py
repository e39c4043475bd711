"""Short runs of the keypoint programs, and how tests look at what they leave behind."""

import json
from pathlib import Path
from typing import Any

from examples.finetuning.running import curves
from examples.loading import load

finetune_keypoints = load("finetune_keypoints.py")
evaluate_keypoints = load("evaluate_keypoints.py")
predict_keypoints = load("predict_keypoints.py")


def finetune(*words: object) -> None:
    finetune_keypoints.main([str(word) for word in words])


def short(root: Path, *words: object) -> list[object]:
    """12 steps of 4 images, 6 to an epoch."""
    fixed = ["--data", root, "--recipe", "quick", "--size", 32, "--holdout", 0.25, "--batch-size", 4, "--device", "cpu"]
    return [*fixed, "--epochs", 0.6, "--validate-every", 0.3, "--save-every", 0.1, "--precision", "float32", *words]


def result(out: Path, name: str = "result.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / name).read_text())
    return found


__all__ = ["curves", "evaluate_keypoints", "finetune", "finetune_keypoints", "predict_keypoints", "result", "short"]
