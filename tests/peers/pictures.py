"""What two calls do to pixels: the cases of the rows that make views."""

import ast
import re
from typing import Any

import torch
from peers.rows import PICTURE, SIZE, SQUARE, Row, alike, build, from_numpy, near, packages, pinned, run, to_numpy
from torch import Tensor

import equicon as eq


def same_chance(row: Row) -> None:
    assert getattr(build(row, row.theirs), "p", 1) == getattr(build(row, row.ours[0]), "p", 1)


def equal(row: Row) -> None:
    same_chance(row)
    for share in (0.0, 0.3, 1.0):
        theirs, ours = (build(row, pinned(call, share)) for call in (row.theirs, row.ours[0]))
        assert row.note.startswith("equal")
        near(run(row, theirs), ours(PICTURE)[0])


def kept(row: Row) -> None:
    near(run(row, build(row, pinned(row.theirs, 0.3))), build(row, pinned(row.ours[0], 0.3))(PICTURE)[0], 1e-6)


def drawn_matrices(row: Row, n: int) -> tuple[eq.Affine, Tensor]:
    """Draw n matrices by a library, and make the view (1, 3, H, W) of the first."""
    transform = build(row, row.theirs)
    torch.manual_seed(0)
    if row.library == "Kornia":
        views = transform(PICTURE.expand(n, -1, -1, -1))
        return eq.Affine.from_pixels(transform.transform_matrix, SIZE), views[:1]
    if row.library == "torchvision v2":
        params = [transform.make_params([PICTURE[0]]) for _ in range(n)]
        matrices = torch.eye(3).repeat(n, 1, 1)
        matrices[:, :2, 2] = torch.tensor([one["translate"] for one in params])
        return eq.Affine.from_pixels(matrices, SIZE), transform.transform(PICTURE[0], params[0])[None]
    chain = packages(row.library)["A"].Compose([transform], save_applied_params=True, seed=0)
    outs = [chain(image=to_numpy(PICTURE)) for _ in range(n)]
    told = [torch.from_numpy(out["applied_transforms"][0][1]["matrix"]).float() for out in outs]
    return eq.Affine.from_pixels(torch.stack(told), SIZE), from_numpy(outs[0]["image"])


def ranges(row: Row) -> None:
    """The drawn shifts, angles and scales have the same ends, and the drawn matrix is that of the picture."""
    same_chance(row)
    theirs, view = drawn_matrices(row, 400)
    near(view, theirs[:1].warp(PICTURE, antialias=False))
    torch.manual_seed(1)
    ours = build(row, row.ours[0]).sample(400).affine
    pixels = [g.translation * min(SIZE) / 2 for g in (theirs, ours)]
    for axis in (0, 1):  # some cut to whole pixels
        alike(pixels[0][:, axis], pixels[1][:, axis], 1.05, (0, 1))
        assert pixels[1][:, axis].std() > 1
    alike(theirs.degrees, ours.degrees, 1, (0, 1))
    alike(theirs.linear.det().sqrt(), ours.linear.det().sqrt(), 0.02, (0, 1))


def drawn_crops(row: Row, transform: Any, side: int, n: int) -> Tensor:
    """Draw n crops (n, 4) of a square picture: left, top, width and height."""
    torch.manual_seed(0)
    if row.library == "Kornia":
        corners = transform.forward_parameters((n, 3, side, side))["src"]
        return torch.cat([corners[:, 0], corners[:, 2] - corners[:, 0] + 1], 1)
    if row.library == "torchvision v2":
        params = [transform.make_params([torch.empty(3, side, side)]) for _ in range(n)]
        return torch.tensor([[one[name] for name in ("left", "top", "width", "height")] for one in params]).float()
    chain = packages(row.library)["A"].Compose([transform], save_applied_params=True, seed=0)
    picture = to_numpy(torch.zeros(1, 1, side, side))
    told = [chain(image=picture)["applied_transforms"][0][1]["crop_coords"] for _ in range(n)]
    corners = torch.tensor(told).float()
    return torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)


def view_of_crop(row: Row, transform: Any) -> tuple[Tensor, Tensor]:
    """Return a view by a library, and the crop (4,) that it shows."""
    torch.manual_seed(0)
    if row.library == "Kornia":
        view, corners = transform(SQUARE), transform._params["src"][0]
        return view, torch.cat([corners[0], corners[2] - corners[0] + 1])
    if row.library == "torchvision v2":
        params = transform.make_params([SQUARE[0]])
        shown = [params[name] for name in ("left", "top", "width", "height")]
        return transform.transform(SQUARE[0], params)[None], torch.tensor(shown).float()
    out = packages(row.library)["A"].Compose([transform], save_applied_params=True, seed=0)(image=to_numpy(SQUARE))
    left, top, right, bottom = out["applied_transforms"][0][1]["crop_coords"]
    return from_numpy(out["image"]), torch.tensor([left, top, right - left, bottom - top]).float()


