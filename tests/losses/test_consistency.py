import copy
import pickle
import warnings
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import REPRESENTATIONS, Law, random_affine
from representations.test_learned import Learned
from test_device import Copies, fake
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

import equicon as eq

law = settings(max_examples=20)
seeds = st.integers(0, 2**31)
representations = pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
distances = pytest.mark.parametrize(
    "distance", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, partial(F.huber_loss, delta=0.2)]
)
# What the paper's representation undoes.
SIMILARITY = eq.Compose([eq.RandomAffine(180, 0.2, (0.5, 2)), eq.RandomHorizontalFlip()])


def predictions(seed: int, width: int, batch: int = 4) -> Tensor:
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(width: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, eq.Affine, eq.Affine]:
    pair = predictions(seed, width), predictions(seed + 1, width)
    return *pair, random_affine(seed), random_affine(seed + 1)


# --- laws


@representations
@law
@given(seed=seeds)
def test_an_equivariant_predictor_loses_nothing_and_another_picture_does(entry: Law, seed):
    criterion, act = eq.ConsistencyLoss(entry.representation), entry.representation.act
    g_student, g_teacher = (random_affine(seed + i, 4, None if entry.exact else SIMILARITY) for i in (0, 1))
    z = predictions(seed, entry.width)
    # For exact representations, this is z.
    home = entry.representation.canonicalize(eq.Affine.identity(4, dtype=torch.float64), z)
    student, teacher = act(g_student, home), act(g_teacher, z)
    assert float(criterion(student, teacher, g_student, g_teacher)) < 1e-20
    assert float(criterion(act(g_student, home.roll(1, 0)), teacher, g_student, g_teacher)) > 1e-4


@law
@given(seed=seeds)
@pytest.mark.parametrize("name", [name for name, entry in REPRESENTATIONS.items() if entry.exact])
def test_an_exact_representation_acts_by_one_element(name, seed):
    entry = REPRESENTATIONS[name]
    student, teacher, g_student, g_teacher = views(entry.width, seed)
    carried = entry.representation.act(g_student @ g_teacher.inverse(), teacher)
    found = eq.ConsistencyLoss(entry.representation)(student, teacher, g_student, g_teacher)
    assert_close(found, F.mse_loss(student, carried))


@distances
@representations
def test_where_both_views_are_the_picture_it_is_the_distance(entry, distance):
    student, teacher, *_ = views(entry.width)
    e = eq.Affine.identity(4, dtype=torch.float64)
    expected = teacher if entry.exact else entry.representation.canonicalize(e, teacher)
    criterion = eq.ConsistencyLoss(entry.representation, distance=distance)
    assert_close(criterion(student, teacher, e, e), distance(student, expected))


@distances
@pytest.mark.parametrize("shape", [(4,), (4, 7), (4, 3, 2, 2)], ids=str)
def test_what_does_not_move_is_compared_as_it_is(shape, distance):
    student, teacher = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    *_, g_student, g_teacher = views()
    criterion = eq.ConsistencyLoss(eq.Invariant(), distance=distance)
    assert_close(criterion(student, teacher, g_student, g_teacher), distance(student, teacher))
    weights = torch.tensor([1.0, 0.0, 0.5, 2.0])
    each = distance(student, teacher, reduction="none").reshape(4, -1).mean(1)
    assert_close(criterion(student, teacher, g_student, g_teacher, weights=weights), (each * weights).mean())


def test_the_defaults_are_points_and_the_squared_distance():
    given = views()
    assert_close(eq.ConsistencyLoss()(*given), eq.ConsistencyLoss(eq.Points(), distance=F.mse_loss)(*given))


# --- weights


