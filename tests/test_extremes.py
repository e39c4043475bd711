"""Finite is not valid: what is 0, tiny, huge, empty or one pixel gives a right result, or an error with a name."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import REPRESENTATIONS, TRANSFORMS
from torch.testing import assert_close

import equicon as eq
from equicon.hands import Pose, Pose25D, bone_length, lift, pose_frame, predict_two_pass, project, root_depth

EXTREMES = [0.0, -0.0, -1.0, 1e-60, 1e-45, 1e-30, 1e-5, 1e-4, 1e4, 1e5, 1e30, 3.4e38, 1e39, 10**400]
CAMERA = torch.tensor([[480.0, 0.0, 112.0], [0.0, 480.0, 112.0], [0.0, 0.0, 1.0]])
transforms = pytest.mark.parametrize("name", TRANSFORMS)
# Magnitudes from the smallest number of float32 to beyond its largest, evenly on a log scale.
magnitudes = st.builds(lambda sign, power: sign * 10.0**power, st.sampled_from([-1, 1]), st.floats(-46, 39))


def assert_undone(g: eq.Affine, atol: float = 2e-3) -> None:
    """Assert that a map is finite, and that its inverse undoes it."""
    assert bool(g.matrix.isfinite().all())
    back = g.inverse()
    assert bool(back.matrix.isfinite().all())
    identity = torch.eye(2, dtype=g.dtype).expand(len(g), 2, 2)
    assert_close((back @ g).linear, identity, atol=atol, rtol=0)


def numbers_of(value: Any, number: float) -> list[Any]:
    """Put a number where a configuration has one, or may have one."""
    if isinstance(value, tuple):
        return [(number,) * len(value)] if all(isinstance(v, int | float) for v in value) else []
    return [number] if isinstance(value, int | float) else [number, (number, number)] if value is None else []


@transforms
@pytest.mark.filterwarnings("ignore:.*Divide mean and std")
def test_every_number_of_a_transform_is_refused_by_name_or_gives_finite_views(name):
    transform = TRANSFORMS[name].transform
    tried = 0
    for field in fields(transform):
        for number in EXTREMES:
            for value in numbers_of(getattr(transform, field.name), number):
                tried += 1
                refused = f"{field.name}: expected"
                try:
                    changed = replace(transform, **{field.name: value})
                    for dtype in (torch.float32, torch.float16):
                        images = torch.rand(4, 3, 12, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
                        views, g = changed(images, generator=torch.Generator().manual_seed(0))
                        assert bool(views.isfinite().all()), changed
                        assert_undone(g)
                except (ValueError, TypeError) as error:
                    refused = str(error)
                assert refused.startswith((f"{field.name}: expected", "low, high: expected")), refused
    wrapped = (eq.Compose, eq.RandomApply, eq.Appearance)
    assert tried or isinstance(transform, wrapped)


@settings(max_examples=300)
@given(magnitudes, magnitudes, st.sampled_from([torch.float32, torch.float64]))
def test_a_map_of_any_size_has_an_inverse_or_is_refused(size, other, dtype):
    linear = size * torch.tensor([[[0.8, 0.3], [-0.4, 0.9]]], dtype=dtype)
    shift = other * torch.tensor([[0.7, -0.2]], dtype=dtype)
    box = torch.tensor([[0.0, 0.0, 1.0, 0.5]], dtype=dtype) * size + other
    pixels = torch.cat([linear, shift[..., None]], -1)
    for argument, make in (
        ("matrix", lambda: eq.Affine.from_linear(linear)),
        ("matrix", lambda: eq.Affine.from_linear(linear, shift)),
        ("matrix", lambda: eq.Affine.from_linear(linear * torch.tensor([[1.0], [0.0]]), shift)),
        ("matrix", lambda: eq.Affine.from_pixels(pixels, (480, 640), (2, 3))),
        ("(boxes|margin)", lambda: eq.Affine.from_boxes(box, (48, 64), abs(other))),
        ("boxes", lambda: eq.Affine.from_boxes(box, (48, 64))),
        ("(xy|margin)", lambda: eq.Affine.from_points(box.view(1, 2, 2), (48, 64), abs(other))),
        ("(boxes|fill)", lambda: pose_frame(box, (48, 64), fill=abs(other))),
    ):
        try:
            g = make()
        except ValueError as error:
            with pytest.raises(ValueError, match=f"^{argument}: expected"):
                raise error
        else:
            assert_undone(g)


def test_what_can_be_undone_is_not_refused():
    for size in (1e-9, 1e-4, 1e4, 1e9):
        assert_undone(eq.Affine.from_linear(size * torch.eye(2)[None], torch.full((1, 2), size)))
        assert_undone(eq.Affine.from_linear(torch.diag(torch.tensor([size, 1.0]))[None]))
    assert_undone(eq.Affine.from_boxes(torch.tensor([[10.0, 10.0, 10.001, 10.0]]), (64, 64)))
    assert_undone(eq.Affine.from_boxes(torch.tensor([[0.0, 0.0, 5.0, 5.0]]), (4000, 6000), 1e-4))


@given(st.floats(-720, 720) | st.sampled_from([90.0 * k for k in range(-8, 9)]), st.booleans(), st.booleans())
def test_degrees_lie_above_minus_180_and_up_to_180(angle, flipped, double):
    dtype = torch.float64 if double else torch.float32
    g = eq.RandomRotation((angle, angle)).sample(1).affine.to(dtype=dtype)
    if flipped:
        g = g @ eq.RandomHorizontalFlip(1.0).sample(1).affine.to(dtype=dtype)
    for element, turned in ((g, angle), (g.inverse(), angle if flipped else -angle)):
        degrees = float(element.degrees)
        assert -180 < degrees <= 180
        assert abs((degrees - turned + 180) % 360 - 180) < 1e-3


def test_half_a_turn_is_180_and_none_is_0():
    for angle in (180.0, -180.0, 540.0):
        assert eq.RandomRotation((angle, angle)).sample(2).affine.degrees.tolist() == [180, 180]
    for zero in (0.0, -0.0):
        half = torch.tensor([[[-1.0, zero], [-zero, -1.0]], [[-1.0, -zero], [zero, -1.0]]])
        assert eq.Affine.from_linear(half).degrees.tolist() == [180, 180]
        assert eq.Affine.from_linear(half.double()).degrees.tolist() == [180, 180]
        assert eq.Affine.from_linear(-half).degrees.tolist() == [0, 0]


BAD_CAMERAS = {
    "zeros": torch.zeros(3, 3),
    "last row": CAMERA + 0.5,
    "singular": CAMERA * torch.tensor([1.0, 0.0, 1.0]),
    "no focal length": CAMERA * torch.tensor([[0.0], [1.0], [1.0]]),
    "tiny": torch.diag(torch.tensor([1e-30, 1e-30, 1.0])),
    "huge": torch.diag(torch.tensor([1e30, 1e30, 1.0])),
    "far": CAMERA + torch.tensor([[0.0, 0.0, 3e38], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    "NaN": CAMERA * torch.nan,
}


@pytest.mark.parametrize("K", BAD_CAMERAS.values(), ids=BAD_CAMERAS)
def test_what_is_no_camera_is_refused_wherever_one_comes_in(K):
    K = torch.stack([CAMERA, K])
    xyz = torch.rand(2, 21, 3) + 1
    model = Pose25D(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten()), width=48).eval()
    for call in (
        lambda: eq.Affine.identity(2).intrinsics(K, (224, 224)),
        lambda: project(xyz, K),
        lambda: lift(xyz[..., :2], xyz[..., 2], torch.ones(2), K),
        lambda: root_depth(xyz[..., :2], xyz[..., 2], K),
        lambda: model(torch.rand(2, 3, 32, 32), K),
        lambda: predict_two_pass(model, torch.rand(2, 3, 32, 32), K, size=32),
    ):
        with pytest.raises(ValueError, match=r"^K: expected .* at index 1"):
            call()


@pytest.mark.parametrize("transform", [eq.RandomRotation((180, 180)), eq.RandomHorizontalFlip(1.0)])
def test_the_camera_of_a_turned_or_mirrored_view_is_one(transform):
    g, K = transform.sample(1).affine, CAMERA[None]
    xyz = torch.rand(1, 21, 3) + torch.tensor([0.0, 0.0, 3.0])
    moved = g.intrinsics(g.intrinsics(K, (224, 224)), (224, 224))
    assert_close(moved, K, atol=1e-3, rtol=0)
    view = g.intrinsics(K, (224, 224))
    assert_close(lift(project(xyz, view), xyz[..., 2], torch.zeros(1), view), xyz, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [0.0, -0.0, -0.03, 1e-45, torch.nan, torch.inf])
def test_a_length_that_is_none_is_refused(scale):
    pose = Pose(torch.rand(2, 21, 2), torch.rand(2, 21), torch.rand(2), torch.rand(2, 21, 3))
    with pytest.raises(ValueError, match=r"scale: expected finite numbers above 0, got .* at index 1"):
        pose.joints(torch.tensor([0.03, scale]))


def test_boxes_that_are_turned_inside_out_are_refused():
    boxes = torch.tensor([[[1.0, 1.0, 5.0, 5.0], [9.0, 2.0, 4.0, 5.0]]])
    for wrong in (boxes, boxes[..., [1, 0, 3, 2]]):
        with pytest.raises(ValueError, match=r"boxes: expected x1 <= x2 and y1 <= y2, got \[.*\] at index \[0, 1\]"):
            eq.Affine.identity(1).boxes(wrong)
    flat = torch.tensor([[3.0, 3.0, 3.0, 3.0], [torch.nan] * 4])  # a point, and a box that nobody knows
    assert_close(eq.Affine.identity(2).boxes(flat), flat, equal_nan=True)


@transforms
def test_an_empty_batch_and_single_pixels_have_views(name):
    transform = TRANSFORMS[name].transform
    for dtype in (torch.float32, torch.uint8):
        views, g = transform(torch.zeros(0, 3, 12, 16, dtype=dtype), size=(10, 12))
        assert views.shape == (0, 3, 10, 12)
        assert g.inverse().degrees.shape == (0,)
    for source, view in (((1, 1), (12, 12)), ((1, 40), (12, 12)), ((40, 1), (12, 12)), ((40, 40), (1, 1))):
        images = torch.rand(3, 3, *source)
        if view == (1, 1) and name in ("blur", "compose", "simclr"):
            with pytest.raises(ValueError, match="kernel_size: expected a kernel below twice the view's size"):
                transform(images, size=view)
        else:
            views, g = transform(images, size=view)
            assert views.shape == (3, 3, *view)
            assert bool(views.isfinite().all())
            assert_undone(g)


@pytest.mark.parametrize("padding_mode", ["border", "reflection"])
@pytest.mark.parametrize("source", [(1, 1), (1, 40), (40, 1), (2, 2), (40, 40)])
@pytest.mark.parametrize("factor", [1e-4, 0.1, 1.0, 1e4])
def test_one_grey_stays_that_grey_at_any_size(padding_mode, source, factor):
    g = eq.Affine.from_linear(factor * torch.eye(2)[None])
    for view in ((1, 1), (1, 8), (8, 1), (40, 40)):
        views = g.warp(torch.full((1, 3, *source), 0.5), view, padding_mode=padding_mode)
        assert_close(views, torch.full((1, 3, *view), 0.5))


def test_empty_batches_of_everything_else():
    g, none = eq.Affine.identity(0), torch.zeros
    K = none(0, 3, 3)
    for found, shape in (
        ((g @ g).matrix, (0, 3, 3)),
        (eq.Affine(none(0, 3, 3)).matrix, (0, 3, 3)),
        (eq.Affine.from_linear(none(0, 2, 2)).matrix, (0, 3, 3)),
        (eq.Affine.from_pixels(none(0, 2, 3), (8, 8)).matrix, (0, 3, 3)),
        (eq.Affine.from_boxes(none(0, 4), (8, 8)).matrix, (0, 3, 3)),
        (eq.Affine.from_points(none(0, 5, 2), (8, 8)).matrix, (0, 3, 3)),
        (pose_frame(none(0, 4), (8, 8)).matrix, (0, 3, 3)),
        (g.inside((8, 8)).matrix, (0, 3, 3)),
        (g.coverage((8, 8), (4, 5)), (0, 1, 4, 5)),
        (g.points(none(0, 5, 2), (8, 8)), (0, 5, 2)),
        (g.boxes(none(0, 4), (8, 8)), (0, 4)),
        (g.intrinsics(K, (8, 8)), (0, 3, 3)),
        (project(none(0, 21, 3), K), (0, 21, 2)),
        (lift(none(0, 21, 2), none(0, 21), none(0), K), (0, 21, 3)),
        (root_depth(none(0, 21, 2), none(0, 21), K), (0,)),
        (bone_length(none(0, 21, 3)), (0,)),
    ):
        assert found.shape == shape
    for law in REPRESENTATIONS.values():
        with pytest.raises(ValueError, match="z: expected embeddings"):
            law.representation.canonicalize(g, none(0, law.width))
