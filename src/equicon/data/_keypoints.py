"""Labelled points in photographs: an item, and the data set that cuts items out of pictures."""

import copy
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import (
    check_choice,
    check_factor,
    check_index,
    check_int,
    check_number,
    describe,
    first_bad,
    value_error,
)
from equicon._views.warp import PaddingMode
from equicon.data._corrupt import corrupt_image
from equicon.data._cutting import cut_box
from equicon.data._groups import group_by_names, hold_out, near
from equicon.data._labels import check_boxes, check_names, check_skeleton, fill_boxes, floats, turns, whole_numbers
from equicon.data._names import Names
from equicon.data._reading import read_rgb
from equicon.data._sides import flip_by_names
from equicon.data._squares import to_picture, to_square

MARGIN = 1.25  # around a box, as most pose estimators have it
_PER_ITEM = (
    "xy",
    "visible",
    "boxes",
    "groups",
    "image_ids",
    "category_ids",
    "instances",
    "_picture",
    "_place",
    "_sizes",
)


class KeypointSample(NamedTuple):
    """A square picture with the points that are labelled in it, or a batch of them.

    It is a tuple of tensors, so the default ``collate_fn`` of a ``DataLoader`` turns a list of them into a batch.

    Convention: points and boxes are in integer pixel centres, as ``Affine.points`` and ``Affine.from_boxes`` take them.

    Args:
        image: (3, size, size) uint8, RGB, or (B, 3, size, size).
        xy: (K, 2) float32 in pixels of that image, or (B, K, 2). A point may lie outside. Without a label it is 0.
        visible: (K,) uint8, or (B, K): 0 without a label, 1 labelled but hidden, 2 labelled and seen, as in COCO.
        box: (4,) float32 x1, y1, x2, y2 in pixels of that image, or (B, 4).
        index: () int64, or (B,): the place of the item in its data set.

    Examples:
        >>> image, xy = torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.tensor([[[10.0, 20.0]]])
        >>> box, index = torch.tensor([[0.0, 0, 63, 63]]), torch.tensor([0])
        >>> batch = KeypointSample(image, xy, torch.tensor([[2]], dtype=torch.uint8), box, index)
        >>> batch.xy[batch.visible > 0]
        tensor([[10., 20.]])
    """

    image: Tensor
    xy: Tensor
    visible: Tensor
    box: Tensor
    index: Tensor  # type: ignore[assignment]  # a tuple has a method of this name, which nobody needs here


