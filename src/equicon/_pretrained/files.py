"""Files of weights with a description of what they are: safetensors, from which no code runs."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equicon._extra import need

FOLDER = Path(__file__).with_name("weights")
"""The folder of the files that come with the package, with ``sha256.json``."""

ENCODER, POSE = "encoder", "2.5D model"
"""The two kinds of files."""

_KEY = "equicon"
_FORMAT = 1
_ALWAYS = {"format", "kind", "arch", "size", "mean", "std", "representation", "card"}
_NEEDED = {ENCODER: _ALWAYS, POSE: _ALWAYS | {"focal", "bone_length"}}


class Stored(NamedTuple):
    """What a file holds.

    Args:
        about: Its description: ``kind``, ``arch``, ``size`` and so on.
        tensors: Its weights by name, in float32 on the CPU.
    """

    about: dict[str, Any]
    tensors: dict[str, Tensor]


def shipped() -> dict[str, str]:
    """List the names of the files that come with the package, with the SHA-256 of each."""
    found: dict[str, str] = json.loads((FOLDER / "sha256.json").read_bytes())
    return found


def is_stored(where: str | Path) -> bool:
    """Whether ``where`` is the name of a model that comes with the package, or a path that ends in ``.safetensors``."""
    return str(where) in shipped() or Path(where).suffix == ".safetensors"


def is_plain(where: str | Path) -> bool:
    """Whether ``where`` is a file of safetensors without a description, as other programs write it."""
    if not is_stored(where) or not Path(where).is_file():
        return False
    need("safetensors")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(where, framework="pt") as file:
            return _KEY not in (file.metadata() or {})
    except SafetensorError:  # whoever reads it says so
        return False


def write_stored(path: Path, about: Mapping[str, Any], tensors: Mapping[str, Tensor], *, half: bool = False) -> None:
    """Write a file, whole or not at all.

    Args:
        path: Path of the file.
        about: Its description; anything that JSON can hold.
        tensors: Its weights by name.
        half: Whether to store tensors of two and more dimensions, which make up nearly all of the file, in float16.

    Raises:
        OSError: If it cannot be written.
    """
    from safetensors.torch import save

    from equicon.data._files import write_whole

    kept = {
        name: (value.half() if half and value.ndim > 1 else value).detach().cpu().contiguous()
        for name, value in tensors.items()
    }
    said = json.dumps({"format": _FORMAT, **about})
    write_whole(path, lambda file: file.write(save(kept, {_KEY: said})))


def read_stored(where: str | Path) -> Stored:
    """Read a file that comes with the package by its name, or any other file by its path.

    Raises:
        ModuleNotFoundError: If safetensors is not installed.
        OSError: If there is no such file.
        ValueError: If it is damaged, or holds something else.
    """
    need("safetensors")
    from safetensors import SafetensorError, safe_open

    known = shipped()
    path = FOLDER / f"{where}.safetensors" if str(where) in known else Path(where)
    if not path.is_file():
        names = ", ".join(known) or "none"
        raise FileNotFoundError(f"{where} is neither a file nor the name of a model that comes with equicon: {names}.")
    if str(where) in known:
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != known[str(where)]:
            raise ValueError(
                f"{path} is damaged: its SHA-256 is {got}, not {known[str(where)]}. Install equicon again."
            )
    try:
        with safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no file of safetensors: {error}. Copy it again.") from error
    about = _about(said, path)
    return Stored(
        about, {name: value.float() if value.dtype == torch.half else value for name, value in tensors.items()}
    )


def _about(said: str | None, path: Path) -> dict[str, Any]:
    """Read the description of a file, and check the entries that readers need."""
    if said is None:
        fix = "Load it with safetensors, and write it with equicon.save_pretrained."
        raise ValueError(f"{path} holds weights without a description of what they are. {fix}")
    try:
        about = json.loads(said)
    except ValueError:
        about = None
    if isinstance(about, dict) and about.get("format") not in (None, _FORMAT):
        fix = "A newer equicon reads it."
        raise ValueError(f"{path} is of format {about['format']}, and this equicon reads {_FORMAT}. {fix}")
    said_of = about if isinstance(about, dict) else {}
    needed = _NEEDED.get(said_of.get("kind", ""), {"a known kind"})
    if lacks := needed - said_of.keys():
        fix = "Write it with equicon.save_pretrained."
        raise ValueError(f"{path} has a description that lacks {', '.join(sorted(lacks))}. {fix}")
    return said_of
