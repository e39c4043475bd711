"""What must be known of a family of networks, to describe them and to take them apart."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import Tensor

Blocks = tuple[tuple[str, ...], ...]
"""Blocks of a network from its input to its output. Each is a tuple of prefixes of the names of its parameters."""


class BackboneInfo(NamedTuple):
    """What a program needs to know about an encoder.

    Args:
        width: The number of pooled features, of ``encoder(images)``.
        channels: The number of channels of the map, of ``feature_map(encoder, images)``.
        stride: The pixels of the images from one place of the map to the next.
        prefix_tokens: The tokens of a transformer that belong to no place (class tokens, registers); 0 for others.
        blocks: The blocks from the input to the output, such as the stem or embedding, the first block, ..., the last
            block with the final norm. Each is a tuple of names of parameters, or of modules that have all their
            parameters in this block.

    Examples:
        >>> info = describe_backbone(build_backbone("quarter_resnet18"))
        >>> info.width, info.channels, info.stride, info.prefix_tokens
        (128, 128, 32, 0)
        >>> info.blocks[0], len(info.blocks)
        (('conv1', 'bn1'), 9)
    """

    width: int
    channels: int
    stride: int
    prefix_tokens: int
    blocks: Blocks


class Positions(NamedTuple):
    """The position embedding of a transformer.

    Args:
        name: The name of the parameter (1, prefix + height · width, D).
        prefix: How many of its first positions belong to no place.
        grid: The height and width of the others.
    """

    name: str
    prefix: int
    grid: tuple[int, int]


class Family(NamedTuple):
    """A family of networks.

    Args:
        describe: Describes a network.
        map: Maps a network and images (B, 3, H, W) to the map (B, channels, h, w) before pooling.
        positions: Says where the network has its position embedding, if it has one.
        classifier: The module that is the identity in an encoder.
    """

    describe: Callable[[Any], BackboneInfo]
    map: Callable[[Any, Tensor], Tensor]
    positions: Callable[[Any], Positions | None] = lambda _: None
    classifier: str = ""


def shortest(blocks: Iterable[Iterable[str]]) -> Blocks:
    """Shorten the names of parameters to the shortest prefixes that belong to one block only."""
    listed = [[*names] for names in blocks]
    owners = defaultdict(set)
    for i, names in enumerate(listed):
        for name in names:
            for prefix in _prefixes(name):
                owners[prefix].add(i)
    return tuple(
        tuple(dict.fromkeys(next(p for p in _prefixes(name) if len(owners[p]) == 1) for name in names))
        for names in listed
    )


def within(name: str, prefixes: Iterable[str]) -> bool:
    """Whether the name of a parameter or a module is one of these, or lies in one of them."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
