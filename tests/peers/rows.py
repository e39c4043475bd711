"""The rows of "Coming from Kornia, torchvision v2, albumentations", and how their calls are built, fixed and run."""

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

import equicon as eq

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "coming_from.md"
H, W = SIZE = (48, 64)
TOLERANCE = 2e-4
"""What the page calls equal. The largest that was measured is 1.0e-4: torchvision's grey has other weights."""


class Row(NamedTuple):
    library: str
    theirs: str
    ours: tuple[str, ...]
    note: str


def read_rows() -> list[Row]:
    rows = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        for theirs, ours, note in re.findall(r"^\| (.*?) \| (.*?) \| (.*)\|$", section, re.MULTILINE)[1:]:
            rows.append(
                Row(section.split("\n")[0], theirs.strip("`"), tuple(re.findall("`(.*?)`", ours)), note.strip())
            )
    return rows


ROWS = read_rows()


def smooth_picture(height: int, width: int) -> Tensor:
    """Draw a vivid picture (1, 3, H, W) of bytes divided by 255, so that it is the same as bytes and as floats."""
    coarse = torch.rand(1, 3, height // 5, width // 5, generator=torch.Generator().manual_seed(0))
    fine = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (fine * 255).round() / 255


PICTURE = smooth_picture(H, W)
SQUARE = smooth_picture(64, 64)


class Pin(ast.NodeTransformer):
    """Replace each range (a, b) by one number between, counted from the end nearer to 0, and each p by 1."""

    def __init__(self, share: float) -> None:
        self.share = share

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        numbers = eval(ast.unparse(node), {"H": H, "W": W, "min": min})
        if len(numbers) != 2 or isinstance(numbers[0], tuple):
            return node
        near, far = sorted(numbers, key=abs)
        value = near if near == far else near + self.share * (far - near)
        return ast.parse(f"({value}, {value})", mode="eval").body

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "p":
            return ast.keyword("p", ast.Constant(1.0))
        return self.generic_visit(node)


def pinned(call: str, share: float) -> str:
    return ast.unparse(Pin(share).visit(ast.parse(call)))


def packages(library: str) -> dict[str, Any]:
    """Return the names that the calls of a library use, or skip the test where it is not installed."""
    if library == "Kornia":
        import kornia.augmentation as K

        return {"K": K}
    if library == "torchvision v2":
        pytest.importorskip("torchvision")
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        return {"v2": v2, "tv_tensors": tv_tensors}
    return {"A": pytest.importorskip("albumentations")}


def build(row: Row, call: str, **names: object) -> Any:
    made = eval(call, {"eq": eq, "H": H, "W": W} | packages(row.library) | names)
    # torch.manual_seed does not seed albumentations.
    if hasattr(made, "set_random_seed") and not isinstance(made, type):
        made.set_random_seed(0)
    return made


def to_numpy(picture: Tensor) -> Any:
    return picture[0].permute(1, 2, 0).contiguous().numpy()


def from_numpy(picture: Any) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def run(row: Row, transform: Any, picture: Tensor = PICTURE) -> Tensor:
    """Apply a transform of a library to a picture (1, 3, H, W)."""
    if row.library == "Kornia":
        return transform(picture)
    if row.library == "torchvision v2":
        return transform(picture[0])[None]
    if type(transform).__name__ == "Normalize":
        picture = (picture * 255).round().byte()
    return from_numpy(transform(image=to_numpy(picture))["image"])


def near(first: Tensor, second: Tensor, atol: float = TOLERANCE) -> None:
    assert_close(first.float(), second.float(), rtol=0, atol=atol)


def alike(first: Tensor, second: Tensor, atol: float, ends: tuple[float, ...] = (0.02, 0.5, 0.98)) -> None:
    """Check that draws (N,) of the two have the same quantiles."""
    at = torch.tensor(ends, dtype=torch.float32)
    assert_close(first.float().quantile(at), second.float().quantile(at), rtol=0, atol=atol)
