"""What a pre-training is made of, by the options of ``pretrain_freihand.py``: its method, views and optimizer."""

import argparse
import math
from typing import Any

import torch
from torch import nn

import equicon as eq
from equicon.recipes._networks import encoder_rates
from equicon.training import parameter_groups

METHODS: dict[str, eq.Representation[Any]] = {"peclr": eq.PeCLRPoints(), "exact": eq.Points(), "simclr": eq.Invariant()}
"""How a transform acts on the embedding, by the name of the method."""

OPTIMIZERS: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
"""The optimizers, by their names on the command line."""


def pretrain_views(args: argparse.Namespace) -> eq.Compose:
    """Make the transform that draws the views, before their normalisation.

    Args:
        args: The options.
    """
    pair, four = (args.margin[0], args.margin[1]), tuple(args.jitter)
    views = eq.presets.peclr(margin=pair, degrees=args.degrees, translate=args.translate, jitter=four)
    if not args.blur:
        return views
    size = 2 * math.ceil(3 * args.blur) + 1
    return eq.Compose([views, eq.RandomGaussianBlur(size, (args.blur / 2, args.blur), 1.0)])


def pretrain_optimizer(model: nn.Module, args: argparse.Namespace) -> torch.optim.Optimizer:
    """Make the optimizer.

    Args:
        model: A ``SiameseModel``, on the device.
        args: The options.
    """
    rates = encoder_rates(model.get_submodule("encoder"), args.layer_decay)
    optimizer: torch.optim.Optimizer = OPTIMIZERS[args.optimizer](
        parameter_groups(model, args.weight_decay, rates), args.lr, fused=True
    )
    return optimizer
