import copy
import inspect
import pickle
from functools import partial

import pytest
import torch
from torch.testing import assert_close

import equicon as eq

# The comparison with the official program's recorded loss and gradients is in tests/representations.


def views(batch: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor, eq.Affine, eq.Affine]:
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(batch, width, generator=generator) for _ in range(2))
    g1, g2 = (eq.RandomAffine(45, 0.1, (0.8, 1.2)).sample(batch, generator=generator).affine for _ in range(2))
    return z1, z2, g1, g2


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints(), eq.Invariant()])
def test_is_nt_xent_of_the_canonical_embeddings(representation):
    z1, z2, g1, g2 = views()
    loss = eq.PeCLRLoss(0.2, representation=representation)(z1, z2, g1, g2)
    assert_close(loss, eq.nt_xent(representation.canonicalize(g1, z1), representation.canonicalize(g2, z2), 0.2))


def test_defaults_are_the_papers():
    z1, z2, g1, g2 = views()
    assert_close(eq.PeCLRLoss()(z1, z2, g1, g2), eq.PeCLRLoss(0.5, representation=eq.PeCLRPoints())(z1, z2, g1, g2))


def test_without_equivariance_it_is_simclr():
    z1, z2, g1, g2 = views()
    assert_close(eq.PeCLRLoss(0.5, representation=eq.Invariant())(z1, z2, g1, g2), eq.NTXentLoss(0.5)(z1, z2))
    e = eq.Affine.identity(6)
    assert_close(eq.PeCLRLoss(0.5)(z1, z2, e, e), eq.nt_xent(z1, z2, 0.5))


def test_any_base_loss_fits():
    z1, z2, g1, g2 = views()
    loss = eq.PeCLRLoss(representation=eq.Points(), base_loss=torch.nn.functional.mse_loss)(z1, z2, g1, g2)
    canonical = [eq.Points().canonicalize(g, z) for g, z in ((g1, z1), (g2, z2))]
    assert_close(loss, torch.nn.functional.mse_loss(*canonical))


def test_a_base_loss_gets_the_keywords_it_takes():
    z1, z2, g1, g2 = views()
    z3, z4, g3, g4 = views()

    class Weighted(torch.nn.Module):
        def forward(self, a, b, *, weights=None, margin=0.0):
            return (a, b, weights, margin)

    class Queued:
        def __call__(self, a, b, /, queue, **kwargs):
            return (a, b, queue, kwargs)

    home = [eq.Points().canonicalize(g, z) for g, z in ((g1, z1), (g2, z2), (g3, z3), (g4, z4))]
    for base_loss, given, passed in [
        (Weighted(), {}, (*home[:2], None, 0.0)),
        (Weighted(), {"weights": 3, "margin": 0.5}, (*home[:2], 3, 0.5)),
        (Queued(), {"queue": 1, "anything": 2}, (*home[:2], 1, {"anything": 2})),
        (partial(Queued(), queue=5), {}, (*home[:2], 5, {})),
        (lambda a, b, more_views: more_views, {"more_views": [(z3, g3), (z4, g4)]}, home[2:]),
        (lambda a, b, **kw: kw, {"labels": None, "more_views": [(z3, g3)]}, {"labels": None, "more_views": home[2:3]}),
        (lambda *z, labels: (len(z), labels), {"labels": 4}, (2, 4)),
    ]:
        assert_close(eq.PeCLRLoss(representation=eq.Points(), base_loss=base_loss)(z1, z2, g1, g2, **given), passed)


@pytest.mark.parametrize(
    ("base_loss", "name", "known"),
    [
        (lambda a, b: a, "labels", "it has none"),
        (lambda a, b, weights, *, margin=0: a, "labels", "weights, margin"),
        (lambda a, labels, weights: a, "labels", "weights"),  # which is the second batch of embeddings
        (lambda a, b, labels, /: a, "labels", "it has none"),
        (lambda a, *more_views: a, "more_views", "it has none"),
        (torch.nn.MSELoss(), "weights", "it has none"),
        (torch.nn.functional.mse_loss, "labels", "size_average, reduce, reduction, weight"),
        (eq.NTXentLoss(), "margin", "more_views, weights, labels, negatives"),
        (None, "margin", "more_views, weights, labels, negatives"),
    ],
)
def test_a_keyword_that_a_base_loss_does_not_take_is_refused(base_loss, name, known):
    z1, z2, g1, g2 = views()
    value = [(z1, g1)] if name == "more_views" else torch.arange(6)
    with pytest.raises(TypeError, match=rf"^{name}: expected a keyword of base_loss \({known}\), got one that it does"):
        eq.PeCLRLoss(base_loss=base_loss)(z1, z2, g1, g2, **{name: value})


