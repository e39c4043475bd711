"""Filters of a user's own, with public names only."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from typing_extensions import override

import equicon as eq

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Fog(eq.Filter):
    """Lightens each view by its own density, and more so where an anchor is near."""

    density: Tensor
    offsets: Tensor
    name: str = "fog"

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        extra = 0.0 if anchor is None else anchor.mean(1)[:, None, None, None] / 100
        return views * (1 - self.density[:, None, None, None]) + self.offsets[:, :, None, None] + extra


FOG = Fog(torch.tensor([0.0, 0.25, 0.5, 1.0]), torch.rand(4, 3))


def action(fog: Fog) -> eq.Action:
    return eq.Action(eq.Affine.identity(len(fog.density)), filters=(fog,))


def test_it_runs_after_geometry_and_colour_and_gets_the_anchor_in_the_view():
    expected = torch.stack([IMAGES[i] * (1 - FOG.density[i]) + FOG.offsets[i, :, None, None] for i in range(4)])
    assert_close(action(FOG)(IMAGES), expected)
    anchor = torch.full((4, 2), 3.5)
    turned = eq.Action(eq.RandomRotation((90, 90)).sample(4).affine, filters=(FOG,))
    assert_close(turned(IMAGES, anchor=anchor), turned(IMAGES) + 0.035)


def test_where_restricts_it_and_adds_up():
    first, second = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    some = FOG.where(first).where(second)
    assert some.applied.equal(first & second)
    views = action(some)(IMAGES)
    assert views[0].equal(action(FOG)(IMAGES)[0])
    assert views[1:].equal(IMAGES[1:])


def test_an_index_takes_and_repeats_every_tensor_and_leaves_the_rest():
    some = FOG.where(torch.tensor([True, False, True, True]))
    for index, rows in ((2, [2]), (-1, [3]), (slice(1, 3), [1, 2]), ([3, 3, 0], [3, 3, 0])):
        part = some[index]
        assert part.density.equal(some.density[rows])
        assert part.offsets.equal(some.offsets[rows])
        assert part.applied.equal(some.applied[rows])
        assert part.name == "fog"
        assert action(part)(IMAGES[rows]).equal(action(some)(IMAGES)[rows])


def test_it_moves_copies_and_pickles():
    assert FOG.to("meta").density.device.type == FOG.to("meta").offsets.device.type == "meta"
    assert action(FOG).to("meta").filters[0].density.device.type == "meta"
    for again in (copy.deepcopy(FOG), pickle.loads(pickle.dumps(FOG))):
        assert action(again)(IMAGES).equal(action(FOG)(IMAGES))


def test_a_transform_of_ones_own_draws_it():
    @dataclass(frozen=True)
    class RandomFog(eq.EquivariantTransform):
        density: float

        @override
        def _draw(self, batch_size, generator):
            density = eq.draw.uniform(batch_size, 0, self.density, generator)
            affine = eq.Affine.identity(batch_size, device=density.device)
            return eq.Action(affine, filters=(Fog(density, density[:, None].expand(-1, 3)),))

    chain = eq.Compose([eq.RandomRotation(45), eq.RandomApply(RandomFog(1.0), 0.5), eq.Normalize.imagenet()])
    drawn = chain.sample(4, generator=torch.Generator().manual_seed(0))
    assert drawn[1](IMAGES[1:2]).equal(drawn(IMAGES)[1:2])
    assert len(drawn.filters[0].density.unique()) == 4


def test_what_it_gives_back_is_checked():
    class Wrong(eq.Filter):
        def apply(self, views, anchor=None):
            return views.double()

    with pytest.raises(TypeError, match=r"Wrong.apply: expected views of shape \(4, 3, 8, 8\) and type torch.float32"):
        eq.Action(eq.Affine.identity(4), filters=(Wrong(),))(IMAGES)


def test_fields_with_an_affine_or_a_colour_map_are_taken_apart_too():
    @dataclass(frozen=True)
    class Second(eq.Filter):
        g: eq.Affine
        color: eq.ColorMap

        def apply(self, views, anchor=None):
            return self.color.apply(self.g.warp(views))

    second = Second(eq.RandomRotation(45).sample(4).affine, eq.ColorJitter(0.5).sample(4).color)
    drawn = eq.Action(eq.Affine.identity(4), filters=(second,))
    assert_close(drawn[[3, 1]](IMAGES[[3, 1]]), drawn(IMAGES)[[3, 1]])
    assert second.to("meta").g.device.type == "meta"


def test_fields_of_the_base_are_by_keyword_and_apply_must_be_written():
    with pytest.raises(TypeError, match="positional"):
        Fog(FOG.density, FOG.offsets, "fog", torch.ones(4))

    class Nothing(eq.Filter):
        pass

    with pytest.raises(TypeError, match="abstract method"):
        Nothing()


def test_filters_are_equal_where_they_are_the_same_object():
    assert FOG == FOG
    assert copy.copy(FOG) != FOG
    assert FOG in [copy.copy(FOG), FOG]
    assert len({FOG, FOG, copy.copy(FOG)}) == 2
    drawn = eq.RandomErasing(p=1).sample(4).filters[0]
    assert drawn == drawn
    assert drawn != eq.RandomErasing(p=1).sample(4).filters[0]


def test_a_filter_may_say_what_equal_means():
    @dataclass(frozen=True)
    class Named(Fog):
        def __eq__(self, other):
            return isinstance(other, Named) and self.name == other.name

        __hash__ = object.__hash__

    assert Named(FOG.density, FOG.offsets) == Named(FOG.density + 1, FOG.offsets)


def test_a_filter_without_dataclass_is_told_to_be_one():
    class Haze(eq.Filter):
        def __init__(self, density):
            self.density = density

        @override
        def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
            return views * self.density

    plain = eq.Action(eq.Affine.identity(4), filters=(Haze(0.5),))
    assert plain(IMAGES).equal(IMAGES / 2)
    for call in (lambda: plain.where(torch.ones(4, dtype=torch.bool)), lambda: plain[0], lambda: plain.to("meta")):
        with pytest.raises(TypeError, match=r"Haze: expected a frozen dataclass.*Write @dataclass\(frozen=True\)"):
            call()


def test_a_filter_without_fields_needs_no_dataclass():
    class Invert(eq.Filter):
        @override
        def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
            return 1 - views

    drawn = eq.Action(eq.Affine.identity(4), filters=(Invert(),)).where(torch.tensor([True, False, True, False]))
    assert drawn[1](IMAGES[1:2]).equal(IMAGES[1:2])
    assert drawn[2](IMAGES[2:3]).equal(1 - IMAGES[2:3])
