import dataclasses

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from equicon.hands import BONES, Hand, SyntheticHands
from equicon.hands._draws import Draws, to_device
from equicon.hands._flesh import Cones, clothe
from equicon.hands._kinematics import pose_hands
from equicon.hands._render import gather, trace

MANY = 1500


@pytest.fixture(scope="module")
def many() -> Hand:
    return SyntheticHands(MANY, size=16).render(range(MANY))


def assert_same(hand: Hand, other: Hand) -> None:
    assert all(torch.equal(value, expected) for value, expected in zip(hand, other, strict=True))


# --- A map-style data set ------------------------------------------------------------------------------------------


def test_items_are_hands():
    hands = SyntheticHands(5, size=20)
    assert len(hands) == 5
    image, xyz, K = hands[4]
    assert (image.shape, image.dtype) == ((3, 20, 20), torch.uint8)
    assert (xyz.shape, xyz.dtype) == ((21, 3), torch.float32)
    assert (K.shape, K.dtype) == ((3, 3), torch.float32)
    assert len(list(hands)) == 5
    assert_same(hands[-1], hands[4])


@pytest.mark.parametrize("size", [8, 37, 64])
@settings(max_examples=8, deadline=None)
@given(indices=st.lists(st.integers(0, 99), min_size=1, max_size=40))
def test_a_sample_is_the_same_in_any_batch(size, indices):
    hands = SyntheticHands(100, size=size)
    together = hands.render(indices)
    for i in {0, len(indices) - 1}:
        assert_same(hands[indices[i]], Hand(*(value[i] for value in together)))


def test_a_sample_is_the_same_in_a_batch_that_is_rendered_in_chunks():
    hands = SyntheticHands(200)
    together = hands.render(range(200))
    for i in (0, 63, 64, 128, 199):
        assert_same(hands[i], Hand(*(value[i] for value in together)))


def test_a_sample_is_the_same_on_any_number_of_threads():
    hands, threads = SyntheticHands(30), torch.get_num_threads()
    one = hands.render(range(30))
    try:
        torch.set_num_threads(3)
        assert_same(hands.render(range(30)), one)
    finally:
        torch.set_num_threads(threads)


def test_a_worker_process_makes_the_same_samples():
    hands = SyntheticHands(6, size=16)
    loader = DataLoader(hands, batch_size=4, num_workers=1)
    for batch, indices in zip(loader, ([0, 1, 2, 3], [4, 5]), strict=True):
        assert isinstance(batch, Hand)
        assert_same(batch, hands.render(indices))


def test_a_larger_set_begins_with_the_smaller_one():
    assert_same(SyntheticHands(3, size=16)[2], SyntheticHands(300, size=16)[2])


def test_seeds_share_no_samples(many):
    others = [SyntheticHands(300, size=16, seed=seed).render(range(300)).xyz for seed in (1, 2, 300, 2**40)]
    every = torch.cat([many.xyz, *others]).flatten(1)
    assert len(every.unique(dim=0)) == len(every)


def test_the_empty_batch():
    assert SyntheticHands(3, size=16).render([]).image.shape == (0, 3, 16, 16)


# --- The joints ----------------------------------------------------------------------------------------------------


def test_joints_fill_the_image_and_lie_inside(many):
    xy = many.xy
    assert (xy >= 0).all()
    assert (xy <= 15).all()
    fill = (xy.amax(1) - xy.amin(1)).amax(-1) / 16
    assert (fill > 0.449).all()
    assert (fill < 0.801).all()
    assert fill.min() < 0.48
    assert fill.max() > 0.77


def test_hands_are_of_human_size(many):
    start, end = (many.xyz[:, list(joints)] for joints in zip(*BONES, strict=True))
    length = (end - start).norm(dim=-1)
    palm, phalanges = length[:, [4, 8, 12, 16]], length[:, [j for j in range(20) if j % 4]]
    assert 0.055 < palm.min() < palm.max() < 0.115
    assert 0.085 < palm[:, 1].mean() < 0.093
    assert 0.012 < phalanges.min() < phalanges.max() < 0.060
    assert palm[:, 1].std() > 0.004


def test_fingers_bend_towards_the_palm_only_and_spread_less_when_bent(many):
    out = normal(many) * torch.where(is_right(many), 1.0, -1.0)[:, None]
    joints = many.xyz[:, 5:].view(-1, 4, 4, 3)
    bones = joints.diff(dim=2)
    height = (bones[:, :, 0] * out[:, None]).sum(-1) / bones[:, :, 0].norm(dim=-1)
    assert height.min() > -0.45  # a little hyperextension at most
    assert height.max() > 0.95

    # The axis of a finger's hinges, laid into the palm, is turned as the finger is spread.
    axis = torch.linalg.cross(bones[:, :, 0], bones[:, :, 1])
    axis = axis - (axis * out[:, None]).sum(-1, keepdim=True) * out[:, None]
    gap = torch.rad2deg(torch.cosine_similarity(axis[:, :-1], axis[:, 1:], dim=-1).clamp(-1, 1).acos()).mean(1)
    flat, fist = (height < 0.4).all(1), (height > 0.8).all(1)
    assert flat.sum() > 50
    assert fist.sum() > 10
    assert gap[fist].mean() < 0.7 * gap[flat].mean()


