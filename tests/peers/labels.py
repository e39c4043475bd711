"""What two libraries do to labels: the cases of the rows about masks, points, boxes and replay."""

from typing import Any

import torch
from peers.rows import PICTURE, SIZE, H, Row, W, build, near, packages, to_numpy
from torch import Tensor

import equicon as eq

XY = torch.tensor([[[10.0, 20.0], [40.0, 30.0], [60.0, 5.0], [63.6, 24.0]]])
BOXES = torch.tensor([[[10.0, 8.0, 30.0, 40.0], [50.0, 30.0, 62.0, 47.0], [20.0, 15.0, 40.0, 30.0]]])
UNCLAMPED = "tv_tensors.BoundingBoxes(b, format='XYXY', canvas_size=(H, W), clamping_mode=None)"
MASKS = torch.arange(H * W).reshape(1, 1, H, W) // 7 % 5


def names_of_ours(transform: eq.EquivariantTransform) -> dict[str, Any]:
    """Return the names that the cells of equicon use, for a batch of one."""
    action = transform.sample(1)
    labels = {"masks": MASKS, "xy": XY, "boxes": BOXES, "pairs": [(0, 1), (2, 3)], "images": PICTURE}
    return labels | {"action": action, "g": action.affine, "augment": transform, "views": action(PICTURE)}


def ours_of(row: Row, transform: eq.EquivariantTransform) -> list[Any]:
    names = names_of_ours(transform)
    return [build(row, code, **names) for code in row.ours]


TURN, FLIP = eq.RandomRotation((30, 30)), eq.RandomHorizontalFlip(1.0)


def kornia_pair() -> list[tuple[Any, eq.EquivariantTransform]]:
    import kornia.augmentation as K

    return [(K.RandomRotation((30.0, 30.0), p=1.0), TURN), (K.RandomHorizontalFlip(p=1.0), FLIP)]


def kornia_keys(row: Row) -> None:
    for theirs, transform in kornia_pair():
        aug = build(row, f"K.AugmentationSequential(theirs, {row.theirs})", theirs=theirs)
        _, masks, xy, boxes = aug(PICTURE, MASKS.float(), XY, BOXES)
        moved = ours_of(row, transform)
        assert moved[0].dtype == MASKS.dtype
        for first, second in zip((masks, xy, boxes), moved, strict=True):
            near(first, second)


def kornia_matrix(row: Row) -> None:
    for aug, transform in kornia_pair():
        aug(PICTURE)
        near(eval(row.theirs, {"aug": aug}), ours_of(row, transform)[0])


def kornia_inverse(row: Row) -> None:
    for theirs, transform in kornia_pair():
        aug = build(row, "K.AugmentationSequential(theirs, data_keys=['input'])", theirs=theirs)
        near(eval(row.theirs, {"aug": aug, "views": aug(PICTURE)}), ours_of(row, transform)[0])


def kornia_replay(row: Row) -> None:
    aug = build(row, "K.AugmentationSequential(K.RandomAffine(30.0, p=1.0), data_keys=['input'])")
    first = aug(PICTURE)
    assert bool((first == eval(row.theirs, {"aug": aug, "images": PICTURE})).all())
    replays(row)


def replays(row: Row) -> None:
    """The code on the page draws an action, or calls one that was drawn, which gives the same again."""
    found = names_of_ours(eq.RandomAffine(30))
    result = build(row, row.ours[0], **found)
    if isinstance(result, eq.Action):
        assert bool((result(PICTURE) == result(PICTURE)).all())
        return
    assert bool((result == found["views"]).all())


def sides(row: Row) -> None:
    """No library renames points; the page's code gives a mirrored picture's left the name of the left."""
    xy = moved_points(row, FLIP)
    near(xy, names_of_ours(FLIP)["g"].points(XY, SIZE))  # in their order
    near(ours_of(row, FLIP)[0], xy[:, [1, 0, 3, 2]])
    near(ours_of(row, TURN)[0], names_of_ours(TURN)["g"].points(XY, SIZE))


