"""YouTube3DHands: frames of videos with the hands in them (Kulon et al., CVPR 2020, arXiv 2004.01946)."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, final, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import (
    check_bool,
    check_choice,
    check_factor,
    check_index,
    check_int,
    check_progress,
    describe,
    value_error,
)
from equicon._views.warp import PaddingMode
from equicon.data._boxes import Boxed
from equicon.data._cutting import cut_box
from equicon.data._names import Names, look_alike, number_folders, other_spelling
from equicon.data._reading import read_rgb
from equicon.data._records import check_there
from equicon.hands._datasets.youtube_records import Frame, read_hands

_SPLITS = ("train", "val", "test")


class YouTubeSummary(NamedTuple):
    """What ``YouTube3DHands`` found, and what it left out. Each hand of the file is counted once.

    Args:
        hands: Number of hands found, the length of the data set.
        images: Number of images that show these hands.
        missing_hands: Number of hands whose image is not on disk.
        missing_images: Number of these images.
        missing_videos: Number of folders of frames in which all images that show hands are missing.
        unmatched: Number of hands whose ``image_id`` belongs to no image.
        degenerate: Number of hands whose vertices have no extent in x or in y.

    Examples:
        >>> print(YouTubeSummary(hands=7, images=5, missing_hands=3, missing_images=2, missing_videos=1))
        7 hands in 5 images. Left out: 3 hands not on disk (2 images, all of 1 video).
    """

    hands: int
    images: int
    missing_hands: int = 0
    missing_images: int = 0
    missing_videos: int = 0
    unmatched: int = 0
    degenerate: int = 0

    def __str__(self) -> str:
        gone = f"{_count(self.missing_images, 'image')}, all of {_count(self.missing_videos, 'video')}"
        left_out = (
            f"{_count(self.missing_hands, 'hand')} not on disk ({gone})" if self.missing_hands else "",
            f"{_count(self.unmatched, 'hand')} of no image that is listed" if self.unmatched else "",
            f"{_count(self.degenerate, 'hand')} without extent" if self.degenerate else "",
        )
        said = ", ".join(text for text in left_out if text)
        found = f"{_count(self.hands, 'hand')} in {_count(self.images, 'image')}."
        return f"{found} Left out: {said}." if said else found


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@final
class YouTube3DHands(Dataset[Boxed]):
    """The hands of YouTube3DHands, cut to squares of one size, without labels: for pre-training.

    Items are the hands in the order of the annotations. An image may show several. The data set is published as a list
    of videos, many of which no longer exist. Missing frames are left out, and ``summary`` says how many. A frame that
    is annotated as ``.png`` may lie on disk as ``.jpg``. If a frame has another size than its annotation says, its
    boxes are scaled on each axis.

    A hand's box is the square around the mean of its vertices, whose half-side is the largest distance from the mean.
    So ``Affine.from_boxes`` makes the same crop of the box as ``Affine.from_points`` of the vertices. The box may reach
    beyond the frame. An item is the square around the centre of the box whose side is ``margin`` × the side of the box,
    in whole pixels of the frame. It is resized to ``size`` with anti-aliasing: choose about twice the size of the
    views.

    Opening the data set reads the annotations in bounded memory, and lists the folders of frames, but opens no frame.
    It holds a few tensors, which the workers of a ``DataLoader`` share.

    Convention: vertices and boxes are in integer pixel centres. A mirrored box has x1' = size − 1 − x2.

    Args:
        root: The folder with ``youtube_train.json`` (or ``val``, ``test``) and the frames, such as
            ``youtube/VIDEO_ID/video/frames/FRAME_ID.png``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        size: Side of the items in pixels, at least 1.
        margin: Side of the square divided by the side of the box, in [1e-4, 1e4]. What lies outside is lost to views
            that turn, shift or shrink.
        padding_mode: What the square shows outside the frame: ``zeros``, which is black, ``border`` or ``reflection``.
            Black would appear even in views that show nothing outside their item.
        mirror_left: Whether to mirror left hands, image and box, so that all are right hands, as the authors do.
        progress: Wraps the records of the annotations while they are read, for example ``tqdm``. That takes a minute.

    Attributes:
        summary: How many hands were found, and how many were left out for which reason: ``print(data.summary)``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, the annotations are missing or damaged, or no image is there.
        CorruptImage: From an item whose image cannot be read, does not show its hand, or is far smaller than the hand.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> write_youtube(root, num_images=4, size=64)
        >>> data = YouTube3DHands(root, size=48)
        >>> print(data.summary)
        6 hands in 4 images. Left out: 1 hand not on disk (1 image, all of 1 video).
        >>> data[0].image.shape, data.path(0).name
        (torch.Size([3, 48, 48]), '00000000.jpg')
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: Literal["train", "val", "test"] = "train",
        *,
        size: int,
        margin: float = 2.0,
        padding_mode: PaddingMode = "zeros",
        mirror_left: bool = True,
        progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
    ) -> None:
        if split not in _SPLITS:
            raise value_error("split", f"one of {', '.join(_SPLITS)}", describe(split))
        self.root, self.split = Path(root), split
        self.size = check_int("size", size, low=1)
        self.margin = check_factor("margin", margin)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        self.padding_mode = padding_mode
        check_bool("mirror_left", mirror_left)
        check_progress(progress)
        self.mirror_left = mirror_left

        annotations = self.root / f"youtube_{split}.json"
        check_there(self.root, annotations)
        read = read_hands(annotations, progress)
        boxes = torch.frombuffer(read.boxes, dtype=torch.float32).reshape(-1, 4)
        flat = (boxes[:, :2] >= boxes[:, 2:]).any(-1).tolist()
        frames = [read.frames.get(frame_id) for frame_id in read.frame_ids]
        wanted = {frame.name for frame, empty in zip(frames, flat, strict=True) if frame and not empty}
        on_disk, missing_videos = _find(self.root, wanted)

        kept: list[int] = []
        shown: dict[str, tuple[int, Frame]] = {}  # each image's place among those that are there
        missing_hands = 0
        for hand, (frame, empty) in enumerate(zip(frames, flat, strict=True)):
            if frame and not empty:
                if frame.name in on_disk:
                    shown.setdefault(frame.name, (len(shown), frame))
                    kept.append(hand)
                else:
                    missing_hands += 1
        self.summary = YouTubeSummary(
            hands=len(kept),
            images=len(shown),
            missing_hands=missing_hands,
            missing_images=len(wanted) - len(on_disk),
            missing_videos=missing_videos,
            unmatched=frames.count(None),
            degenerate=sum(empty for frame, empty in zip(frames, flat, strict=True) if frame),
        )
        if not kept:
            raise self._nothing(next((frame.name for frame in frames if frame and frame.name in wanted), ""))
        self._boxes = boxes[kept]
        self._left = torch.frombuffer(read.left, dtype=torch.bool)[kept]
        self._image = torch.tensor([shown[frames[hand].name][0] for hand in kept], device="cpu")  # type: ignore[union-attr]
        self._recorded = torch.tensor([(frame.width, frame.height) for _, frame in shown.values()], device="cpu")
        names = [on_disk[name] for name in shown]
        self._names, self._videos = Names(names), number_folders(names)

    @property
    def groups(self) -> Tensor:
        """The number of each hand's video, (n,) int64, for ``GroupedBatchSampler``."""
        return self._videos[self._image].long()

    def path(self, index: int) -> Path:
        """Return the path of the file that an item is cut from."""
        return self.root / self._names[int(self._image[check_index(index, len(self))])]

    def __len__(self) -> int:
        """Return the number of hands."""
        return len(self._boxes)

    def __getitem__(self, index: int) -> Boxed:
        """Read one image and cut out the hand. Raise ``CorruptImage`` if that is not possible."""
        position = check_index(index, len(self))
        path = self.path(position)
        image = read_rgb(path, position)
        real = self._boxes.new_tensor([image.shape[2], image.shape[1]])
        scale = (real / self._recorded[self._image[position]]).repeat(2)
        box = (self._boxes[position] + 0.5) * scale - 0.5  # a resize scales edge coordinates
        cut = cut_box(
            image, box, self.margin, self.size, clip=False, path=path, index=position, padding_mode=self.padding_mode
        )
        return mirror(cut) if self.mirror_left and self._left[position] else cut

    def _nothing(self, first: str) -> ValueError:
        if not first:
            return value_error("root", "hands with an image and an extent", f"none in {self.root}: {self.summary}")
        wanted = f"the frames of the videos, the first being {self.root / first} (or .jpg)"
        fix = "The annotations come without frames: see github.com/arielai/youtube_3d_hands."
        return value_error("root", wanted, f"none of {self.summary.missing_images:,}", fix)


