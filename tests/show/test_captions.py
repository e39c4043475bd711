"""The words below a view say what was done to it."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS

import equicon as eq
from equicon.show._captions import lines_of, mirrored, words_of

CASES = {
    "left": (eq.RandomRotation((30, 30)), "turned 30° left"),
    "right": (eq.RandomRotation((-30, -30)), "turned 30° right"),
    "half a turn": (eq.RandomRotation((180, 180)), "turned 180°"),
    "larger": (eq.RandomScale((1.5, 1.5)), "scaled × 1.50"),
    "stretched": (eq.RandomShear((30, 30)), "stretched"),
    "right and down": (eq.RandomTranslate((0.1, 0.1)), "moved"),
    "flip": (eq.RandomHorizontalFlip(1.0), ""),
    "upside down": (eq.RandomVerticalFlip(1.0), ""),
    "nothing": (eq.RandomRotation((0, 0)), "not moved"),
    "both flips": (eq.Compose([eq.RandomHorizontalFlip(1.0), eq.RandomVerticalFlip(1.0)]), "turned 180°"),
}


@pytest.mark.parametrize("name", CASES)
def test_words_say_what_was_done(name):
    augment, expected = CASES[name]
    g = augment.sample(1, generator=torch.Generator().manual_seed(0)).affine
    said = lines_of(words_of(g))
    assert said == expected or (expected in ("stretched", "moved") and said.split()[-1] and expected in said)


def test_shifts_are_in_percent_of_the_shorter_side():
    g = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[0.2, -0.06]]))
    assert words_of(g) == ["moved 10 % right", "3 % up"]
    assert words_of(g.inverse(), 0.254) == ["moved 10 % left", "3 % down", "25 % outside"]


def test_turns_go_to_the_side_that_the_picture_shows():
    g = eq.RandomRotation((90, 90)).sample(1).affine  # counter-clockwise: what was at the top is at the left
    assert words_of(g) == ["turned 90° left"]
    assert g.points(torch.tensor([[[0.0, -1.0]]]))[0, 0].tolist() == pytest.approx([-1, 0], abs=1e-6)


def built(said: list[str], sign: str) -> torch.Tensor:
    """Make the similarity that words describe."""
    text = " ".join(said)
    degrees, scale, shift = 0.0, 1.0, [0.0, 0.0]
    if found := re.search(r"turned (\d+)°(?: (left|right))?", text):
        degrees = float(found[1]) * (-1 if found[2] == "right" else 1)
    if found := re.search(r"scaled × ([\d.]+)", text):
        scale = float(found[1])
    for axis, names in enumerate((("left", "right"), ("up", "down"))):
        if found := re.search(rf"(\d+) % ({'|'.join(names)})", text):
            shift[axis] = float(found[1]) / 50 * (1 if found[2] == names[1] else -1)
    angle = torch.deg2rad(torch.tensor(degrees))
    turn = torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])
    flip = {"": (1.0, 1.0), "⇄": (-1.0, 1.0), "⇅": (1.0, -1.0)}[sign]
    return torch.cat([scale * turn @ torch.diag(torch.tensor(flip)), torch.tensor(shift)[:, None]], 1)


SIMILARITIES = [
    "rotation", "translate", "scale up", "scale down", "horizontal flip", "vertical flip", "peclr", "apply", "jitter",
]  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SIMILARITIES), st.integers(0, 2**31), st.booleans())
def test_a_similarity_can_be_built_from_its_words(name, seed, flipped):
    generator = torch.Generator().manual_seed(seed)
    g = TRANSFORMS[name].transform.sample(1, generator=generator).affine
    if flipped:
        g = eq.RandomHorizontalFlip(1.0).sample(1).affine @ g
    found = built(words_of(g), mirrored(g))
    size = float(g.linear.det().abs().sqrt())
    assert found[:, :2].sub(g.linear[0]).abs().max() <= 0.01 * size + 0.006
    assert found[:, 2].sub(g.translation[0]).abs().max() <= 0.0101


def test_lines_break_at_commas():
    parts = ["turned 37° right", "scaled × 0.89", "moved 5 % left", "12 % up", "7 % outside"]
    assert lines_of(parts) == "turned 37° right, scaled × 0.89,\nmoved 5 % left, 12 % up,\n7 % outside"
    assert max(map(len, lines_of(parts).splitlines())) <= 34
    assert lines_of(["a" * 50, "b"]) == "a" * 50 + ",\nb"