def test_a_signature_is_read_once(monkeypatch):
    criterion = eq.PeCLRLoss(base_loss=lambda a, b, margin: margin * (a - b).square().mean())
    monkeypatch.setattr(inspect, "signature", lambda *_: pytest.fail("read again"))
    assert criterion(*views(), margin=2.0).isfinite()


def test_what_has_no_signature_takes_anything():
    z1, z2, g1, g2 = views()
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(torch.dist)
    loss = eq.PeCLRLoss(representation=eq.Invariant(), base_loss=torch.dist)
    assert_close(loss(z1, z2, g1, g2, p=1), torch.dist(z1, z2, p=1))
    with pytest.raises(TypeError, match="labels"):
        loss(z1, z2, g1, g2, labels=3)


def test_the_default_temperature_is_stated():
    parameter = inspect.signature(eq.PeCLRLoss).parameters["temperature"]
    assert parameter.default == 0.5
    assert "= 0.5" in str(parameter)
    assert type(eq.PeCLRLoss().base_loss.temperature) is float


@pytest.mark.parametrize("chunk_size", [None, 4], ids=["dense", "blocks"])
def test_a_temperature_that_learns_is_a_parameter(chunk_size):
    z1, z2, g1, g2 = views()
    criterion = eq.PeCLRLoss(torch.nn.Parameter(torch.tensor(0.3)), chunk_size=chunk_size)
    assert [name for name, _ in criterion.named_parameters()] == ["base_loss.temperature"]
    loss = criterion(z1, z2, g1, g2)
    loss.backward()
    assert_close(loss, eq.PeCLRLoss(0.3)(z1, z2, g1, g2))
    exact = criterion.base_loss.temperature.detach().double().requires_grad_()
    eq.nt_xent(*(eq.PeCLRPoints().canonicalize(g, z.double()) for g, z in ((g1, z1), (g2, z2))), exact).backward()
    assert_close(criterion.base_loss.temperature.grad, exact.grad.float())
    assert_close(copy.deepcopy(criterion)(z1, z2, g1, g2), loss)


