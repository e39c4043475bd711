"""What people get wrong, and the hint that each of them gets: one that fits the case."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import zeros

import equicon as eq
from equicon.hands import Pose

G = eq.Affine.identity(2)
Z = torch.rand(2, 8)
LONG, BOOL = torch.int64, torch.bool


@dataclass(frozen=True)
class Odd(eq.Representation):
    """Refuses as the docs' example does."""

    def _check_shape(self, shape):
        if shape != (3,):
            raise ValueError(f"z: expected a width of 3, got {shape} for each image.")

    def _act(self, g, z):
        raise TypeError("g: expected something else.")

    _canonicalize = _act


def loss(representation: eq.Representation, z1=Z, z2=Z, g1=G, g2=G, **keywords):
    return eq.PeCLRLoss(representation=representation)(z1, z2, g1, g2, **keywords)


# What is called, by which error it is refused, and what the message says.
TABLE = {
    # shapes of images
    "masks without a channel": (lambda: G.warp(zeros(2, 8, 8)), ValueError, "images[:, None]"),
    "labels without a channel": (
        lambda: G.warp(zeros(3, 8, 8, dtype=LONG), mode="nearest"), ValueError, "the channel dimension: images[:, None]"
    ),
    "one image": (lambda: G.warp(zeros(3, 8, 8)), ValueError, "Add the batch dimension: images[None]"),
    "one grey image": (lambda: G.warp(zeros(1, 8, 8)), ValueError, "Add the batch dimension: images[None]."),
    "one image, channels last": (lambda: G.warp(zeros(8, 8, 3)), ValueError, "images.permute(2, 0, 1)[None]"),
    "one plane": (lambda: G.warp(zeros(8, 8)), ValueError, "images[None, None]"),
    "labels, bilinear": (lambda: G.warp(zeros(2, 1, 8, 8, dtype=LONG)), TypeError, "Masks go through Affine.masks"),
    "labels to a transform": (
        lambda: eq.RandomRotation(9)(zeros(2, 1, 8, 8, dtype=BOOL)), TypeError, "Masks go through Affine.masks"
    ),
    # points, boxes, matrices
    "points with a third": (lambda: G.points(zeros(2, 17, 3)), ValueError, "xy[..., :2]"),
    "joints with a third": (lambda: eq.Affine.from_points(zeros(2, 17, 3), (8, 8)), ValueError, "xy[..., :2]"),
    "points of one image": (lambda: eq.Affine.from_points(zeros(17, 2), (8, 8)), ValueError, "xy[None]"),
    "boxes for points": (lambda: G.points(zeros(2, 4)), ValueError, "Affine's boxes or from_boxes"),
    "boxes with a score": (lambda: eq.Affine.from_boxes(zeros(2, 5), (8, 8)), ValueError, "boxes[..., :4]"),
    "boxes as corners": (lambda: G.boxes(zeros(2, 2, 2)), ValueError, "boxes.flatten(-2)"),
    "one box": (lambda: eq.Affine.from_boxes(zeros(4), (8, 8)), ValueError, "boxes[None]"),
    "boxes xywh": (
        lambda: eq.Affine.from_boxes(torch.tensor([[9.0, 9.0, 4.0, 4.0]]), (16, 16)), ValueError,
        "If these are x, y, width and height, add the first two to the last two",
    ),
    "points that are NaN": (
        lambda: eq.Affine.from_points(torch.full((1, 3, 2), torch.nan), (8, 8)), ValueError, "known=~xy.isnan().any(-1)"
    ),
    "one K": (lambda: G.intrinsics(torch.eye(3), (8, 8)), ValueError, "K[None]"),
    "K with a fourth column": (lambda: G.intrinsics(zeros(2, 3, 4), (8, 8)), ValueError, "K[..., :3, :3]"),
    "one matrix": (lambda: eq.Affine(torch.eye(3)), ValueError, "matrix[None]"),
    "matrices of two rows": (lambda: eq.Affine(zeros(2, 2, 3)), ValueError, "of two rows to Affine.from_pixels"),
    "one for each hand": (
        lambda: Pose(zeros(2, 21, 2), zeros(2, 21), zeros(2), zeros(2, 21, 3)).joints(zeros(3)), ValueError,
        "one for each hand, got a tensor of shape (3,) and type torch.float32.",
    ),
    # numbers and ranges
    "size of a crop": (lambda: eq.RandomResizedCrop(32), TypeError, "the call: transform(images, size=(32, 32))"),
    "sizes of a crop": (lambda: eq.RandomResizedCrop((32, 48)), ValueError, "transform(images, size=(32, 48))"),
    "size of a crop of numpy": (lambda: eq.RandomResizedCrop(np.int64(32)), TypeError, "size=(32, 32)"),
    "share of a crop above 1": (lambda: eq.RandomResizedCrop((0.5, 1.5)), ValueError, ", 1], got float 1.5."),
    "one factor": (lambda: eq.RandomScale(1.2), TypeError, "got float 1.2. For one fixed value a, write (a, a)."),
    "side of a square": (lambda: G.warp(zeros(2, 3, 8, 8), 4), TypeError, "Write (s, s) for a square."),
    "a tensor for a number": (lambda: eq.RandomRotation(torch.tensor(3.0)), TypeError, ".item()"),
    "a tensor for a range": (lambda: eq.RandomScale(torch.tensor([0.8, 1.2])), TypeError, ".tolist()"),
    # text is quoted, so that it is seen to be text
    "text for a number": (lambda: eq.RandomRotation("45"), TypeError, "expected a number, got str '45'."),
    "text for a range": (lambda: eq.RandomScale("ab"), TypeError, "a pair (lowest, highest), got str 'ab'."),
    "text for a mode": (lambda: G.warp(zeros(2, 3, 8, 8), mode="cubic"), ValueError, "nearest, got str 'cubic'."),
    "text for a view": (lambda: G.points(Z[:, :2], view="ab"), ValueError, "got str 'ab'"),
    "text for a transform": (lambda: eq.Compose(["rotate"]), TypeError, "got str 'rotate'"),
    "text for transforms": (lambda: eq.Compose("rotate"), TypeError, "got str 'rotate'"),
    "text for a module": (lambda: eq.Appearance("blur"), TypeError, "got str 'blur'"),
    "text for a mean": (lambda: eq.Normalize("0.5", (0.2,)), TypeError, "each channel, got str '0.5'"),
    "text for an affine": (lambda: eq.Action("g"), TypeError, "got str 'g'"),
    "text for a colour": (lambda: eq.Action(G, "red"), TypeError, "got str 'red'"),
    "text for a normalisation": (lambda: eq.Action(G, normalization="x"), TypeError, "got str 'x'"),
    "text for an element": (lambda: loss(eq.Points(), g2="g"), TypeError, "g2: expected a group element"),
    "text for embeddings": (lambda: loss(eq.Points(), z2="z"), TypeError, "z2: expected embeddings (B, ...), got str"),
    "text for a batch": (lambda: eq.nt_xent("z", Z), TypeError, "got str 'z'"),
    "text for weights": (lambda: eq.nt_xent(Z, Z, weights="w"), TypeError, "got str 'w'"),
    "text for a representation": (lambda: eq.PeCLRLoss(representation="p"), TypeError, "got str 'p'"),
    "text for a loss": (lambda: eq.PeCLRLoss(base_loss="l"), TypeError, "got str 'l'"),
    "text for parts": (lambda: eq.DirectSum("ab"), TypeError, "parts[0]: expected a pair (representation, width)"),
    "text for a model": (lambda: eq.GradCache("m", 2), TypeError, "got str 'm'"),
    "text for a generator": (lambda: eq.RandomRotation(9).sample(2, generator="g"), TypeError, "got str 'g'"),
    "text for an index": (lambda: eq.RandomRotation(9).sample(2)["a"], TypeError, "index: expected an int, a slice"),
    # arguments by the names that the caller knows
    "no points in z2": (lambda: loss(eq.Points(), zeros(2, 7), zeros(2, 7)), ValueError, "z1: expected an even width"),
    "z of a further view": (
        lambda: loss(eq.Invariant(), more_views=[(zeros(2, 3), G)]), ValueError, "z of more_views[0]: expected the"
    ),
    "own check of a shape": (lambda: loss(Odd()), ValueError, "z1: expected a width of 3, got (8,)"),
    "own check of an element": (lambda: loss(Odd(), zeros(2, 3), zeros(2, 3)), TypeError, "g1: expected something"),
    "own check, by itself": (lambda: Odd().act(G, Z), ValueError, "z: expected a width of 3"),
    "a sum's width": (lambda: loss(eq.DirectSum([(eq.Points(), 4)])), ValueError, "z1: expected a width of 4 = 4"),
    # what was an error of Python's or torch's own
    "no further views": (lambda: loss(eq.Points(), more_views=None), TypeError, "got NoneType None. Leave it out"),
    "no further embeddings": (lambda: eq.nt_xent(Z, Z, more_views=None), TypeError, "got NoneType None. Leave it out"),
    "a bare pair": (lambda: loss(eq.Points(), more_views=(Z, G)), TypeError, "Put it in a list: [(z3, g3)]"),
    "seed for a generator": (lambda: eq.draw.uniform(3, 0, 1, 0), TypeError, "generator: expected a torch.Generator"),
    "seed for one of bits": (lambda: eq.draw.bernoulli(3, 0.5, 0), TypeError, "torch.Generator().manual_seed(0)"),
    "seed for one of ints": (lambda: eq.draw.integers(3, 0, 5, 0), TypeError, "torch.Generator().manual_seed(0)"),
    "seed for a device": (lambda: eq.draw.device_of(0), TypeError, "torch.Generator().manual_seed(0)"),
    "type of an action": (
        lambda: eq.RandomRotation(9).sample(2).to(torch.float64), TypeError, "type of the views in the call: dtype=."
    ),
    "type by its name": (lambda: eq.Affine.identity(2, dtype="float64"), TypeError, "float32 or float64, got str"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_what_people_get_wrong_gets_the_hint_that_fits(name):
    call, error, hint = TABLE[name]
    with pytest.raises(error, match=re.escape(hint)):
        call()


@pytest.mark.parametrize("name", [name for name in TABLE if ":" in TABLE[name][2]])
def test_hints_speak_of_one_argument(name):
    call, error, _ = TABLE[name]
    with pytest.raises(error, match=r"^[\w\[\]. ]+: expected "):
        call()
