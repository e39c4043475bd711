"""Images as they are read from disk: RGB of 8 bits, or an error that names the file."""

import os
from contextlib import suppress
from pathlib import Path

import torch
from kornia.color import grayscale_to_rgb, rgba_to_rgb
from kornia.io import ImageLoadType, load_image
from torch import Tensor

from equicon.data._corrupt import corrupt_image


def read_rgb(path: str | os.PathLike[str], index: int | None = None) -> Tensor:
    """Read an image as RGB of 8 bits, whatever the file holds: grey, RGB, RGBA, 8 or 16 bits.

    Transparent pixels are white. What cannot be read is an error, and never a picture that is half grey: see
    ``CorruptImage``. A data set that reads with this can be wrapped in ``SkipCorrupt``.

    Args:
        path: The file, a JPEG or PNG.
        index: Of the item that the image is read for; the error names it beside the file.

    Returns:
        (3, H, W) uint8.

    Raises:
        CorruptImage: If the file is gone, or is no whole JPEG or PNG.
        OSError: If the file cannot be read for a reason that lies outside of it: a disk that is away, too many files
            that are open.

    Examples:
        >>> import kornia, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.png"
        >>> kornia.io.write_image(path, torch.zeros(1, 20, 30, dtype=torch.uint8))
        >>> read_rgb(path).shape
        torch.Size([3, 20, 30])
    """
    path = Path(path)
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