def normal(hands: Hand) -> torch.Tensor:
    wrist, index, little = hands.xyz[:, 0], hands.xyz[:, 5], hands.xyz[:, 17]
    across = torch.linalg.cross(index - wrist, little - wrist)
    return across / across.norm(dim=-1, keepdim=True)


def is_right(hands: Hand) -> torch.Tensor:
    """Tell right hands by the thumb, which always lies on the palm's side."""
    return (normal(hands) * (hands.xyz[:, 2] - hands.xyz[:, 0])).sum(-1) > 0


def test_left_and_right_hands_in_every_direction(many):
    share = is_right(many).float().mean()
    assert 0.4 < share < 0.6
    up = many.xyz[:, 9] - many.xyz[:, 0]
    angle = torch.atan2(up[:, 1], up[:, 0])
    assert torch.histc(angle, 8, -torch.pi, torch.pi).min() > MANY / 16
    across = many.xyz[:, 5] - many.xyz[:, 17]
    facing = torch.linalg.cross(up, across)[:, 2]
    assert 0.4 < (facing > 0).float().mean() < 0.6


def test_cameras_vary(many):
    focal, centre = many.K[:, 0, 0] / 16, many.K[:, :2, 2]
    assert torch.equal(many.K[:, 0, 0], many.K[:, 1, 1])
    assert 1.5 <= focal.min() < 1.6 < 2.9 < focal.max() <= 3.0
    assert (centre - 7.5).abs().max() <= 0.8
    assert centre.std(0).min() > 0.2


# --- The pixels ----------------------------------------------------------------------------------------------------


def test_every_joint_is_on_the_hand_that_is_seen():
    size, count = 128, 60
    draws = Draws(0, range(count), 0, 100)
    posed = pose_hands(draws, size)
    surface = trace(to_device(clothe(draws, posed), None), size)
    seen, depth = gather(torch.stack([surface.seen, surface.depth]), surface, count, size).unbind(1)
    hands = SyntheticHands(count, size=size).render(range(count))
    torch.testing.assert_close(posed.xyz.float(), hands.xyz)
    x, y = hands.xy.round().long().unbind(-1)
    image = torch.arange(count)[:, None]
    # A tip lies so near the skin that rounding may miss it.
    tip = torch.tensor([joint > 0 and joint % 4 == 0 for joint in range(21)])
    assert (seen[image, y, x][:, ~tip] == 1).all()
    assert (seen[image, y, x][:, tip] > 0).float().mean() > 0.99
    # No joint lies before the skin, and most lie a finger's radius below it.
    below = (hands.xyz[..., 2] - (depth[image, y, x] / hands.K[:, 0, 0, None]).exp())[:, ~tip]
    assert below.min() > -0.001
    assert 0.004 < below.median() < 0.02


def test_pictures_vary():
    images = SyntheticHands(64).render(range(64)).image.float()
    assert images.std((1, 2, 3)).min() > 8
    assert images.mean((1, 2, 3)).std() > 25
    assert len(images.flatten(1).unique(dim=0)) == 64


def make_cones(*cones: list[float], blend: float = 0.0) -> Cones:
    """Put round cones (x, y, depth, radius of the start, then of the end) into one image."""
    rows = torch.tensor(cones)[None]
    pad = torch.tensor([0.0, 0.0, -1.0]).expand(1, len(cones), 3)
    blends, none = torch.full((1, len(cones)), blend), torch.zeros(len(cones))
    return Cones(rows[..., :3], rows[..., 4:7], rows[..., 3], rows[..., 7], pad, blends, none, none)


def look(cones: Cones, size: int) -> tuple[torch.Tensor, ...]:
    """Take seen, depth and normal at the rays, not at the pixels: (2 · size, 2 · size) each."""
    surface = trace(cones, size)
    across = size // 4
    fields = torch.stack([surface.depth, surface.normal_x, surface.normal_y])
    canvas = torch.zeros(3, across**2, 8, 8)
    canvas[0] = 1e6
    canvas[:, surface.place] = fields.view(3, -1, 8, 8)
    return canvas.view(3, across, across, 8, 8).transpose(2, 3).reshape(3, 2 * size, 2 * size).unbind(0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), short=st.booleans())
