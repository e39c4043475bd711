"""``pretrained`` loads an encoder with all that you need to use it, and ``save_pretrained`` writes one for others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from equicon._checks import check_size, describe, type_error, value_error
from equicon._extra import need
from equicon._pretrained.files import ENCODER, Stored, read_stored, shipped, write_stored
from equicon._representations.base import Representation
from equicon._representations.peclr import PeCLRPoints
from equicon._representations.points import Points
from equicon._representations.sums import Invariant
from equicon._transforms.photometric import Normalize
from equicon._weights import load_weights
from equicon.backbones import build_backbone, describe_backbone

_KNOWN: dict[str, Representation[Any]] = {"Invariant": Invariant(), "PeCLRPoints": PeCLRPoints(), "Points": Points()}


class Pretrained(NamedTuple):
    """A pre-trained encoder, with all that you need to use it.

    Args:
        encoder: Maps normalised views (B, 3, h, w) to features (B, width). It is in evaluation mode, on the CPU.
        width: Width of the features.
        size: Height and width, in pixels, of the views in its training. Transformers take
            this size alone, and other encoders take any.
        normalize: The normalisation of the views, for the end of a ``Compose``.
        head: Maps features to the embedding that the loss compared, in evaluation mode; None if it was not saved.
        representation: How a transform of the views acts on that embedding; None without a head.
        card: What its makers say about it: data, seed, steps, results, licence.

    Examples:
        >>> kept = pretrained("hands-r18-quarter-exact")
        >>> views, _ = kept.normalize(torch.rand(2, 3, 64, 64))
        >>> kept.encoder(views).shape, kept.head(kept.encoder(views)).shape
        (torch.Size([2, 128]), torch.Size([2, 128]))
    """

    encoder: nn.Module
    width: int
    size: tuple[int, int]
    normalize: Normalize
    head: nn.Module | None
    representation: Representation[Any] | None
    card: Mapping[str, Any]


def pretrained(name: str | Path) -> Pretrained:
    """Load an encoder that comes with the package, or one from a file of ``save_pretrained``. Nothing is downloaded.

    ``list_pretrained`` lists the names. This needs the extra ``train``: ``pip install 'equicon[train]'``.

    Args:
        name: A name of ``list_pretrained``, or the path of a file.

    Returns:
        The encoder, with all that you need to use it. Of a 2.5D model, it is only the encoder;
        ``equicon.hands.predict`` uses the whole model.

    Raises:
        ModuleNotFoundError: If torchvision or safetensors is not installed, or timm for an encoder of timm.
        OSError: If there is no such name and no such file.
        ValueError: If the file is damaged, or holds something else.

    Examples:
        >>> kept = pretrained("hands-r18-quarter-exact")
        >>> kept.size, kept.representation
        ((64, 64), Points())
    """
    need("torchvision", "safetensors")
    stored = read_stored(name)
    about = stored.about
    if about["representation"] not in (None, *_KNOWN):
        raise ValueError(f"{name} is of a representation that this equicon does not know.")
    with torch.random.fork_rng(devices=[]):
        try:
            encoder = build_backbone(about["arch"], size=(about["size"][0], about["size"][1]))
        except ValueError as error:
            raise ValueError(f"{name} is of an architecture that this equicon does not know: {error}") from error
        width = describe_backbone(encoder).width
        load_weights(encoder, part(stored, "encoder."), str(name))
        head = None
        if about["representation"]:
            found = part(stored, "head.")
            hidden, out = (len(found.get(f"{layer}.weight", [0])) for layer in (0, 3))
            head = projection_head(width, hidden, out)
            load_weights(head, found, str(name))
            head.eval()
    return Pretrained(
        encoder=encoder.eval(),
        width=width,
        size=(about["size"][0], about["size"][1]),
        normalize=Normalize(tuple(about["mean"]), tuple(about["std"])),
        head=head,
        representation=_KNOWN.get(about["representation"]),
        card=about["card"],
    )


def projection_head(width: int, hidden: int, out: int) -> nn.Module:
    """Make the paper's projection head. Its last layer has no bias, which would be a point that no transform moves."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out, bias=False)
    )


def part(stored: Stored, prefix: str) -> dict[str, Any]:
    """Select the tensors whose names begin with ``prefix``, and remove it from the names."""
    return {name.removeprefix(prefix): value for name, value in stored.tensors.items() if name.startswith(prefix)}


def list_pretrained() -> list[str]:
    """List the names of the models that come with the package, for ``pretrained`` and the examples' ``--weights``.

    Examples:
        >>> "hands-r18-quarter-exact" in list_pretrained()
        True
    """
    return [*shipped()]


def save_pretrained(
    path: str | Path,
    encoder: nn.Module,
    *,
    arch: str,
    size: tuple[int, int],
    normalize: Normalize,
    head: nn.Module | None = None,
    representation: Representation[Any] | None = None,
    card: Mapping[str, Any] | None = None,
) -> None:
    """Write an encoder to a file, with all that others need to use it. ``pretrained`` reads the file.

    Args:
        path: Path of the file, which appears whole or not at all. It should end in ``.safetensors``.
        encoder: A network as ``equicon.backbones.build_backbone`` builds it, without a classifier.
        arch: Its architecture: a name of ``equicon.backbones.list_backbones``, or ``"timm/NAME"``.
        size: Height and width, in pixels, of the views in its training, at least 1.
        normalize: The normalisation of the views.
        head: The projection head: ``Linear``, ``BatchNorm1d``, ``ReLU``, ``Linear`` without a bias.
        representation: ``Points``, ``PeCLRPoints`` or ``Invariant``; required with a head.
        card: What others should know: data, seed, steps, results, licence. Anything that JSON can hold.

    Raises:
        ModuleNotFoundError: If torchvision or safetensors is not installed.
        TypeError: If an argument is of the wrong type.
        ValueError: If the encoder is not of the architecture, or the head or the representation is none of these.
        OSError: If the file cannot be written.

    Examples:
        >>> import tempfile
        >>> path, kept = tempfile.mkdtemp() + "/mine.safetensors", pretrained("hands-r18-quarter-exact")
        >>> save_pretrained(path, kept.encoder, arch="quarter_resnet18", size=(64, 64), normalize=kept.normalize)
        >>> pretrained(path).width
        128
    """
    need("torchvision", "safetensors")
    if not isinstance(normalize, Normalize):
        raise type_error("normalize", "a Normalize", describe(normalize))
    like = build_backbone(arch, size=check_size("size", size))
    load_weights(like, encoder.state_dict(), "encoder")
    tensors = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    if head is not None:
        state = head.state_dict()
        kinds = [type(layer) for layer in head.children()]
        if kinds != [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]:
            got = ", ".join(kind.__name__ for kind in kinds) or describe(head)
            raise value_error("head", "Linear, BatchNorm1d, ReLU, Linear without a bias", got)
        out = len(state["3.weight"])
        if out % 2 and not isinstance(representation, Invariant):
            raise value_error("head", "an even width, for points (x, y)", f"a width of {out}")
        width = describe_backbone(like).width
        load_weights(projection_head(width, len(state["0.weight"]), out), state, "head")
        tensors |= {f"head.{name}": value for name, value in state.items()}
        if representation not in _KNOWN.values():
            raise value_error("representation", f"one of {', '.join(_KNOWN)}", describe(representation))
    about = {
        "kind": ENCODER,
        "arch": arch,
        "size": size,
        "mean": normalize.mean,
        "std": normalize.std,
        "representation": None if head is None else type(representation).__name__,
        "card": dict(card or {}),
    }
    write_stored(Path(path), about, tensors)
