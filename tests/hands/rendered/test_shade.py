from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equicon.hands._rendered.cones import CLOTH, OTHER_SKIN, SKIN, THING, Cones
from equicon.hands._rendered.domain import STUDIO, WILD
from equicon.hands._rendered.draws import Draws, to_device
from equicon.hands._rendered.render import trace
from equicon.hands._rendered.shade import Look, draw_look, light_hand

SIZE = 32


def ball(paint: int) -> Cones:
    centre, radius = torch.tensor([[[15.5, 15.5, 40.0]]]), torch.tensor([[10.0]])
    away = torch.tensor([[[0.0, 0.0, 1.0]]])
    return Cones(centre, centre, radius, radius, away, torch.zeros(1, 1), (False,), (False,), (paint,))


def make_look(light: tuple[float, float, float], ambient: float = 0.3, gloss: float = 0.0) -> Look:
    colors = torch.tensor([[[0.5, 0.4, 0.3], [0.1, 0.2, 0.9], [0.3, 0.2, 0.1], [0.1, 0.8, 0.1]]])
    zero = torch.zeros(1)
    return Look(colors, torch.full((1, 4), gloss), torch.tensor([light]), zero + ambient, zero, zero)


@given(turn=st.floats(0.0, 6.28))
def test_the_side_to_the_light_is_the_bright_one(turn):
    turn = torch.tensor(turn)
    light = (0.8 * turn.cos().item(), 0.8 * turn.sin().item(), -0.6)
    lit = light_hand(trace(ball(SKIN), SIZE), make_look(light), SIZE)
    x = torch.arange(SIZE) - 15.5
    brightness = lit.color[0].sum(0)
    moment = torch.stack([(brightness * x).sum(), (brightness * x[:, None]).sum()])
    direction = moment / moment.norm()
    assert torch.dot(direction, torch.tensor(light[:2]) / 0.8) > 0.98
    assert lit.direct[0, 0][brightness > 0].min() >= 0
    assert lit.direct.max() < 1


@pytest.mark.parametrize("paint", [SKIN, CLOTH, OTHER_SKIN, THING])
def test_a_thing_has_the_color_of_its_paint(paint):
    look = make_look((0.0, 0.0, -1.0))
    lit = light_hand(trace(ball(paint), SIZE), look, SIZE)
    color = lit.color[0, :, 15, 15] / lit.color[0, :, 15, 15].norm()
    similar = torch.nn.functional.cosine_similarity(color[None], look.paints[0])
    assert similar.argmax() == paint
    assert torch.equal(lit.color[0].sum(0) > 0, lit.cover[0, 0] > 0)


def test_gloss_adds_a_highlight():
    surface = trace(ball(SKIN), SIZE)
    plain, glossy = (light_hand(surface, make_look((0.6, 0.0, -0.8), gloss=g), SIZE).color for g in (0.0, 0.3))
    added = (glossy - plain)[0, 0]
    assert added.min() >= 0
    assert 0.2 < added.max() <= 0.3
    assert (added > 0.15).sum() < 0.2 * (plain[0, 0] > 0).sum()


def test_without_a_lamp_no_light_is_direct():
    look = make_look((0.0, 0.0, -1.0), ambient=1.15)
    assert light_hand(trace(ball(SKIN), SIZE), look, SIZE).direct.abs().max() < 1e-6


def test_the_studio_has_steady_light_and_few_skins():
    studio, wild = (draw_look(Draws.of(0, range(800), 0, 100), domain) for domain in (STUDIO, WILD))
    for look in (studio, wild):
        torch.testing.assert_close(look.light.norm(dim=-1), torch.ones(800).double())
        assert (look.light[:, 2] < 0).all()  # from the camera's side
    assert -studio.light[:, 2].max() > 0.7
    assert -wild.light[:, 2].max() < 0.2
    assert len(studio.paints[:, SKIN].unique(dim=0)) == STUDIO.skins
    assert len(wild.paints[:, SKIN].unique(dim=0)) == 800
    own = (wild.paints[:, OTHER_SKIN] == wild.paints[:, SKIN]).all(-1).float().mean()
    assert 0.4 < own < 0.6


def test_light_does_not_depend_on_the_batch():
    one = ball(SKIN)
    many = one
    for name in ("start", "end", "start_radius", "end_radius", "pad", "blend"):
        many = replace(many, **{name: getattr(one, name).expand(5, *getattr(one, name).shape[1:])})
    together = light_hand(trace(many, SIZE), to_device(draw_look(Draws.of(0, range(5), 0, 100), WILD), None), SIZE)
    for i in range(5):
        alone = light_hand(trace(one, SIZE), to_device(draw_look(Draws.of(0, [i], 0, 100), WILD), None), SIZE)
        assert torch.equal(alone.color[0], together.color[i])
