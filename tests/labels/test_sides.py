"""Left and right, swapped where a picture is mirrored."""

import inspect
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch.testing import assert_close

import equicon as eq
from equicon.data import KeypointDataset

COCO = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
HUMAN36M = [
    "root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot", "spine", "thorax",
    "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
]  # fmt: skip
COUNTS = {"coco": 17, "human36m": 17, "300w": 68}
MIRROR = eq.Affine.from_linear(torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64))


def arc(start: complex, top: complex, end: complex, count: int) -> list[complex]:
    """Points from start to end by way of top, on a parabola, evenly in its parameter."""
    at = [i / (count - 1) for i in range(count)]
    return [start * (1 - 2 * t) * (1 - t) + top * 4 * t * (1 - t) + end * t * (2 * t - 1) for t in at]


def template_face() -> torch.Tensor:
    """A symmetric face (68, 2), from how iBUG draws its 68 landmarks: in order along each line, y downwards."""
    jaw = arc(-8 - 4j, 10j, 8 - 4j, 17)  # from one ear to the other, by way of the chin
    brows = arc(-7 - 6j, -4 - 8j, -1.5 - 6j, 5) + arc(1.5 - 6j, 4 - 8j, 7 - 6j, 5)
    nose = [complex(0, y) for y in (-4, -3, -2, -1)] + arc(-2 + 0j, 1j, 2 + 0j, 5)

    def eye(outer: float, inner: float) -> list[complex]:  # clockwise on the screen, from its corner at the left
        third = (inner - outer) / 3
        upper = [complex(outer, -4), complex(outer + third, -4.7), complex(outer + 2 * third, -4.7), complex(inner, -4)]
        return [*upper, complex(outer + 2 * third, -3.5), complex(outer + third, -3.5)]

    mouth = arc(-3 + 4j, 2.5j, 3 + 4j, 7) + arc(3 + 4j, 6.5j, -3 + 4j, 7)[1:-1]
    lips = arc(-2.5 + 4j, 3.5j, 2.5 + 4j, 5) + arc(2.5 + 4j, 5j, -2.5 + 4j, 5)[1:-1]
    face = [*jaw, *brows, *nose, *eye(-5, -2), *eye(2, 5), *mouth, *lips]
    assert len(face) == 68
    return torch.view_as_real(torch.tensor(face, dtype=torch.complex128)) / 16


def body(names: list[str]) -> torch.Tensor:
    """A symmetric body (K, 2): one side is drawn at random, the other is its mirror image."""
    generator = torch.Generator().manual_seed(0)
    place = {name.replace("left_", "").replace("right_", ""): None for name in names}
    place = {part: torch.rand(2, generator=generator, dtype=torch.float64) for part in place}
    side = [(name.startswith("right_") - name.startswith("left_")) for name in names]
    return torch.stack(
        [
            place[name.split("_", 1)[-1] if s else name] * torch.tensor([s, 1.0], dtype=torch.float64)
            for name, s in zip(names, side, strict=True)
        ]
    )


SYMMETRIC = {"coco": body(COCO), "human36m": body(HUMAN36M), "300w": template_face()}


def as_flip(name: str) -> torch.Tensor:
    return eq.swap_sides(torch.arange(COUNTS[name])[None], name)[0]


@pytest.mark.parametrize("name", eq.SIDE_PAIRS)
def test_a_mirrored_symmetric_skeleton_is_the_skeleton(name):
    points = SYMMETRIC[name]
    moved = MIRROR.points(points[None])
    assert_close(eq.swap_sides(moved, name, where=MIRROR.reflects)[0], points)
    # No two points lie on each other, so nothing but the right pairs does this.
    assert torch.cdist(points, points).fill_diagonal_(1).min() > 1e-3
    nearest = torch.cdist(moved[0], points).argmin(0)
    assert as_flip(name).equal(nearest)


@pytest.mark.parametrize(("name", "names"), [("coco", COCO), ("human36m", HUMAN36M)])
def test_pairs_are_those_of_the_names(name, names):
    xy, visible, boxes = (
        torch.ones(1, 17, 2),
        torch.ones(1, 17, dtype=torch.int64),
        torch.tensor([[0.0, 0.0, 9.0, 9.0]]),
    )
    data = KeypointDataset(["a.png"], xy, visible, 8, names=names, boxes=boxes)
    assert as_flip(name).equal(data.flip)
    moved = torch.rand(3, 17, 2)
    assert eq.swap_sides(moved, data.flip).equal(eq.swap_sides(moved, name))
    assert len(eq.SIDE_PAIRS[name]) == sum(n.startswith("left") for n in names)


