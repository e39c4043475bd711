"""State dicts: read them without running code from the file, and load them completely or not at all."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict into a module, or raise an error and change nothing.

    It does what ``load_state_dict(strict=True)`` does, but compares names and shapes first. So its error is short, and
    no weight has changed when it is raised.

    Convention: names are those of ``module.state_dict()``.

    Args:
        module: Any module.
        state: Tensors by name, of any type and on any device.
        source: What to call the state dict in an error, such as its file's name.

    Raises:
        ValueError: If names are missing or unexpected, or shapes differ. The message says how many, and gives the first
            three names of each kind.

    Examples:
        >>> encoder = torch.nn.Linear(8, 2)
        >>> load_weights(encoder, {"weight": torch.zeros(2, 8), "bias": torch.zeros(2)}, "weights.pt")
        >>> load_weights(encoder, {"weight": torch.zeros(2, 8)}, "weights.pt")
        Traceback (most recent call last):
        ValueError: weights.pt holds another network: 1 missing (bias), 0 unexpected, 0 of another shape.
    """
    check_weights({name: value.shape for name, value in module.state_dict().items()}, state, source)
    module.load_state_dict(state)


def check_weights(shapes: Mapping[str, Iterable[int]], state: Mapping[str, Tensor], source: str) -> None:
    """Check that tensors have exactly these names and shapes."""
    missing, unexpected = sorted(shapes.keys() - state.keys()), sorted(state.keys() - shapes.keys())
    wrong = sorted(
        name for name in shapes.keys() & state.keys() if getattr(state[name], "shape", None) != tuple(shapes[name])
    )
    if missing or unexpected or wrong:
        raise ValueError(
            f"{source} holds another network: {listed('missing', missing)}, {listed('unexpected', unexpected)}, "
            f"{listed('of another shape', wrong)}."
        )


def listed(what: str, names: list[str]) -> str:
    """Say how many names there are, and the first three."""
    return f"{len(names)} {what}" + (f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else "")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a file, where it is the whole content or the entry ``"state_dict"`` or ``"model"``.

    Trainers write the first entry, and the programs of MAE and DeiT the second.

    The prefix ``module.``, which ``DistributedDataParallel`` puts before all names, is removed.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If the file is damaged or does not hold a state dict.
    """
    found = _read(path)
    if isinstance(found, dict) and {"kind", "step", "model", "optimizer"} <= found.keys():
        raise ValueError(
            f"{path} is a checkpoint of a run ({found['kind']}, step {found['step']}), not a state dict. "
            "Only --resume reads it. Give the weights that the run wrote to the folder above: best.pt of fine-tuning, "
            "or encoder.pt of pre-training. An encoder must be fine-tuned first (finetune_freihand.py --weights FILE)."
        )
    state = found.get("state_dict", found) if isinstance(found, dict) else found
    if state is found and isinstance(found, dict) and isinstance(found.get("model"), dict):
        state = found["model"]
    if not isinstance(state, dict):
        raise _no_state(path, f"a {type(state).__name__}")
    odd = [f"{name!r}, a {type(value).__name__}" for name, value in state.items() if not isinstance(value, Tensor)]
    if odd or not state:
        raise _no_state(path, odd[0] if odd else "nothing")
    if all(str(name).startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return dict(state)


def _read(path: str | Path) -> Any:
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            # Checkpoints of trainers name classes of settings and states. Their code must not run, and they need not be
            # installed: stand-ins take their place.
            try:
                names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            except (ValueError, UnpicklingError):  # written by torch before 1.6, or in another pickle protocol
                raise error from None
            with torch.serialization.safe_globals([(_stand_in(name), name) for name in names]):
                return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file may raise nearly anything
        if begins := _begins_oddly(Path(path)):
            raise ValueError(
                f"{path} is no state dict of tensors, nor any other file of torch.save: {begins}."
            ) from error
        raise ValueError(
            f"{path} is no state dict of tensors that torch.load(weights_only=True) can read: {type(error).__name__}: "
            f"{_reason(error)} If you trust the file, load it where it was written and save its state dict alone: "
            'torch.save(checkpoint["state_dict"], "weights.pt").'
        ) from error


def _begins_oddly(path: Path) -> str:
    """Describe how a file begins, or return "" if it begins as files of ``torch.save`` do: as a zip or a pickle."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        first = file.read(4)
    if first.startswith((b"PK\x03\x04", b"\x80")):
        return ""
    return f"it begins with {first!r}" if first else "it is empty"


def _reason(error: Exception) -> str:
    """Say what torch found, without its advice to set ``weights_only=False``, which would run code from the file."""
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return f"it refers to {refused[1]}, which is refused."
    found = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    said = takewhile(lambda sentence: "False" not in sentence, re.split(r"(?<=\.) ", found))
    return " ".join(said).removesuffix(".") + "."


def _stand_in(name: str) -> Any:
    """Make a class that stands in for a name in a pickle, whether it is called, filled, given a state or only named."""

    class StandIn:
        def __new__(cls, *_: object) -> Any:
            # The restricted unpickler fills mappings of a few types only, and asks the instance for a __setstate__.
            filled: Counter[Any] = Counter()
            vars(filled)["__setstate__"] = lambda state: None
            return filled

    StandIn.__qualname__ = StandIn.__name__ = f"stand-in for {name}"
    return StandIn


def _no_state(path: str | Path, got: str) -> ValueError:
    return ValueError(f"{path} is no state dict of tensors, it holds {got}. Save model.state_dict() alone.")