def mirror(item: Boxed) -> Boxed:
    """Mirror an image and its box: what is at x comes to size − 1 − x."""
    x1, y1, x2, y2 = item.box.unbind(-1)
    last = item.image.shape[-1] - 1
    return Boxed(item.image.flip(-1), torch.stack([last - x2, y1, last - x1, y2], -1))


def _find(root: Path, names: set[str]) -> tuple[dict[str, str], int]:
    """List each folder once: return the name on disk by the annotated name, and how many folders lack all images."""
    folders: dict[str, list[str]] = {}
    for name in sorted(names):
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    found: dict[str, str] = {}
    gone = 0
    for folder, recorded in folders.items():
        try:
            there = set(os.listdir(root / folder))  # noqa: PTH208
            alike = ""
        except (FileNotFoundError, NotADirectoryError):
            there = set()
            alike = other_spelling(root / folder)
        before = len(found)
        for name in recorded:
            stem = name.removesuffix(".png").removesuffix(".jpg")
            candidates = (name, f"{stem}.jpg", f"{stem}.png")
            for candidate in candidates:
                if candidate.rpartition("/")[2] in there:
                    found[name] = candidate
                    break
            else:
                alike = alike or look_alike((candidate.rpartition("/")[2] for candidate in candidates), there)
        if alike:  # else these hands would be counted as not on disk
            raise value_error("root", f"images named as in the annotations, in {root / folder}", "other names", alike)
        gone += len(found) == before
    return found, gone