@pytest.mark.parametrize("parts", [None, 1, 2, 4, 8])
def test_weights_against_a_plain_loop(parts):
    student, teacher, g_student, g_teacher = views()
    weights = torch.rand(4 if parts is None else (4, parts), generator=torch.Generator().manual_seed(0))
    weights = weights.masked_fill(weights < 0.4, 0.0)
    assert 0 < int((weights == 0).sum()) < weights.numel() or parts is None
    total = 0.0
    for image in range(4):
        there, back = g_student.matrix[image], torch.linalg.inv(g_teacher.matrix[image])
        for point in range(4):
            x, y = teacher[image, 2 * point : 2 * point + 2].tolist()
            target = there @ back @ torch.tensor([x, y, 1.0], dtype=torch.float64)
            for axis in (0, 1):
                value = 2 * point + axis
                weight = weights[image] if parts is None else weights[image, value * parts // 8]
                total += float(weight) * float(student[image, value] - target[axis]) ** 2
    found = eq.ConsistencyLoss()(student, teacher, g_student, g_teacher, weights=weights)
    assert_close(found, torch.tensor(total / (4 * 8), dtype=torch.float64))


@representations
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_what_has_no_weight_has_no_say(entry, dtype):
    student, teacher, g_student, g_teacher = views(entry.width)
    weights = (torch.rand(4, entry.width, generator=torch.Generator().manual_seed(2)) > 0.5).to(dtype)
    criterion = eq.ConsistencyLoss(entry.representation)
    moved = torch.where(weights.bool(), student, student + 3).requires_grad_()
    loss = criterion(moved, teacher, g_student, g_teacher, weights=weights)
    loss.backward()
    assert_close(loss.detach(), criterion(student, teacher, g_student, g_teacher, weights=weights))
    assert ((moved.grad == 0) == ~weights.bool()).all()
    ones = torch.ones_like(weights)
    assert_close(
        criterion(student, teacher, g_student, g_teacher, weights=ones),
        criterion(student, teacher, g_student, g_teacher),
    )


def test_values_without_weight_are_in_the_mean():
    student, teacher, g_student, g_teacher = views()
    criterion = eq.ConsistencyLoss()
    whole = criterion(student[:1], teacher[:1], g_student[:1], g_teacher[:1])
    found = criterion(student, teacher, g_student, g_teacher, weights=torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert_close(found, whole / 4)
    assert criterion(student, teacher, g_student, g_teacher, weights=torch.zeros(4)) == 0


@representations
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1.7e308])
@pytest.mark.parametrize("distance", [F.mse_loss, F.huber_loss])
def test_what_has_no_weight_need_not_be_a_number(entry, distance, bad):
    known, taught, g_student, g_teacher = views(entry.width)
    counts = torch.ones(4, entry.width, dtype=torch.bool)
    counts[1] = False
    counts[2, 2:4] = False  # a point of each representation, or a number that does not move
    criterion = eq.ConsistencyLoss(entry.representation, distance=distance)
    for broken in ({"teacher"}, {"student"}, {"teacher", "student"}):
        teacher = taught.masked_fill(~counts, bad) if "teacher" in broken else taught
        student = (known.masked_fill(~counts, bad) if "student" in broken else known.clone()).requires_grad_()
        with torch.autograd.set_detect_anomaly(True):
            loss = criterion(student, teacher, g_student, g_teacher, weights=counts)
            loss.backward()
        assert loss.isfinite()
        assert student.grad.isfinite().all()
        assert ((student.grad != 0) == counts).all()


def test_a_point_without_weight_does_not_change_the_others_if_it_is_no_number():
    student, teacher, g_student, g_teacher = views()
    weights = torch.tensor([[1.0, 0.0, 1.0, 1.0]] * 4)
    found = [
        eq.ConsistencyLoss()(student, changed, g_student, g_teacher, weights=weights)
        for changed in (teacher, teacher.index_fill(1, torch.tensor([2, 3]), float("nan")))
    ]
    assert_close(found[0], found[1])


def test_what_counts_must_be_a_number():
    student, teacher, g_student, g_teacher = views()
    teacher[0, 0] = float("nan")
    assert eq.ConsistencyLoss()(student, teacher, g_student, g_teacher).isnan()
    assert eq.ConsistencyLoss()(student, teacher, g_student, g_teacher, weights=torch.ones(4)).isnan()


def relative(student: Tensor, carried: Tensor, reduction: str) -> Tensor:
    """Divide by what is 0 where nothing counts, and take a root that has no gradient there."""
    return ((student - carried) / carried).square().sqrt()


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_a_distance_need_not_be_defined_where_nothing_counts(bad):
    student, teacher, g_student, g_teacher = views()
    weights, leaf = torch.tensor([1.0, 0.0, 1.0, 2.0]), student.clone().requires_grad_()
    carried = eq.Points().act(g_student @ g_teacher.inverse(), teacher)
    expected = (weights[:, None] * ((student - carried) / carried).abs()).mean()
    teacher[1] += bad
    loss = eq.ConsistencyLoss(distance=relative)(leaf, teacher, g_student, g_teacher, weights=weights)
    loss.backward()
    assert_close(loss.detach(), expected)
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[1].any()


