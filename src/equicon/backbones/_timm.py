"""The networks of timm, which have common attributes. They are known by these, so timm need not be imported."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from equicon._checks import value_error
from equicon.backbones._family import BackboneInfo, Family, Positions, shortest


def find_family(network: nn.Module) -> Family | None:
    """Give the family of timm's networks; None if this is none of them."""
    known = all(hasattr(network, name) for name in ("forward_features", "forward_head", "num_features", "feature_info"))
    return Family(_describe, _map, _positions) if known else None


def _describe(net: Any) -> BackboneInfo:
    width = getattr(net, "head_hidden_size", net.num_features)
    stride = net.feature_info[-1]["reduction"]
    prefix = getattr(net, "num_prefix_tokens", 0)
    return BackboneInfo(width, net.num_features, stride, prefix, shortest(_groups(net)))


def _groups(net: Any) -> Iterable[list[str]]:
    """Group the parameters as timm does for learning rates by layer."""
    from timm.models import group_parameters

    groups = group_parameters(net, net.group_matcher(coarse=False))
    return [groups[layer] for layer in sorted(groups)]


def _map(net: Any, images: Tensor) -> Tensor:
    found: Tensor = net.forward_features(images)
    if found.ndim == 4:
        channels_last: bool = getattr(net, "output_fmt", "NCHW") == "NHWC"
        return found.permute(0, 3, 1, 2) if channels_last else found
    stride, prefix = net.feature_info[-1]["reduction"], getattr(net, "num_prefix_tokens", 0)
    height, width = (-(-side // stride) for side in images.shape[-2:])
    if found.ndim != 3 or found.shape[1] != prefix + height * width:
        wanted = f"a network with a map, which has {prefix} + {height} · {width} tokens"
        raise value_error("module", wanted, f"{type(net).__name__} with features {tuple(found.shape)}")
    return found[:, prefix:].mT.reshape(len(found), -1, height, width)


def _positions(net: Any) -> Positions | None:
    if getattr(net, "pos_embed", None) is None or not hasattr(net, "patch_embed"):
        return None
    grid = net.patch_embed.grid_size
    return Positions("pos_embed", net.pos_embed.shape[1] - grid[0] * grid[1], (grid[0], grid[1]))
