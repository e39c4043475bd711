"""Read the released models of PeCLR, and give their weights the names of torchvision and of ``Pose25D``."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from equicon._checks import value_error
from equicon._pretrained.files import POSE, is_plain, is_stored, read_stored
from equicon._weights import check_weights, listed
from equicon.backbones._load import read_tensors

_STAGES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_FINE_TUNE = "This is an encoder: fine-tune it first (finetune_freihand.py --weights FILE)."
_SIZE = 224  # released models give joints in pixels of views of this size
# The released models order joints by their place on the finger, the palm first. Entry j is where FreiHAND's joint j is.
_PLACES = [0, *(1 + finger + 5 * level for finger in range(5) for level in range(4))]


def read_encoder(path: str | Path) -> dict[str, Tensor]:
    """Read an encoder's weights from any file that this project, other libraries or the official PeCLR program write.

    These are:

    - a file of ``equicon.save_pretrained``, or the name of a model that comes with equicon;
    - a state dict of torchvision, timm or DINO, as safetensors or by ``torch.save``, also under ``"state_dict"``, as in
      the released ``peclr_rn50_yt3dh_fh.pth``, or under ``"model"``, as in the checkpoints of MAE and DeiT;
    - a Lightning checkpoint of the official pre-training (``encoder.features.*``);
    - a released fine-tuned model (``backend_model.*``);
    - a state dict of ``Pose25D``.

    No code from the file runs: classes that it names are not imported, and their objects are left out. Spurr et al.,
    ICCV 2021 (the program that they released).

    Convention: the names in the file; of PeCLR's files, torchvision's. The classifier (``fc.*``), projection heads and
    pose heads are left out.

    Args:
        path: The file, or a name of ``equicon.list_pretrained``.

    Returns:
        The tensors by name, on the CPU, for ``equicon.backbones.load_backbone``, which checks whether they fit your
        network, and knows the names of other libraries.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is damaged, or is none of these.

    Examples:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/peclr.pth"
        >>> conv1 = torch.zeros(64, 3, 7, 7)
        >>> torch.save({"state_dict": {"encoder.features.0.weight": conv1}}, path)
        >>> list(read_encoder(path))
        ['conv1.weight']
    """
    stored = is_stored(path) and not is_plain(path)
    state = read_stored(path).tensors if stored else read_tensors(path)
    if stored:
        found = _part(state, "encoder.")
    elif any(name.startswith("encoder.features.") for name in state):
        found = _from_pretraining(state, path)
    elif _is_released(state):
        found = _part(state, "backend_model.")
    elif _is_own(state):
        found = _part(state, "encoder.")
    else:
        found = state
    colours = any(value.ndim == 4 and value.shape[1] == 3 for value in found.values())
    if not colours and "conv1.weight" not in found:  # a damaged ResNet gets a better message from load_weights
        known = "encoder.features.*, backend_model.*, encoder.*, or a network with a layer for three colours"
        raise _unknown(path, state, f"an encoder: {known}")
    return {name: value for name, value in found.items() if not name.startswith("fc.")}


def read_pose25d(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a ``Pose25D``: released with PeCLR, coming with equicon, or its own state dict.

    The rows of the released head are converted to FreiHAND's order and to the unit frame. Its last row, which nothing
    uses, is dropped. The inputs of the refinement are converted to FreiHAND's order. The model then predicts what the
    released one does on views of 224 × 224 that are normalised by ImageNet's mean and standard deviation. Spurr et al.,
    ICCV 2021 (the program that they released).

    Convention: the names of ``Pose25D(encoder, width)``, the encoder being one of ``equicon.backbones``.

    Args:
        path: The file, or a name of ``equicon.list_pretrained``. Nothing in it runs.

    Returns:
        The tensors by name, on the CPU, for ``load_weights``. ``head.weight`` is (63, width).

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is damaged, is none of these, or has heads with other names or shapes.

    Examples:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/pose.pt"
        >>> model = Pose25D(torch.nn.ModuleDict({"conv1": torch.nn.Conv2d(3, 64, 7, bias=False)}), width=64)
        >>> torch.save(model.state_dict(), path)
        >>> load_weights(model, read_pose25d(path), path)
    """
    stored = read_stored(path) if is_stored(path) and not is_plain(path) else None
    state = stored.tensors if stored else read_tensors(path)
    if stored and stored.about["kind"] != POSE:
        raise value_error(str(path), f"a {POSE}", f"an {stored.about['kind']}", _FINE_TUNE)
    if _is_released(state):
        encoder = {name: value for name, value in _part(state, "backend_model.").items() if not name.startswith("fc.")}
        fc, refine = _part(state, "backend_model.fc."), _part(state, "zroot_ref.zroot_ref.")
        known = ("backend_model.", "zroot_ref.zroot_ref.")
        rest = {name: value for name, value in state.items() if not name.startswith(known)}
        heads = {**_named("head.", fc), **_named("refine.", refine), **rest}
        check_weights(_head_shapes(heads, rows=64), heads, str(path))
        heads |= _converted(heads)
    elif _is_own(state):
        encoder = _part(state, "encoder.")
        heads = {name: value for name, value in state.items() if not name.startswith("encoder.")}
        check_weights(_head_shapes(heads, rows=63), heads, str(path))
    else:
        pretrained = "conv1.weight" in state or any(name.startswith("encoder.features.") for name in state)
        fix = _FINE_TUNE if pretrained else ""
        wanted = "a 2.5D model: backend_model.* with zroot_ref.*, or encoder.* with head.*"
        raise _unknown(path, state, wanted, fix)
    return {**_named("encoder.", encoder), **heads}


