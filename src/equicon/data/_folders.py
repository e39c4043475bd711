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
    """All images under a folder, cut to squares of one size.

    Items are sorted by the paths of their images in the folder. The boxes of one image come in the order of the file.
    An image is read when its item is requested; opening the data set only lists the folder. The list is held in a few
    tensors, which the workers of a ``DataLoader`` share.

    With ``boxes``, a box is first cut to the image. Its item is the square around the centre of the box whose side is
    ``margin`` × the longer side of the box, in whole pixels of the image. Images without a box are left out. Without
    ``boxes``, an item is the centred square of the image, and its box is that whole square.

    The square is resized to ``size`` with anti-aliasing. This is the only resampling before that of the view. Choose
    ``size`` about twice the size of the views, so that a view that magnifies still has enough pixels.

    Linked folders are searched too, each folder once, however many links lead to it. ``._a.jpg``, which macOS writes
    beside ``a.jpg``, does not count as an image.

    Convention: boxes are x1, y1, x2, y2 in integer pixel centres of the upright image, or of the image as it is stored
    with ``apply_exif_orientation=False``.

    Args:
        root: The folder. Its images end in ``.jpg``, ``.jpeg`` or ``.png``, in upper or lower case. They may lie in
            subfolders, and have any size and kind that ``read_rgb`` reads.
        size: Side of the items in pixels, at least 1.
        boxes: A JSON file: ``{"sub/a.jpg": [x1, y1, x2, y2], "b.png": [[x1, y1, x2, y2], ...]}``. A name is a path in
            the folder, with ``/`` between. It has one box or a list of boxes, and each box is an item.
        margin: Side of the square divided by the longer side of the box, in [1e-4, 1e4]. What lies outside is lost to
            views that turn, shift or shrink.
        padding_mode: What the square shows outside the image: ``zeros``, which is black, ``border`` or ``reflection``.
            Black would appear even in views that show nothing outside their item.
        apply_exif_orientation: Whether to turn and mirror images as the camera noted (EXIF), so that they are upright.

    Attributes:
        left_out: How many images of the folder have no box in ``boxes``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, the folder holds no image or a link that leads nowhere, or ``boxes``
            is damaged, names an image that the folder lacks, or has a box that is not four finite numbers with x1 < x2
            and y1 < y2.
        OSError: If a subfolder cannot be read.
        CorruptImage: From an item whose image cannot be read, or whose box lies outside the image.

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
        """The number of the folder of each item's image, (n,) int64, for ``GroupedBatchSampler``."""
        return self._folders.long()

    def path(self, index: int) -> Path:
        """Return the path of the file that an item is cut from."""
        return self.root / self._names[check_index(index, len(self))]

    def __len__(self) -> int:
        """Return the number of boxes, or of images if there are no boxes."""
        return len(self._names)

    def __getitem__(self, index: int) -> Boxed:
        """Read one image and cut it. Raise ``CorruptImage`` if it cannot be read, or its box lies outside of it."""
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
