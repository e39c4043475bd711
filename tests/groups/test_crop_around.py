import pytest
import torch
from torch.testing import assert_close

import equicon as eq


@pytest.mark.parametrize("side", [0.5, 3.0, 40.0])
@pytest.mark.parametrize("ratio", [0.1, 1.0, 7.0])
def test_the_longer_side_of_a_box_gives_the_square(side, ratio):
    boxes = torch.tensor([[20.0, 10.0, 20.0 + side, 10.0 + side * ratio]], dtype=torch.float64)
    frame = eq.Affine.from_boxes(boxes, (40, 60), 1.5)
    half = 1.5 * max(side, side * ratio) / 40  # in units of half of the shorter side
    assert_close(frame.linear, torch.eye(2, dtype=torch.float64)[None] / half)
    center = (boxes.view(2, 2).mean(0) * 2 + 1 - torch.tensor([60, 40])) / 40
    assert_close(frame.translation[0], -center / half)


def test_the_first_that_cannot_be_framed_is_named():
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [5, 0, 1, 4], [3, 3, 3, 3]])
    with pytest.raises(ValueError, match=r"x1 <= x2 .*, got \[5\.0, 0\.0, 1\.0, 4\.0\] at index 2"):
        eq.Affine.from_boxes(boxes, (8, 8))
    boxes[2, 0] = torch.inf
    with pytest.raises(ValueError, match=r"x1 <= x2 .*, got \[inf, 0\.0, 1\.0, 4\.0\] at index 2"):
        eq.Affine.from_boxes(boxes, (8, 8))
