import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torchvision", reason="the examples need torchvision")

import equicon as eq
from equicon.data import Boxed
from equicon.hands import Hand, SyntheticHands
from equicon.recipes import Mixture
from equicon.recipes._mixture import boxed


class Items(torch.utils.data.Dataset):
    def __init__(self, *items: Hand | Boxed) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Hand | Boxed:
        return self.items[index]


def plain(side: int, value: int) -> Boxed:
    return Boxed(torch.full((3, side, side), value, dtype=torch.uint8), torch.tensor([1.0, 2, 3, 4]) + value)


def test_items_are_those_of_one_set_after_the_other_at_one_size():
    hands = SyntheticHands(3, size=24)
    mixed = Mixture([hands, Items(plain(32, 7), plain(32, 8)), Items(plain(9, 5))])
    assert (len(mixed), mixed.counts, mixed.size) == (6, (3, 2, 1), 32)
    items = [mixed[i] for i in range(6)]
    assert all(type(item) is Boxed and item.image.shape == (3, 32, 32) for item in items)
    for i in range(3):
        assert torch.equal(items[i].image[:, :24, :24], hands[i].image)
        assert torch.equal(items[i].box, boxed(hands[i]).box)
        assert (int(items[i].image[:, 24:].max()), int(items[i].image[:, :, 24:].max())) == (0, 0)
    assert [int(item.image[0, 0, 0]) for item in items[3:]] == [7, 8, 5]
    assert [item.box[0].item() for item in items[3:]] == [8, 9, 6]
    assert int(items[5].image.sum()) == 3 * 81 * 5


def test_the_groups_of_parts_are_apart():
    parts = [Items(*[plain(8, 0)] * len(groups)) for groups in ([4, 4, 9], [0, 1], [-3, 4])]
    for part, groups in zip(parts, ([4, 4, 9], [0, 1], [-3, 4]), strict=True):
        part.groups = torch.tensor(groups)
    assert Mixture(parts).groups.tolist() == [0, 0, 5, 6, 7, 8, 15]


def test_images_of_several_sizes_in_a_set_are_named():
    mixed = Mixture([Items(plain(8, 0)), Items(plain(6, 0), plain(9, 0))])
    assert mixed[1].image.shape == (3, 8, 8)
    with pytest.raises(
        ValueError, match=r"of one size in each data set, got several sizes: image 2 has 9 × 9 pixels, the"
    ):
        mixed[2]


@given(seed=st.integers(0, 2**31 - 1), size=st.integers(8, 300), margin=st.floats(0.5, 3))
def test_the_box_of_a_hand_frames_it_as_its_joints_do(seed, size, margin):
    draw = torch.Generator().manual_seed(seed)
    xyz = torch.rand(21, 3, generator=draw) * 0.2 + torch.tensor([-0.1, -0.1, 0.5])
    K = torch.tensor([[size * 2.0, 0, size / 2], [0, size * 2.0, size / 2], [0, 0, 1]])
    hand = Hand(torch.zeros(3, size, size, dtype=torch.uint8), xyz, K)
    box = boxed(hand).box[None]
    joints = eq.Affine.from_points(hand.xy[None], (size, size), margin)
    torch.testing.assert_close(
        eq.Affine.from_boxes(box, (size, size), margin).matrix, joints.matrix, atol=2e-5, rtol=1e-5
    )
    assert torch.equal(box[0], boxed(boxed(hand)).box)


def both(side: int, count: int) -> tuple[Boxed, Boxed]:
    """Give hands in images of 40 × 40, and the same made part of images of ``side`` × ``side``."""
    rendered = SyntheticHands(count, size=40).render(range(count))
    hands = [boxed(Hand(*values)) for values in zip(*rendered, strict=True)]
    mixed = Mixture([Items(*hands), Items(plain(side, 3))])
    padded = [mixed[i] for i in range(count)]
    return tuple(Boxed(*map(torch.stack, zip(*items, strict=True))) for items in (hands, padded))


@pytest.mark.parametrize("side", [41, 64, 80])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 3e-5)])
def test_a_view_is_the_same_with_and_without_the_zeros(side, dtype, tolerance):
    found = []
    for batch in both(side, 30):
        frame = eq.Affine.from_boxes(batch.box.to(dtype), tuple(batch.image.shape[-2:]), 1.2)
        action = eq.presets.peclr().sample(30, generator=torch.Generator().manual_seed(5))
        found.append((action.affine.to(dtype=dtype) @ frame).warp(batch.image.to(dtype) / 255, (64, 64)))
        if dtype == torch.float32:
            found[-1] = action(batch.image, size=(64, 64), frame=frame)
    assert float((found[0] == 0).double().mean()) > 0.02  # some of it lies beyond the images
    torch.testing.assert_close(found[1], found[0], atol=tolerance, rtol=0)


def test_where_views_show_nothing_outside_smaller_images_are_enlarged_with_their_boxes():
    rendered = SyntheticHands(8, size=40).render(range(8))
    hands = [boxed(Hand(*values)) for values in zip(*rendered, strict=True)]
    mixed = Mixture([Items(*hands), Items(plain(64, 3))], enlarge=True)
    batches = [Boxed(*map(torch.stack, zip(*items, strict=True))) for items in (hands, [mixed[i] for i in range(8)])]
    assert torch.equal(mixed[8].image, plain(64, 3).image)
    draw, views = eq.presets.peclr().sample(8, generator=torch.Generator().manual_seed(5)), []
    for batch in batches:
        source = (batch.image.shape[-2], batch.image.shape[-1])
        frame = eq.Affine.from_boxes(batch.box, source, 1.2)
        action = draw.inside(source, (32, 32), frame)
        assert float((action.affine @ frame).coverage(source, (32, 32)).mean()) > 0.9999
        views.append(action(batch.image, size=(32, 32), frame=frame))
    assert float((views[1] == 0).float().mean()) < 0.01
    assert float((views[1] - views[0]).abs().mean()) < 0.03


def test_where_a_view_shrinks_only_the_ends_of_the_image_are_blurred_otherwise():
    hands, padded = both(64, 8)
    frames = [eq.Affine.from_boxes(b.box.double(), tuple(b.image.shape[-2:]), 2.0) for b in (hands, padded)]
    views = [frame.warp(b.image.double() / 255, (24, 24)) for frame, b in zip(frames, (hands, padded), strict=True)]
    different = (views[0] - views[1]).abs().amax(1) > 1e-6
    assert 0 < float(different.float().mean()) < 0.2
    # Where they differ, the view shows the source within a blur's width of its right or lower end.
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    grid = torch.stack([x, y], -1).flatten(0, 1).double().expand(8, -1, 2)
    source = frames[0].inverse().points(grid, (24, 24), (40, 40))
    ends = ((source - 39.5).abs() < 8).any(-1).reshape(8, 24, 24)
    assert not bool((different & ~ends).any())
