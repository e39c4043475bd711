"""Unlabelled photographs: a folder of images of any sizes, with or without boxes around what they show."""

import os
from pathlib import Path
from typing import final, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import check_bool, check_choice, check_factor, check_index, check_int
from equicon._views.warp import PaddingMode
from equicon.data._boxes import Boxed, read_boxes
from equicon.data._cutting import cut_box, cut_middle
from equicon.data._listing import list_images
from equicon.data._names import Names, number_folders
from equicon.data._reading import read_rgb


@final
class UnlabelledImages(Dataset[Boxed]):
    """Every image under a folder, cut to squares of one size.

    Items follow the images' paths in the folder, sorted, and the boxes of an image as the file has them. An image is
    read when its item is asked for; opening the data set only lists the folder. The list is a few tensors, which the
    workers of a ``DataLoader`` share.

    With ``boxes``, an item is the square about the box's centre whose side is ``margin`` × its longer side, in whole
    pixels of the image. Before that, a box is cut to the image. Images without a
    box are left out. Without ``boxes``, an item is the centred square of the image, and the box is that whole square.

    The square is resized to ``size`` with anti-aliasing. That is the one resampling before the view's own, so choose
    ``size`` about twice that of the views: what a view needs is then still there where it magnifies.

    Linked folders are looked into, and each folder once, whatever the links to it. ``._a.jpg``, which macOS writes
    beside ``a.jpg``, is no image.

    Convention: boxes are x1, y1, x2, y2 in integer pixel centres of the upright image, or of the image as it is stored
    with ``apply_exif_orientation=False``.

    Args:
        root: The folder. ``.jpg``, ``.jpeg`` and ``.png`` in any case, in subfolders too, of any size and kind that
            ``read_rgb`` reads.
        size: Side of the items in pixels, at least 1.
        boxes: A JSON file: ``{"sub/a.jpg": [x1, y1, x2, y2], "b.png": [[x1, y1, x2, y2], ...]}``, names being paths
            in the folder with ``/`` between, one box or a list of them for each; each box is an item.
        margin: Side of the square over the longer side of the box, in [1e-4, 1e4]; what is beyond is lost to
            views that turn, shift or shrink.
        padding_mode: What the square shows beyond the image: ``zeros``, which is black, ``border`` or ``reflection``.
            Black would show in views that are to show nothing outside their item.
        apply_exif_orientation: Turn and mirror the images as cameras note beside them (EXIF), so that they are upright.

    Attributes:
        left_out: How many images of the folder have no box in ``boxes``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, the folder holds no image or a link that leads nowhere, or ``boxes``
            is damaged, names an image that the folder lacks, or has a box that is not four finite numbers with x1 < x2
            and y1 < y2.
        OSError: If a subfolder cannot be read.
        CorruptImage: From an item whose image cannot be read, or lies beside its box.

    Examples:
        >>> import kornia, pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> kornia.io.write_image(root / "a.png", torch.zeros(3, 90, 64, dtype=torch.uint8))
        >>> data = UnlabelledImages(root, 48)
        >>> len(data), data[0].image.shape, data.path(0).name
        (1, torch.Size([3, 48, 48]), 'a.png')
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        size: int,
        *,
        boxes: str | os.PathLike[str] | None = None,
        margin: float = 2.0,
        padding_mode: PaddingMode = "zeros",
        apply_exif_orientation: bool = True,
    ) -> None:
        self.root = Path(root)
        self.size = check_int("size", size, low=1)
        self.margin = check_factor("margin", margin)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        self.padding_mode = padding_mode
        check_bool("apply_exif_orientation", apply_exif_orientation)
        self.apply_exif_orientation = apply_exif_orientation
        names = list_images(self.root)
        self.left_out = 0
        self._boxes: Tensor | None = None
        if boxes is not None:
            found = read_boxes(Path(boxes), self.root, names)
            self.left_out = len(names) - len(found)
            names = [name for name, several in found.items() for _ in several]
            self._boxes = torch.from_numpy(np.concatenate(list(found.values())))
        self._names, self._folders = Names(names), number_folders(names)

    @property
    def groups(self) -> Tensor:
        """The number of the folder that holds each item's picture (n,), int64: for ``GroupedBatchSampler``."""
        return self._folders.long()

    def path(self, index: int) -> Path:
        """Give the file that an item is cut from."""
        return self.root / self._names[check_index(index, len(self))]

    def __len__(self) -> int:
        """Count the boxes, or the images where there are no boxes."""
        return len(self._names)

    def __getitem__(self, index: int) -> Boxed:
        """Read one image and cut it; ``CorruptImage`` where it cannot be read or lies beside its box."""
        position = check_index(index, len(self))
        path = self.path(position)
        image = read_rgb(path, position, apply_exif_orientation=self.apply_exif_orientation)
        if self._boxes is None:
            return cut_middle(image, self.size)
        return cut_box(
            image,
            self._boxes[position],
            self.margin,
            self.size,
            path=path,
            index=position,
            padding_mode=self.padding_mode,
        )