@example(seed=126, short=True)  # seen from the larger end
@example(seed=1961124276, short=True)  # one sphere in the other
def test_a_round_cone_is_the_union_of_its_spheres(seed, short):
    generator = torch.Generator().manual_seed(seed)
    start, end = torch.rand(2, 4, generator=generator, dtype=torch.float64) * 12 + 2
    if short:  # a bone that points to the camera
        end[:2] = start[:2] + (end[:2] - 8) / 6
    start[3], end[3] = 1 + start[3] / 4, 1 + end[3] / 4
    depth, normal_x, normal_y = look(make_cones([*start.tolist(), *end.tolist()]), 16)

    ray = (torch.arange(32, dtype=torch.float64) + 0.5) / 2 - 0.5
    nearest = torch.full((32, 32), 1e6, dtype=torch.float64)
    expected_x, expected_y = torch.zeros_like(nearest), torch.zeros_like(nearest)
    chord = torch.zeros_like(nearest)
    for t in torch.linspace(0, 1, 401, dtype=torch.float64):
        x, y, z, radius = (1 - t) * start + t * end
        dx, dy = ray[None, :] - x, ray[:, None] - y
        square = radius**2 - dx**2 - dy**2
        front = torch.where(square > 0, z - square.clamp(min=0).sqrt(), 1e6)
        closer = front < nearest
        nearest = torch.where(closer, front, nearest)
        expected_x = torch.where(closer, dx / radius, expected_x)
        expected_y = torch.where(closer, dy / radius, expected_y)
        chord = torch.maximum(chord, square)
    inside = chord > 0.3  # off the silhouette, where 401 spheres are not yet a cone
    torch.testing.assert_close(depth[inside].double(), nearest[inside], atol=2e-3, rtol=0)
    torch.testing.assert_close(normal_x[inside].double(), expected_x[inside], atol=0.03, rtol=0)
    torch.testing.assert_close(normal_y[inside].double(), expected_y[inside], atol=0.03, rtol=0)
    assert (depth[chord == 0] == 1e6).float().mean() > 0.99


@given(x=st.floats(6.0, 9.0), y=st.floats(6.0, 9.0))
@settings(max_examples=20, deadline=None)
def test_pixel_centres_are_integers(x, y):
    surface = trace(make_cones([x, y, 0.0, 5.0, x, y, 0.0, 5.0]), 16)
    cover = gather(surface.seen[None], surface, 1, 16)[0, 0]
    where = torch.arange(16.0)
    assert abs((cover.sum(0) * where).sum() / cover.sum() - x) < 0.1
    assert abs((cover.sum(1) * where).sum() / cover.sum() - y) < 0.1
    assert abs(cover.sum() - torch.pi * 25) < 3


def test_the_nearest_surface_is_seen():
    near, far = [8.0, 8.0, 10.0, 3.0, 8.0, 8.0, 10.0, 3.0], [8.0, 8.0, 30.0, 6.0, 8.0, 8.0, 30.0, 6.0]
    for cones in ([near, far], [far, near]):
        depth = look(make_cones(*cones), 16)[0]
        assert depth[16, 16] == pytest.approx(7.0, abs=0.1)
        assert depth[16, 26] > 20


def test_surfaces_melt_where_they_nearly_meet():
    cones = [[6.0, 8.0, 9.0, 4.0, 6.0, 8.0, 9.0, 4.0], [10.0, 8.0, 9.0, 4.0, 10.0, 8.0, 9.0, 4.0]]
    sharp, soft = (look(make_cones(*cones, blend=blend), 16) for blend in (0.0, 2.0))
    middle, away = (16, slice(14, 20)), (16, slice(4, 8))
    assert (soft[0][middle] <= sharp[0][middle]).all()
    assert soft[1][middle].abs().max() < 0.7 * sharp[1][middle].abs().max()
    torch.testing.assert_close(soft[0][away], sharp[0][away])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_renders_the_same_hands():
    hands = SyntheticHands(64)
    cpu, gpu = hands.render(range(64)), hands.render(range(64), device="cuda")
    assert all(value.is_cuda for value in gpu)
    assert torch.equal(gpu.xyz.cpu(), cpu.xyz)
    assert torch.equal(gpu.K.cpu(), cpu.K)
    difference = (gpu.image.cpu().int() - cpu.image.int()).abs()
    assert (difference > 1).float().mean() < 1e-3


# --- Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_samples": 2.0}, TypeError, "num_samples: expected a whole number, got float 2.0"),
        ({"num_samples": -1}, ValueError, "num_samples: expected a whole number of at least 0, got int -1"),
        ({"size": 7}, ValueError, "size: expected a whole number of at least 8, got int 7"),
        ({"size": (64, 64)}, TypeError, r"size: expected a whole number, got tuple \(64, 64\)"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0, got int -1"),
        ({"seed": None}, TypeError, "seed: expected a whole number, got NoneType None"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        SyntheticHands(**{"num_samples": 1} | arguments)


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_named(index):
    with pytest.raises(IndexError, match=rf"indices: expected whole numbers in \[-3, 2\], got list \[0, {index}\]"):
        SyntheticHands(3).render([0, index])


def test_the_settings_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SyntheticHands(3).seed = 4
