"""Each row of "Coming from Kornia, torchvision v2, albumentations" is compared with the real package."""

import inspect
import os
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from peers import labels, pictures
from peers.rows import ROWS, Row, packages

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import asks PyPI for a newer version
pytestmark = pytest.mark.filterwarnings("ignore:ShiftScaleRotate is a special case")

HALVES = [("Kornia", "Random(?!Resized|Grayscale)"), ("albumentations", ".*(?<!Crop)$")]
BOXES = 'tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(H, W), clamping_mode=None)'
HALVES = [("Kornia", "Random(?!Resized|Grayscale)"), ("albumentations", ".*(?<!Crop)$")]
SIDES = "left and right names of points, after a flip"
CASES: dict[str, dict[str, Callable[[Row], None]]] = {
    "Kornia": {
        "K.RandomRotation((10, 30), p=1)": pictures.equal,
        "K.RandomAffine((10, 30), scale=(0.9, 1.2), shear=(5, 10), p=1)": pictures.equal,
        "K.RandomAffine(0.0, translate=(0.1, 0.2), p=1)": pictures.ranges,
        "K.RandomShear((5, 10), p=1)": pictures.equal,
        "K.RandomHorizontalFlip(p=0.5)": pictures.equal,
        "K.RandomVerticalFlip(p=0.5)": pictures.equal,
        "K.RandomResizedCrop((96, 96), (0.2, 0.5), align_corners=False)": pictures.crops,
        "K.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4))": pictures.colours,
        "K.ColorJitter(hue=(0.05, 0.1))": pictures.hue,
        "K.RandomGrayscale(p=0.2)": pictures.equal,
        "K.RandomGaussianBlur(5, (0.1, 2.0), p=0.5)": pictures.equal,
        "K.RandomErasing((0.02, 0.33), (0.5, 3.0), p=0.5)": partial(pictures.erasing, atol=0.25),
        "K.Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))": pictures.equal,
        "K.ColorJiggle(brightness=(0.8, 1.2))": pictures.kept,
        'data_keys=["input", "mask", "keypoints", "bbox_xyxy"]': labels.kornia_keys,
        "aug(images, params=aug._params)": labels.kornia_replay,
        "aug.transform_matrix": labels.kornia_matrix,
        "aug.inverse(views)": labels.kornia_inverse,
        SIDES: labels.sides,
    },
    "torchvision v2": {
        'v2.RandomRotation((10, 30), "bilinear", fill=None)': pictures.equal,
        'v2.RandomAffine((10, 30), None, (0.9, 1.2), (5, 10), "bilinear", fill=None)': pictures.equal,
        "v2.RandomAffine(0, translate=(0.1, 0.2))": pictures.ranges,
        "v2.RandomHorizontalFlip(p=0.5)": pictures.equal,
        "v2.RandomVerticalFlip(p=0.5)": pictures.equal,
        "v2.RandomResizedCrop((96, 96), (0.2, 0.5))": pictures.crops,
        "v2.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4))": pictures.colours,
        "v2.ColorJitter(hue=(0.05, 0.1))": pictures.hue,
        "v2.RandomGrayscale(p=0.2)": pictures.equal,
        "v2.GaussianBlur(5, (0.1, 2.0))": pictures.equal,
        "v2.RandomErasing(scale=(0.02, 0.33), ratio=(0.5, 3.0), p=0.5)": partial(pictures.erasing, atol=0.2),
        "v2.Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))": pictures.equal,
        "v2.Grayscale(3)": pictures.kept,
        "tv_tensors.Mask(masks)": labels.torchvision_label,
        "tv_tensors.KeyPoints(xy, canvas_size=(H, W))": labels.torchvision_label,
        BOXES: labels.torchvision_label,
        'v2.ClampBoundingBoxes("hard")': labels.torchvision_clamp,
        "v2.SanitizeBoundingBoxes()": labels.torchvision_sanitize,
        "v2.SanitizeKeyPoints()": labels.visible,
        "v2.RandomAffine(30).make_params([image])": labels.torchvision_params,
        "no inverse": labels.no_inverse,
        SIDES: labels.sides,
    },
    "albumentations": {
        "A.Rotate((10, 30), p=1)": pictures.equal,
        "A.Affine(rotate=(10, 30), scale=(0.9, 1.2), keep_ratio=True, p=1)": pictures.equal,
        'A.Affine(rotate=(10, 30), shear={"x": (5, 10), "y": (0, 0)}, p=1)': pictures.equal,
        'A.Affine(translate_percent={"x": (-0.1, 0.1), "y": (-0.2, 0.2)}, p=1)': pictures.ranges,
        "A.ShiftScaleRotate(0.1, 0.2, (10, 30), p=1)": pictures.ranges,
        "A.HorizontalFlip(p=0.5)": pictures.equal,
        "A.VerticalFlip(p=0.5)": pictures.equal,
        "A.RandomResizedCrop((96, 96), (0.2, 0.5))": pictures.crops,
        "A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (0, 0), p=1)": pictures.colours,
        "A.ColorJitter((1, 1), (1, 1), (1, 1), hue=(0.05, 0.1), p=1)": pictures.hue,
        "A.ToGray(p=0.2)": pictures.equal,
        "A.GaussianBlur((5, 5), (0.5, 2.0), p=0.5)": pictures.equal,
        "A.CoarseDropout((1, 1), (0.25, 0.25), (0.5, 0.5), p=0.5)": partial(pictures.erasing, atol=0.1),
        "A.Erasing((0.02, 0.33), (0.5, 3.0), p=0.5)": partial(pictures.erasing, atol=0.2),
        "A.Normalize()": pictures.equal,
        "mask=mask": labels.albumentations_mask,
        'A.KeypointParams("xy", remove_invisible=False)': labels.albumentations_points,
        'A.KeypointParams("xy")': labels.visible,
        'A.BboxParams("pascal_voc")': labels.albumentations_boxes,
        'A.BboxParams("pascal_voc", min_visibility=0.5)': labels.albumentations_share,
        "A.ReplayCompose(...)": labels.albumentations_replay,
        "no inverse": labels.no_inverse,
        SIDES: labels.sides,
    },
}


def test_each_row_has_a_case_and_each_case_a_row():
    assert sorted((row.library, row.theirs) for row in ROWS) == sorted((name, k) for name in CASES for k in CASES[name])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.library}: {row.theirs}")
def test_row(row):
    torch.manual_seed(0)
    CASES[row.library][row.theirs](row)


@pytest.mark.parametrize("library", CASES)
def test_a_smaller_picture_is_smoothed_by_equicon_alone(library):
    pictures.smaller(library)


@pytest.mark.parametrize(("library", "halves"), HALVES)
def test_calls_have_a_chance_of_a_half_unless_it_is_given(library, halves):
    home = next(iter(packages(library).values()))
    names = {call.split("(")[0].split(".")[1] for call in CASES[library] if re.match(r"[KA]\.\w+\(", call)}
    for name in names - {"Normalize", "KeypointParams", "BboxParams", "ReplayCompose"}:
        chance = inspect.signature(getattr(home, name)).parameters["p"].default
        assert (chance == 0.5) == bool(re.match(halves, name)), name
