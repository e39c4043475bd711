"""What the tests of the recipes share."""

import math
import os
import re
from types import ModuleType

import pytest
from examples.loading import load
from torch import nn

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask PyPI for a newer version

NEEDS = {
    "lightning_simclr": ("torchvision", "lightning"),
    "lightly_simclr": ("torchvision", "lightly"),
    "timm_backbone": ("timm",),
    "own_augmentation": ("torchvision", "albumentations"),
    "huggingface_images": ("PIL", "datasets"),
}


def recipe(name: str) -> ModuleType:
    for package in NEEDS[name]:
        pytest.importorskip(package, reason=f"the recipe {name} uses {package}")
    return load(f"recipes/{name}.py")


def assert_moved(before: nn.Module, after: nn.Module) -> None:
    """Assert that training changed all parameters, and left them finite."""
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert new.isfinite().all(), name
        assert not old.equal(new), name


def losses(said: str) -> list[float]:
    found = [float(value) for value in re.findall(r"loss (-?[\d.]+|nan|inf)", said)]
    assert found
    assert all(map(math.isfinite, found))
    return found
