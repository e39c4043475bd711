from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.palette import any_colors, skin_colors


def test_skins_are_human():
    skins = skin_colors(Draws.of(0, range(2000), 0, 100), 3)
    assert skins.shape == (2000, 3, 3)
    red, green, blue = skins.unbind(-1)
    assert (red > green).all()
    assert (green > 0.9 * blue).all()
    assert red.min() < 0.3
    assert red.max() > 0.9


def test_a_number_of_people_have_as_many_skins():
    skins = skin_colors(Draws.of(0, range(500), 0, 100), people=8)
    assert len(skins.unique(dim=0)) == 8


def test_colors_are_colors_and_more_often_dull():
    colors = any_colors(Draws.of(0, range(2000), 0, 100), 2)
    assert colors.shape == (2000, 2, 3)
    assert ((colors > 0) & (colors < 1)).all()
    spread = colors.amax(-1) - colors.amin(-1)
    assert spread.median() < 0.15
    assert spread.max() > 0.6