def moved_points(row: Row, transform: eq.EquivariantTransform) -> Tensor:
    flip = transform is FLIP
    if row.library == "Kornia":
        (aug,) = (a for a, t in kornia_pair() if t is transform)
        return build(row, "K.AugmentationSequential(aug, data_keys=['input', 'keypoints'])", aug=aug)(PICTURE, XY)[1]
    if row.library == "torchvision v2":
        aug = build(row, "v2.RandomHorizontalFlip(1)" if flip else "v2.RandomRotation((30, 30))")
        return aug(build(row, "tv_tensors.KeyPoints(xy, canvas_size=(H, W))", xy=XY[0])).as_subclass(Tensor)[None]
    aug = build(row, "A.HorizontalFlip(p=1)" if flip else "A.Rotate((30, 30), p=1)")
    keep = build(row, "A.KeypointParams('xy', remove_invisible=False)")
    return torch.from_numpy(through(aug, keypoints=XY[0], keypoint_params=keep)["keypoints"])[None]


def through(aug: Any, **given: Any) -> dict[str, Any]:
    """Put a picture and labels through a transform of albumentations."""
    import albumentations as A

    params = {name: given.pop(name) for name in tuple(given) if name.endswith("_params")}
    return A.Compose([aug], **params)(image=to_numpy(PICTURE), **{name: v.numpy() for name, v in given.items()})


def torchvision_pair(row: Row) -> list[tuple[Any, eq.EquivariantTransform]]:
    calls = {"v2.RandomRotation((30, 30))": TURN, "v2.RandomHorizontalFlip(1)": FLIP}
    return [(build(row, call), transform) for call, transform in calls.items()]


def torchvision_label(row: Row) -> None:
    for aug, transform in torchvision_pair(row):
        given = build(row, row.theirs, masks=MASKS[0], xy=XY[0], boxes=BOXES[0])
        moved = aug(given).as_subclass(Tensor)[None]
        (ours,) = ours_of(row, transform)
        if "KeyPoints" in row.theirs and transform is TURN:
            near((moved - ours).norm(dim=-1), torch.full((1, 4), 2**0.5 * torch.pi / 12), atol=0.01)  # half a pixel
        else:
            near(moved, ours)


def torchvision_clamp(row: Row) -> None:
    for transform in (TURN, FLIP):
        corner = torch.tensor([[[40.0, 0.0, 64.0, 12.0], [0.0, 36.0, 24.0, 48.0]]])  # they leave the turned view
        boxes = torch.cat([BOXES, BOXES - torch.tensor([15.0, 0.0, 0.0, 0.0]), corner], 1)
        names = names_of_ours(transform) | {"boxes": boxes}
        ours = build(row, row.ours[0], **names)[0]
        upright = build(row, "g.boxes(boxes - 0.5, (H, W)) + 0.5", **names)[0]
        made = build(row, UNCLAMPED, b=upright)
        clamped = build(row, row.theirs)(made).as_subclass(Tensor)
        if transform is FLIP:
            near(clamped, ours)
        else:
            assert bool(((ours[:, :2] > clamped[:, :2] - 1e-3) & (ours[:, 2:] < clamped[:, 2:] + 1e-3)).all())
            assert (ours - clamped).abs().max() > 1


def torchvision_sanitize(row: Row) -> None:
    v2 = packages(row.library)["v2"]
    out = torch.tensor([-300.0, 0.0, -300.0, 0.0])
    boxes = torch.stack([BOXES[0, 0], BOXES[0, 1] + out, BOXES[0, 2]])
    made = build(row, UNCLAMPED, b=boxes)
    left = v2.SanitizeBoundingBoxes(labels_getter=None)(v2.ClampBoundingBoxes("hard")(made))
    names = names_of_ours(eq.RandomRotation((0, 0))) | {"boxes": boxes[None]}
    seen = build(row, row.ours[0], **names)[0]
    assert seen.tolist() == [True, False, True]
    near(left.as_subclass(Tensor), boxes[seen])


