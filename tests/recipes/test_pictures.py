import argparse

import pytest
import torch

pytest.importorskip("matplotlib", reason="the recipes need matplotlib")
pytest.importorskip("torchvision", reason="the recipes need torchvision")

import equicon as eq
from equicon.data import Boxed, KeypointSample
from equicon.hands import SyntheticHands
from equicon.recipes import draw_views

ARGS = argparse.Namespace(data=["synthetic"], size=24, inside=False, padding_mode="zeros")


@pytest.mark.parametrize("labelled", [True, False])
def test_each_image_has_its_views_and_what_they_were_before(labelled):
    hands = SyntheticHands(2, size=24, context=4 / 3).render(range(2))
    batch = hands if labelled else Boxed(hands.image, torch.tensor([[0.0, 0, 31, 31]]).expand(2, 4))
    figure = draw_views(batch, eq.presets.peclr(), ARGS, seed=3)
    assert len(figure.axes) == 2 * 5
    names = ["picture 1", "view 1", "view 2", "view 1, brought back", "view 2, brought back"]
    assert [axis.get_title("left") for axis in figure.axes[:5]] == names
    sides = [axis.images[0].get_array().shape[0] for axis in figure.axes[:5]]
    assert sides == [32, 24, 24, 32, 32]
    bones = {len(axis.lines) for axis in figure.axes[1:3]}
    assert bones == {20 if labelled else 0}
    if labelled:  # what was brought back is where it was
        for before, after in ((0, 3), (0, 4)):
            # The first line of the picture is the frame.
            for ours, theirs in zip(figure.axes[before].lines[1:], figure.axes[after].lines, strict=True):
                assert ours.get_xdata() == pytest.approx(theirs.get_xdata(), abs=1e-2)


def test_keypoints_without_a_label_are_not_drawn():
    xy = torch.tensor([[[5.0, 6.0], [20.0, 9.0], [0.0, 0.0]]])
    visible, box = torch.tensor([[2, 1, 0]], dtype=torch.uint8), torch.tensor([[0.0, 0.0, 31.0, 31.0]])
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    figure = draw_views(KeypointSample(image, xy, visible, box, torch.tensor([0])), eq.presets.peclr(), ARGS, seed=0)
    (dots,) = figure.axes[0].collections
    assert dots.get_offsets().tolist() == xy[0, :2].tolist()


def test_the_seed_decides_the_views():
    hands = SyntheticHands(1, size=32).render(range(1))
    figures = [draw_views(hands, eq.presets.peclr(), ARGS, seed=seed) for seed in (1, 1, 2)]
    views = [figure.axes[1].images[0].get_array() for figure in figures]
    assert (views[0] == views[1]).all()
    assert (views[0] != views[2]).any()


def test_views_show_what_lies_outside_as_asked_or_nothing_of_it():
    white = SyntheticHands(3, size=24).render(range(3))
    white = white._replace(image=torch.full_like(white.image, 255))
    augment, shown = eq.presets.peclr(margin=(1.5, 1.5), jitter=(0, 0, 0, 0)), {}
    for inside, padding_mode in ((False, "zeros"), (False, "reflection"), (True, "zeros")):
        args = argparse.Namespace(**vars(ARGS) | {"inside": inside, "padding_mode": padding_mode})
        figure = draw_views(white, augment, args, seed=1)
        shown[inside, padding_mode] = min(axis.images[0].get_array().min() for axis in figure.axes[1:3])
    assert shown[False, "zeros"] == 0
    assert shown[False, "reflection"] == pytest.approx(1)
    assert shown[True, "zeros"] == pytest.approx(1, abs=1e-3)