# --- gradients and types


@representations
@pytest.mark.parametrize("weighted", [False, True])
def test_gradcheck_of_the_student(entry, weighted):
    student, teacher, g_student, g_teacher = views(entry.width)
    weights = torch.tensor([1.0, 0.0, 0.5, 2.0]) if weighted else None
    criterion = eq.ConsistencyLoss(entry.representation)
    leaf = student.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: criterion(z, teacher, g_student, g_teacher, weights=weights), leaf)


@representations
@pytest.mark.parametrize("weighted", [False, True])
def test_no_gradient_flows_into_the_teacher(entry, weighted):
    student, teacher, g_student, g_teacher = views(entry.width)
    leaves = [student.requires_grad_(), teacher.requires_grad_(), torch.rand(4).requires_grad_()]
    weights = leaves[2].sigmoid() if weighted else None
    eq.ConsistencyLoss(entry.representation)(*leaves[:2], g_student, g_teacher, weights=weights).backward()
    assert leaves[0].grad.any()
    assert leaves[1].grad is None
    assert leaves[2].grad is None


def test_a_representation_that_learns_is_a_submodule_and_gets_a_gradient():
    student, teacher, g_student, g_teacher = (x.to(dtype=torch.float32) for x in views(6))
    criterion = eq.ConsistencyLoss(Learned())
    teacher[:, 2:] = float("nan")
    weights = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]] * 4)
    criterion(student, teacher, g_student, g_teacher, weights=weights).backward()
    assert len(list(criterion.parameters())) == 2
    assert all(p.grad.isfinite().all() and p.grad.any() for p in criterion.parameters())


def test_a_distance_with_parameters_is_a_submodule():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, student: Tensor, carried: Tensor, reduction: str) -> Tensor:
            assert reduction == "none"
            return self.scale * (student - carried).abs()

    given = views()
    criterion = eq.ConsistencyLoss(distance=Scaled())
    assert_close(criterion(*given), 2 * eq.ConsistencyLoss(distance=F.l1_loss)(*given))
    assert [name for name, _ in criterion.named_parameters()] == ["distance.scale"]
    assert "Scaled()" in repr(criterion)


