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
    """An image that a data set cannot give: its file does not decode, or is gone, or its box lies outside of it.

    Nothing is ever made up for it. JPEGs are read by libjpeg-turbo through kornia-rs, which refuses one that was cut
    short, be it by a byte, and does not fill it with grey. A PNG has checksums. A flipped bit inside a JPEG's picture
    may still go unseen, and so may more than that in one that only Pillow reads (CMYK, or named otherwise).

    Args:
        message: Names the file and the index.
        path: The file. The workers of a ``DataLoader`` pass on the text of an error alone, so what the main process
            sees of theirs has None here.

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
    """What ``SkipCorrupt`` goes through: a map-style data set that knows which file an item comes from.

    Any class with these three methods is one; it need not derive from this.

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
        """Count the items."""
        ...

    def __getitem__(self, index: int, /) -> T_co:
        """Give an item, the index being in [0, length); ``CorruptImage`` where its image cannot be given."""
        ...

    def path(self, index: int, /) -> Path:
        """Give the file that an item is read from; it need not be there."""
        ...


class _Grouped(Protocol):
    @property
    def groups(self) -> Tensor: ...


@final
class SkipCorrupt(Dataset[T_co]):
    """A data set without its corrupt images: in place of one stands the next that can be read.

    Item ``i`` is the first of items ``i``, ``i + 1``, ... of the wrapped data set (after the last comes the first)
    that raises no ``CorruptImage``. So the length and the batches keep their shape, and every run is the same. Split
    and select first and wrap the parts, so that no image crosses between them.

    Args:
        dataset: A reader such as ``UnlabelledImages``, or any map-style data set that raises ``CorruptImage`` and has
            ``path(index)``; one that reads its images with ``read_rgb`` does raise it.

    Attributes:
        dataset: What was wrapped.

    Raises:
        TypeError: If the data set has no ``path``.
        CorruptImage: From an item, if no image of the data set can be read: the error of the one asked for.

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
            fix = "Wrap the reader itself, and then what transforms it around this."
            raise type_error("dataset", "a data set with path(index)", describe(dataset), fix)
        self.dataset = dataset
        # Shared memory, a byte for each item: what a worker finds, all processes know.
        self._corrupt = torch.zeros(len(dataset), dtype=torch.uint8, device="cpu").share_memory_()

    @property
    def skipped(self) -> list[Path]:
        """The corrupt images met so far, by this process or by workers that it started, in the data set's order."""
        found = (self.dataset.path(index) for index in self._corrupt.nonzero()[:, 0].tolist())
        return list(dict.fromkeys(found))  # an image with two boxes is two items

    def __len__(self) -> int:
        """Count the items, corrupt ones included: others stand in for them."""
        return len(self._corrupt)

    @property
    def groups(self) -> Tensor:
        """The groups (n,) of the wrapped data set, if it has some; the image that stands in may be of another one."""
        return cast(_Grouped, self.dataset).groups

    def stand_in(self, index: int) -> int:
        """Give the item that stands at an index, as far as is known: the first there that was not found corrupt."""
        start = check_index(index, len(self))
        return next(self._onward(start), start)

    def _onward(self, start: int) -> Iterator[int]:
        """Go from an item to the end and on from the first, leaving out what was found corrupt by then."""
        return (position for position in chain(range(start, len(self)), range(start)) if not self._corrupt[position])

    def __getitem__(self, index: int) -> T_co:
        """Give the first readable item from this one on."""
        start = check_index(index, len(self))
        for position in self._onward(start):
            try:
                return self.dataset[position]
            except CorruptImage:
                self._corrupt[position] = 1
        return self.dataset[start]  # which raises: there is none


def corrupt_image(path: Path, index: int | None, expected: str, got: str, fix: str = "") -> CorruptImage:
    """Make the error that names the file and the index."""
    where = f"{path}" if index is None else f"{path} (index {index})"
    return CorruptImage(str(value_error(where, expected, got, fix)), path)
