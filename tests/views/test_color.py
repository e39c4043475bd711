import pytest
import torch
from torch.testing import assert_close

import equicon as eq
from equicon._views.color import ColorMap


def random_map(seed: int) -> ColorMap:
    generator = torch.Generator().manual_seed(seed)
    pixel, mean = (torch.rand(3, 3, 3, generator=generator) / 7 for _ in range(2))
    return ColorMap.make(pixel, mean)


def test_a_map_is_what_a_loop_over_pixels_gives():
    views, color = torch.rand(3, 3, 4, 5), random_map(0)
    expected = torch.empty_like(views)
    for b in range(3):
        mean = views[b].mean((1, 2))
        for y in range(4):
            for x in range(5):
                pixel = color.matrix[b, :3, :3] @ views[b, :, y, x] + color.matrix[b, :3, 3:] @ mean
                expected[b, :, y, x] = pixel.clamp(0, 1)
    assert_close(color.apply(views), expected)


def test_composed_equals_sequential_where_nothing_is_clamped():
    views = torch.rand(3, 3, 16, 16)
    f, g, h = (random_map(seed) for seed in range(3))
    assert_close(g._after(f).apply(views), g.apply(f.apply(views)))
    assert_close(h._after(g)._after(f).matrix, h._after(g._after(f)).matrix)


def test_a_chain_is_clamped_once_at_the_end():
    double = ColorMap.make(2 * torch.eye(3)[None], torch.zeros(1, 3, 3))
    half = ColorMap.make(torch.eye(3)[None] / 2, torch.zeros(1, 3, 3))
    views = torch.rand(1, 3, 8, 8)
    assert_close(half._after(double).apply(views), views)
    assert float(double.apply(views).max()) == 1.0


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match="images: expected 3 channels for a colour transform"):
        random_map(0).check(torch.rand(3, 1, 8, 8))


def test_the_mean_is_left_out_only_where_nothing_uses_it():
    views, pixel = torch.rand(3, 3, 4, 5), torch.rand(3, 3, 3) / 3
    alone = ColorMap.make(pixel)
    assert not alone.uses_mean
    assert_close(alone.apply(views), ColorMap.make(pixel, torch.zeros(3, 3, 3)).apply(views))
    for chain in (random_map(0)._after(alone), alone._after(random_map(0))):
        assert chain.uses_mean
    assert not alone._after(alone).where(torch.tensor([True, False, True])).uses_mean


@pytest.mark.parametrize(
    ("transform", "uses_mean"),
    [
        (eq.ColorJitter(0.4, 0.4), True),
        (eq.ColorJitter(0.4, (0.5, 0.5)), True),
        (eq.ColorJitter(0.4, 0.0, 0.4, 0.1), False),
        (eq.ColorJitter(0.4, (1.0, 1.0)), False),
        (eq.RandomGrayscale(0.5), False),
        (eq.Compose([eq.RandomGrayscale(0.5), eq.ColorJitter(contrast=0.1)]), True),
    ],
)
def test_only_contrast_looks_at_the_mean(transform, uses_mean):
    color = transform.sample(2).color
    assert color.uses_mean == uses_mean
    if not uses_mean:
        assert float(color.matrix[:, :3, 3:].abs().max()) == 0
