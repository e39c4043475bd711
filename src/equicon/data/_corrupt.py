"""Images that cannot be read: the error that names one, and a data set that goes on without them."""

import operator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar, final

import torch
from kornia.color import grayscale_to_rgb, rgba_to_rgb
from kornia.io import ImageLoadType, load_image
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import describe, type_error, value_error

T_co = TypeVar("T_co", covariant=True)


class CorruptImage(ValueError):  # noqa: N818
    """An image that a data set cannot give: its file does not decode, or is gone, or its box lies outside of it.

    Nothing is ever made up for it. JPEGs are read by libjpeg-turbo through kornia-rs, which refuses one that was cut
    short, be it by a byte, and does not fill it with grey. A PNG has checksums. A flipped bit inside a JPEG's picture
    may still go unseen.

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
    """What ``SkipCorrupt`` goes through: a map-style data set that knows which file an item comes from."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> T_co: ...

    def path(self, index: int, /) -> Path: ...


@final
class SkipCorrupt(Dataset[T_co]):
    """A data set without its corrupt images: in place of one stands the next that can be read.

    Item ``i`` is the first of items ``i``, ``i + 1``, ... of the wrapped data set (after the last comes the first)
    that raises no ``CorruptImage``. So the length and the batches keep their shape, and every run is the same. Split
    and select first and wrap the parts, so that no image crosses between them.

    Args:
        dataset: A reader such as ``FreiHAND`` or ``UnlabelledImages``, or any map-style data set that raises
            ``CorruptImage`` and has ``path(index)``.

    Attributes:
        dataset: What was wrapped.

    Raises:
        TypeError: If the data set has no ``path``.
        CorruptImage: From an item, if no image of the data set can be read: the error of the one asked for.

    Examples:
        >>> import pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> write_freihand(root, num_samples=1, size=32)
        >>> _ = (root / "training/rgb/00000002.jpg").write_bytes(b"")
        >>> data = SkipCorrupt(FreiHAND(root))
        >>> torch.equal(data[2].image, data[3].image), [path.name for path in data.skipped]
        (True, ['00000002.jpg'])
    """

    def __init__(self, dataset: Reader[T_co]) -> None:
        if not callable(getattr(dataset, "path", None)):
            fix = "Wrap the reader itself, and then what transforms it around this."
            raise type_error("dataset", "a data set with path(index)", describe(dataset), fix)
        self.dataset = dataset
        # Shared memory, a byte for each item: what a worker finds, all processes know.
        self._corrupt = torch.zeros(len(dataset), dtype=torch.uint8).share_memory_()

    @property
    def skipped(self) -> list[Path]:
        """The corrupt images met so far, by this process or by workers that it started, in the data set's order."""
        found = (self.dataset.path(index) for index in self._corrupt.nonzero()[:, 0].tolist())
        return list(dict.fromkeys(found))  # an image with two boxes is two items

    def __len__(self) -> int:
        """Count the items, corrupt ones included: others stand in for them."""
        return len(self._corrupt)

    def __getitem__(self, index: int) -> T_co:
        """Give the first readable item from this one on."""
        start = check_index(index, len(self))
        for position in chain(range(start, len(self)), range(start)):
            if not self._corrupt[position]:
                try:
                    return self.dataset[position]
                except CorruptImage:
                    self._corrupt[position] = 1
        return self.dataset[start]  # which raises: there is none


def check_index(index: int, length: int) -> int:
    """Check the index of an item, and count a negative one from the end."""
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f"index: expected a whole number in [{-length}, {length - 1}], got {position}.")
    return position % length


def read_rgb(path: Path, index: int) -> Tensor:
    """Read an image as RGB (3, H, W) uint8, whatever the file holds; transparent pixels are white."""
    try:
        try:
            return load_image(path, ImageLoadType.RGB8)
        except NotImplementedError:  # 16 bits for each channel, which Kornia gives as they are or not at all
            image = load_image(path, ImageLoadType.UNCHANGED).float() / 65535
    except (OSError, ValueError) as error:
        with suppress(FileNotFoundError):
            path.read_bytes()  # a disk that is away, or no more files that may be open, are no fault of the image
        kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
        fix = "Unpack it again, or go on without it: SkipCorrupt(data)."
        raise corrupt_image(path, index, f"a {kind} image", f"this: {error}", fix) from error
    if len(image) == 1:
        image = grayscale_to_rgb(image)
    elif len(image) == 4:
        image = rgba_to_rgb(image)
    return (image * 255).round().to(torch.uint8)


def corrupt_image(path: Path, index: int, expected: str, got: str, fix: str = "") -> CorruptImage:
    """Make the error that names the file and the index."""
    return CorruptImage(str(value_error(f"{path} (index {index})", expected, got, fix)), path)
