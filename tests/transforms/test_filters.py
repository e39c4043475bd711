import pytest
import torch
from kornia.filters import gaussian_blur2d, sobel
from registry import Speckle
from torch.testing import assert_close

import equicon as eq

IMAGES = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(0))


def test_blur_is_kornias_with_a_sigma_for_each_image():
    action = eq.RandomGaussianBlur(7, (0.5, 2.0), p=1.0).sample(6)
    sigmas = action.filters[0].sigma
    views = action(IMAGES)
    for i in range(6):
        assert_close(
            views[i : i + 1],
            gaussian_blur2d(IMAGES[i : i + 1], (7, 7), sigmas[i : i + 1, None].expand(1, 2)),
            atol=1e-4,
            rtol=0,
        )
    assert len(sigmas.unique()) == 6
    assert bool(((sigmas >= 0.5) & (sigmas <= 2.0)).all())


def test_sobel_is_kornias():
    assert_close(eq.RandomSobel(1.0)(IMAGES)[0], sobel(IMAGES), atol=1e-4, rtol=0)


@pytest.mark.parametrize("transform", [eq.RandomGaussianNoise(0.1, p=1.0), eq.Appearance(Speckle())])
def test_running_an_action_leaves_the_global_generator_alone(transform):
    action = transform.sample(6)
    state = torch.get_rng_state()
    action(IMAGES)
    assert torch.get_rng_state().equal(state)


def test_p_is_decided_for_each_image():
    for transform in (
        eq.RandomGaussianBlur(5, (2.0, 2.0), p=0.5),
        eq.RandomGaussianNoise(0.5, p=0.5),
        eq.RandomErasing(value=2.0, p=0.5),
        eq.RandomSobel(0.5),
    ):
        images = torch.rand(200, 1, 16, 16)
        views = transform.sample(200, generator=torch.Generator().manual_seed(0))(images)
        changed = ((views - images).abs().amax((1, 2, 3)) > 0.01).float().mean()
        assert 0.35 < float(changed) < 0.65, transform


def test_erasing_has_its_share_of_the_area_its_ratio_and_its_value():
    erase = eq.RandomErasing((0.1, 0.3), (0.5, 2.0), value=(0.4, 0.6), p=1.0)
    views = erase(torch.full((300, 1, 60, 90), 2.0), generator=torch.Generator().manual_seed(0))[0][:, 0]
    painted = views < 1
    share = painted.float().mean((1, 2))
    assert 0.08 < float(share.min()) < 0.12  # whole pixels only, so up to a row or a column off
    assert 0.28 < float(share.max()) < 0.34
    columns, rows = painted.any(1).sum(1), painted.any(2).sum(1)
    assert bool((painted.sum((1, 2)) == columns * rows).all())  # a rectangle
    assert float((columns / rows).min()) > 0.4
    assert float((columns / rows).max()) < 2.4
    values = torch.stack([view[mask].mean() for view, mask in zip(views, painted, strict=True)])
    assert 0.4 <= float(values.min()) < 0.42
    assert 0.58 < float(values.max()) <= 0.6
    assert bool(painted[:, 5:-5, 5:-5].any(0).all())  # it goes everywhere


def test_erasing_is_centred_on_its_anchor_and_cut_off_at_the_border():
    erase = eq.RandomErasing((0.04, 0.04), (1.0, 1.0), value=2.0, p=1.0)
    anchor = torch.tensor([[10.0, 12.0], [0.0, 0.0], [500.0, 500.0]])
    painted = erase(torch.zeros(3, 1, 25, 25), anchor=anchor)[0][:, 0] == 2
    assert painted[0].nonzero().amin(0).tolist() == [10, 8]
    assert painted[0].nonzero().amax(0).tolist() == [14, 12]
    assert painted[1].nonzero().amax(0).tolist() == [2, 2]
    assert not painted[2].any()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: eq.RandomGaussianBlur(4), ValueError, "kernel_size: expected an odd number"),
        (lambda: eq.RandomGaussianBlur(4.0), TypeError, "kernel_size: expected a whole number"),
        (lambda: eq.RandomGaussianBlur(3, (0.0, 1.0)), ValueError, "sigma: expected a number above 0"),
        (lambda: eq.RandomGaussianBlur(3, p=2), ValueError, r"p: expected a number in \[0, 1\]"),
        (
            lambda: eq.RandomGaussianBlur(41)(IMAGES),
            ValueError,
            "kernel_size: expected a kernel below .* Take at most 39",
        ),
        (lambda: eq.RandomErasing((0.0, 1.0)), ValueError, "scale: expected a number above 0"),
        (lambda: eq.RandomErasing((0.1, 1.1)), ValueError, r"scale: expected a number in \[0, 1\]"),
        (lambda: eq.RandomErasing(ratio=(0.0, 1.0)), ValueError, "ratio: expected a number above 0"),
        (lambda: eq.RandomErasing(value=(1.0, 0.0)), ValueError, "value: expected lowest <= highest"),
        (lambda: eq.RandomErasing(p=2), ValueError, r"p: expected a number in \[0, 1\]"),
        (lambda: eq.RandomSobel(2), ValueError, r"p: expected a number in \[0, 1\]"),
    ],
)
def test_bad_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
