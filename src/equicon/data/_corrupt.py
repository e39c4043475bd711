"""Images that cannot be read: the error that names one, and a data set that goes on without them."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar, cast, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import check_index, describe, type_error, value_error

T_co = TypeVar("T_co", covariant=True)


class CorruptImage(ValueError):  # noqa: N818
    """An image that a data set cannot give: its file does not decode, its file is gone, or its box lies outside of it.

    No data set makes up pixels for such an image. JPEGs are read by libjpeg-turbo through kornia-rs. It refuses a file
    that was cut short, even by a byte, and does not fill it with grey. A PNG has checksums. A flipped bit inside a
    JPEG's picture may still go unnoticed. So may more damage in a JPEG that only Pillow reads (CMYK, or a name with
    another ending).

    Args:
        message: Names the file and the index.
        path: The file. The workers of a ``DataLoader`` pass on only the text of an error. So in the main process, their
            errors have None here.

    Examples:
        >>> import pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (root / "a.jpg").write_bytes(b"no image")
        >>> try: UnlabelledImages(root, 64)[0]
        ... except CorruptImage as error: print(error.path.name)
        a.jpg
    """

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class Reader(Protocol[T_co]):
    """A data set that ``SkipCorrupt`` can wrap: map-style, and with the file of each item.

    Any class with these three methods is a reader. It need not derive from this protocol.

    Examples:
        >>> class Photographs(torch.utils.data.Dataset):
        ...     def __init__(self, paths): self.paths = paths
        ...     def __len__(self): return len(self.paths)
        ...     def __getitem__(self, index): return read_rgb(self.path(index), index)
        ...     def path(self, index): return self.paths[index]
        >>> SkipCorrupt(Photographs([])).skipped
        []
    """

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, index: int, /) -> T_co:
        """Return the item at an index in [0, length), or raise ``CorruptImage`` if its image cannot be read."""
        ...

    def path(self, index: int, /) -> Path:
        """Return the path of the file that an item is read from. The file need not exist."""
        ...


class _Grouped(Protocol):
    @property
    def groups(self) -> Tensor: ...


@final
class SkipCorrupt(Dataset[T_co]):
    """A data set that replaces each corrupt image by the next image that can be read.

    Item ``i`` is the first of the items ``i``, ``i + 1``, ... of the wrapped data set that raises no ``CorruptImage``;
    after the last item comes the first. So the length of the data set and the shape of batches do not change, and every
    run is the same. Split and select first, and then wrap the parts, so that no image moves from one part to another.

    Args:
        dataset: A reader such as ``UnlabelledImages``, or any map-style data set that raises ``CorruptImage`` and has
            ``path(index)``; one that reads its images with ``read_rgb`` does raise it.

    Attributes:
        dataset: The wrapped data set.

    Raises:
        TypeError: If the data set has no ``path``.
        CorruptImage: From an item, if no image of the data set can be read. It is the error of the requested item.

    Examples:
        >>> import kornia, pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> kornia.io.write_image(root / "b.png", torch.zeros(3, 20, 30, dtype=torch.uint8))
        >>> _ = (root / "a.png").write_bytes(b"")
        >>> data = SkipCorrupt(UnlabelledImages(root, 16))
        >>> torch.equal(data[0].image, data[1].image), [path.name for path in data.skipped]
        (True, ['a.png'])
    """

    def __init__(self, dataset: Reader[T_co]) -> None:
        if not callable(getattr(dataset, "path", None)):
            fix = "Wrap the reader itself, and put a data set that transforms its items around this one."
            raise type_error("dataset", "a data set with path(index)", describe(dataset), fix)
        self.dataset = dataset
        # A byte for each item, in shared memory: so all processes know what a worker has found.
        self._corrupt = torch.zeros(len(dataset), dtype=torch.uint8, device="cpu").share_memory_()

    @property
    def skipped(self) -> list[Path]:
        """The corrupt images that this process and workers that it started found so far, in the data set's order."""
        found = (self.dataset.path(index) for index in self._corrupt.nonzero()[:, 0].tolist())
        return list(dict.fromkeys(found))  # an image with two boxes is two items

    def __len__(self) -> int:
        """Return the number of items. Corrupt ones count too, since others replace them."""
        return len(self._corrupt)

    @property
    def groups(self) -> Tensor:
        """The groups (n,) of the wrapped data set, if it has any. A replacement may be of another group."""
        return cast(_Grouped, self.dataset).groups

    def stand_in(self, index: int) -> int:
        """Return the item at an index, as far as known: the first from there on that was not found corrupt."""
        start = check_index(index, len(self))
        return next(self._onward(start), start)

    def _onward(self, start: int) -> Iterator[int]:
        """Yield items from ``start`` to the last, and on from the first, without those found corrupt so far."""
        return (position for position in chain(range(start, len(self)), range(start)) if not self._corrupt[position])

    def __getitem__(self, index: int) -> T_co:
        """Return the first readable item from this index on."""
        start = check_index(index, len(self))
        for position in self._onward(start):
            try:
                return self.dataset[position]
            except CorruptImage:
                self._corrupt[position] = 1
        return self.dataset[start]  # raises, since no image can be read


def corrupt_image(path: Path, index: int | None, expected: str, got: str, fix: str = "") -> CorruptImage:
    """Make the error that names the file and the index."""
    where = f"{path}" if index is None else f"{path} (index {index})"
    return CorruptImage(str(value_error(where, expected, got, fix)), path)