def _converted(heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a released head and the inputs of its refinement to FreiHAND's order, and from pixels to units."""
    weight, bias, seen = heads["head.weight"], heads["head.bias"], heads["refine.0.weight"]
    weight, bias = (value[:63].unflatten(0, (21, 3))[_PLACES] for value in (weight, bias))
    unit = 2 / _SIZE
    xy_weight, xy_bias = weight[:, :2] * unit, (bias[:, :2] + 0.5) * unit - 1
    depth, rays, root = seen.split([21, 42, 1], 1)
    rays = rays.unflatten(1, (21, 2))[:, _PLACES].flatten(1)
    return {
        "head.weight": torch.cat([xy_weight, weight[:, 2:]], 1).flatten(0, 1),
        "head.bias": torch.cat([xy_bias, bias[:, 2:]], 1).flatten(),
        "refine.0.weight": torch.cat([depth[:, _PLACES], rays, root], 1),
    }


def _head_shapes(heads: Mapping[str, Tensor], rows: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the heads, for the widths found in a file."""
    (width, hidden) = (
        int(heads[name].shape[axis]) if name in heads and heads[name].ndim == 2 else 0
        for name, axis in (("head.weight", 1), ("refine.0.weight", 0))
    )
    shapes: dict[str, tuple[int, ...]] = {"head.weight": (rows, width), "head.bias": (rows,)}
    for layer, size in ((0, (hidden, 64)), (3, (hidden, hidden)), (6, (1, hidden))):
        shapes |= {f"refine.{layer}.weight": size, f"refine.{layer}.bias": size[:1]}
    for layer in (1, 4):
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"refine.{layer}.{name}"] = (hidden,)
        shapes[f"refine.{layer}.num_batches_tracked"] = ()
    return shapes


def _from_pretraining(state: Mapping[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """Rename the layers of ``nn.Sequential(*resnet.children())`` as torchvision does, and drop the heads."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        stage = re.match(r"encoder\.features\.(\d)\.", name)
        if stage and stage[1] in _STAGES:
            found[f"{_STAGES[stage[1]]}.{name[stage.end() :]}"] = value
        elif not name.startswith(("encoder.final_layer.", "projection_head.")):
            raise value_error(
                str(path), "encoder.features.{0,1,4,5,6,7}.*, encoder.final_layer.* and projection_head.* alone", name
            )
    return found


def _is_released(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("backend_model.") for name in state)


def _is_own(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("encoder.") for name in state) and any(name.startswith("head.") for name in state)


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _named(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def _unknown(path: str | Path, state: Mapping[str, Tensor], expected: str, fix: str = "") -> ValueError:
    return value_error(str(path), f"the weights of {expected}", listed("tensors", list(state)), fix)
