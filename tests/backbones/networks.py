"""Small encoders with random weights, one of each family, for tests that hold for all of them."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from equicon.backbones import build_backbone

SIDE = 64


class Case(NamedTuple):
    """An encoder for images of ``SIDE`` pixels, and what is known of its family."""

    build: Callable[[], nn.Module]
    width: int
    channels: int
    stride: int
    prefix_tokens: int = 0
    pooled: bool = True  # its features are the mean of the map
    convolves: bool = False  # it has nothing but convolutions: a shift of the image shifts the map


class Own(nn.Module):
    """A network of the user's own, with the one method that it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 12, 2, 2), nn.BatchNorm2d(12), nn.ReLU())

    def forward_map(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(self.stem(images * self.scale))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.forward_map(images).mean((2, 3))


def resnet_without_pooling() -> nn.Module:
    network = build_backbone("quarter_resnet18")
    network.maxpool = nn.Identity()
    return network


def regnet() -> nn.Module:
    from torchvision.models.regnet import BlockParams, RegNet

    network = RegNet(BlockParams([1, 2], [16, 24], [8, 8], [1.0, 1.0], [2, 2], 0.25))
    network.fc = nn.Identity()
    return network


def convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    network = ConvNeXt([CNBlockConfig(12, 16, 1), CNBlockConfig(16, 20, 2), CNBlockConfig(20, None, 1)], 0.0, 0.5)
    network.classifier[2] = nn.Identity()
    return network


def vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    network = VisionTransformer(SIDE, 16, num_layers=3, num_heads=2, hidden_dim=12, mlp_dim=24)
    network.heads = nn.Identity()
    return network


def swin() -> nn.Module:
    from torchvision.models import SwinTransformer

    network = SwinTransformer([4, 4], 8, [2, 1, 1], [1, 2, 2], [4, 4], stochastic_depth_prob=0.0)
    network.head = nn.Identity()
    return network


def timm_swin() -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(SIDE, 4, num_classes=0, embed_dim=8, depths=(2, 1), num_heads=(1, 2), window_size=4)


def efficientnet() -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    stages = [MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0), MBConvConfig(4, 3, 2, 8, 12, 2, 1.0, 1.0)]
    network = EfficientNet(stages, 0.0, stochastic_depth_prob=0.0, last_channel=24)
    network.classifier = nn.Identity()
    return network


def named(arch: str, *, side: int = SIDE) -> Callable[[], nn.Module]:
    return lambda: build_backbone(arch, size=(side, side))


CASES = {
    "quarter_resnet18": Case(named("quarter_resnet18"), 128, 128, 32),
    "a resnet without pooling": Case(resnet_without_pooling, 128, 128, 16, convolves=True),
    "regnet": Case(regnet, 24, 24, 8, convolves=True),
    "efficientnet": Case(efficientnet, 24, 24, 4, convolves=True),
    "convnext": Case(convnext, 20, 20, 16, pooled=False, convolves=True),
    "vit": Case(vit, 12, 12, 16, 1, pooled=False),
    "swin": Case(swin, 32, 32, 16),
    "own": Case(Own, 12, 12, 8, convolves=True),
    "timm/test_resnet": Case(named("timm/test_resnet"), 96, 96, 32),
    "timm/test_efficientnet": Case(named("timm/test_efficientnet"), 256, 256, 32, convolves=True),
    "timm/test_vit": Case(named("timm/test_vit"), 64, 64, 16, 1, pooled=False),
    "timm/test_convnext": Case(named("timm/test_convnext"), 64, 64, 32, pooled=False),
    "timm/swin": Case(timm_swin, 16, 16, 8),
    "timm/mobilenetv3": Case(named("timm/mobilenetv3_small_050"), 1024, 288, 32, pooled=False),
}  # fmt: skip


def cases(keep: Callable[[Case], Any] = lambda _: True) -> list[Any]:
    """The cases as parameters of a test; those of timm are left out where it is not installed."""
    without = pytest.mark.skipif(find_spec("timm") is None, reason="the network is timm's")
    return [
        pytest.param(case, id=name, marks=[without] if name.startswith("timm/") else [])
        for name, case in CASES.items()
        if keep(case)
    ]
