"""What cannot be drawn is refused, with the argument, what came, what was expected, and what to do."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import equicon as eq
from equicon import show

IMAGES, XY = torch.rand(2, 3, 16, 20), torch.rand(2, 5, 2)
CASES = {
    "no tensor": (ValueError, {"images": []}, r"^images: expected at least one picture, got none"),
    "a path": (TypeError, {"images": "a.png"}, r"^images: expected .*list of tensors, got str 'a.png'. Read .*rgb"),
    "paths": (TypeError, {"images": ["a.png"]}, r"^images\[0\]: expected a tensor \(C, H, W\), got str 'a.png'. Read"),
    "arrays": (TypeError, {"images": [np.zeros((9, 9, 3))]}, r"(?s)^images\[0\]: .*torch.from_numpy\(array\).permute"),
    "video": (ValueError, {"images": IMAGES[None]}, r"^images: expected a batch .*\(B, C, H, W\)"),
    "batches": (ValueError, {"images": [IMAGES]}, r"^images\[0\]: expected one picture .*list\(images\)"),
    "channels last": (ValueError, {"images": IMAGES.permute(0, 2, 3, 1)}, r"^images\[0\]: .*permute\(2, 0, 1\)"),
    "bytes as floats": (ValueError, {"images": 255 * IMAGES}, r"^images\[0\]: expected values in \[0, 1\], .* 255"),
    "normalised": (ValueError, {"images": 4 * IMAGES - 2}, r"^images\[0\]: expected values .* equicon.Normalize last"),
    "int64": (TypeError, {"images": IMAGES.long()}, r"^images: expected uint8, or a floating type"),
    "augment": (TypeError, {"augment": torch.nn.Identity()}, r"^augment: expected an Equivariant.*Appearance"),
    "points in 3D": (ValueError, {"points": torch.rand(2, 5, 3)}, r"^points\[0\]: .*\(K, 2\).*\[\.\.\., :2\]"),
    "whole points": (TypeError, {"points": XY.long()}, r"^points\[0\]: expected a floating type, .*float"),
    "points of others": (ValueError, {"points": XY[:1]}, r"^points: expected a batch of 2, like images, got .*1. Give"),
    "no points": (TypeError, {"points": 3}, r"^points: expected a tensor, or a list of tensors, got int 3"),
    "boxes as sizes": (
        ValueError,
        {"boxes": torch.tensor([[[9.0, 9, 4, 4]]] * 2)},
        r"^boxes\[0\]: expected x1 <= x2 and y1 <= y2, got \[9.0, 9.0, 4.0, 4.0\] at index \[0\]. .*add the first two",
    ),
    "one box each": (ValueError, {"boxes": torch.rand(2, 4)}, r"^boxes\[0\]: expected a tensor of shape \(M, 4\)"),
    "soft masks": (TypeError, {"masks": torch.rand(2, 16, 20)}, r"^masks\[0\]: .*whole numbers, .*bool: masks > 0.5"),
    "large masks": (
        ValueError,
        {"masks": torch.ones(2, 32, 40, dtype=torch.bool)},
        r"^masks\[0\]: expected .* 16 × 20 pixels, like the picture, got a tensor of shape \(32, 40\)",
    ),
    "masks in a list": (TypeError, {"masks": [[1, 2], [3, 4]]}, r"^masks\[0\]: expected a tensor .*torch.as_tensor"),
    "skeleton alone": (ValueError, {"skeleton": [(0, 1)]}, r"^skeleton: expected None where points is None.*Give"),
    "skeleton too far": (
        ValueError,
        {"points": XY, "skeleton": [(1, 5)]},
        r"^skeleton: expected pairs of whole numbers in \[0, 4\], got tuple \(1, 5\). The first point has the number 0",
    ),
    "a flat skeleton": (TypeError, {"points": XY, "skeleton": [0, 1]}, r"^skeleton: expected pairs of points, got"),
    "names alone": (ValueError, {"names": ["a"]}, r"^names: expected None where points is None"),
    "few names": (ValueError, {"points": XY, "names": ["a"]}, r"^names: expected 5 names, .*got 1 names"),
    "a text as names": (TypeError, {"points": XY, "names": "abcde"}, r"^names: expected a list of texts"),
    "size": (TypeError, {"size": 16}, r"^size: expected a pair \(height, width\).*square"),
    "frame": (ValueError, {"frame": eq.Affine.identity(3)}, r"^frame: expected a batch of 2, like images"),
    "a matrix": (TypeError, {"frame": torch.eye(3)[None]}, r"^frame: expected an equicon.Affine"),
    "padding": (ValueError, {"padding_mode": "wrap"}, r"^padding_mode: expected one of zeros, border, reflection"),
    "no views": (ValueError, {"n": 0}, r"^n: expected a whole number of at least 1, got int 0"),
    "half a view": (TypeError, {"n": 1.5}, r"^n: expected a whole number"),
    "back": (ValueError, {"n": 2, "back": 3}, r"^back: expected at most 2, the number of views, got int 3"),
    "inside": (TypeError, {"inside": 1}, r"^inside: expected True or False"),
    "generator": (TypeError, {"generator": 0}, r"^generator: expected a torch.Generator or None"),
    "title": (TypeError, {"title": 3}, r"^title: expected a text or None, got int 3"),
    "channels": (
        ValueError,
        {"images": IMAGES[:, :1], "augment": eq.Normalize((0.5,) * 3, (0.5,) * 3)},
        r"^images: expected 3 channels, as in mean",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_drawn_is_refused(name):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    kind, words, message = CASES[name]
    arguments = {"images": IMAGES, "augment": eq.RandomRotation(9)} | words
    with pytest.raises(kind, match=message):
        show.views(arguments.pop("images"), arguments.pop("augment"), **arguments)


def test_without_matplotlib_it_says_what_to_install():
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = staticmethod(lambda name, *a: None if name == 'matplotlib' else find(name, *a))\n"
        "import torch, equicon as eq\n"
        "from equicon import show\n"
        "show.views(torch.rand(2, 3, 8, 8), eq.RandomRotation(9))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert re.search(
        r"ModuleNotFoundError: not installed: matplotlib\. Install the extra: pip install 'equicon\[train\]'",
        done.stderr,
    )