def visible(row: Row) -> None:
    """The same points are seen, but one within half a pixel of the border."""
    for transform in (TURN, FLIP):
        seen = ours_of(row, transform)[0][0]
        moved = names_of_ours(transform)["g"].points(XY, SIZE)[0]
        if row.library == "albumentations":
            aug = build(row, "A.HorizontalFlip(p=1)" if transform is FLIP else "A.Rotate((30, 30), p=1)")
            left = torch.from_numpy(through(aug, keypoints=XY[0], keypoint_params=build(row, row.theirs))["keypoints"])
        else:
            made = build(row, "tv_tensors.KeyPoints(xy, canvas_size=(H, W))", xy=moved)
            left = build(row, row.theirs)(made).as_subclass(Tensor)
        assert bool(seen[:2].all())
        inside = ((moved >= 0) & (moved < torch.tensor([W, H]))).all(-1)
        near(left, moved[inside])
        assert seen[:3].tolist() == inside[:3].tolist()
    still = build(row, row.ours[0], **names_of_ours(eq.RandomRotation((0, 0))))[0]
    assert still.tolist() == [True, True, True, False]  # 63.6 is in the last pixel for them, and beyond it for equicon
    made = {"xy": XY[0]}
    if row.library == "albumentations":
        kept = through(build(row, "A.NoOp()"), keypoints=XY[0], keypoint_params=build(row, row.theirs))["keypoints"]
    else:
        kept = build(row, row.theirs)(build(row, "tv_tensors.KeyPoints(xy, canvas_size=(H, W))", **made))
    assert len(kept) == 4


def albumentations_pair(row: Row) -> list[tuple[Any, eq.EquivariantTransform]]:
    calls = {"A.Rotate((30, 30), p=1)": TURN, "A.HorizontalFlip(p=1)": FLIP}
    return [(build(row, call), transform) for call, transform in calls.items()]


def albumentations_mask(row: Row) -> None:
    for aug, transform in albumentations_pair(row):
        mask = through(aug, mask=MASKS[0, 0].to(torch.uint8))["mask"]
        near(torch.from_numpy(mask), ours_of(row, transform)[0][0, 0])


def albumentations_points(row: Row) -> None:
    for aug, transform in albumentations_pair(row):
        moved = through(aug, keypoints=XY[0], keypoint_params=build(row, row.theirs))["keypoints"]
        near(torch.from_numpy(moved), ours_of(row, transform)[0][0])


def albumentations_boxes(row: Row) -> None:
    for aug, transform in albumentations_pair(row):
        moved = through(aug, bboxes=BOXES[0], bbox_params=build(row, row.theirs))["bboxes"]
        clamped = ours_of(row, transform)[0][0].clamp(min=0).minimum(torch.tensor([W, H, W, H]))
        near(torch.from_numpy(moved), clamped)


def albumentations_share(row: Row) -> None:
    aug = build(row, "A.Affine(translate_px={'x': (20, 20), 'y': (0, 0)}, p=1)")
    g = eq.Affine.from_pixels(torch.tensor([[[1.0, 0.0, 20.0], [0.0, 1.0, 0.0]]]), SIZE)
    boxes = torch.tensor([[40.0, 10.0, 50.0, 20.0], [10.0, 10.0, 20.0, 20.0], [35.0, 10.0, 50.0, 20.0]])
    left = through(aug, bboxes=boxes, bbox_params=build(row, row.theirs))["bboxes"]
    enough = build(row, row.ours[0], g=g, boxes=boxes[None])[0]
    assert enough.tolist() == [False, True, True]  # shares of 0.4, 1 and 0.6
    near(torch.from_numpy(left), (boxes[enough] + torch.tensor([20.0, 0, 20, 0])).clamp(max=W))


def albumentations_replay(row: Row) -> None:
    A = packages(row.library)["A"]
    out = A.ReplayCompose([A.Rotate((-30, 30), p=1)])(image=to_numpy(PICTURE))
    again = A.ReplayCompose.replay(out["replay"], image=to_numpy(PICTURE))
    assert bool((out["image"] == again["image"]).all())
    replays(row)


def torchvision_params(row: Row) -> None:
    transform = build(row, row.theirs.partition(".make_params")[0])
    assert set(build(row, row.theirs, image=PICTURE[0])) >= {"angle"}
    assert not hasattr(transform, "replay")
    replays(row)


def no_inverse(row: Row) -> None:
    home = next(iter(packages(row.library).values()))
    call = "RandomAffine" if row.library == "torchvision v2" else "Affine"
    assert not hasattr(getattr(home, call), "inverse")
    assert not hasattr(home.Compose, "inverse")
    names = names_of_ours(TURN)
    near(build(row, row.ours[0], **names).points(names["g"].points(XY, SIZE), SIZE), XY)
