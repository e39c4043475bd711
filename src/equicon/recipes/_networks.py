"""Encoders without a classifier, weights to start from, the model for pre-training."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equicon import backbones
from equicon._pretrained.encoders import list_pretrained, projection_head
from equicon.backbones import build_backbone, describe_backbone, hub_weights, layer_rates, list_backbones, load_backbone
from equicon.hands import read_encoder
from equicon.training import WeightsError

ARCHS = list_backbones()
"""The names of the encoders, apart from those of timm, which are ``timm/NAME``."""

HUB = ("imagenet", "hub")
"""The values of ``--weights`` that stand for the published weights of a network."""


def build_encoder(
    arch: str,
    weights: str,
    *,
    size: int | None = None,
    drop_path: float = 0.0,
    freeze_blocks: int = 0,
    checkpoint_blocks: bool = False,
) -> tuple[nn.Module, int]:
    """Build an encoder.

    Args:
        arch: The name of the network, one of ``ARCHS`` or ``timm/NAME``.
        weights: ``"none"`` for random weights, ``"imagenet"`` or ``"hub"`` for those that torchvision or timm publish
            (downloaded once), a name from ``equicon.list_pretrained``, or a file that ``equicon.hands.read_encoder``
            reads. Such a file comes from ``equicon.save_pretrained``, or is a state dict with the names of torchvision,
            timm, DINO or DINOv2 (with or without the classifier), or a checkpoint of the official PeCLR program.
        size: The side of the square views in pixels, for which a transformer has positions; None is that of its
            authors.
        drop_path: The share of images for which the last block is skipped in training.
        freeze_blocks: The number of first blocks that do not learn.
        checkpoint_blocks: Whether blocks compute their activations again for the gradient.

    Returns:
        The network, without a classifier, and the width of its features.

    Raises:
        WeightsError: If the weights cannot be read, or belong to another network, or the network does not take one of
            the options. The message names the option.
    """
    try:
        encoder = build_backbone(arch, size=None if size is None else (size, size), drop_path=drop_path)
    except (ValueError, ModuleNotFoundError) as error:
        raise WeightsError(_named(error)) from error
    if weights != "none":
        state = fetch_published(arch, weights) if weights in HUB else read_weights(Path(weights))
        try:
            load_backbone(encoder, state, source=weights)
        except ValueError as error:
            raise WeightsError(f"--weights: {error} Give its --arch.") from error
    try:
        backbones.freeze_blocks(encoder, freeze_blocks)
    except ValueError as error:
        raise WeightsError(str(error).replace("count", "--freeze-blocks", 1)) from error
    if checkpoint_blocks:
        backbones.checkpoint_blocks(encoder)
    return encoder, describe_backbone(encoder).width


def encoder_options(args: argparse.Namespace) -> dict[str, Any]:
    """Give the options of the command line that ``build_encoder`` takes.

    Args:
        args: The options of ``pretrain_freihand.py`` or ``finetune_freihand.py``.
    """
    return {name: getattr(args, name) for name in ("size", "drop_path", "freeze_blocks", "checkpoint_blocks")}


def encoder_rates(encoder: nn.Module, decay: float) -> dict[str, float]:
    """Give the factors on the learning rate in a model whose part ``encoder`` this is, for ``parameter_groups``.

    Args:
        encoder: The encoder.
        decay: The factor from one block to the block below.
    """
    return {f"encoder.{name}": factor for name, factor in layer_rates(encoder, decay).items()}


def make_head(width: int, hidden: int, points: int) -> nn.Module:
    """Make the paper's projection head, which maps features to points (x, y).

    The last layer has no bias, because a bias would be a point that no transform moves.

    Args:
        width: The width of the features.
        hidden: The width of the hidden layer.
        points: The number of points. The embedding has two values for each.
    """
    return projection_head(width, hidden, 2 * points)


def fetch_published(arch: str, weights: str) -> Mapping[str, Tensor]:
    try:
        return hub_weights(arch)
    except ValueError as error:
        raise WeightsError(f"--weights {weights}: {error}. Start at random: --weights none.") from error
    except OSError as error:
        raise WeightsError(
            f"--weights {weights}: {error}. Download it on another machine and give the file (--weights FILE), or "
            "start at random (--weights none)."
        ) from error


def read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file() and str(path) not in list_pretrained():
        known = ", ".join(f"'{name}'" for name in (*HUB, "none", *list_pretrained()))
        raise WeightsError(f"--weights: expected {known} or a file, got {path}, which is no file.")
    try:
        return read_encoder(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"--weights: {error}") from error


class SiameseModel(nn.Module):
    """Embeds both views of a batch together, so that batch norm normalises them together.

    It also holds the criterion, because the criterion may have parameters that learn.

    Args:
        encoder: The encoder, from views to features.
        head: The projection head, from features to embeddings.
        criterion: The loss.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head, self.criterion = encoder, head, criterion

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embeddings of both views."""
        z1, z2 = self.head(self.encoder(torch.cat([x1, x2]))).chunk(2)
        return z1, z2


def clip_gradients(
    model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, norm: float
) -> None:
    """Shorten the gradient of a model if it is longer than ``norm``.

    Args:
        model: The model.
        optimizer: Its optimizer.
        scaler: The scaler of its loss. The gradient is unscaled first.
        norm: The greatest norm of the gradient over all weights; 0 leaves the gradient as it is.
    """
    if norm:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), norm)


def _named(error: Exception) -> str:
    """Name the option of the command line, where a message begins with the name of an argument."""
    name, colon, text = str(error).partition(":")
    return f"--{name.replace('_', '-')}{colon}{text}" if name in ("arch", "size", "drop_path") else f"--arch: {error}"
