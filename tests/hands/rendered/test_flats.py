from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equicon.hands._rendered.domain import STUDIO, WILD
from equicon.hands._rendered.draws import Draws, to_device
from equicon.hands._rendered.flats import NUMBERS, Flats, around, beneath, draw_around, lay, without


def draw(count: int, context: float, domain=WILD) -> Flats:
    return to_device(draw_around(Draws.of(0, range(count), 0, NUMBERS * around(context)), domain, context), None)


def lay_everywhere(image, flats, where, uneven):
    """Lay things pixel by pixel, wherever they are."""
    image = image.clone()
    for b in range(len(image)):
        for k in range(flats.sharp.shape[1]):
            dx, dy = where[None, :] - flats.centre[b, k, 0], where[:, None] - flats.centre[b, k, 1]
            cos, sin = flats.axis[b, k]
            u, v = dx * cos + dy * sin, (dy * cos - dx * sin) * flats.aspect[b, k]
            ellipse, box = u**2 + v**2, torch.maximum(u**2, v**2)
            outside = box if flats.box[b, k] else ellipse
            cover = ((1 - outside) * flats.sharp[b, k]).clamp(0, 1)
            shadow = ((1.6 - outside) * flats.sharp[b, k]).clamp(0, 1) * (1.8 - outside).clamp(0, 1)
            paint = flats.paint[b, k, :, None, None] * (uneven[b] + flats.shade[b, k] * u)
            image[b] = image[b] * (1 - 0.35 * shadow) * (1 - cover) + paint * cover
    return image


@settings(max_examples=10, deadline=None)
@given(size=st.integers(8, 40), context=st.floats(1.2, 3.0), seed=st.integers(0, 2**30))
def test_things_are_laid_where_they_are(size, context, seed):
    width = round(context * size)
    where = (torch.arange(width) * 2.0 + (1 - width)) / size
    image, uneven = torch.rand(2, 2, 3, width, width, generator=torch.Generator().manual_seed(seed)).unbind(0)
    before, flats = image.clone(), draw(2, context)
    torch.testing.assert_close(lay(image, flats, where, uneven), lay_everywhere(image, flats, where, uneven))
    assert torch.equal(image, before)


@pytest.mark.parametrize("context", [1.5, 3.0])
def test_things_lie_around_the_square(context):
    flats = draw(300, context)
    out = flats.centre.abs().amax(-1)
    assert out.min() > 1.1
    assert out.max() < context + 0.1
    share = (out**2 - 1.1**2) / ((context + 0.1) ** 2 - 1.1**2)  # of the area that is nearer
    assert abs(share.mean() - 0.5) < 0.03
    assert abs((flats.sharp > 0).float().mean() - WILD.thing) < 0.05
    assert (draw(300, context, replace(STUDIO)).sharp == 0).all()
    quarters = torch.histc(torch.atan2(*flats.centre.flatten(0, 1).unbind(-1)), 4, -torch.pi, torch.pi)
    assert quarters.min() > 0.8 * quarters.mean()


def test_there_are_as_many_as_the_area_is_large():
    assert [around(context) for context in (1.0, 1.5, 2.0, 3.0)] == [0, 2, 6, 16]


def test_the_upper_things_are_seen():
    flats = draw(3, 2.0)
    both = beneath(flats, replace(flats, paint=1 - flats.paint))
    assert both.sharp.shape == (3, 2 * around(2.0))
    assert torch.equal(both.paint[:, around(2.0) :], 1 - flats.paint)
    assert without(flats).centre.shape == (3, 0, 2)
