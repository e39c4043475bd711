"""A torchvision ResNet without its classifier, and the weights to start it from."""

from collections.abc import Mapping
from pathlib import Path

import torchvision
from checkpoints import load
from torch import Tensor, nn

ARCHS = torchvision.models.list_models(module=torchvision.models, include=["resnet*", "resnext*", "wide_resnet*"])


class WeightsError(Exception):
    """Weights that cannot be had or do not fit."""


def build_encoder(arch: str, weights: str) -> tuple[nn.Module, int]:
    """Build an encoder.

    Args:
        arch: One of ``ARCHS``.
        weights: ``"none"`` for random ones; ``"imagenet"`` for torchvision's IMAGENET1K_V1, which it downloads once;
            or a file with a state dict under torchvision's names, with or without the classifier.

    Returns:
        The network, whose ``fc`` is the identity, and the width of its features.

    Raises:
        WeightsError: If the weights cannot be had, or are those of another network.
    """
    encoder: torchvision.models.ResNet = torchvision.models.get_model(arch, weights=None)
    width = int(encoder.fc.in_features)
    encoder.fc = nn.Identity()
    if weights != "none":
        load_encoder(encoder, fetch_imagenet(arch) if weights == "imagenet" else read_weights(Path(weights)), weights)
    return encoder, width


def fetch_imagenet(arch: str) -> Mapping[str, Tensor]:
    known = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"]
    try:
        state: Mapping[str, Tensor] = known.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # no network, no room, or a damaged file in torch's cache
        raise WeightsError(
            f"--weights imagenet: {known.url} could not be had: {error}. Download it where there is a network and give "
            f"the file (--weights {Path(known.url).name}), or start at random (--weights none)."
        ) from error
    return state


def read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"--weights: expected 'imagenet', 'none' or a file, got {path}, which is no file.")
    try:
        state = load(path)
    except Exception as error:  # a damaged file may raise nearly anything
        raise WeightsError(f"--weights: {path} is no state dict of tensors: {error}") from error
    if not isinstance(state, dict):
        raise WeightsError(f"--weights: {path} is no state dict of tensors, it holds a {type(state).__name__}.")
    return state


def load_encoder(encoder: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load weights strictly, the classifier apart."""
    known = encoder.state_dict()
    given = {name: value for name, value in state.items() if not name.startswith("fc.")}
    missing, unexpected = sorted(known.keys() - given.keys()), sorted(given.keys() - known.keys())
    wrong = sorted(
        name for name in known.keys() & given.keys() if getattr(given[name], "shape", None) != known[name].shape
    )
    if missing or unexpected or wrong:
        raise WeightsError(
            f"--weights: {source} holds another network: {listed('missing', missing)}, "
            f"{listed('unexpected', unexpected)}, {listed('of another shape', wrong)}. Give its --arch."
        )
    encoder.load_state_dict(given)


def listed(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}" + (f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else "")
