"""``torch.export`` with a batch of any size: of transforms, representations, losses and the 2.5D model."""

import pytest
import torch
from registry import REPRESENTATIONS, TRANSFORMS, chain_of, random_affine
from torch import Tensor, nn
from torch.export import Dim
from torch.testing import assert_close

import equicon as eq
from equicon.hands import Pose25D

FEW, MANY = 3, 7
slow = pytest.mark.slow  # an export takes seconds
# One chain holds what those of its parts do. Appearance seeds a generator while it runs, which no graph holds.
EVERYTHING = eq.Compose(chain_of("appearance", "random appearance", "simclr"))
either = pytest.mark.parametrize("strict", [False, pytest.param(True, marks=slow)], ids=["not strict", "strict"])


def assert_any_batch(module: nn.Module, few: tuple[Tensor, ...], many: tuple[Tensor, ...], *, strict: bool = False):
    """Export a module at one size of the batch, and run it at another."""
    batch = Dim("batch")
    program = torch.export.export(module, few, dynamic_shapes=tuple({0: batch} for _ in few), strict=strict)
    results = []
    for run in (module, program.module()):
        torch.manual_seed(0)
        results.append(run(*many))
    assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)


class Views(nn.Module):
    def __init__(self, augment: eq.EquivariantTransform, padding_mode: eq.PaddingMode = "zeros") -> None:
        super().__init__()
        self.augment, self.padding_mode = augment, padding_mode

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        # Twice as large: no pyramid, whose graph takes seconds.
        views, g = self.augment(images, size=(24, 32), padding_mode=self.padding_mode)
        return views, g.matrix


class Inside(Views):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        source = (images.shape[-2], images.shape[-1])
        g = self.augment.sample(images.shape[0]).inside(source, (24, 32)).affine
        return g.coverage(source, (24, 32)), g.matrix


class Moves(nn.Module):
    def __init__(self, representation: eq.Representation) -> None:
        super().__init__()
        self.representation = representation

    def forward(self, matrix: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        g = eq.Affine(matrix)
        return self.representation.act(g, z), self.representation.canonicalize(g, z)


class Loss(nn.Module):
    def __init__(self, criterion: eq.PeCLRLoss) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, z1: Tensor, z2: Tensor, matrix1: Tensor, matrix2: Tensor) -> Tensor:
        return self.criterion(z1, z2, eq.Affine(matrix1), eq.Affine(matrix2))


def images(count: int) -> Tensor:
    return torch.rand(count, 3, 12, 16, generator=torch.Generator().manual_seed(count))


def matrices(seed: int, count: int) -> Tensor:
    return random_affine(seed, count).matrix.float()


def embeddings(count: int, width: int, number: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(count, width, generator=generator) for _ in range(number)]


@pytest.mark.parametrize(
    ("augment", "padding_mode"),
    [(eq.presets.peclr(), "reflection"), pytest.param(EVERYTHING, "border", marks=slow)],
    ids=["peclr", "everything"],
)
def test_transforms_are_exported_for_any_batch(augment, padding_mode):
    assert_any_batch(Views(augment, padding_mode), (images(FEW),), (images(MANY),))


@slow
@either
def test_views_inside_their_source_are_exported_for_any_batch(strict):
    assert_any_batch(Inside(eq.RandomTranslate(0.3)), (images(FEW),), (images(MANY),), strict=strict)


@slow
@pytest.mark.parametrize("name", ["peclr", "simclr"])
def test_the_presets_are_exported_strictly_too_and_with_a_pyramid(name):
    few, many = (torch.nn.functional.interpolate(images(n), scale_factor=3) for n in (FEW, MANY))
    assert_any_batch(Views(TRANSFORMS[name].transform), (few,), (many,), strict=True)


@slow
def test_all_representations_in_one_sum_are_exported_for_any_batch():
    parts = {type(entry.representation): entry.representation for entry in REPRESENTATIONS.values()}
    parts.pop(eq.DirectSum)
    assert_representation_exports(eq.DirectSum([(part, 4) for part in parts.values()]), 4 * len(parts))


@slow
@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
def test_every_representation_and_its_loss_are_exported_for_any_batch(entry):
    assert_representation_exports(entry.representation, entry.width)


def assert_representation_exports(representation: eq.Representation, width: int) -> None:
    given = [(*embeddings(n, width, 2), matrices(1, n), matrices(2, n)) for n in (FEW, MANY)]
    assert_any_batch(Moves(representation), *((m, z) for _, z, _, m in given))
    assert_any_batch(Loss(eq.PeCLRLoss(0.2, representation=representation)), *given)


@either
@pytest.mark.parametrize("chunk_size", [None, 4], ids=["dense", "blocks"])
def test_the_loss_is_exported_for_any_batch(strict, chunk_size):
    many = 400 if chunk_size is None else MANY  # more than are compared densely outside of an export
    few, many = (tuple(embeddings(n, 8, 2)) for n in (FEW, many))
    assert_any_batch(eq.NTXentLoss(0.2, chunk_size=chunk_size), few, many, strict=strict)


@either
def test_the_pose_model_is_exported_for_any_batch(strict):
    torch.manual_seed(0)
    model = Pose25D(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten()), width=48).eval()
    K = torch.tensor([[90.0, 0.0, 24.0], [0.0, 90.0, 20.0], [0.0, 0.0, 1.0]])
    assert_any_batch(model, *((images(n), K.repeat(n, 1, 1)) for n in (FEW, MANY)), strict=strict)
