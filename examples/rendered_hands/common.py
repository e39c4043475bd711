"""What the pieces of ``reproduce.py`` share: hands, which are rendered once, and networks."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from plan import CHANGES, Piece, Pretrain
from sizes import Preset
from torch import Tensor, nn
from tqdm import tqdm

from equicon.hands import Hand, SyntheticHands
from equicon.recipes import SiameseModel, build_encoder, make_head
from equicon.training import PRECISIONS, fast_precision, write_state

SHARES = {0.01: "1 %", 0.1: "10 %", 1.0: "100 %"}
DOMAINS = ("studio", "wild")
# "studio" and "wild" show the same hands. All other sets show different hands.
SETS: dict[str, dict[str, Any]] = {
    "unlabelled": {"seed": 0, "context": 2.0, "scenes": True},
    "alone": {"seed": 0, "context": 2.0},
    "clips": {"seed": 0, "context": 2.0, "scenes": True, "clip": 8},
    "many": {"seed": 0, "context": 2.0, "scenes": True, "times": 4},
    "labelled": {"seed": 1, "domain": "studio"},
    "choosing": {"seed": 2, "domain": "studio"},
    "studio": {"seed": 3, "domain": "studio"},
    "wild": {"seed": 3},
}
# These are for the 2.5D model that comes with the package, which should work on pictures of any kind.
MORE: dict[str, dict[str, Any]] = {"labelled, wild": {"seed": 4}, "choosing, wild": {"seed": 5}}
HIDDEN, POINTS = 512, 64


def source(name: str, preset: Preset) -> SyntheticHands:
    """Describe a set of hands. They are right hands, like all hands of FreiHAND."""
    counts = {"labelled": preset.labelled, "choosing": preset.kept, "studio": preset.tested, "wild": preset.tested}
    words = dict((SETS | MORE)[name])
    times = words.pop("times", 1)
    words |= {"scenes": times * preset.scenes} if "scenes" in words else {}
    number = counts.get(name.removesuffix(", wild"), times * preset.unlabelled)
    return SyntheticHands(number, preset.size, side="right", **words)


def sets_of(piece: Piece) -> list[str]:
    """List the sets that a piece reads."""
    names = ["labelled", "choosing", *DOMAINS]
    if isinstance(piece, Pretrain):
        return [CHANGES[piece.change].hands, *names]
    return names + [*MORE] * piece.both


def render(preset: Preset, folder: Path, device: str, names: Iterable[str]) -> None:
    """Render sets of hands that are not in a folder yet. Pieces share them."""
    for name in names:
        path = folder / f"{name}.pt"
        if path.exists():
            continue
        hands = source(name, preset)
        starts = tqdm(range(0, len(hands), 128), desc=f"render {len(hands):,} hands ({name})", leave=False)
        parts = [hands.render(range(start, min(start + 128, len(hands))), device=device) for start in starts]
        write_state(path, [torch.cat(field).cpu() for field in zip(*parts, strict=True)])


@cache
def hands(folder: Path, name: str, device: str) -> Hand:
    """Open a rendered set. On a CPU, processes share its memory."""
    fields = torch.load(folder / f"{name}.pt", mmap=True, weights_only=True)
    return Hand(*(field.to(device) for field in fields))


def build(preset: Preset) -> tuple[SiameseModel, int]:
    """Build an encoder and the paper's head from random weights. Also give the width of the features."""
    encoder, width = build_encoder(preset.arch, "none")
    model = SiameseModel(encoder, make_head(width, HIDDEN, POINTS), nn.Identity())
    return model.to(memory_format=torch.channels_last), width


def encoder_file(out: Path, start: Pretrain) -> Path:
    """Tell where a pre-training keeps its encoder."""
    return out / "encoders" / f"{start.key}.pt"


def fast(device: str) -> torch.autocast:
    """Compute in the type in which the device is fast."""
    dtype = PRECISIONS[fast_precision(device)]
    return torch.autocast(torch.device(device).type, dtype, enabled=dtype != torch.float32)


def some(data: Hand, chosen: Tensor) -> Hand:
    """Take the hands at the given indices."""
    return Hand(*(field[chosen.to(field.device)] for field in data))


def parts_of(data: Hand) -> list[Hand]:
    """Split hands into parts that fit into memory."""
    return [Hand(*fields) for fields in zip(*(field.split(250) for field in data), strict=True)]