@representations
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_computes_in_float32_at_least_and_gives_gradients_of_the_students_type(entry, dtype):
    student, teacher, *gs = (x.to(dtype=torch.float32) for x in views(entry.width))
    leaf, given = student.to(dtype).requires_grad_(), teacher.to(dtype)
    weights = torch.rand(4, dtype=torch.float32).to(dtype)
    criterion = eq.ConsistencyLoss(entry.representation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(leaf, given, *gs, weights=weights)
    loss.backward()
    assert loss.dtype == torch.float32
    assert leaf.grad.dtype == dtype
    assert_close(loss.detach(), criterion(leaf.detach().float(), given.float(), *gs, weights=weights.float()))


def test_autocast_does_not_round_the_products_of_a_distance():
    turn = torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    criterion = eq.ConsistencyLoss(distance=lambda a, b, reduction: ((a - b) @ turn).square())
    given = [x.to(dtype=torch.float32) for x in views()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(*given)
    assert_close(loss, criterion(*given), rtol=1e-6, atol=0)


@pytest.mark.parametrize("types", [(torch.float64, torch.bfloat16), (torch.float16, torch.float64)], ids=str)
def test_the_types_of_student_and_teacher_may_differ(types):
    student, teacher, *gs = views()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = eq.ConsistencyLoss()(student.to(types[0]), teacher.to(types[1]), *gs)
    assert loss.dtype == (torch.float64 if types[0] == torch.float64 else torch.float32)
    assert_close(loss.double(), eq.ConsistencyLoss()(student, teacher, *gs), rtol=0.05, atol=0.01)


def test_a_mean_teacher_learns_what_the_teacher_knows():
    torch.manual_seed(0)
    pictures, augment = torch.rand(64, 10, 2), eq.RandomAffine(45, 0.2, (0.8, 1.2))
    student, criterion = nn.Linear(20, 6), eq.ConsistencyLoss()
    optimizer = torch.optim.Adam(student.parameters(), 0.03)

    def view() -> tuple[Tensor, eq.Affine]:
        g = augment.sample(64).affine
        return g.points(pictures), g

    losses = []
    for _ in range(300):
        (x1, g1), (x2, g2) = view(), view()
        loss = criterion(student(x2.flatten(1)), x1[:, :3].flatten(1), g2, g1)  # this teacher knows three points
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.01 * losses[0]


# --- compilers and devices


@representations
@pytest.mark.parametrize("weighted", [False, True])
def test_it_compiles_whole_with_its_gradients(entry, weighted):
    torch.compiler.reset()
    student, teacher, *gs = (x.to(dtype=torch.float32) for x in views(entry.width))
    weights = torch.tensor([[1.0], [0.0], [0.5], [2.0]]).repeat(1, entry.width) if weighted else None
    criterion = eq.ConsistencyLoss(entry.representation)
    found = []
    for run in (criterion, torch.compile(criterion, fullgraph=True, backend="aot_eager")):
        leaf = student.clone().requires_grad_()
        loss = run(leaf, teacher, *gs, weights=weights)
        found.append((loss.detach(), *torch.autograd.grad(loss, leaf)))
    assert_close(found[0], found[1], atol=1e-5, rtol=0)


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not")
@representations
def test_it_does_not_wait_for_the_device(entry):
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        student, teacher = (fake(6, entry.width).requires_grad_() for _ in range(2))
        g_student, g_teacher = (eq.RandomAffine(45, 0.1).sample(6, device="cuda").affine for _ in range(2))
        criterion = eq.ConsistencyLoss(entry.representation)
        for weights in (None, fake(6), fake(6, entry.width), fake(6, 1, dtype=torch.bool)):
            assert criterion(student, teacher, g_student, g_teacher, weights=weights).device.type == "cuda"
        assert not copies.waiting, copies.waiting[0]


@representations
def test_it_has_a_shape_on_the_meta_device(entry):
    z = torch.empty(6, entry.width, device="meta").requires_grad_()
    g = eq.RandomAffine(45, 0.1).sample(6, device="meta").affine
    loss = eq.ConsistencyLoss(entry.representation)(z, z, g, g, weights=torch.empty(6, device="meta"))
    loss.backward()
    assert loss.is_meta
    assert z.grad.shape == z.shape


# --- the module


def test_copies_pickles_and_prints():
    criterion, given = eq.ConsistencyLoss(distance=F.l1_loss), views()
    for other in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert_close(other(*given), criterion(*given))
    assert repr(criterion) == "ConsistencyLoss(representation=Points(), distance=l1_loss)"
    assert "(representation): DirectSum" in repr(eq.ConsistencyLoss(REPRESENTATIONS["direct sum"].representation))
    assert "partial(" in repr(eq.ConsistencyLoss(distance=partial(F.huber_loss, delta=0.1)))


class Halved(eq.Representation):
    def _act(self, g: eq.Affine, z: Tensor) -> Tensor:
        return z

    def _canonicalize(self, g: eq.Affine, z: Tensor) -> Tensor:
        return z[:, ::2]


class Fragile(eq.Representation):
    def _act(self, g: eq.Affine, z: Tensor) -> Tensor:
        raise ValueError("z: expected another one")

    def _canonicalize(self, g: eq.Affine, z: Tensor) -> Tensor:
        return z


def test_bad_predictions_and_elements_are_refused():
    z, teacher, g, h = views()
    criterion = eq.ConsistencyLoss()
    sizes = r"teacher: expected the shape of student, \(4, 8\), got .*Row i of both must be a prediction for image i"
    for call, error, match in [
        (lambda: criterion(z, teacher[:3], g, h), ValueError, sizes),
        (lambda: criterion(z, teacher[:, :6], g, h), ValueError, sizes),
        (lambda: criterion(z, teacher.view(4, 4, 2), g, h), ValueError, sizes),
        (lambda: criterion(z, None, g, h), TypeError, r"teacher: expected predictions \(B, ...\), got NoneType None"),
        (lambda: criterion(z.tolist(), teacher, g, h), TypeError, "student: expected predictions .*, got list"),
        (lambda: criterion(z.long(), teacher, g, h), TypeError, "student: expected predictions of a floating type"),
        (lambda: criterion(z, teacher.long(), g, h), TypeError, "teacher: expected predictions of a floating type"),
        (lambda: criterion(z[:0], teacher[:0], g[:0], h[:0]), ValueError, "student: .*without a dimension of 0"),
        (lambda: criterion(z[0, 0], teacher[0, 0], g, h), ValueError, "student: .*without a dimension of 0"),
        (
            lambda: criterion(z, teacher.to("meta"), g, h),
            ValueError,
            "teacher: expected a tensor on cpu, where",
        ),
        (lambda: criterion(z[:, 1:], teacher[:, 1:], g, h), ValueError, "teacher: expected an even width"),
        (lambda: criterion(z, teacher, g.matrix, h), TypeError, "g_student: expected a group element.*from_pixels"),
        (lambda: criterion(z, teacher, g, h.matrix), TypeError, "g_teacher: expected a group element.*from_pixels"),
        (lambda: criterion(z, teacher, g[:3], h), ValueError, "g_student: expected a batch of 4, like teacher"),
        (lambda: criterion(z, teacher, g, h[:3]), ValueError, "g_teacher: expected a batch of 4, like teacher"),
        (lambda: criterion(z, teacher, g.to("meta"), h), ValueError, "g_student: expected an element on cpu"),
        (lambda: criterion(z, teacher, g, h.to("meta")), ValueError, "g_teacher: expected an element on cpu"),
        (lambda: eq.ConsistencyLoss(Fragile())(z, teacher, g, h), ValueError, "^teacher: expected another one"),
        (
            lambda: eq.ConsistencyLoss(Halved())(z, teacher, g, h),
            ValueError,
            r"representation: expected one that keeps the shape \(4, 8\), got a tensor of shape \(4, 4\)",
        ),
    ]:
        with pytest.raises(error, match=match):
            call()


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        ([1.0] * 4, TypeError, r"weights: expected a tensor, got list.*torch.as_tensor"),
        (torch.ones(3), ValueError, r"weights: expected one for each prediction, of shape \(4,\), or \(4, K\)"),
        (torch.ones(()), ValueError, "weights: expected one for each prediction"),
        (torch.ones(4, 3), ValueError, r"where K divides its 8 values, got a tensor of shape \(4, 3\)"),
        (torch.ones(4, 16), ValueError, "where K divides its 8 values"),
        (torch.ones(4, 0), ValueError, "where K divides its 8 values"),
        (torch.ones(1, 4), ValueError, "where K divides its 8 values"),
        (torch.ones(4, 4, 2), ValueError, "where K divides its 8 values"),
        (torch.ones(4, dtype=torch.long), TypeError, r"weights: expected a floating type or bool.*visible > 0"),
        (
            torch.ones(4, device="meta"),
            ValueError,
            "weights: expected a tensor on cpu, where student is",
        ),
        (torch.tensor([1, 2, -0.5, 0]), ValueError, r"weights: expected finite numbers of at least 0, got -0.5"),
        (
            torch.tensor([[1.0, float("nan")]] * 4),
            ValueError,
            "weights: expected finite numbers.*got nan",
        ),
        (torch.tensor([float("inf")] * 4), ValueError, "weights: expected finite numbers.*got inf.*not logits"),
    ],
)
def test_bad_weights_are_refused(weights, error, match):
    with pytest.raises(error, match=match):
        eq.ConsistencyLoss()(*views(), weights=weights)


