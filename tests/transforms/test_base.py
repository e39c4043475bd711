import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from registry import TRANSFORMS
from torch.testing import assert_close

import equicon as eq

every = pytest.mark.parametrize("name", TRANSFORMS)


@every
def test_holds_configuration_only(name):
    transform = TRANSFORMS[name].transform
    before = repr(transform)
    transform(torch.rand(2, 3, 48, 48))
    assert repr(transform) == before
    with pytest.raises(AttributeError, match="cannot assign"):
        transform.p = 0.3
    twin = pickle.loads(pickle.dumps(transform))
    images = torch.rand(2, 3, 48, 48)
    for other in (twin, copy.deepcopy(transform)):
        a, b = (t(images, generator=torch.Generator().manual_seed(0))[0] for t in (transform, other))
        assert a.equal(b)


@every
def test_without_a_generator_the_global_one_decides(name):
    transform, images = TRANSFORMS[name].transform, torch.rand(4, 3, 48, 48)
    views = []
    for _ in range(2):
        torch.manual_seed(0)
        views.append(transform(images)[0])
    assert views[0].equal(views[1])


@every
def test_the_returned_matrix_is_that_of_the_action(name):
    transform, images = TRANSFORMS[name].transform, torch.rand(4, 3, 48, 48)
    views, g = transform(images, size=(30, 40), generator=torch.Generator().manual_seed(0))
    action = transform.sample(4, generator=torch.Generator().manual_seed(0), device="cpu")
    assert_close(g.matrix, action.affine.matrix, atol=0, rtol=0)
    assert views.equal(action(images, size=(30, 40)))
    if not TRANSFORMS[name].geometric:
        assert_close(g.matrix, eq.Affine.identity(4).matrix, atol=0, rtol=0)


def test_compose_multiplies_the_matrices_and_keeps_the_filters_in_order():
    parts = [eq.RandomRotation(45), eq.RandomTranslate(0.2), eq.RandomScale((0.5, 2.0))]
    composed = eq.Compose(parts).sample(4, generator=torch.Generator().manual_seed(0)).affine
    generator = torch.Generator().manual_seed(0)
    first, second, third = (t.sample(4, generator=generator).affine for t in parts)
    assert_close(composed.matrix, (third @ second @ first).matrix)

    chain = eq.Compose([eq.Appearance(lambda x: x + 1), eq.RandomRotation(0), eq.Appearance(lambda x: x * 2)])
    assert_close(chain(torch.zeros(1, 3, 4, 4))[0], torch.full((1, 3, 4, 4), 2.0))


def test_compose_is_associative():
    a, b, c = eq.RandomRotation(45), eq.ColorJitter(0.4, 0.4), eq.RandomGaussianNoise(0.1)
    images = torch.rand(3, 3, 32, 32)
    left, right = (
        t(images, generator=torch.Generator().manual_seed(0))[0]
        for t in (eq.Compose([eq.Compose([a, b]), c]), eq.Compose([a, eq.Compose([b, c])]))
    )
    assert left.equal(right)


def test_p_is_decided_for_each_image():
    apply = eq.RandomApply(eq.RandomRotation((90, 90)), 0.3)
    degrees = apply.sample(4000, generator=torch.Generator().manual_seed(0)).affine.degrees
    assert set(degrees.round().tolist()) == {0.0, 90.0}
    assert abs(float((degrees > 45).float().mean()) - 0.3) < 0.03


def test_random_apply_takes_all_of_a_compose_or_nothing():
    images = torch.rand(64, 3, 16, 16)
    inner = eq.Compose([eq.RandomHorizontalFlip(1.0), eq.RandomGrayscale(1.0), eq.Appearance(lambda x: x / 2)])
    views, g = eq.RandomApply(inner, 0.5)(images, generator=torch.Generator().manual_seed(0))
    flipped = g.linear[:, 0, 0] < 0
    assert 0 < int(flipped.sum()) < 64
    assert_close(views[~flipped], images[~flipped], atol=1e-5, rtol=0)
    assert_close(views[flipped], inner(images[flipped])[0], atol=1e-5, rtol=0)


def test_random_apply_thins_a_filter_that_is_itself_applied_to_some():
    images = torch.rand(2000, 1, 4, 4)
    views, _ = eq.RandomApply(eq.RandomErasing(value=2.0, p=0.5), 0.5)(
        images, generator=torch.Generator().manual_seed(0)
    )
    changed = (views - images).abs().amax((1, 2, 3)) > 0.01
    assert abs(float(changed.float().mean()) - 0.25) < 0.03


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_certain_and_impossible(p, share):
    g = eq.RandomApply(eq.RandomHorizontalFlip(1.0), p).sample(50).affine
    assert float((g.linear[:, 0, 0] < 0).float().mean()) == share


