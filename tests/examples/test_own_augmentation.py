"""The recipe for other libraries' augmentations: the matrix says where the picture went, in sign and to a pixel."""

from types import ModuleType

import pytest
import torch
from examples.recipe_checks import assert_moved, losses, recipe
from torch import Tensor
from torch.testing import assert_close

import equicon as eq

MARKS = torch.tensor([[30.0, 24.0], [60.0, 30.0], [45.0, 48.0]])
SOURCE = (72, 90)


def draw_marks() -> Tensor:
    """Draw a blob at each mark, in a channel of its own: (3, H, W), uint8."""
    y, x = torch.meshgrid(*map(torch.arange, SOURCE), indexing="ij")
    blobs = [torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in MARKS]
    return (torch.stack(blobs) * 255).round().to(torch.uint8)


def find_marks(view: Tensor) -> tuple[Tensor, Tensor]:
    """Find the blobs again: the centre of mass around the brightest pixel, and whether that is well inside."""
    height, width = view.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    top = view.double().flatten(1).argmax(1)
    near = ((x - (top % width)[:, None, None]).abs() <= 7) & ((y - (top // width)[:, None, None]).abs() <= 7)
    mass = view.double() * near
    found = torch.stack([(mass * x).sum((1, 2)), (mass * y).sum((1, 2))], -1) / mass.sum((1, 2))[:, None]
    inside = ((found > 8) & (found < torch.tensor([width - 9, height - 9]))).all(1)
    return found, inside


def without_colour(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = [script.A.HorizontalFlip(), script.MOVE]
    monkeypatch.setattr(script, "TORCHVISION", script.v2.Compose(script.MOVES))
    monkeypatch.setattr(script, "ALBUMENTATIONS", script.A.Compose(moves, keypoint_params=script.KEEP, seed=0))


@pytest.mark.parametrize(("views", "pixels"), [("torchvision", 0.6), ("albumentations", 0.05), ("drawn", 0.05)])
def test_the_matrix_takes_marks_to_where_the_picture_shows_them(views, pixels, monkeypatch):
    script = recipe("own_augmentation")
    without_colour(script, monkeypatch)
    torch.manual_seed(0)
    picture, distances, flips = draw_marks(), [], 0
    for _ in range(40):
        view, g = script.MAKE[views](picture)
        found, inside = find_marks(view)
        expected = g.points(MARKS[None], SOURCE, (view.shape[1], view.shape[2]))[0]
        distances.append((found - expected).norm(dim=-1)[inside])
        flips += int(g.linear.det() < 0)
    assert len(torch.cat(distances)) > 60
    assert torch.cat(distances).max() < pixels
    assert 10 < flips < 30


def test_signs_are_those_that_the_page_says(monkeypatch):
    script = recipe("own_augmentation")
    A, v2 = script.A, script.v2
    picture = torch.zeros(3, *SOURCE, dtype=torch.uint8)

    def g_of(name: str, *moves: object) -> eq.Affine:
        options = {"keypoint_params": script.KEEP} if name == "albumentations" else {}
        made = (A if name == "albumentations" else v2).Compose(list(moves), **options)
        monkeypatch.setattr(script, name.upper(), made)
        return script.MAKE[name](picture)[1]

    for name, move, degrees in (
        ("torchvision", v2.RandomRotation((30, 30)), 30),
        ("torchvision", v2.RandomAffine((30, 30)), -30),
        ("albumentations", A.Rotate((30, 30), p=1), 30),
        ("albumentations", A.Affine(rotate=(30, 30), p=1), 30),
    ):
        assert_close(g_of(name, move).degrees, torch.tensor([float(degrees)]))
    shifted = g_of("albumentations", A.Affine(translate_px={"x": 9, "y": -18}, p=1))
    assert_close(shifted.translation, torch.tensor([[0.25, -0.5]]))
    # The pictures of torchvision's RandomAffine(30) do turn clockwise: the mark right of the centre goes down.
    monkeypatch.setattr(script, "TORCHVISION", v2.Compose([v2.RandomAffine((30, 30))]))
    assert find_marks(script.torchvision_view(draw_marks())[0])[0][1, 1] > MARKS[1, 1]


def test_the_matrix_that_albumentations_reports_is_the_fitted_one():
    script = recipe("own_augmentation")
    A = script.A
    _, before = script.nine_points(torch.zeros(3, *SOURCE))
    for border in (0, 4):  # constant, and cv2.BORDER_REFLECT_101, which repeats the points
        move = A.Affine(rotate=(20, 40), shear=(-9, 9), scale=0.8, border_mode=border, p=1)
        pipeline = A.Compose([move], keypoint_params=script.KEEP, save_applied_params=True)
        out = pipeline(image=draw_marks().permute(1, 2, 0).numpy(), keypoints=before.numpy())
        ((name, told),) = out["applied_transforms"]
        assert name == "Affine"
        g = eq.Affine.from_pixels(torch.from_numpy(told["matrix"])[None].float(), SOURCE)
        found, inside = find_marks(torch.from_numpy(out["image"]).permute(2, 0, 1))
        assert (found - g.points(MARKS[None], SOURCE, SOURCE)[0])[inside].norm(dim=-1).max() < 0.05
        after = torch.from_numpy(out["keypoints"])
        if border:
            with pytest.raises(ValueError, match="9 points became"):
                script.fit_affine(before, after, SOURCE, SOURCE)
        else:
            assert_close(script.fit_affine(before, after, SOURCE, SOURCE).matrix, g.matrix, rtol=0, atol=1e-5)


@pytest.mark.parametrize("move", ["RandomPerspective", "ElasticTransform"])
def test_what_is_not_affine_is_refused(move, monkeypatch):
    script = recipe("own_augmentation")
    torch.manual_seed(0)
    monkeypatch.setattr(script, "TORCHVISION", script.v2.Compose([getattr(script.v2, move)()]))
    with pytest.raises(ValueError, match="not affine"):
        _ = [script.torchvision_view(draw_marks()) for _ in range(20)]  # perspective is drawn with a probability


def test_a_resize_moves_the_points_by_a_quarter_of_a_pixel_too_far(monkeypatch):
    script = recipe("own_augmentation")
    A, v2 = script.A, script.v2
    half = (SOURCE[0] // 2, SOURCE[1] // 2)
    monkeypatch.setattr(script, "TORCHVISION", v2.Compose([v2.Resize(half)]))
    monkeypatch.setattr(script, "ALBUMENTATIONS", A.Compose([A.Resize(*half)], keypoint_params=script.KEEP))
    for name in ("torchvision", "albumentations"):
        view, g = script.MAKE[name](draw_marks())
        difference = g.points(MARKS[None], SOURCE, half)[0] - find_marks(view)[0]
        assert_close(difference.float(), torch.full((3, 2), 0.25), rtol=0, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("views", ["torchvision", "albumentations", "drawn"])
def test_trains(views, capsys):
    script = recipe("own_augmentation")
    words = ["--views", views, "--hands", "64", "--epochs"]
    assert_moved(script.main([*words, "0"]), script.main([*words, "1"]))
    losses(capsys.readouterr().out)


def test_workers_draw_alike_unless_they_are_seeded():
    script = recipe("own_augmentation")
    pairs = script.Pairs(draw_marks().expand(4, -1, -1, -1), "albumentations")
    for init, different in ((None, 2), (script.reseed, 4)):
        loader = torch.utils.data.DataLoader(pairs, 1, num_workers=2, worker_init_fn=init)
        matrices = torch.cat([g.matrix for _, g, _, _ in loader])
        assert len(matrices.unique(dim=0)) == different
