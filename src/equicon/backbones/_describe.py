"""Describe an encoder, and compute its map of features: one protocol for all libraries."""

import sys
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from equicon._averages.evaluation import evaluating
from equicon._checks import Size, check_images, check_size, describe, type_error, value_error
from equicon.backbones._family import BackboneInfo, Blocks, Family, within
from equicon.backbones._timm import find_family as of_timm


@runtime_checkable
class Backbone(Protocol):
    """An encoder of your own that also has a map: a ``torch.nn.Module`` with one more method.

    Its blocks are its children that have parameters, in the order in which it registers them, so register them from the
    input to the output.

    Examples:
        >>> class Small(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.stem, self.body = torch.nn.Conv2d(3, 8, 4, 4), torch.nn.Conv2d(8, 16, 2, 2)
        ...     def forward_map(self, images): return self.body(self.stem(images).relu())
        ...     def forward(self, images): return self.forward_map(images).mean((2, 3))
        >>> describe_backbone(Small())
        BackboneInfo(width=16, channels=16, stride=8, prefix_tokens=0, blocks=(('stem',), ('body',)))
    """

    def forward_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, channels, h, w), with h = H / stride and w = W / stride."""


def describe_backbone(module: nn.Module, *, size: Size = (224, 224)) -> BackboneInfo:
    """Describe an encoder: its widths, its stride, and its blocks.

    Args:
        module: An encoder of ``build_backbone``, another network of torchvision or timm without its classifier, or a
            ``Backbone`` of your own.
        size: Height and width, in pixels, of the image that a ``Backbone`` of your own is tried with. Other modules are
            not run.

    Returns:
        The description.

    Raises:
        TypeError: If the module is none of these.
        ValueError: If a parameter is in no block, such as that of a classifier.

    Examples:
        >>> describe_backbone(build_backbone("vit_b_16", size=(64, 64)))[:4]
        (768, 768, 16, 1)
    """
    family = find_family(module)
    info = family.describe(module) if family else _try(module, check_size("size", size))
    covered = tuple(prefix for block in info.blocks for prefix in block)
    if left := [name for name, _ in module.named_parameters() if not within(name, covered)]:
        fix = "Replace the classifier by torch.nn.Identity()."
        raise value_error("module", "an encoder, all of whose parameters are in its blocks", f"also {left[0]}", fix)
    return info


def feature_map(module: nn.Module, images: Tensor) -> Tensor:
    """Compute the map of features before it is pooled. Gradients flow, and the mode of the module counts.

    A transformer's tokens are put back to their places, without class tokens and registers.

    Args:
        module: As for ``describe_backbone``.
        images: (B, 3, H, W), as the module takes them.

    Returns:
        The map (B, channels, h, w).

    Raises:
        TypeError: If the module is none of these, or images are no tensor.
        ValueError: If the network takes no images of this size, or has no map.

    Examples:
        >>> feature_map(build_backbone("quarter_resnet18"), torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 128, 2, 2])
    """
    check_images(images)
    family = find_family(module)
    return family.map(module, images) if family else module.forward_map(images)  # type: ignore[operator]


def find_family(module: nn.Module) -> Family | None:
    """Find the family of an encoder; None for a ``Backbone`` of the user's own.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(module, nn.Module):
        if isinstance(module, Backbone):
            return None
        if family := of_timm(module):
            return family
        if "torchvision" in sys.modules:
            from equicon.backbones._torchvision import find_family as of_torchvision

            if family := of_torchvision(module):
                return family
    families = "ResNet, RegNet, EfficientNet, ConvNeXt, ViT or Swin of torchvision"
    wanted = f"a network of timm, a {families}, or a torch.nn.Module with forward_map(images)"
    raise type_error("module", wanted, describe(type(module)))


def blocks_of(module: nn.Module) -> Blocks:
    """Give the blocks of any module: of an encoder that is known, or else its children."""
    try:
        family = find_family(module)
    except TypeError:
        family = None
    return family.describe(module).blocks if family else _children(module)


def _children(module: nn.Module) -> Blocks:
    own = tuple(name for name, _ in module.named_parameters(recurse=False))
    rest = ((name,) for name, child in module.named_children() if any(True for _ in child.parameters()))
    return ((own,) if own else ()) + (*rest,)


@torch.no_grad()
def _try(module: Any, size: Size) -> BackboneInfo:
    """Try a module of the user's own with an image of zeros."""
    like = next(module.parameters(), torch.zeros((), device="cpu"))
    images = torch.zeros(1, 3, *size, device=like.device, dtype=like.dtype)
    with evaluating(module):
        pooled, found = module(images), module.forward_map(images)
    for name, value, shape in (("module(images)", pooled, "(B, width)"), ("forward_map", found, "(B, channels, h, w)")):
        if not isinstance(value, Tensor) or value.ndim != len(shape.split(",")):
            raise value_error(name, f"a tensor {shape}", describe(value))
    stride = size[0] // found.shape[2]
    return BackboneInfo(pooled.shape[1], found.shape[1], stride, 0, _children(module))
