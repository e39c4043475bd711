"""A torchvision ResNet without its classifier, the weights to start it from, and what pre-training puts around it."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from equicon._weights import load_weights
from equicon.hands import read_encoder
from equicon.training import WeightsError

_TORCHVISION = torchvision.models.list_models(
    module=torchvision.models, include=["resnet*", "resnext*", "wide_resnet*"]
)

ARCHS = ["quarter_resnet18", *_TORCHVISION]
"""The names of the encoders: torchvision's ResNets, and a ResNet-18 of a quarter of the width for small views."""


def build_encoder(arch: str, weights: str) -> tuple[nn.Module, int]:
    """Build an encoder.

    Args:
        arch: One of ``ARCHS``.
        weights: ``"none"`` for random ones; ``"imagenet"`` for torchvision's IMAGENET1K_V1, which it downloads once;
            or a file that ``equicon.hands.read_encoder`` reads: a state dict under torchvision's names, with or without
            the classifier, or a checkpoint of the official PeCLR program.

    Returns:
        The network, whose ``fc`` is the identity, and the width of its features.

    Raises:
        WeightsError: If the weights cannot be had, or are those of another network.
    """
    encoder = _quarter_resnet18() if arch == "quarter_resnet18" else torchvision.models.get_model(arch, weights=None)
    width = int(encoder.fc.in_features)
    encoder.fc = nn.Identity()
    if weights != "none":
        state = fetch_imagenet(arch) if weights == "imagenet" else read_weights(Path(weights))
        try:
            load_weights(encoder, state, weights)
        except ValueError as error:
            raise WeightsError(f"--weights: {error} Give its --arch.") from error
    return encoder, width


def _quarter_resnet18() -> ResNet:
    network = ResNet(BasicBlock, [2, 2, 2, 2])
    network.conv1, network.bn1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16)
    network.inplanes = 16
    for i, width in enumerate((16, 32, 64, 128)):  # torchvision narrows the other kind of block alone
        setattr(network, f"layer{i + 1}", network._make_layer(BasicBlock, width, 2, 2 if i else 1))
    # Weights stay as torch begins, shorter than torchvision's: so norms let them learn faster, and pre-training more
    # (after 1,000 steps 10.4 px and 64 mm, with torchvision's 11.1 and 71; one seed).
    network.fc = nn.Linear(128, 1000)
    return network


def make_head(width: int, hidden: int, points: int) -> nn.Module:
    """Make the paper's head: to points (x, y), without a bias, which would be a point that no transform moves.

    Args:
        width: Of the features.
        hidden: Width of the hidden layer.
        points: Points of the embedding; it is twice as wide.
    """
    last = nn.Linear(hidden, 2 * points, bias=False)
    return nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), last)


def fetch_imagenet(arch: str) -> Mapping[str, Tensor]:
    if arch not in _TORCHVISION:
        raise WeightsError(f"--weights imagenet: torchvision has none for {arch}. Start at random (--weights none).")
    known = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"]
    try:
        state: Mapping[str, Tensor] = known.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # no network, no room, or a damaged file in torch's cache
        raise WeightsError(
            f"--weights imagenet: {known.url} could not be had: {error}. Download it where there is a network and give "
            f"the file (--weights {Path(known.url).name}), or start at random (--weights none)."
        ) from error
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"--weights: expected 'imagenet', 'none' or a file, got {path}, which is no file.")
    try:
        return read_encoder(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"--weights: {error}") from error


class SiameseModel(nn.Module):
    """Sees both views in one batch, which batch norm normalises together. It holds the criterion, which may learn.

    Args:
        encoder: Gives features of views.
        head: Gives embeddings of features.
        criterion: The loss.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head, self.criterion = encoder, head, criterion

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embeddings of both."""
        z1, z2 = self.head(self.encoder(torch.cat([x1, x2]))).chunk(2)
        return z1, z2