def crops(row: Row) -> None:
    transform, mine = build(row, row.theirs), build(row, row.ours[0])
    view, (left, top, width, height) = view_of_crop(row, transform)
    box = torch.stack([left - 0.5, top - 0.5, left + width - 0.5, top + height - 0.5])
    x, y = 96 / width, 96 / height
    matrix = torch.stack([torch.stack([x, x * 0, -0.5 - box[0] * x]), torch.stack([y * 0, y, -0.5 - box[1] * y])])
    expected = eq.Affine.from_pixels(matrix[None], (64, 64), (96, 96)).warp(SQUARE, (96, 96))
    near(view[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])
    assert (view - expected).abs().max() > 0.01  # the outermost pixels
    side, n = 256, 800
    theirs = drawn_crops(row, transform, side, n) / side
    torch.manual_seed(1)
    g = mine.sample(n).affine
    share = 1 / torch.stack([g.linear[:, 0, 0], g.linear[:, 1, 1]], -1)
    corner = (1 - g.translation * share - share) / 2
    ours = torch.cat([corner, share], 1)
    alike(theirs[:, 2] * theirs[:, 3], ours[:, 2] * ours[:, 3], 0.03)
    alike((theirs[:, 2] / theirs[:, 3]).log(), (ours[:, 2] / ours[:, 3]).log(), 0.06)
    for axis in (0, 1):
        alike(theirs[:, axis], ours[:, axis], 0.05)


def erasing(row: Row, atol: float) -> None:
    """The painted rectangles have the same areas, and the same ratios."""
    same_chance(row)
    torch.manual_seed(0)
    theirs = build(row, re.sub(r"p=[\d.]+", "p=1", row.theirs))
    ours = build(row, re.sub(r"p=[\d.]+", "p=1", row.ours[0]))
    white = torch.ones(1, 3, 64, 64 if "Erasing" in row.theirs else 80)
    ours = build(row, re.sub(r"p=[\d.]+", "p=1", row.ours[0]), H=64, W=white.shape[-1])
    seen = []
    for view in (lambda: run(row, theirs, white), lambda: ours(white)[0]):
        holes = [(view()[0, 0] == 0) for _ in range(150)]
        sizes = torch.tensor([[int(hole.any(1).sum()), int(hole.any(0).sum())] for hole in holes]).float()
        seen.append((sizes.prod(1) / white[0, 0].numel(), (sizes[:, 1] / sizes[:, 0]).log()))
    alike(seen[0][0], seen[1][0], 0.03)
    alike(seen[0][1], seen[1][1], atol, (0.04, 0.96))


NAMES = ("brightness", "contrast", "saturation", "hue")
NEUTRAL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}


def jitter(row: Row, **factors: tuple[float, float]) -> tuple[Any, eq.ColorJitter]:
    """Build a jitter of a library, and equicon's, with these factors alone."""
    theirs = NEUTRAL | factors | {"p": 1} if row.library == "albumentations" else factors
    return build(row, row.theirs.split("(")[0])(**theirs), eq.ColorJitter(**factors)


def colours(row: Row) -> None:
    spans = [ast.literal_eval(arg) for arg in ast.parse(row.theirs, mode="eval").body.args]
    mine = [ast.literal_eval(arg) for arg in ast.parse(row.ours[0], mode="eval").body.args]
    assert spans[:3] == mine
    for name, span in zip(NAMES, mine, strict=False):
        for value in span:
            theirs, ours = jitter(row, **{name: (value, value)})
            near(run(row, theirs), ours(PICTURE)[0])
    mild = 0.4 + 0.1 * PICTURE
    for share in (0.0, 1.0):
        theirs, ours = (build(row, pinned(call, share)) for call in (row.theirs, row.ours[0]))
        near(run(row, theirs, mild), ours(mild)[0])
    expected = ours(PICTURE)[0]
    assert max(float((run(row, theirs) - expected).abs().max()) for _ in range(12)) > 0.01  # clamped in some order


def hue(row: Row) -> None:
    red = torch.tensor([0.5, 0.35, 0.35])[None, :, None, None].expand(-1, -1, 8, 8)
    grey = eq.RandomGrayscale(1.0)
    for share in (0.0, 1.0):
        pair = [build(row, pinned(call, share)) for call in (row.theirs, row.ours[0])]
        theirs, ours = run(row, pair[0], red), pair[1](red)[0]
        for view in (theirs, ours):
            _, green, blue = view.mean((0, 2, 3))
            assert green > blue + 0.02  # both move red to yellow
        assert (theirs - ours).abs().max() > 0.01
        before, after, other = (grey(view)[0].mean() for view in (red, ours, theirs))
        near(before, after)
        assert (other - before).abs() > 0.01


def smaller(library: str) -> None:
    """A picture that shrinks is smoothed by equicon alone; one that shrinks a little is not."""
    calls = {
        "Kornia": "K.RandomAffine(0.0, scale=({0}, {0}), p=1)",
        "torchvision v2": "v2.RandomAffine(0, scale=({0}, {0}), interpolation='bilinear', fill=None)",
        "albumentations": "A.Affine(scale=({0}, {0}), p=1)",
    }
    row = Row(library, calls[library], (), "")
    for factor, plain in ((1 / 1.18, True), (1 / 1.2, False), (0.45, False)):
        theirs = run(row, build(row, calls[library].format(factor)))
        g = eq.RandomScale((factor, factor)).sample(1).affine
        near(theirs, g.warp(PICTURE, antialias=False))
        assert ((theirs - g.warp(PICTURE)).abs().max() < 1e-4) == plain
