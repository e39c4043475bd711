import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equicon.keypoints import gaussians, soft_argmax


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(9, 24), st.integers(9, 24)),
    st.sampled_from([(1, 1), (4, 4), (4, 2), (3.5, 3.5)]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_gaussian_is_read_where_it_was_drawn_also_between_pixels(shape, stride, place):
    size = (round(shape[0] * stride[0]), round(shape[1] * stride[1]))
    # Four pixels of the heatmap from the border, where nothing of the Gaussian is cut off.
    x = 4 * stride[1] + place[0] * (size[1] - 8 * stride[1] - 1)
    y = 4 * stride[0] + place[1] * (size[0] - 8 * stride[0] - 1)
    xy = torch.tensor([[[x, y]]], dtype=torch.float64)
    assert torch.allclose(soft_argmax(gaussians(xy, shape, size), size), xy, atol=2e-2)


def test_soft_argmax_equals_a_loop():
    heatmaps = torch.rand(2, 3, 4, 5, dtype=torch.float64).flatten(2).softmax(-1).unflatten(2, (4, 5))
    found = soft_argmax(heatmaps, (8, 20))
    for b in range(2):
        for k in range(3):
            x = y = 0.0
            for i in range(4):
                for j in range(5):
                    x += float(heatmaps[b, k, i, j]) * (4 * j + 1.5)  # the middle of pixels 4j to 4j + 3
                    y += float(heatmaps[b, k, i, j]) * (2 * i + 0.5)
            assert found[b, k].tolist() == pytest.approx([x, y])


def test_a_heatmap_moves_with_its_picture():
    xy = torch.tensor([[[30.0, 26.0]]])
    moved = gaussians(xy + torch.tensor([4.0, -8.0]), (16, 16), (64, 64))
    assert torch.allclose(moved, gaussians(xy, (16, 16), (64, 64)).roll((-2, 1), (-2, -1)), atol=1e-6)


def test_a_gaussian_sums_to_one_even_if_its_keypoint_is_far_outside():
    heatmaps = gaussians(torch.tensor([[[-500.0, 20.0], [1e6, 1e6]]]), (16, 16), (64, 64))
    assert torch.allclose(heatmaps.sum((-2, -1)), torch.ones(1, 2))
    assert heatmaps[0, 0, 5, 0] == heatmaps[0, 0].max()


def test_its_width_is_that_of_sigma():
    heatmap = gaussians(torch.tensor([[[31.5, 31.5]]]), (64, 64), (64, 64), sigma=3.0)[0, 0]
    x = torch.arange(64) - 31.5
    assert (heatmap.sum(0) * x.square()).sum().sqrt() == pytest.approx(3.0, rel=1e-3)


def test_half_precision_is_read_in_float32():
    heatmaps = gaussians(torch.tensor([[[201.0, 33.0]]]), (64, 64), (256, 256))
    found = soft_argmax(heatmaps.bfloat16(), (256, 256))
    assert found.dtype == torch.float32
    assert torch.allclose(found / heatmaps.bfloat16().float().sum(), torch.tensor([[[201.0, 33.0]]]), atol=0.2)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"heatmaps: expected .*\(B, K, h, w\)"):
        soft_argmax(torch.rand(3, 4, 4), (4, 4))
    with pytest.raises(TypeError, match=r"heatmaps"):
        soft_argmax(torch.ones(1, 1, 4, 4, dtype=torch.int64), (4, 4))
    with pytest.raises(ValueError, match=r"xy"):
        gaussians(torch.rand(1, 3, 3), (4, 4), (8, 8))
    with pytest.raises(ValueError, match=r"sigma: expected a number"):
        gaussians(torch.rand(1, 3, 2), (4, 4), (8, 8), sigma=0.0)
    with pytest.raises(ValueError, match=r"shape"):
        gaussians(torch.rand(1, 3, 2), (0, 4), (8, 8))
