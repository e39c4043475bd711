import copy
import pickle

import numpy as np
import pytest
import torch
from registry import random_affine
from torch.testing import assert_close

import equicon as eq

ROOT = torch.tensor(0.5).sqrt()


def test_degrees_are_counter_clockwise_on_the_screen():
    # A quarter turn takes what is at the right (x = 1) to the top (y = −1).
    g = eq.Affine.from_linear(torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]]))
    assert_close(g.points(torch.tensor([[1.0, 0.0]])), torch.tensor([[0.0, -1.0]]))
    assert_close(g.degrees, torch.tensor([90.0]))


def test_degrees_of_a_reflection_are_what_remains_after_a_horizontal_flip():
    flip = torch.diag(torch.tensor([-1.0, 1.0]))
    turn = torch.stack([torch.stack([ROOT, ROOT]), torch.stack([-ROOT, ROOT])])
    assert_close(eq.Affine.from_linear((turn @ flip)[None]).degrees, torch.tensor([45.0]))


def test_degrees_agree_with_opencv():
    cv2 = pytest.importorskip("cv2", reason="compares with opencv-python-headless")
    matrix = torch.from_numpy(cv2.getRotationMatrix2D((31.5, 31.5), 30, 1.3))[None]
    g = eq.Affine.from_pixels(matrix, (64, 64))
    assert_close(g.degrees, torch.tensor([30.0], dtype=torch.float64))
    assert_close(g.translation, torch.zeros(1, 2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_half_precision_matrices_become_float32():
    assert eq.Affine(torch.eye(3, dtype=torch.bfloat16)[None]).dtype == torch.float32
    assert eq.Affine.identity(2).to(dtype=torch.float16).dtype == torch.float32
    assert eq.Affine.identity(2).to(dtype=torch.float64).dtype == torch.float64
    assert eq.Affine.identity(2, dtype=torch.float16).dtype == torch.float32
    turn = eq.RandomRotation(45).sample(2).affine
    assert turn.to(dtype=torch.bfloat16).matrix.equal(turn.matrix)
    shift = torch.full((1, 2), 0.1234567)
    assert eq.Affine.from_linear(torch.eye(2, dtype=torch.bfloat16)[None], shift).translation.equal(shift)
    for call in (lambda: turn.to(dtype=torch.int64), lambda: eq.Affine.identity(2, dtype=torch.int64)):
        with pytest.raises(TypeError, match="dtype: expected float32 or float64"):
            call()
    half = torch.full((1, 2), 200.5, dtype=torch.bfloat16)
    assert eq.Affine.identity(1).points(half, (256, 256)).dtype == torch.float32


def test_indexing_len_cat_and_iteration():
    g = random_affine(0, 5)
    assert [len(x) for x in (g, g[0], g[-1], g[1:3], g[torch.tensor([True, False, True, False, True])])] == [
        5,
        1,
        1,
        2,
        3,
    ]
    assert_close(eq.Affine.cat([g[:2], g[2:]]).matrix, g.matrix)
    assert_close(eq.Affine.cat(list(g)).matrix, g.matrix)
    with pytest.raises(IndexError):
        g[5]
    for index in (None, (0, 1), (slice(None), slice(2))):
        with pytest.raises(TypeError, match="index: expected an int, a slice"):
            g[index]
    assert repr(g) == "Affine(5 elements, torch.float64, cpu)"


def test_compares_by_identity_and_refuses_plain_equality():
    g, h = random_affine(0), random_affine(0)
    with pytest.raises(TypeError, match="Affine has no =="):
        bool(g == h)
    with pytest.raises(TypeError, match="Affine has no =="):
        bool(g != h)
    assert len({g, h, g}) == 2


def test_is_frozen_copies_and_pickles():
    g = random_affine(0)
    with pytest.raises(AttributeError, match="cannot assign"):
        g.matrix = torch.eye(3)[None]
    assert_close(copy.deepcopy(g).matrix, g.matrix)
    assert_close(pickle.loads(pickle.dumps(g)).matrix, g.matrix)


def test_gradients_reach_the_matrix():
    linear = torch.eye(2)[None].clone().requires_grad_()
    eq.Affine.from_linear(linear).inverse().points(torch.ones(1, 2)).sum().backward()
    assert_close(linear.grad, -torch.ones(1, 2, 2))


def test_a_crop_is_what_slicing_gives():
    image = torch.rand(1, 3, 40, 60)
    frame = eq.Affine.from_boxes(torch.tensor([[9.5, 4.5, 25.5, 20.5]]), (40, 60))
    assert_close(frame.warp(image, (16, 16)), image[:, :, 5:21, 10:26], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("matrix", "error", "match"),
    [
        (torch.eye(3), ValueError, r"matrix: expected a tensor of shape \(B, 3, 3\)"),
        (torch.eye(3, dtype=torch.int64)[None], TypeError, "floating"),
        ([[1, 0, 0]], TypeError, "matrix: expected a tensor"),
        (torch.eye(3)[None] + 0.1, ValueError, "last row"),
        (torch.diag(torch.tensor([1.0, 0.0, 1.0]))[None], ValueError, "invertible matrix, got .* at index 0"),
        (torch.full((1, 3, 3), float("nan")), ValueError, "finite numbers"),
    ],
)
def test_a_matrix_that_is_none_is_refused(matrix, error, match):
    with pytest.raises(error, match=match):
        eq.Affine(matrix)


def test_singular_matrices_are_named_by_index_wherever_a_person_builds_one():
    linear = torch.eye(2).repeat(3, 1, 1)
    linear[1] = 1
    with pytest.raises(ValueError, match=r"invertible matrix, got .* at index 1"):
        eq.Affine.from_linear(linear)
    pixels = torch.cat([linear, torch.zeros(3, 2, 1)], -1)
    with pytest.raises(ValueError, match=r"invertible matrix, got .* at index 1"):
        eq.Affine.from_pixels(pixels, (8, 8))
    with pytest.raises(ValueError, match=r"boxes: expected finite x1 <= x2 .* got \[3.0, 3.0, 3.0, 3.0\] at index 1"):
        eq.Affine.from_boxes(torch.tensor([[0.0, 0.0, 4.0, 4.0], [3.0, 3.0, 3.0, 3.0]]), (8, 8))
    with pytest.raises(ValueError, match="If these are x, y, width and height, add the first two to the last two"):
        eq.Affine.from_boxes(torch.tensor([[10.0, 0.0, 0.0, 20.0]]), (32, 32))
    with pytest.raises(ValueError, match=r"xy: expected at least two different points.*got points that are all equal"):
        eq.Affine.from_points(torch.ones(1, 21, 2), (8, 8))
    with pytest.raises(ValueError, match=r"NaN or infinity .* at index 0\. .*known=~xy\.isnan\(\)\.any"):
        eq.Affine.from_points(torch.full((1, 21, 2), float("nan")), (8, 8))
    with pytest.raises(ValueError, match="at least one point"):
        eq.Affine.from_points(torch.ones(1, 0, 2), (8, 8))


def test_points_that_are_not_known_do_not_count():
    xy = 50 * torch.rand(3, 9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = torch.ones(3, 9, dtype=torch.bool)
    known[0, 2:7], known[1, :7] = False, False
    expected = [eq.Affine.from_points(row[mask][None], (64, 48), 1.2) for row, mask in zip(xy, known, strict=True)]
    for nothing in (float("nan"), float("inf"), 0.0, -1e6):
        given = xy.masked_fill(~known[..., None], nothing).requires_grad_()
        frame = eq.Affine.from_points(given, (64, 48), 1.2, known=known)
        assert_close(frame.matrix, eq.Affine.cat(expected).matrix)
        (gradient,) = torch.autograd.grad(frame.matrix.sum(), given)
        assert gradient.isfinite().all()
        assert gradient[~known].eq(0).all()
    nans = xy.masked_fill(~known[..., None], float("nan"))
    assert eq.Affine.from_points(nans, (64, 48), known=~nans.isnan().any(-1)).matrix.isfinite().all()
    every = eq.Affine.from_points(xy, (64, 48), known=known | True)
    assert_close(every.matrix, eq.Affine.from_points(xy, (64, 48)).matrix)


def test_a_row_with_fewer_than_two_known_points_is_refused():
    xy = torch.rand(3, 5, 2)
    for count in (0, 1):
        known = torch.ones(3, 5, dtype=torch.bool)
        known[1, count:] = False
        with pytest.raises(ValueError, match=f"xy: expected at least two different points.*got {count} at index 1"):
            eq.Affine.from_points(xy, (8, 8), known=known)


@pytest.mark.parametrize(
    ("known", "error", "match"),
    [
        (torch.ones(2, 5), TypeError, "known: expected a tensor .B, N. of type bool.*Write visible > 0"),
        ([[True] * 5] * 2, TypeError, "known: expected a tensor"),
        (torch.ones(2, 4, dtype=torch.bool), ValueError, "known: expected one for each point, of shape .2, 5."),
    ],
)
def test_what_is_known_is_a_bool_for_each_point(known, error, match):
    with pytest.raises(error, match=match):
        eq.Affine.from_points(torch.rand(2, 5, 2), (8, 8), known=known)


def test_a_type_alone_may_be_given_to_to():
    g = eq.RandomRotation(45).sample(2).affine
    for moved in (g.to(torch.float64), g.to(dtype=torch.float64), g.to("cpu", torch.float64)):
        assert moved.matrix.equal(g.matrix.double())
    assert g.to(torch.float16).dtype == torch.float32
    with pytest.raises(TypeError, match=r"device: expected a device where dtype is given, got dtype torch\.float64"):
        g.to(torch.float64, torch.float32)
    with pytest.raises(TypeError, match=r"dtype: expected float32 or float64, got dtype torch\.int32"):
        g.to(torch.int32)


@pytest.mark.parametrize("bad", ["a", (0, 1), 0.5, True, None, ..., torch.ones(2, 3).bool(), np.zeros((2, 2), int)])
def test_an_index_is_of_the_batch_alone(bad):
    g = eq.Affine.identity(2)
    jitter = eq.ColorJitter(0.1).sample(2)
    for what in (g, jitter, jitter.color, eq.RandomErasing(p=1).sample(2).filters[0]):
        with pytest.raises(TypeError, match="index: expected an int, a slice, a list or a tensor"):
            what[bad]


@pytest.mark.parametrize(
    "index", [0, -1, np.int64(1), torch.tensor(1), slice(1), [1, 0, 1], np.array([1, 1]), torch.tensor([1]), range(2)]
)
def test_an_index_may_be_anything_that_counts_rows(index):
    g = eq.RandomRotation(45).sample(2).affine
    expected = np.arange(2)[index.numpy() if isinstance(index, torch.Tensor) else index].reshape(-1)
    assert g[index].matrix.equal(torch.stack([g.matrix[i] for i in expected]))


def test_other_bad_input_is_refused():
    g = eq.Affine.identity(2)
    for call, error, match in [
        (lambda: g.pixels((0, 4)), ValueError, "source: expected a whole number of at least 1"),
        (lambda: g.pixels((4, 4), (4, 0)), ValueError, "view: expected a whole number of at least 1"),
        (lambda: g.warp(torch.rand(3, 3, 8, 8)), ValueError, "images: expected a batch of 2"),
        (lambda: g.warp(torch.rand(2, 3, 8, 8), (8, 0)), ValueError, "size: expected a whole number"),
        (lambda: g.warp(torch.rand(2, 3, 8, 8), mode="cubic"), ValueError, "mode: expected one of bilinear, nearest"),
        (lambda: g.warp(torch.rand(2, 3, 8, 8), padding_mode="x"), ValueError, "padding_mode: expected one of"),
        (lambda: g.points(torch.rand(2, 3)), ValueError, "xy: expected a tensor of shape"),
        (lambda: g.points(torch.rand(2)), ValueError, "Add the batch dimension"),
        (lambda: g.points(torch.rand(3, 2)), ValueError, "xy: expected a batch of 2"),
        (lambda: g.points(torch.rand(2, 2), view=(4, 4)), ValueError, "view: expected None where source is None"),
        (lambda: g.boxes(torch.rand(2, 3)), ValueError, "boxes: expected"),
        (lambda: g.boxes(torch.rand(4)), ValueError, r"Add the batch dimension: boxes\[None\]"),
        (lambda: g.boxes(torch.rand(3, 4)), ValueError, "boxes: expected a batch of 2"),
        (lambda: g.intrinsics(torch.rand(3, 3), (8, 8)), ValueError, "K: expected a tensor of shape"),
        (lambda: g.intrinsics(torch.rand(3, 3, 3), (8, 8)), ValueError, "K: expected a batch of 2"),
        (lambda: g @ eq.Affine.identity(3), ValueError, "right operand of @: expected a batch of 2"),
        (lambda: g @ g.matrix, TypeError, "unsupported operand"),
        (lambda: eq.Affine.cat([]), ValueError, "at least one Affine"),
        (lambda: eq.Affine.cat([g.matrix]), TypeError, r"affines\[0\].*Affine.from_pixels"),
        (lambda: eq.Affine.identity(-1), ValueError, "batch_size"),
        (
            lambda: eq.Affine.from_boxes(torch.rand(1, 4), (8, 8), margin=0),
            ValueError,
            "margin: expected a number above",
        ),
        (
            lambda: eq.Affine.from_linear(torch.eye(2)[None], torch.zeros(2, 2)),
            ValueError,
            "translation: expected a batch",
        ),
    ]:
        with pytest.raises(error, match=match):
            call()


def test_it_is_a_group_element():
    g = random_affine(0)
    assert isinstance(g, eq.GroupElement)
    assert not isinstance(g.matrix, eq.GroupElement)


class Frames(torch.utils.data.Dataset):
    """Items that hold an ``Affine``, as tuples and by name."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        g = random_affine(0, 5)[index]
        return torch.full((3,), index), {"frame": g, "index": index}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_joins_it_by_concatenation(workers):
    loader = torch.utils.data.DataLoader(Frames(), batch_size=2, num_workers=workers)
    found = list(loader)
    assert [len(item["frame"]) for _, item in found] == [2, 2, 1]
    assert_close(eq.Affine.cat([item["frame"] for _, item in found]).matrix, random_affine(0, 5).matrix)
    assert torch.cat([item["index"] for _, item in found]).tolist() == [0, 1, 2, 3, 4]


def test_it_is_saved_under_its_public_name_and_loads_without_trust(tmp_path):
    g = random_affine(0)
    assert b"cequicon\nAffine" in pickle.dumps(g, 2)
    torch.save({"g": g, "pair": (g[0], 1)}, tmp_path / "g.pt")
    loaded = torch.load(tmp_path / "g.pt", weights_only=True)
    assert loaded["g"].matrix.equal(g.matrix)
    assert isinstance(loaded["pair"][0], eq.Affine)


def test_it_moves_as_it_is_told(monkeypatch):
    g, asked, to = random_affine(0), [], torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, **options: asked.append(options) or to(self, **options))
    assert g.cpu().matrix.equal(g.matrix)
    g.to("cpu")
    g.to("cpu", non_blocking=False)
    g.to(dtype=torch.float32, non_blocking=True)
    assert [options["non_blocking"] for options in asked] == [False, True, False, True]
