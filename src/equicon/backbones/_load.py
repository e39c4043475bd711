"""Weights from files of several libraries, completely or not at all."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from equicon._checks import describe, type_error
from equicon._extra import need
from equicon._weights import load_weights, read_state
from equicon.backbones._describe import find_family
from equicon.backbones._dialects import translate
from equicon.backbones._family import Positions
from equicon.backbones._positions import resample_biases, resample_positions


def load_backbone(
    module: nn.Module, state: Mapping[str, Tensor] | str | Path, *, source: str = "the state dict"
) -> None:
    """Load weights into an encoder, or raise an error and change nothing.

    Names may be those of torchvision, of timm, or of the official releases of DINO (Caron et al., ICCV 2021) and
    DINOv2 (Oquab et al. 2023), also behind prefixes such as ``backbone.``. A transformer of one library takes the
    weights of the same transformer of another. The classifier in a file is left out. Position embeddings of another
    grid are resampled by bicubic interpolation, as are relative ones of another window.

    Args:
        module: An encoder (see ``describe_backbone``).
        state: Tensors by name, or a file: ``.safetensors``, or a state dict that ``torch.save`` wrote. No code from the
            file runs.
        source: What to call a state dict in an error. A file has its own name.

    Raises:
        TypeError: If ``state`` is neither.
        OSError: If the file cannot be opened.
        ValueError: If the file is damaged, or holds another network. The message names what is missing.
        ModuleNotFoundError: If safetensors is needed and not installed.

    Examples:
        >>> state = build_backbone("vit_b_32", size=(64, 64)).state_dict()
        >>> encoder = build_backbone("vit_b_32", size=(96, 96))
        >>> load_backbone(encoder, state)  # from 2 × 2 to 3 × 3 patches
    """
    if isinstance(state, str | Path):
        source, state = str(state), read_tensors(state)
    if not isinstance(state, Mapping):
        raise type_error("state", "tensors by name, or the path of a file", describe(state))
    wanted = module.state_dict()
    found = translate(state, wanted.keys())
    for name in found.keys() & wanted.keys():
        if name.endswith("relative_position_bias_table"):
            found[name] = resample_biases(found[name], wanted[name])
    try:
        family = find_family(module)
    except TypeError:  # any module, whose weights have its own names
        family = None
    if family and (positions := family.positions(module)):
        found = _fit_positions(found, positions, source)
    load_weights(module, found, source)


def _fit_positions(found: dict[str, Tensor], positions: Positions, source: str) -> dict[str, Tensor]:
    name, prefix, grid = positions
    if name not in found or found[name].ndim != 3:
        return found
    old, token = found[name], found.get("cls_token")
    if prefix == 0 and token is not None and token.ndim == 3 and _is_square(old.shape[1] - 1):
        # DINOv2 with registers adds a position to the class token too. The network adds none, so the token has it.
        found = found | {"cls_token": token + old[:, :1]}
        old = old[:, 1:]
    return found | {name: resample_positions(old, prefix, grid, f"{source}: {name}")}


def _is_square(count: int) -> bool:
    return count > 0 and round(count**0.5) ** 2 == count


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read tensors by name from a file of safetensors or of ``torch.save``.

    Raises:
        ModuleNotFoundError: If safetensors is needed and not installed.
        OSError: If the file cannot be opened.
        ValueError: If it is damaged, or holds something else.
    """
    if Path(path).suffix != ".safetensors":
        return read_state(path)
    need("safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no file of safetensors: {error}. Copy it again.") from error
