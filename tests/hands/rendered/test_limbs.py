from dataclasses import replace

import pytest
import torch

from equicon.hands._rendered.cones import CLOTH, OTHER_SKIN, SKIN
from equicon.hands._rendered.draws import to_device
from equicon.hands._rendered.pictures import draw_pictures
from equicon.hands._rendered.render import gather, trace
from equicon.hands._rendered.settings import Settings

COUNT, SIZE = 80, 16


def covers(context: float, *paints: int) -> torch.Tensor:
    """Where pictures of the wild would show what has these paints, were nothing before it: (B, width, width)."""
    settings = Settings(SIZE, 0, "wild", context=context)
    cones = to_device(draw_pictures(range(COUNT), settings).solids.cones, None)
    kept = torch.tensor([float(paint in paints) for paint in cones.paint])
    cones = replace(cones, start_radius=cones.start_radius * kept, end_radius=cones.end_radius * kept)
    surface = trace(cones, settings.width)
    return gather(surface.seen[None], surface, COUNT, settings.width)[:, 0]


@pytest.mark.parametrize("context", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("paints", [(SKIN, CLOTH), (OTHER_SKIN,)])
def test_arms_leave_the_picture(context, paints):
    seen = covers(context, *paints)
    there = seen.amax((1, 2)) > 0
    assert there.sum() > COUNT / 5
    border = torch.cat([seen[:, [0, -1]].flatten(1), seen[..., [0, -1]].flatten(1)], 1)
    assert (border[there].amax(1) > 0).all()


def test_what_lies_in_the_square_is_seen_in_it():
    narrow, wide = covers(1.0, SKIN, CLOTH), covers(3.0, SKIN, CLOTH)[:, SIZE:-SIZE, SIZE:-SIZE]
    # An arm that comes at the camera ended before it; now it goes on to a side.
    assert ((narrow - wide).abs() > 0.3).float().mean() < 0.01
    assert (wide - narrow).min() >= -0.2