def test_a_base_loss_with_parameters_is_a_submodule():
    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 4)

        def forward(self, z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
            return (self.layer(z1) - self.layer(z2)).square().mean()

    assert len(list(eq.PeCLRLoss(base_loss=Head()).parameters())) == 2
    assert not list(eq.PeCLRLoss().parameters())


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints(), eq.Invariant()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_of_zeros_stay_finite(representation, dtype):
    z1, z2, g1, g2 = views()
    leaves = [torch.cat([torch.zeros_like(z[:2]), z[2:]]).to(dtype).requires_grad_() for z in (z1, z2)]
    loss = eq.PeCLRLoss(0.01, representation=representation)(*leaves, g1, g2)
    loss.backward()
    assert loss.isfinite()
    assert all(z.grad.isfinite().all() and float(z.grad.abs().max()) < 1e4 for z in leaves)


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1e4, 1.0, 0.0])
def test_stays_finite(representation, dtype, scale):
    z1, z2, g1, g2 = views()
    base = z1[:1].expand(6, -1) if scale == 0 else scale * z1.clamp(-1, 1)  # at 0: identical rows
    leaves = [z.to(dtype).clone().requires_grad_() for z in (base, base + scale * z2.clamp(-1, 1) / 10)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = eq.PeCLRLoss(0.01, representation=representation)(*leaves, g1, g2)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert all(z.grad.isfinite().all() for z in leaves)


def test_one_pair_costs_nothing():
    z1, z2, g1, g2 = views(1)
    with pytest.warns(UserWarning, match="the loss is 0"):
        assert float(eq.PeCLRLoss()(z1, z2, g1, g2)) == 0


def test_gradcheck_through_points():
    z1, z2, g1, g2 = views(3, 4)
    leaves = [z.double().requires_grad_() for z in (z1, z2)]
    criterion = eq.PeCLRLoss(0.5, representation=eq.Points())
    assert torch.autograd.gradcheck(lambda a, b: criterion(a, b, g1, g2), leaves, atol=1e-4)


def test_copies_pickles_and_prints():
    criterion = eq.PeCLRLoss(0.2, representation=eq.Points())
    z1, z2, g1, g2 = views()
    for other in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert_close(other(z1, z2, g1, g2), criterion(z1, z2, g1, g2))
    assert "representation=Points()" in repr(criterion)
    assert "temperature=0.2" in repr(criterion)


def test_bad_input_is_refused():
    z1, z2, g1, g2 = views()
    criterion = eq.PeCLRLoss()
    for call, error, match in [
        (lambda: criterion(z1, z2, g1.matrix, g2), TypeError, "g1: expected a group element.*Affine.from_pixels"),
        (lambda: criterion(z1, z2, g1, g2[:5]), ValueError, "g2: expected a batch of 6, like z2, got a batch of 5"),
        (lambda: criterion(z1, z2, g1, g2.to("meta")), ValueError, "g2: expected an element on cpu, where z2 is"),
        (lambda: criterion(z1, z2[:5], g1, g2), ValueError, r"z2: expected the shape of z1, \(6, 8\)"),
        (lambda: criterion(z1, z2[:, :6], g1, g2), ValueError, r"z2: expected the shape of z1, \(6, 8\)"),
        (lambda: criterion(None, z2, g1, g2), TypeError, "z1: expected embeddings"),
        (lambda: criterion(z1, z2.tolist(), g1, g2), TypeError, "z2: expected embeddings"),
        (lambda: criterion(z1[:, :7], z2[:, :7], g1, g2), ValueError, "even width"),
        (lambda: criterion(z1, z2, g1, g2, more_views=[z1]), TypeError, r"more_views\[0\]: expected a pair"),
        (
            lambda: criterion(z1, z2, g1, g2, more_views=[(z1, g1), (z1[:5], g1[:5])]),
            ValueError,
            r"z of more_views\[1\]: expected the shape of z1",
        ),
        (
            lambda: criterion(z1, z2, g1, g2, more_views=[(z1, g1.matrix)]),
            TypeError,
            r"g of more_views\[0\]: expected a group element",
        ),
        (lambda: eq.PeCLRLoss(0.0), ValueError, "temperature: expected a number above 0"),
        (lambda: eq.PeCLRLoss(None), TypeError, "temperature: expected a number"),
        *(
            (
                lambda name=name, value=value: eq.PeCLRLoss(base_loss=eq.NTXentLoss(), **{name: value}),
                ValueError,
                f"{name}: expected nothing where another base_loss is given.*give it to base_loss",
            )
            for name, value in {
                "temperature": 0.5,
                "gather_distributed": True,
                "chunk_size": 4,
            }.items()
        ),
        (lambda: eq.PeCLRLoss(representation=eq.Points), TypeError, r"Call the class: Points\(\)"),
        (
            lambda: eq.PeCLRLoss(representation="points"),
            TypeError,
            "representation: expected an equicon.Representation",
        ),
        (lambda: eq.PeCLRLoss(base_loss=eq.NTXentLoss), TypeError, r"Make one: NTXentLoss\(\)"),
        (lambda: eq.PeCLRLoss(base_loss=3), TypeError, "base_loss: expected a function"),
    ]:
        with pytest.raises(error, match=match):
            call()


def test_with_views_that_turn_shift_and_scale_the_exact_loss_does_not_feel_the_scale():
    augment = eq.Compose([eq.RandomScale((0.5, 2.0)), eq.RandomRotation(45), eq.RandomTranslate(0.2)])
    criterion = eq.PeCLRLoss(0.1, representation=eq.Points())
    views = [augment.sample(16).affine.to(torch.float64) for _ in range(2)]
    scales = [torch.linalg.vector_norm(g.linear[:, 0], dim=-1)[:, None, None] for g in views]
    without = [eq.Affine.from_linear(g.linear / s, g.translation) for g, s in zip(views, scales, strict=True)]
    z1, z2 = (torch.randn(16, 64, dtype=torch.float64, requires_grad=True) for _ in range(2))
    losses = [criterion(z1, z2, *pair) for pair in (views, without)]
    found = [(loss, *torch.autograd.grad(loss, (z1, z2))) for loss in losses]
    assert all(abs(s.log()).max() > 0.1 for s in scales)
    torch.testing.assert_close(found[0], found[1])