@pytest.mark.parametrize("distance", [3, None, "mse", nn.MSELoss, nn.MSELoss(), lambda a, b: a])
def test_a_distance_that_cannot_be_called_is_refused(distance):
    with pytest.raises(TypeError, match=r"distance: expected a function \(student, carried.*Pass a function"):
        eq.ConsistencyLoss(distance=distance)


@pytest.mark.parametrize(
    ("distance", "error", "match"),
    [
        (
            lambda a, b, reduction: (a - b).square().mean(),
            ValueError,
            r"tensor of shape \(4, 8\) in return",
        ),
        (lambda a, b, **_: (a - b).norm(dim=1), ValueError, r"one number for each value, got .* shape \(4,\)"),
        (lambda a, b, reduction: 0.5, TypeError, "got float 0.5 in return"),
        (F.cosine_similarity, TypeError, "reduction"),  # it has no signature, and raises this error itself
    ],
)
def test_a_distance_must_give_a_number_for_each_value(distance, error, match):
    with pytest.raises(error, match=match):
        eq.ConsistencyLoss(distance=distance)(*views())


def test_a_representation_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"representation: expected an equicon\.Representation.*Call the class"):
        eq.ConsistencyLoss(eq.Points)
    with pytest.raises(TypeError, match=r"representation: .*, got str 'points'"):
        eq.ConsistencyLoss("points")