def test_an_empty_batch():
    views, g = eq.presets.simclr(48)(torch.rand(0, 3, 48, 48), size=(24, 24))
    assert views.shape == (0, 3, 24, 24)
    assert len(g) == 0


def test_repr_reads_like_the_code():
    chain = eq.Compose([eq.RandomRotation(45), eq.Compose([eq.RandomGrayscale(0.2)])])
    assert repr(chain) == (
        "Compose([\n    RandomRotation(degrees=45),\n    Compose([\n        RandomGrayscale(p=0.2),\n    ]),\n])"
    )
    assert eval(repr(chain), vars(eq)) == chain


def test_transforms_compare_by_value():
    assert eq.Compose([eq.RandomRotation(45)]) == eq.Compose((eq.RandomRotation(45),))
    for make in (
        eq.RandomScale,
        eq.RandomRotation,
        eq.RandomTranslate,
        eq.RandomShear,
        eq.ColorJitter,
        eq.RandomResizedCrop,
    ):
        assert make([0.5, 1]) == make((0.5, 1))
        assert hash(make([0.5, 1])) == hash(make((0.5, 1)))


@pytest.mark.slow
def test_works_in_worker_processes():
    # Anything picklable travels to spawned workers; a fork would hide what is not.
    data = [torch.rand(3, 16, 16) for _ in range(4)]
    loader = torch.utils.data.DataLoader(
        data, batch_size=2, num_workers=1, collate_fn=Collate(eq.presets.simclr(16)), multiprocessing_context="spawn"
    )
    shapes = [(views.shape, matrix.shape) for views, matrix in loader]
    assert shapes == [((2, 3, 8, 8), (2, 3, 3))] * 2


class Collate:
    def __init__(self, transform: eq.EquivariantTransform) -> None:
        self.transform = transform

    def __call__(self, images: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        views, g = self.transform(torch.stack(images), size=(8, 8))
        return views, g.matrix


@dataclass(frozen=True)
class Forgetful(eq.EquivariantTransform):
    def _draw(self, batch_size, generator):
        return eq.Affine.identity(batch_size)


def test_a_draw_that_is_no_action_is_refused():
    for transform in (
        Forgetful(),
        eq.Compose([eq.RandomRotation(45), Forgetful()]),
        eq.RandomApply(eq.Compose([Forgetful()]), 0.5),
    ):
        with pytest.raises(TypeError, match=r"Forgetful._draw: expected an Action in return, .* Write Action\("):
            transform(torch.rand(2, 3, 8, 8))


@dataclass(frozen=True)
class Single(eq.EquivariantTransform):
    def _draw(self, batch_size, generator):
        return eq.Action(eq.Affine.identity(1))


def test_a_draw_of_another_length_is_refused():
    for transform in (Single(), eq.Compose([eq.RandomRotation(45), Single()])):
        with pytest.raises(ValueError, match=r"Single._draw: expected a batch of 2, like the images"):
            transform(torch.rand(2, 3, 8, 8))


def test_bad_input_is_refused():
    rotation = eq.RandomRotation(45)
    for call, error, match in [
        (lambda: eq.Compose([]), ValueError, "transforms: expected at least one transform"),
        (lambda: eq.Compose(rotation), TypeError, "transforms: expected a list of transforms"),
        (lambda: eq.Compose([rotation, torch.nn.ReLU()]), TypeError, r"transforms\[1\].*equicon.Appearance"),
        (lambda: eq.RandomApply(torch.relu, 0.5), TypeError, "transform: expected an EquivariantTransform"),
        (lambda: eq.RandomApply(rotation, 1.5), ValueError, r"p: expected a number in \[0, 1\]"),
        (lambda: rotation.sample(-1), ValueError, "batch_size: expected a whole number of at least 0"),
        (
            lambda: rotation.sample(2, generator=42),
            TypeError,
            "generator: expected a torch.Generator or None, got int 42",
        ),
        (lambda: rotation.sample(2.0), TypeError, "batch_size: expected a whole number"),
        (lambda: rotation(torch.rand(3, 8, 8)), ValueError, "images: expected a batch"),
    ]:
        with pytest.raises(error, match=match):
            call()