@pytest.mark.parametrize("pairs", eq.SIDE_PAIRS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_to_swap_twice_is_nothing(name, pairs):
    g = TRANSFORMS[name].transform.sample(6, generator=torch.Generator().manual_seed(3)).affine
    xy = torch.rand(6, COUNTS[pairs], 2, generator=torch.Generator().manual_seed(4))
    once = eq.swap_sides(g.points(xy), pairs, where=g.reflects)
    assert eq.swap_sides(once, pairs, where=g.reflects).equal(g.points(xy))
    assert eq.swap_sides(eq.swap_sides(xy, pairs), pairs).equal(xy)
    assert (once != g.points(xy)).flatten(1).any(1).equal(g.reflects)


@given(st.integers(0, 2**31))
def test_reflects_is_a_homomorphism_to_signs_and_swaps_follow_it(seed):
    g, h = random_affine(seed), random_affine(seed + 1)
    assert (g @ h).reflects.equal(g.reflects ^ h.reflects)
    assert g.inverse().reflects.equal(g.reflects)
    points = SYMMETRIC["coco"].expand(4, -1, -1)
    once = eq.swap_sides(h.points(points), "coco", where=h.reflects)
    twice = eq.swap_sides(g.points(once), "coco", where=g.reflects)
    assert_close(twice, eq.swap_sides((g @ h).points(points), "coco", where=(g @ h).reflects))


def test_reflects_is_the_sign_of_the_determinant():
    g = random_affine(0, 50)
    assert g.reflects.equal(torch.linalg.det(g.linear) < 0)
    assert 10 < int(g.reflects.sum()) < 40
    assert eq.RandomHorizontalFlip(1.0).sample(2).affine.reflects.tolist() == [True, True]
    both = eq.Compose([eq.RandomHorizontalFlip(1.0), eq.RandomVerticalFlip(1.0)])
    assert both.sample(2).affine.reflects.tolist() == [False, False]  # half a turn


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
@pytest.mark.parametrize("shape", [(), (2,), (3,), (4, 5), (1, 4, 5)])
def test_values_of_any_shape_and_type_against_a_loop(dtype, shape):
    values = (torch.rand(4, 5, *shape, generator=torch.Generator().manual_seed(0)) * 9).to(dtype)
    where = torch.tensor([True, False, False, True])
    expected = values.clone()
    for b in range(4):
        for i, j in ((0, 3), (4, 1)):
            if where[b]:
                expected[b, i], expected[b, j] = values[b, j], values[b, i]
    before = values.clone()
    for pairs in ([(0, 3), (4, 1)], ((3, 0), (1, 4)), torch.tensor([3, 4, 2, 0, 1])):
        found = eq.swap_sides(values, pairs, where=where)
        assert found.dtype == dtype
        assert found.equal(expected)
        assert eq.swap_sides(values, pairs)[where].equal(expected[where])
    assert values.equal(before)


def test_batches_and_skeletons_may_be_empty_and_nan_stays():
    assert eq.swap_sides(torch.rand(0, 17, 2), "coco", where=torch.zeros(0, dtype=torch.bool)).shape == (0, 17, 2)
    assert eq.swap_sides(torch.rand(2, 0, 2), []).shape == (2, 0, 2)
    xy = torch.tensor([[[float("nan")] * 2, [1.0, 2.0]]])
    assert_close(eq.swap_sides(xy, [(0, 1)]), xy.flip(1), equal_nan=True)


@pytest.mark.parametrize("pairs", [[(0, 3), (4, 1)], torch.tensor([3, 4, 2, 0, 1])], ids=["pairs", "flip"])
def test_it_compiles_whole_maps_over_batches_and_has_gradients(pairs):
    torch.compiler.reset()
    values, where = torch.rand(4, 5, 2, dtype=torch.float64), torch.tensor([True, False, False, True])

    def swap(values: torch.Tensor) -> torch.Tensor:
        return eq.swap_sides(values, pairs, where=where)

    assert torch.compile(swap, fullgraph=True, backend="aot_eager")(values).equal(swap(values))
    assert torch.func.vmap(swap)(values[None].repeat(3, 1, 1, 1)).equal(swap(values)[None].repeat(3, 1, 1, 1))
    assert torch.autograd.gradcheck(swap, (values.requires_grad_(),))


XY = torch.rand(2, 3, 2)


FLAGS = torch.tensor([True, False])


@pytest.mark.parametrize(
    ("values", "pairs", "where", "kind", "message"),
    [
        ([1, 2], "coco", None, TypeError, r"values: expected a tensor \(B, K, \.\.\.\), got list"),
        (XY[0, 0], [], None, ValueError, r"values: expected a tensor .* Add the batch dimension: values\[None\]"),
        (XY, "COCO", None, ValueError, r"pairs: expected one of coco, human36m, 300w, or pairs .*, got str 'COCO'"),
        (XY, "coco", None, ValueError, r"pairs: expected .* for 3 keypoints, .*, got coco, for 17\. Write the pairs"),
        (torch.rand(2, 6, 17, 2), "coco", None, ValueError, r"for 6 .* For clips, .*values\.transpose\(1, 2\)"),
        (torch.rand(17, 2), "coco", None, ValueError, r"for 2 keypoints, .* batch dimension: values\[None\]"),
        (torch.rand(4, 34), "coco", None, ValueError, r"for 34 keypoints, .* values\.unflatten\(1, \(17, 2\)\)"),
        (torch.rand(4, 51), "coco", None, ValueError, r"for 51 keypoints, .* values\.unflatten\(1, \(17, 3\)\)"),
        (XY, [1, 0, 2], None, TypeError, r"pairs: expected pairs .*, got list .*Write .*torch\.tensor\(pairs\)"),
        (XY, None, None, TypeError, r"pairs: expected pairs \(i, j\), a name or a tensor \(K,\), got NoneType"),
        (XY, [(0, 1.0)], None, TypeError, r"pairs\[0\]: expected a whole number"),
        (XY, [(0, 1), (2, 3)], None, ValueError, r"pairs\[1\]: expected keypoints from 0 to 2, got 3"),
        (XY, [(-1, 1)], None, ValueError, r"pairs\[0\]: expected a whole number of at least 0, got int -1"),
        (XY, [(0, 1), (1, 2)], None, ValueError, r"pairs\[1\]: expected each keypoint in one pair at most, got"),
        (XY, [(1, 1)], None, ValueError, r"pairs\[0\]: expected each keypoint in one pair at most, got \(1, 1\)"),
        (XY, torch.tensor([1.0, 0, 2]), None, TypeError, r"pairs: expected int64, if it is a tensor, got"),
        (XY, torch.tensor([1, 0]), None, ValueError, r"pairs: expected one entry for each of 3 keypoints, got"),
        (XY, torch.tensor([[0, 1]]), None, ValueError, r"one entry for each of 3 .* as pairs\.tolist\(\)"),
        (XY, torch.tensor([1, 2, 0]), None, ValueError, r"pairs: expected for each .*, got 1 for keypoint 0"),
        (XY, torch.tensor([0, 1, 3]), None, ValueError, r"pairs: expected for each .*, got 3 for keypoint 2"),
        (XY, torch.tensor([0, 1, -1]), None, ValueError, r"pairs: expected for each .*, got -1 for keypoint 2"),
        (XY, [], [True, False], TypeError, r"where: expected a tensor .* of type bool.* Pass g\.reflects\."),
        (XY, [], FLAGS.float(), TypeError, r"where: expected a tensor \(B,\) of type bool, got a tensor"),
        (XY, [], FLAGS[:1], ValueError, r"where: expected a batch of 2, like values, got a batch of 1"),
        (XY, [], FLAGS[:, None], ValueError, r"where: expected a tensor of shape \(B,\), got"),
        (XY, [], FLAGS.to("meta"), ValueError, r"where: expected a tensor on cpu, .*, got one on meta"),
    ],
)
def test_bad_input_is_named(values, pairs, where, kind, message):
    with pytest.raises(kind, match=message):
        eq.swap_sides(values, pairs, where=where)


def test_the_table_pickles_and_the_docstring_names_all_of_it():
    assert pickle.loads(pickle.dumps(eq.SIDE_PAIRS)) == eq.SIDE_PAIRS
    assert all(f"``{name}``" in inspect.getdoc(eq.swap_sides) for name in eq.SIDE_PAIRS)
