"""The families of torchvision."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from equicon._checks import value_error
from equicon.backbones._family import BackboneInfo, Blocks, Family, Positions


def find_family(network: nn.Module) -> Family | None:
    """Find the family of a network of torchvision; None if it is of no such family."""
    from torchvision import models

    families = {
        models.ResNet: Family(_resnet, _resnet_map, classifier="fc"),
        models.RegNet: Family(_regnet, _regnet_map, classifier="fc"),
        models.EfficientNet: Family(_efficientnet, _features_map, classifier="classifier"),
        models.ConvNeXt: Family(_convnext, _features_map, classifier="classifier.2"),
        models.VisionTransformer: Family(_vit, _vit_map, _vit_positions, classifier="heads"),
        models.SwinTransformer: Family(_swin, _swin_map, classifier="head"),
    }
    return next((family for kind, family in families.items() if isinstance(network, kind)), None)


def _resnet(net: Any) -> BackboneInfo:
    stages = [(f"layer{i}", getattr(net, f"layer{i}")) for i in range(1, 5)]
    last = stages[-1][1][-1]
    width = getattr(last, "conv3", last.conv2).out_channels
    pooled = getattr(net.maxpool, "stride", 1)  # for small images, people replace it by the identity
    stride = net.conv1.stride[0] * pooled * math.prod(stage[0].stride for _, stage in stages)
    blocks = (("conv1", "bn1"), *((f"{name}.{i}",) for name, stage in stages for i in range(len(stage))))
    return BackboneInfo(width, width, stride, 0, blocks)


def _resnet_map(net: Any, images: Tensor) -> Tensor:
    x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))  # type: ignore[no-any-return]


def _regnet(net: Any) -> BackboneInfo:
    stages = [*net.trunk_output.named_children()]
    last = [*stages[-1][1].children()][-1]
    names = (f"trunk_output.{name}.{block}" for name, stage in stages for block, _ in stage.named_children())
    width = last.f.c[0].out_channels
    stride = _stride(net.stem) * math.prod(_stride(block.f) for _, stage in stages for block in stage.children())
    return BackboneInfo(width, width, stride, 0, (("stem",), *((name,) for name in names)))


def _regnet_map(net: Any, images: Tensor) -> Tensor:
    return net.trunk_output(net.stem(images))  # type: ignore[no-any-return]


def _efficientnet(net: Any) -> BackboneInfo:
    width = net.features[-1][0].out_channels
    return BackboneInfo(width, width, _stride(net.features), 0, _blocks(net.features))


def _convnext(net: Any) -> BackboneInfo:
    width = net.classifier[0].normalized_shape[0]
    return BackboneInfo(width, width, _stride(net.features), 0, _blocks(net.features, "classifier.0"))


def _swin(net: Any) -> BackboneInfo:
    width = net.norm.normalized_shape[0]
    # Each stage but the first begins with a merging of 2 × 2 patches, and has twice the channels.
    stride = _stride(net.features) * width // net.features[0][0].out_channels
    return BackboneInfo(width, width, stride, 0, _blocks(net.features, "norm"))


def _stride(layers: nn.Module) -> int:
    """Give the stride of layers in a row, none of which is beside another strided one."""
    return math.prod(layer.stride[0] for layer in layers.modules() if isinstance(layer, nn.Conv2d))


def _blocks(features: nn.Sequential, *final: str) -> Blocks:
    """Take stages apart into their blocks, a stage being a row of blocks of one kind. The last has the final norm."""
    found: list[str] = []
    for i, stage in enumerate(features):
        if type(stage) is nn.Sequential and len({type(block) for block in stage}) == 1:
            found += [f"features.{i}.{j}" for j in range(len(stage))]
        else:
            found.append(f"features.{i}")
    return (*((name,) for name in found[:-1]), (found[-1], *final))


def _features_map(net: Any, images: Tensor) -> Tensor:
    return net.features(images)  # type: ignore[no-any-return]


def _swin_map(net: Any, images: Tensor) -> Tensor:
    return net.permute(net.norm(net.features(images)))  # type: ignore[no-any-return]


def _vit(net: Any) -> BackboneInfo:
    *names, last = (f"encoder.layers.{name}" for name, _ in net.encoder.layers.named_children())
    stem = ("conv_proj", "class_token", "encoder.pos_embedding")
    blocks: Blocks = (stem, *((name,) for name in names), (last, "encoder.ln"))
    return BackboneInfo(net.hidden_dim, net.hidden_dim, net.patch_size, 1, blocks)


def _vit_map(net: Any, images: Tensor) -> Tensor:
    if images.shape[-2:] != (net.image_size, net.image_size):
        wanted = f"{net.image_size} × {net.image_size} pixels, for which the network was built"
        raise value_error("images", wanted, images, "Give size= to build_backbone.")
    patches = net.conv_proj(images)
    tokens = torch.cat([net.class_token.expand(len(images), -1, -1), patches.flatten(2).mT], 1)
    return net.encoder(tokens)[:, 1:].mT.unflatten(2, patches.shape[2:])  # type: ignore[no-any-return]


def _vit_positions(net: Any) -> Positions:
    side = net.image_size // net.patch_size
    return Positions("encoder.pos_embedding", 1, (side, side))
