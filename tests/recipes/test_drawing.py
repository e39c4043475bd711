import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="the examples need matplotlib")

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from torch import Tensor

from equicon.hands import BONES, Hand, SyntheticHands
from equicon.recipes import draw_skeletons


@pytest.fixture(scope="module")
def hand() -> Hand:
    return SyntheticHands(6, size=64, seed=1).render(range(6))


@pytest.mark.parametrize("count", [1, 3, 4, 6])
@pytest.mark.parametrize("labelled", [True, False])
def test_each_image_is_drawn_with_its_skeletons(hand, count, labelled):
    true = hand.xy[:count] if labelled else None
    figure = draw_skeletons(hand.image[:count] / 255, hand.xy[:count] + 3, true)
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == count
    assert not any(axis.axison for axis in figure.axes)  # those that are left over too
    for i, axis in enumerate(drawn):
        assert np.array_equal(axis.images[0].get_array(), (hand.image[i] / 255).permute(1, 2, 0))
        assert axis.get_ylim() == (63.5, -0.5)  # y down
        lines = [Tensor(np.asarray(line.get_xydata())) for line in axis.lines]
        bones = [hand.xy[i][list(bone)] for bone in BONES]
        expected = (bones if labelled else []) + [bone + 3 for bone in bones]
        torch.testing.assert_close(torch.stack(lines), torch.stack(expected))
        assert [line.get_linestyle() for line in axis.lines] == [":"] * (20 * labelled) + ["-"] * 20
        assert len({line.get_color() for line in axis.lines[-20:]}) == 5  # a finger, a colour
    assert ("true" in figure._suptitle.get_text()) == labelled
    plt.close(figure)
