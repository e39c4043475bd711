"""What is on the figure is where the library moves it, for every transform."""

import sys

import pytest
import torch
from registry import TRANSFORMS
from torch.testing import assert_close

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colors, get_backend, rcParams
from matplotlib.collections import PathCollection

import equicon as eq
from equicon import show
from equicon.hands import BONES, SyntheticHands

SOURCE, VIEW = (40, 56), (32, 24)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 2, size: tuple[int, int] = SOURCE) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=seeded(5))


def some_points(count: int = 2, k: int = 6) -> torch.Tensor:
    return torch.rand(count, k, 2, generator=seeded(6)) * torch.tensor([SOURCE[1] - 1.0, SOURCE[0] - 1.0])


def dots(axes) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the filled and the hollow points of a panel."""
    found = {True: torch.empty(0, 2), False: torch.empty(0, 2)}
    for drawn in axes.collections:
        if isinstance(drawn, PathCollection):
            found[len(drawn.get_facecolors()) > 0] = torch.tensor(drawn.get_offsets().tolist())
    return found[True], found[False]


def lines(axes) -> list[torch.Tensor]:
    return [torch.tensor(line.get_xydata().tolist()) for line in axes.lines]


def shown(axes, layer: int = 0) -> torch.Tensor:
    return torch.as_tensor(axes.images[layer].get_array().filled()).permute(2, 0, 1)


def within(xy: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    x, y = xy.unbind(-1)
    return (x >= -0.5) & (y >= -0.5) & (x <= size[1] - 0.5) & (y <= size[0] - 0.5)


def draw_actions(augment: eq.EquivariantTransform, count: int, n: int, seed: int = 0) -> list[eq.Action]:
    generator = seeded(seed)
    return [augment.sample(count, generator=generator) for _ in range(n)]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_views_and_points_are_those_of_the_action(name):
    augment, images, xy = TRANSFORMS[name].transform, pictures(), some_points()
    frame = eq.Affine.from_boxes(torch.tensor([[4.0, 6.0, 40.0, 38.0], [10.0, 0.0, 50.0, 30.0]]), SOURCE)
    figure = show.views(images, augment, points=xy, size=VIEW, frame=frame, n=2, back=2, generator=seeded())
    grid = [figure.axes[:5], figure.axes[5:]]
    assert len(figure.axes) == 10
    for j, action in enumerate(draw_actions(augment, 2, 2)):
        g = action.affine @ frame
        plain = eq.Action(action.affine, action.color, action.filters)
        moved, home = g.points(xy, SOURCE, VIEW), g.inverse()
        for i, row in enumerate(grid):
            assert_close(shown(row[1 + j]), plain[i](images[[i]], size=VIEW, frame=frame[i])[0].clamp(0, 1))
            inside = within(moved[i], VIEW)
            filled, hollow = dots(row[1 + j])
            assert_close(filled, moved[i][inside], atol=1e-4, rtol=0)
            assert len(hollow) == 0
            filled, hollow = dots(row[3 + j])  # brought back: where they were in the picture
            assert_close(filled, xy[i][inside], atol=1e-3, rtol=0)
            assert_close(hollow, xy[i][~inside], atol=1e-3, rtol=0)
            seen = home[i].coverage(VIEW, SOURCE)[0, 0] > 0.999
            back = home[i].warp(shown(row[1 + j])[None], SOURCE)[0]
            assert_close(shown(row[3 + j])[:, seen], back[:, seen], atol=2e-3, rtol=0)
    for i, row in enumerate(grid):
        assert_close(shown(row[0]), images[i])
        assert_close(dots(row[0])[0], xy[i])


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_each_picture_has_a_row(seed, n, back, count):
    back = min(back, n)
    figure = show.views(pictures(count), eq.presets.simclr(16), n=n, back=back, size=(8, 8), generator=seeded(seed))
    assert len(figure.axes) == count * (1 + n + back)
    titles = [axes.get_title("left").split("  ")[0] for axes in figure.axes[: 1 + n + back]]
    views = [f"view {k}" for k in range(1, n + 1)]
    assert titles == ["picture 1", *views, *[f"{name}, brought back" for name in views[:back]]]
    assert figure.get_size_inches()[0] == pytest.approx(2.4 * (1 + n + back))


def test_points_in_the_padding_are_hollow_and_nan_is_not_drawn():
    xy = torch.tensor([[[10.0, 10.0], [-4.0, 10.0], [float("nan"), 3.0], [30.0, float("nan")]]])
    figure = show.views(
        pictures(1), eq.RandomScale((0.5, 0.5)), points=xy, skeleton=[(0, 1), (1, 2), (2, 3)], n=1, back=1
    )
    g = eq.RandomScale((0.5, 0.5)).sample(1).affine
    moved = g.points(xy, SOURCE)[0]
    picture, view, back = figure.axes
    assert [len(part) for part in dots(picture)] == [1, 0]
    filled, hollow = dots(view)
    assert_close(filled, moved[:1])
    assert_close(hollow, moved[1:2])
    for axes in (picture, view, back):
        assert len(axes.lines) == 1  # both ends of the others would have to be known
    assert_close(lines(view)[0], moved[[0, 1]])
    assert figure.texts[-1].get_text() == "Hollow points: the view does not show them."


def test_without_any_known_point_nothing_is_drawn():
    figure = show.views(
        pictures(1), eq.RandomRotation(45), points=torch.full((1, 3, 2), torch.nan), skeleton=[(0, 1), (1, 2)],
        boxes=torch.full((1, 2, 4), torch.nan), names=["a", "b", "c"],
    )  # fmt: skip
    for axes in figure.axes:
        assert not axes.lines
        assert not axes.collections
        assert len(axes.texts) == 1  # the caption


def test_boxes_and_masks_go_where_the_library_moves_them():
    augment, images = eq.RandomAffine(60, 0.1, (0.7, 1.2)), pictures()
    boxes = torch.tensor([[[5.0, 4, 20, 30], [30, 10, 50, 20]], [[0.0, 0, 55, 39], [8, 8, 9, 9]]])
    masks = torch.randint(0, 3, (2, *SOURCE), generator=seeded(1))
    figure = show.views(images, augment, boxes=boxes, masks=masks, n=1, size=VIEW, generator=seeded())
    g = augment.sample(2, generator=seeded()).affine
    moved, moved_masks = g.boxes(boxes, SOURCE, VIEW), g.warp(masks[:, None], VIEW, mode="nearest")[:, 0]
    home = g.inverse().warp(moved_masks[:, None], SOURCE, mode="nearest")[:, 0]
    for i, row in enumerate((figure.axes[:3], figure.axes[3:])):
        for axes, kept in zip(row[:2], (boxes[i], moved[i]), strict=True):
            for corners, box in zip(lines(axes), kept, strict=True):
                assert_close(torch.cat([corners.amin(0), corners.amax(0)]), box)
        brought = torch.stack([corners[:4] for corners in lines(row[2])])  # the corners of the view's boxes
        assert_close(g[i].points(brought[None], SOURCE, VIEW)[0].amin(1), moved[i, :, :2], atol=1e-4, rtol=0)
        for axes, mask in zip(row, (masks[i], moved_masks[i], home[i]), strict=True):
            painted = shown(axes, 1)
            assert (painted[3] > 0).equal(mask != 0)
            for label, shade in ((1, "#E69F00"), (2, "#56B4E9")):
                assert_close(painted[:3, mask == label].mean(1), torch.tensor(colors.to_rgb(shade)))


def test_masks_of_several_things_are_one_picture_with_a_colour_for_each():
    many = torch.zeros(1, 3, *SOURCE, dtype=torch.bool)
    many[:, 0, :20], many[:, 1, 10:30], many[:, 2, :, 50:] = True, True, True
    one = torch.zeros(1, *SOURCE, dtype=torch.int32)
    one[:, :20], one[:, 10:30], one[..., 50:] = 1, 2, 3  # the later lies on the earlier
    figures = [show.views(pictures(1), eq.RandomRotation(45), masks=m, generator=seeded()) for m in (many, one)]
    for ours, theirs in zip(*(figure.axes for figure in figures), strict=True):
        assert shown(ours, 1).equal(shown(theirs, 1))


@pytest.mark.parametrize(
    ("flips", "sign"),
    [
        ([eq.RandomHorizontalFlip(1.0)], "⇄"),
        ([eq.RandomVerticalFlip(1.0)], "⇅"),
        ([eq.RandomHorizontalFlip(1.0), eq.RandomVerticalFlip(1.0)], ""),
        ([eq.RandomRotation((170, 170))], ""),
    ],
    ids=["left to right", "top to bottom", "both", "none"],
)
def test_a_mirrored_view_is_marked(flips, sign):
    figure = show.views(pictures(1), eq.Compose(flips), n=1, back=1)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "picture 1",
        f"view 1  {sign} mirrored" if sign else "view 1",
        "view 1, brought back",
    ]
    marks = [axes.spines["left"].get_linewidth() > 1 for axes in figure.axes]
    assert marks == [False, bool(sign), False]


def test_pictures_of_different_sizes_are_as_each_of_them_alone():
    images = [pictures(1)[0], torch.rand(1, 20, 30, generator=seeded(1)), torch.rand(4, 30, 20, generator=seeded(2))]
    images[1] = (255 * images[1]).to(torch.uint8)
    xy = [some_points(1)[0], torch.empty(0, 2), torch.tensor([[3.0, 4.0]])]
    figure = show.views(images, eq.RandomRotation(45), points=xy, n=2, generator=seeded())
    assert len(figure.axes) == 3 * 4
    actions = draw_actions(eq.RandomRotation(45), 3, 2)
    for i, image in enumerate(images):
        row = figure.axes[4 * i : 4 * i + 4]
        first = image[:3] if len(image) > 1 else image.expand(3, -1, -1)
        assert_close(shown(row[0]), first / 255 if image.dtype == torch.uint8 else first)
        for axes, action in zip(row[1:3], actions, strict=True):
            assert shown(axes).shape == (3, *image.shape[1:])
            moved = action.affine[i].points(xy[i][None], tuple(image.shape[1:]))[0]
            assert_close(dots(axes)[0], moved[within(moved, tuple(image.shape[1:]))], atol=1e-4, rtol=0)
    stacked = show.views(torch.stack([images[0]] * 2), eq.RandomRotation(45), points=torch.stack([xy[0]] * 2),
                         generator=seeded(3))  # fmt: skip
    listed = show.views([images[0]] * 2, eq.RandomRotation(45), points=[xy[0]] * 2, generator=seeded(3))
    alone = show.views(images[0], eq.RandomRotation(45), points=xy[0], generator=seeded(3))
    for ours, theirs in zip(stacked.axes, listed.axes, strict=True):
        assert shown(ours).equal(shown(theirs))
        assert dots(ours)[0].equal(dots(theirs)[0])
    assert len(alone.axes) == 5


def test_of_many_channels_the_first_three_are_coloured_and_shown():
    many, augment = (
        torch.rand(1, 5, *SOURCE, generator=seeded(1)),
        eq.Compose([eq.RandomRotation(9), eq.ColorJitter(0.4)]),
    )
    figures = [show.views(images, augment, generator=seeded()) for images in (many, many[:, :3])]
    for ours, theirs in zip(*(figure.axes for figure in figures), strict=True):
        assert_close(shown(ours), shown(theirs))
    two = show.views(many[:, :2], eq.RandomRotation(9))
    assert shown(two.axes[0]).equal(many[0, :1].expand(3, -1, -1))


def test_at_most_eight_are_drawn_and_it_says_so():
    figure = show.views(pictures(9, (8, 8)), eq.RandomRotation(9), frame=eq.Affine.identity(9), n=1, back=0)
    assert len(figure.axes) == 8 * 2
    assert figure.texts[-1].get_text() == "The first 8 of 9 pictures."


def test_inside_shows_nothing_outside():
    white = torch.ones(1, 3, *SOURCE)
    figures = [
        show.views(white, eq.RandomRotation((45, 45)), inside=inside, n=1, generator=seeded())
        for inside in (False, True)
    ]
    assert shown(figures[0].axes[1]).min() == 0
    assert shown(figures[1].axes[1]).min() > 0.999
    assert "outside" in figures[0].axes[1].texts[0].get_text()
    assert "outside" not in figures[1].axes[1].texts[0].get_text()


def test_the_padding_is_that_of_the_call():
    white = torch.ones(1, 3, *SOURCE)
    for mode, least in (("zeros", 0), ("border", 1), ("reflection", 1)):
        figure = show.views(white, eq.RandomRotation((45, 45)), padding_mode=mode, n=1)
        assert shown(figure.axes[1]).min() == pytest.approx(least, abs=1e-5)


def test_names_number_the_points_of_pictures_and_chains_of_lines_have_colours_of_their_own():
    hands = SyntheticHands(1, size=48).render(range(1))
    names = [f"joint ${k}$" for k in range(21)]  # which are not mathematics
    figure = show.views(hands.image, eq.RandomRotation(9), points=hands.xy, skeleton=BONES, names=names, title="$a_b$")
    numbers = [text.get_text() for text in figure.axes[0].texts[:-1]]
    assert numbers == [str(k) for k in within(hands.xy[0], (48, 48)).nonzero().flatten().tolist()]
    assert all(len(axes.texts) == 1 for axes in figure.axes[1:])
    assert "0\u00a0joint $0$, 1\u00a0joint $1$," in figure.texts[-1].get_text()
    shades = [line.get_color() for line in figure.axes[0].lines]
    assert [len(set(shades[4 * finger : 4 * finger + 4])) for finger in range(5)] == [1] * 5
    assert len(set(shades)) == 5


def test_randomness_is_that_of_the_generator():
    state = torch.get_rng_state()
    augment = eq.Compose([TRANSFORMS["compose"].transform, TRANSFORMS["random appearance"].transform])
    one, other = (show.views(pictures(), augment, generator=seeded(4)) for _ in range(2))
    assert torch.get_rng_state().equal(state)
    for ours, theirs in zip(one.axes, other.axes, strict=True):
        assert shown(ours).equal(shown(theirs))
    torch.manual_seed(0)
    drawn = show.views(pictures(), augment, generator=None)
    torch.set_rng_state(state)
    assert not shown(drawn.axes[1]).equal(shown(one.axes[1]))


def test_given_tensors_do_not_change_and_need_no_gradient():
    images, xy = pictures().requires_grad_(), some_points().requires_grad_()
    kept = images.detach().clone(), xy.detach().clone()
    show.views(images, eq.presets.peclr(), points=xy, skeleton=[(0, 1)], names=list("abcdef"))
    assert images.equal(kept[0])
    assert xy.equal(kept[1])


def test_no_state_of_pyplot_is_used_and_the_file_is_a_picture(tmp_path):
    before = dict(rcParams), get_backend(auto_select=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
        figure = show.views(
            pictures(), eq.presets.peclr(), points=some_points(), names=list("abcdef"), skeleton=[(0, 1), (0, 2)],
            boxes=torch.tensor([[[5.0, 5, 20, 20]]] * 2), masks=torch.ones(2, *SOURCE, dtype=torch.bool), title="mine",
        )  # fmt: skip
        figure.savefig(tmp_path / "views.png")
        assert figure._repr_png_()[1:4] == b"PNG"  # what a notebook shows
        assert "matplotlib.pyplot" not in sys.modules
    assert (dict(rcParams), get_backend(auto_select=False)) == before
    assert (tmp_path / "views.png").stat().st_size > 50_000
    assert figure.texts[0].get_text() == "mine"
