"""Each asserter passes what is right (see test_laws.py) and fails what is broken."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from kornia.augmentation import RandomRotation

import equicon as eq
from equicon.testing import assert_equivariant, assert_representation, assert_transform


@dataclass(frozen=True)
class Broken(eq.EquivariantTransform):
    """A rotation with one promise broken."""

    how: str
    count: list[int] = field(default_factory=list)

    def _draw(self, batch_size, generator):
        action = eq.RandomRotation((20, 40))._draw(batch_size, generator)
        if self.how == "inverse matrix":
            drawn = action
            return eq.Action(
                action.affine.inverse(), filters=eq.Appearance(Warp(drawn.affine)).sample(batch_size).filters
            )
        if self.how == "forgets geometry":
            hidden = RandomRotation(30.0, p=1.0)
            return eq.Appearance(lambda views: hidden(views))._draw(batch_size, generator)
        if self.how == "own randomness":
            self.count.append(1)
            return eq.RandomRotation((len(self.count), len(self.count)))._draw(batch_size, generator)
        if self.how == "no replay":
            return eq.Action(action.affine, filters=(Unseeded(),))
        if self.how == "in place":
            return eq.Action(action.affine, filters=(InPlace(),))
        if self.how == "one for all":
            return eq.Action(action.affine, filters=(OneForAll(torch.rand(batch_size, generator=generator)),))
        if self.how == "singular":
            return eq.Action(eq.Affine._of(action.affine.matrix * torch.tensor([1.0, 0.0, 1.0])))
        if self.how == "batch":
            return eq.RandomRotation(20)._draw(batch_size + 1, generator)
        if self.how == "projective":
            return eq.Action(eq.Affine._of(action.affine.matrix + 0.1 * torch.eye(3)[[2, 2, 0]]))
        assert self.how == "not a number"
        return replace(action, filters=eq.Appearance(lambda x: x / 0).sample(batch_size).filters)


@dataclass(frozen=True)
class Warp:
    g: eq.Affine

    def __call__(self, views):
        return self.g.to(dtype=views.dtype).warp(self.g.to(dtype=views.dtype).warp(views))


class Unseeded(eq.Filter):
    def apply(self, views, anchor=None):
        return views + torch.rand(())


class InPlace(eq.Filter):
    def apply(self, views, anchor=None):
        return views.mul_(0.5)


@dataclass(frozen=True)
class OneForAll(eq.Filter):
    """Its tensor is a kernel, and no number for each image."""

    kernel: torch.Tensor

    def apply(self, views, anchor=None):
        return views * self.kernel.mean().to(views.dtype)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("inverse matrix", "points do not move where pixels move"),
        ("forgets geometry", "points do not move where pixels move"),
        ("own randomness", "the same generator gave another matrix"),
        ("no replay", "the replay of an Action gave other pixels"),
        ("in place", "changed images that it was not applied to"),
        ("one for all", r"action\[\[7, 0, 7\]\] of these images gave other pixels"),
        ("singular", "not finite and invertible"),
        ("batch", "must give an Action of that batch size"),
        ("projective", r"the last row is not \(0, 0, 1\)"),
        ("not a number", "expected finite"),
    ],
)
def test_assert_transform_fails_what_is_broken(how, match):
    with pytest.raises(AssertionError, match=match):
        assert_transform(Broken(how))


def test_assert_transform_fails_an_action_that_edits_images(monkeypatch):
    original = eq.Action.__call__
    monkeypatch.setattr(
        eq.Action, "__call__", lambda self, images, **options: original(self, images.zero_(), **options)
    )
    with pytest.raises(AssertionError, match="changed its input in place"):
        assert_transform(eq.RandomRotation(10))


def test_assert_transform_says_when_it_sees_nothing():
    with pytest.raises(AssertionError, match="no blob stayed in view"):
        assert_transform(eq.RandomScale((0.02, 0.02)), batch_size=2)


@dataclass(frozen=True)
class Wrong(eq.Representation):
    how: str

    def _act(self, g, z):
        if self.how == "identity":
            return eq.Points()._act(g, z) + 1
        if self.how == "homomorphism":
            return eq.PeCLRPoints()._act(g, z)
        return eq.Points()._act(g, z)

    def _canonicalize(self, g, z):
        if self.how == "inverse":
            return eq.Points()._act(g, z)
        if self.how == "homomorphism":
            return eq.PeCLRPoints()._canonicalize(g, z)
        return eq.Points()._canonicalize(g, z)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("identity", r"act\(e, z\) is not z"),
        ("inverse", r"canonicalize\(g, act\(g, z\)\) is not canonicalize\(e, z\)"),
        ("homomorphism", r"act\(g @ h, z\) is not act\(g, act\(h, z\)\)"),
    ],
)
def test_assert_representation_fails_what_is_broken(how, match):
    similarity = eq.Compose([eq.RandomAffine(180, 0.2, (0.7, 1.4))])
    with pytest.raises(AssertionError, match=match):
        assert_representation(Wrong(how), 12, transform=similarity)


def disc() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(*[(2 * torch.arange(64) - 63) / 64] * 2, indexing="ij")
    return ((x - 0.4) ** 2 + y**2 < 0.05).float().expand(8, 3, -1, -1), x, y


def test_assert_equivariant_passes_a_centre_of_mass_and_fails_a_fixed_point():
    images, x, y = disc()

    def center(views):
        mass = views[:, 0].sum((1, 2))
        return torch.stack([(views[:, 0] * u).sum((1, 2)) / mass for u in (x, y)], -1)

    turn = eq.RandomAffine(180, 0.1)
    assert_equivariant(center, images, turn, eq.Points())
    with pytest.raises(AssertionError, match=r"encoder: canonicalize\(g, encoder\(view\)\) is .* away"):
        assert_equivariant(lambda v: torch.full((len(v), 2), 0.4), images, turn, eq.Points())
    with pytest.raises(AssertionError, match="encoder"):
        assert_equivariant(center, images, turn, eq.Invariant())
    with pytest.raises(AssertionError, match="is nan away"):
        assert_equivariant(lambda v: center(v) / 0 * 0, images, turn, eq.Points())


def test_equivariance_is_measured_at_the_encoders_size():
    images, _, _ = disc()
    seen = []

    def encoder(views):
        seen.append(views.shape)
        return torch.ones(len(views), 3)

    assert_equivariant(encoder, images, eq.RandomRotation(10), eq.Invariant(), size=(16, 16))
    assert seen == [(8, 3, 16, 16)] * 2


def test_equivariance_is_measured_with_what_the_encoder_was_shown_outside():
    white, seen = torch.ones(4, 3, 16, 16), []

    def encoder(views):
        seen.append(round(float(views.amin()), 3))
        return torch.ones(len(views), 3)

    away = eq.RandomTranslate((0.5, 0.5))
    for padding_mode in ("zeros", "border", "reflection"):
        assert_equivariant(encoder, white, away, eq.Invariant(), size=(8, 16), padding_mode=padding_mode)
    assert seen == [0, 0, 1, 1, 1, 1]  # the image itself and its view
