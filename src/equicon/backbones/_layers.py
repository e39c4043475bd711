"""Learning rates by layer, and first blocks that do not learn."""

from functools import partial
from typing import Any

from torch import nn

from equicon._checks import check_int, check_number, value_error
from equicon.backbones._describe import blocks_of
from equicon.backbones._family import within


def layer_rates(module: nn.Module, decay: float) -> dict[str, float]:
    """Give factors on the learning rate that fall from the output to the input, block by block.

    Of n blocks, block i counted from 0 has the factor decay^(n − 1 − i). Features of early layers are general, and
    little has to change in them (ELECTRA; Clark et al., ICLR 2020, appendix A; for images: BEiT; Bao et al., ICLR
    2022).

    Args:
        module: An encoder (see ``describe_backbone``). Of any other module, each child with parameters is a block.
        decay: The factor from one block to the block below, in (0, 1]. Usual are 0.65 to 0.9; 1 changes nothing.

    Returns:
        The factor for each prefix of the parameters' names, as ``equicon.training.parameter_groups`` takes them.

    Raises:
        TypeError: If ``decay`` is no number.
        ValueError: If ``decay`` is outside (0, 1].

    Examples:
        >>> rates = layer_rates(build_backbone("quarter_resnet18"), 0.5)
        >>> rates["layer4.1"], rates["layer4.0"], rates["conv1"]
        (1.0, 0.5, 0.00390625)
    """
    if check_number("decay", decay, high=1.0) <= 0:
        raise value_error("decay", "a number in (0, 1]", decay)
    blocks = blocks_of(module)
    return {name: decay ** (len(blocks) - 1 - i) for i, block in enumerate(blocks) for name in block}


def freeze_blocks(module: nn.Module, count: int) -> None:
    """Freeze the first blocks of an encoder, in place.

    Their parameters get no gradients. Their modules go into evaluation mode and stay in it when ``module.train()`` is
    called. So batch norms keep their statistics, and no path is dropped.

    Args:
        module: An encoder (see ``describe_backbone``). Of any other module, each child with parameters is a block.
        count: How many blocks to freeze, stem or embedding included, at least 0.

    Raises:
        TypeError: If ``count`` is no whole number.
        ValueError: If there are fewer blocks.

    Examples:
        >>> encoder = build_backbone("quarter_resnet18")
        >>> freeze_blocks(encoder, 3)
        >>> encoder.layer1[0].training, encoder.train().bn1.training, encoder.layer2.training
        (False, False, True)
    """
    blocks = blocks_of(module)
    if check_int("count", count, low=0) > len(blocks):
        raise value_error("count", f"at most {len(blocks)}, the number of blocks", count)
    prefixes = tuple(name for block in blocks[:count] for name in block)
    for name, parameter in module.named_parameters():
        if within(name, prefixes):
            parameter.requires_grad_(False)
    if count:
        setattr(module, "train", partial(_train, module, prefixes))  # noqa: B010  # a type checker refuses a method
        module.train(module.training)


def _train(module: nn.Module, frozen: tuple[str, ...], mode: bool = True) -> Any:
    """Stand in for ``module.train``. Names are looked up at each call, because a conversion may replace batch norms."""
    type(module).train(module, mode)
    for name, part in module.named_modules():
        if within(name, frozen):
            part.training = False
    return module
