import re

import pytest

pytest.importorskip("matplotlib", reason="the examples need matplotlib")
pytest.importorskip("torchvision", reason="the examples need the extra")

import torch
from examples.loading import load
from PIL import Image

draw_idea = load("draw_idea.py")


def test_the_picture_is_as_wide_as_asked_for_and_small(tmp_path, capsys):
    out = tmp_path / "new" / "idea.png"
    draw_idea.main(["--out", str(out)])
    assert capsys.readouterr().out == f"drawn in {out}\n"
    with Image.open(out) as picture:
        assert picture.size == (draw_idea.WIDTH, draw_idea.HEIGHT)
        corners = [
            picture.convert("RGB").getpixel((x, y)) for x in (0, picture.width - 1) for y in (0, picture.height - 1)
        ]
    assert min(map(min, corners)) > 250  # white
    assert out.stat().st_size < 250_000


def test_the_joints_are_where_the_views_show_them_and_come_back():
    g = draw_idea.make_transforms()
    picture, views, joints = draw_idea.make_views(g)
    embeddings, back = draw_idea.embed(g, joints[0])
    assert picture.shape == (3, draw_idea.SIDE, draw_idea.SIDE)
    assert views.shape == (2, *picture.shape)
    assert max(joints.abs().max(), embeddings.abs().max()) < 1  # nothing is drawn outside of its plane
    torch.testing.assert_close(embeddings, g.points(joints[:1].expand(2, -1, -1)), atol=4 * draw_idea.NOISE, rtol=0)
    assert (embeddings[0] - embeddings[1]).norm(dim=-1).mean() > 0.5  # turned, they are apart
    assert (back[0] - back[1]).norm(dim=-1).mean() < 0.1


def test_a_picture_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    for part in ("draw_equicon", "draw_simclr"):  # they take seconds
        monkeypatch.setattr(draw_idea, part, lambda *_: None)
    out = tmp_path / "idea.nothing"
    with pytest.raises(SystemExit, match=rf"--out: {re.escape(str(out))} could not be written"):
        draw_idea.main(["--out", str(out)])
