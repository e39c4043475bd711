"""ResNet encoders from torchvision without a classifier, weights to start from, and the model for pre-training."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from equicon._pretrained.encoders import list_pretrained, projection_head
from equicon._pretrained.resnets import QUARTER, build_resnet, list_resnets
from equicon._weights import load_weights
from equicon.hands import read_encoder
from equicon.training import WeightsError

ARCHS = list_resnets()
"""The names of the encoders: the ResNets of torchvision, and a ResNet-18 with a quarter of the channels for small
views."""


def build_encoder(arch: str, weights: str) -> tuple[nn.Module, int]:
    """Build an encoder.

    Args:
        arch: The name of the network, one of ``ARCHS``.
        weights: ``"none"`` for random weights, ``"imagenet"`` for torchvision's IMAGENET1K_V1 (downloaded once), a name
            from ``equicon.list_pretrained``, or a file that ``equicon.hands.read_encoder`` reads. Such a file comes
            from ``equicon.save_pretrained``, or is a state dict with torchvision's names (with or without the
            classifier), or a checkpoint of the official PeCLR program.

    Returns:
        The network, whose ``fc`` is the identity, and the width of its features.

    Raises:
        WeightsError: If the weights cannot be read, or belong to another network.
    """
    encoder, width = build_resnet(arch)
    if weights != "none":
        state = fetch_imagenet(arch) if weights == "imagenet" else read_weights(Path(weights))
        try:
            load_weights(encoder, state, weights)
        except ValueError as error:
            raise WeightsError(f"--weights: {error} Give its --arch.") from error
    return encoder, width


def make_head(width: int, hidden: int, points: int) -> nn.Module:
    """Make the paper's projection head, which maps features to points (x, y).

    The last layer has no bias, because a bias would be a point that no transform moves.

    Args:
        width: The width of the features.
        hidden: The width of the hidden layer.
        points: The number of points. The embedding has two values for each.
    """
    return projection_head(width, hidden, 2 * points)


def fetch_imagenet(arch: str) -> Mapping[str, Tensor]:
    if arch == QUARTER:
        raise WeightsError(f"--weights imagenet: torchvision has none for {arch}. Start at random: --weights none.")
    known = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"]
    try:
        state: Mapping[str, Tensor] = known.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # no network, no room, or a damaged file in torch's cache
        raise WeightsError(
            f"--weights imagenet: {known.url} could not be downloaded: {error}. Download it on another machine and "
            f"give the file (--weights {Path(known.url).name}), or start at random (--weights none)."
        ) from error
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file() and str(path) not in list_pretrained():
        known = ", ".join(f"'{name}'" for name in ("imagenet", "none", *list_pretrained()))
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
