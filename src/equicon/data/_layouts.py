"""Tell the layouts of labelled pictures apart, and open what has one."""

import os
from pathlib import Path
from typing import Literal

from equicon._checks import value_error
from equicon._views.warp import PaddingMode
from equicon.data._coco import CocoKeypoints
from equicon.data._deeplabcut import TABLES, DeepLabCutKeypoints
from equicon.data._keypoints import KeypointDataset
from equicon.data._names import other_spelling

Layout = Literal["freihand", "coco", "deeplabcut"]
_VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
_SIGNS: dict[Layout, tuple[str, ...]] = {
    "freihand": ("training/", "evaluation/"),
    "coco": ("annotations.json", "annotations/*.json"),
    "deeplabcut": (TABLES, f"labeled-data/*/{TABLES}"),
}


def keypoint_layout(path: str | os.PathLike[str]) -> Layout | None:
    """Tell in which layout a folder or a file has labels.

    - FreiHAND's: a folder with a folder ``training`` or ``evaluation``.
    - COCO's: ``annotations.json``, or files in ``annotations``; or a file that ends in ``.json``.
    - DeepLabCut's and Lightning Pose's: ``CollectedData*.csv``, or such files in the folders of ``labeled-data``; or a
      file that ends in ``.csv``.

    Args:
        path: The folder or file. It must exist.

    Returns:
        The layout's name, or None where there are no labels of these layouts.

    Raises:
        ValueError: If the path does not exist, or a folder has labels in several layouts.

    Examples:
        >>> import pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (root / "annotations.json").write_text("{}")
        >>> keypoint_layout(root)
        'coco'
    """
    folder = Path(path)
    if not folder.exists():
        raise value_error("path", "a folder or a file", f"{folder}, which does not exist", other_spelling(folder))
    there = layouts_in(folder)
    if len(there) > 1:
        said = " and ".join(f"{sign} ({layout})" for layout, sign in there.items())
        raise value_error("path", "labels in one layout", f"{folder} with {said}", "Give the file of labels itself.")
    return next(iter(there), None)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a file with the ending of a video, such as ``.mp4``, ``.avi``, ``.mov`` or ``.mkv``.

    Args:
        path: The path.

    Examples:
        >>> is_video("nowhere.mp4")
        False
    """
    return Path(path).suffix.lower() in _VIDEOS and Path(path).is_file()


def layouts_in(path: Path) -> dict[Layout, str]:
    """Find all layouts that a path has labels in, with what tells each of them."""
    if path.is_file():
        endings: dict[str, Layout] = {".json": "coco", ".csv": "deeplabcut"}
        ending = path.suffix.lower()
        return {endings[ending]: path.name} if ending in endings else {}
    found = {layout: next((sign for sign in signs if _has(path, sign)), "") for layout, signs in _SIGNS.items()}
    return {layout: sign for layout, sign in found.items() if sign}


def _has(folder: Path, sign: str) -> bool:
    return (folder / sign).is_dir() if sign.endswith("/") else any(folder.glob(sign))


def open_keypoints(
    path: str | os.PathLike[str], size: int, *, margin: float | None = None, padding_mode: PaddingMode = "zeros"
) -> KeypointDataset:
    """Open keypoints in COCO's or DeepLabCut's layout, whichever a folder or file has.

    Args:
        path: What ``CocoKeypoints`` or ``DeepLabCutKeypoints`` takes.
        size: Side of the items in pixels, at least 1.
        margin: Side of the square divided by the longer side of the box; see these classes.
        padding_mode: What the square shows outside the picture: ``zeros``, ``border`` or ``reflection``.

    Raises:
        ValueError: If there are no labels in one of these layouts, or labels in several.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> xy, visible = torch.tensor([[[10.0, 20.0]]]), torch.tensor([[2]])
        >>> write_deeplabcut(root, torch.zeros(1, 3, 48, 64, dtype=torch.uint8), xy, visible, names=["nose"])
        >>> type(open_keypoints(root, 32)).__name__
        'DeepLabCutKeypoints'
    """
    layout = keypoint_layout(path)
    if layout == "coco":
        return CocoKeypoints(path, size, margin=margin, padding_mode=padding_mode)
    if layout == "deeplabcut":
        return DeepLabCutKeypoints(path, size, margin=margin, padding_mode=padding_mode)
    fix = "Open it with equicon.hands.FreiHAND." if layout else ""
    wanted = "a folder with annotations.json (COCO) or CollectedData*.csv (DeepLabCut), or such a file"
    raise value_error("path", wanted, f"{path}" + (", which is in FreiHAND's layout" if layout else ""), fix)
