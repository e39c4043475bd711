import pytest
import torch

pytest.importorskip("matplotlib", reason="the recipes need matplotlib")
pytest.importorskip("torchvision", reason="the recipes need torchvision")

from matplotlib import pyplot as plt

import equicon as eq
from equicon.data import Boxed
from equicon.hands import SyntheticHands
from equicon.hands.recipes import draw_views


@pytest.mark.parametrize("labelled", [True, False])
def test_each_image_has_its_views_and_what_they_were_before(labelled):
    hands = SyntheticHands(2, size=32).render(range(2))
    batch = hands if labelled else Boxed(hands.image, torch.tensor([[0.0, 0, 31, 31]]).expand(2, 4))
    figure = draw_views(batch, eq.Affine.identity(2), eq.presets.peclr(), 24, seed=3)
    assert len(figure.axes) == 2 * 5
    names = ["image", "view 1", "view 2", "view 1, brought back", "view 2, brought back"]
    assert [axis.get_title() for axis in figure.axes[:5]] == names
    assert [axis.images[0].get_array().shape for axis in figure.axes[:5]] == [(32, 32, 3), *4 * [(24, 24, 3)]]
    assert {len(axis.lines) for axis in figure.axes} == {20 if labelled else 0}
    if labelled:  # what was brought back is where it was, in pixels of the views
        for before, after in ((0, 3), (0, 4)):
            for ours, theirs in zip(figure.axes[before].lines, figure.axes[after].lines, strict=True):
                assert ours.get_xdata() * 24 / 32 == pytest.approx(theirs.get_xdata() + 0.125, abs=1e-2)
    plt.close(figure)


def test_the_seed_decides_the_views():
    hands = SyntheticHands(1, size=32).render(range(1))
    frame = eq.Affine.identity(1)
    figures = [draw_views(hands, frame, eq.presets.peclr(), 24, seed=seed) for seed in (1, 1, 2)]
    views = [figure.axes[1].images[0].get_array() for figure in figures]
    assert (views[0] == views[1]).all()
    assert (views[0] != views[2]).any()
    for figure in figures:
        plt.close(figure)