class KeypointDataset(Dataset[KeypointSample]):
    """People, animals or things with labelled points, cut out of photographs to squares of one size.

    ``CocoKeypoints`` and ``DeepLabCutKeypoints`` read one from files. This class takes the labels as arrays.

    An item is the square around the centre of its box whose side is ``margin`` × the longer side of the box, in whole
    pixels of the picture. It is resized once, to ``size``, with anti-aliasing. A picture may have several items. Items
    without any labelled point are left out. A picture is read when its item is requested. The labels are held in a few
    tensors, which the workers of a ``DataLoader`` share.

    Pictures that resemble each other are of one group, so that ``split`` never parts them. Without ``groups``, these
    are the folders of the pictures. If all pictures lie in one folder, they may be frames of one video. Then the groups
    are up to 20 blocks of consecutive pictures, in the order of their names, and ``split`` leaves a gap beside each
    block that it holds out.

    Convention: points and boxes are in integer pixel centres of the upright picture.

    Args:
        files: The picture of each item (n), as a path. Items of one picture have the same path.
        xy: The points (n, K, 2) in pixels of their pictures. Where a point has no label, its value does not matter.
        visible: (n, K): 0 without a label, 1 labelled but hidden, 2 labelled and seen.
        size: Side of the items in pixels, at least 1.
        names: The names (K) of the points. ``flip`` finds left and right in them.
        root: The folder that ``files`` are relative to.
        skeleton: Pairs of points to draw lines between, counted from 0.
        boxes: (n, 4) x1, y1, x2, y2. A row of NaN stands for the whole picture, whose size is read from the header of
            its file. None stands for whole pictures only.
        groups: The group of each item (n,), whole numbers.
        margin: Side of the square divided by the longer side of the box, in [1e-4, 1e4]. With None it is 1.25, or 1 for
            whole pictures.
        padding_mode: What the square shows outside the picture: ``zeros``, which is black, ``border`` or
            ``reflection``.

    Attributes:
        names: The names (K) of the points.
        skeleton: Pairs of points to draw lines between, counted from 0.
        flip: (K,) int64, the permutation that swaps left and right; a point without a partner stays.
        xy: (n, K, 2) float32, in pixels of the pictures; 0 where there is no label.
        visible: (n, K) uint8.
        boxes: (n, 4) float32, in pixels of the pictures.
        groups: (n,) int64.
        in_blocks: Whether the groups are blocks of consecutive pictures, and not videos, folders or what was given.
        image_ids: (n,) int64, the number of each item's picture: COCO's id, or else counted from 1.
        category_ids: (n,) int64, COCO's id of what an item is, or else 1.
        instances: (n,) int64, which of the items of its picture an item is, from 0.
        left_out: How many items have no labelled point, or stand for a crowd.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument has the wrong shape or is out of range, or no point is labelled.
        CorruptImage: From an item whose picture cannot be read or has another size than is recorded, or whose box lies
            outside of it.

    Examples:
        >>> import kornia, pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> kornia.io.write_image(root / "a.png", torch.zeros(3, 90, 120, dtype=torch.uint8))
        >>> xy, visible = [[[20, 30], [0, 0]], [[60, 40], [80, 50]]], [[2, 0], [2, 1]]
        >>> names = ["left_eye", "right_eye"]
        >>> data = KeypointDataset(["a.png", "a.png"], xy, visible, size=60, names=names, root=root)
        >>> data[0].xy, data.flip
        (tensor([[ 9.7500, 22.2500],
                [ 0.0000,  0.0000]]), tensor([1, 0]))
    """

    def __init__(
        self,
        files: Sequence[str | os.PathLike[str]],
        xy: ArrayLike | Tensor,
        visible: ArrayLike | Tensor,
        size: int,
        *,
        names: Sequence[str],
        root: str | os.PathLike[str] = "",
        skeleton: Iterable[tuple[int, int]] = (),
        boxes: ArrayLike | Tensor | None = None,
        groups: ArrayLike | Tensor | None = None,
        margin: float | None = None,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        self.root, self.names = Path(root), check_names(names)
        self.flip = flip_by_names(self.names)
        self.skeleton = check_skeleton(skeleton, len(self.names))
        self._set_view(size, (1.0 if boxes is None else MARGIN) if margin is None else margin, padding_mode)

        shape = (len(files), len(self.names))
        seen = whole_numbers("visible", visible, shape)
        if not bool(((seen >= 0) & (seen <= 2)).all()):
            raise value_error("visible", "0, 1 or 2", f"{seen.min()} to {seen.max()}")
        known = seen > 0
        if not bool(known.any()):
            raise value_error("visible", "at least one labelled point", f"none in {len(files)} items")
        self.visible = seen.to(torch.uint8)
        self.xy = floats("xy", xy, (*shape, 2)).masked_fill(~known[..., None], 0.0)
        if (bad := first_bad(self.xy.isfinite().flatten(1).all(1))) is not None:
            raise value_error(f"xy: item {bad}", "finite numbers where visible is not 0", f"{self.xy[bad].tolist()}")

        number: dict[str, int] = {}
        pictures = [number.setdefault(os.fspath(file), len(number)) for file in files]
        self._picture = torch.tensor(pictures, dtype=torch.int64, device="cpu")
        self._files = Names(list(number))
        self._sizes = torch.zeros(len(files), 2, dtype=torch.int32, device="cpu")  # as recorded; 0 where nothing is
        grouping = group_by_names(list(number))
        self._place, self._gap = grouping.place[self._picture], grouping.gap if groups is None else 0
        self.in_blocks = grouping.blocks and groups is None
        given = grouping.groups[self._picture] if groups is None else groups
        self.groups = whole_numbers("groups", given, shape[:1])
        self.image_ids, self.category_ids = self._picture + 1, torch.ones_like(self._picture)
        self.instances = turns(self._picture)
        whole = torch.full((len(files), 4), torch.nan, dtype=torch.float32, device="cpu")
        found = whole if boxes is None else check_boxes(boxes, len(files))
        self.boxes = fill_boxes(found, [self.root / name for name in number], self._picture)

        labelled = known.any(1)
        self.left_out = int((~labelled).sum())
        if self.left_out:
            self._keep(labelled.nonzero()[:, 0])

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.xy)

    def path(self, index: int) -> Path:
        """Return the path of the picture that an item is cut from."""
        return self.root / self._files[int(self._picture[check_index(index, len(self))])]

    def __getitem__(self, index: int) -> KeypointSample:
        """Read one picture and cut it. Raise ``CorruptImage`` if that is not possible."""
        position = check_index(index, len(self))
        path = self.path(position)
        image = read_rgb(path, position)
        recorded, found = self._sizes[position].tolist(), list(image.shape[1:])
        if recorded[0] and recorded != found:
            wanted = f"{recorded[1]} × {recorded[0]} pixels, as the labels say"
            raise corrupt_image(path, position, wanted, f"{found[1]} × {found[0]}", "Scale the labels along with it.")
        box, visible, mode = self.boxes[position], self.visible[position], self.padding_mode
        cut = cut_box(image, box, self.margin, self.size, path=path, index=position, clip=False, padding_mode=mode)
        xy = to_square(self.xy[position], box, self.margin, self.size).masked_fill(visible[:, None] == 0, 0.0)
        return KeypointSample(cut.image, xy, visible, cut.box, torch.tensor(position, device="cpu"))

    def to_source(self, xy: Tensor, index: Tensor) -> Tensor:
        """Move points from pixels of the items to pixels of the pictures that these are cut from.

        Args:
            xy: (n, K, 2) float, with any K.
            index: (n,) whole numbers, the items: ``KeypointSample.index``.

        Returns:
            (n, K, 2), of the same type and on the same device.
        """
        if xy.ndim != 3 or xy.shape[-1] != 2 or index.shape != xy.shape[:1]:
            raise value_error("xy", "(n, K, 2) with an index (n,)", f"{tuple(xy.shape)} and {tuple(index.shape)}")
        return to_picture(xy, self.boxes[index.to("cpu")], self.margin, self.size)

    def select(self, indices: Sequence[int] | Tensor) -> Self:
        """Return a data set of some of the items, in the order given. It shares the list of pictures.

        Args:
            indices: Whole numbers, at least one, or a tensor (n,) of bool.
        """
        chosen = torch.as_tensor(indices, device="cpu")
        if chosen.dtype == torch.bool and chosen.shape == (len(self),):
            chosen = chosen.nonzero()[:, 0]
        if chosen.ndim != 1 or len(chosen) == 0 or chosen.dtype not in (torch.int64, torch.int32):
            raise value_error("indices", "the numbers of at least one item", describe(indices))
        if not bool(((chosen >= -len(self)) & (chosen < len(self))).all()):
            raise IndexError(f"indices: expected whole numbers below {len(self)}, got up to {int(chosen.abs().max())}.")
        part = copy.copy(self)
        part._keep(chosen)
        return part

    def split(self, share: float, seed: int = 0) -> tuple[Self, Self]:
        """Hold out a share of the items, by whole groups that are chosen at random.

        If the groups are blocks of consecutive pictures, pictures beside a block that is held out belong to neither
        part: as many as a quarter of a block, and at most 30 on each side.

        Args:
            share: The share that is held out, in (0, 1). It is met as nearly as whole groups allow.
            seed: At least 0. The same seed gives the same parts.

        Returns:
            The rest, and what is held out.

        Raises:
            ValueError: If there is one group only.
        """
        number = check_number("share", share)
        if not 0 < number < 1:
            raise value_error("share", "a number above 0 and below 1", share)
        held = hold_out(self.groups, number, check_int("seed", seed, low=0))
        beside = near(self._place, held, self._gap) if self._gap else held
        if bool((held | beside).all()):
            got = f"{share:g} of {len(self)}, and {self._gap} pictures on each side of what is held out"
            raise value_error("share", "a share that leaves items to learn from", got, "Hold out less.")
        return self.select(~(held | beside)), self.select(held)

    def resized(
        self, size: int | None = None, *, margin: float | None = None, padding_mode: PaddingMode | None = None
    ) -> Self:
        """Return the same items, cut with another size, margin or padding."""
        other = copy.copy(self)
        other._set_view(
            self.size if size is None else size,
            self.margin if margin is None else margin,
            self.padding_mode if padding_mode is None else padding_mode,
        )
        return other

    def _set_view(self, size: int, margin: float, padding_mode: PaddingMode) -> None:
        self.size = check_int("size", size, low=1)
        self.margin = check_factor("margin", margin)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        self.padding_mode = padding_mode

    def _keep(self, indices: Tensor) -> None:
        for name in _PER_ITEM:
            setattr(self, name, getattr(self, name)[indices])
