"""Images as they are read from disk: upright, RGB of 8 bits, or an error that names the file."""

import os
import struct
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from kornia.color import grayscale_to_rgb, rgba_to_rgb
from kornia.io import ImageLoadType, load_image
from torch import Tensor

from equicon.data._corrupt import corrupt_image
from equicon.data._headers import ORIENTATION, Header, read_header
from equicon.data._names import other_spelling

_NAMED = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_FLIPPED = {1: (), 2: (2,), 3: (1, 2), 4: (1,), 5: (), 6: (2,), 7: (1, 2), 8: (1,)}


def read_rgb(path: str | os.PathLike[str], index: int | None = None, *, apply_exif_orientation: bool = True) -> Tensor:
    """Read an image as RGB of 8 bits, whatever the file holds and whatever its name says.

    Kornia decodes JPEG and PNG of 8 and 16 bits. What it does not (CMYK, palettes of 2 to 16 colours, 1 bit, grey with
    alpha; a file whose name ends otherwise than its content, or is no UTF-8; WebP, GIF and others), Pillow does, which
    the extra ``train`` brings. Both give the same bytes where both can read a file of 8 bits.

    Transparent pixels are laid over white. 16 bits are rounded to the nearest of 8, and 65535 is white; of those that
    Pillow reads in colour, the upper 8 are kept. Of several frames, the first is read. Colour profiles are not applied.
    What cannot be read is an error, and never a picture that is half grey: see ``CorruptImage``. A data set that reads
    with this can be wrapped in ``SkipCorrupt``.

    Args:
        path: The file.
        index: Of the item that the image is read for; the error names it beside the file.
        apply_exif_orientation: Turn and mirror the picture as the camera notes beside it (EXIF), so that it is
            upright. False leaves it as it is stored.

    Returns:
        (3, H, W) uint8.

    Raises:
        CorruptImage: If the file is gone, or is no whole image.
        ModuleNotFoundError: If it takes Pillow to read it, which is not installed.
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
    kind = _NAMED.get(path.suffix.lower(), "JPEG")
    try:
        data = path.read_bytes()
        header = read_header(data)
        kind = header.kind or kind
        if _suits_kornia(path, header) or not _has_pillow(path, header):
            image, orientation = _load_kornia(path, header), header.orientation
        else:
            image, orientation = _load_pillow(data, header)
    except (OSError, ValueError) as error:
        with suppress(FileNotFoundError):
            path.read_bytes()  # a disk that is away, or no more files that may be open, are no fault of the image
        fix = other_spelling(path) or "Unpack it again, or go on without it: SkipCorrupt(data)."
        raise corrupt_image(path, index, f"a {kind} image", f"this: {error}", fix) from error
    return _turn(image, orientation) if apply_exif_orientation else image


def _suits_kornia(path: Path, header: Header) -> bool:
    """Whether Kornia decodes a file, which it judges by its name, and whose name it passes on as UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return bool(header.kind) and _NAMED.get(path.suffix.lower()) == header.kind and not header.special


def _has_pillow(path: Path, header: Header) -> bool:
    """Whether Pillow is there; an error where a picture that may be sound cannot be read without it."""
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        if not header.kind:
            return False
        what = f"a {header.kind} {header.special or 'that is named otherwise'}"
        fix = f"{what} takes Pillow, which is not installed. Install the extra: pip install 'equicon[train]'."
        raise ModuleNotFoundError(f"{str(path)!r}: {fix}") from error
    return True


def _load_kornia(path: Path, header: Header) -> Tensor:
    try:
        return load_image(path, ImageLoadType.RGB8)
    except NotImplementedError:  # 16 bits for each channel, which Kornia gives as they are or not at all
        image = load_image(path, ImageLoadType.UNCHANGED).float()
    if header.key:
        opaque = (image != image.new_tensor(header.key)[:, None, None]).any(0, keepdim=True)
        image = torch.cat([image.expand(3, -1, -1), opaque * 65535.0])
    return _to_rgb8(image / 65535)


def _load_pillow(data: bytes, header: Header) -> tuple[Tensor, int]:
    """Decode a file, whatever it is; give the orientation that is left to apply."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as image:
            image.verify()  # the checksums of a PNG, which decoding passes over
        with Image.open(BytesIO(data)) as image:
            image.load()
            orientation = header.orientation if header.kind else int(image.getexif().get(ORIENTATION, 1))
            if image.mode.startswith("I;16"):
                return _to_rgb8(torch.from_numpy(np.array(image, np.float32))[None] / 65535), orientation
            if image.mode in ("I", "F"):
                raise ValueError(f"grey values of 32 bits (mode {image.mode}), none of which is known to be white")
            if not image.has_transparency_data:
                return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1), orientation
            pixels = torch.from_numpy(np.array(image.convert("RGBA"))).permute(2, 0, 1)
            return _to_rgb8(pixels / 255), orientation
    except UnidentifiedImageError as error:
        raise ValueError(f"nothing that can be decoded, it begins with {data[:8]!r}") from error
    except (SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"it cannot be decoded: {error}") from error


def _to_rgb8(image: Tensor) -> Tensor:
    """Lay an image (C, H, W) in [0, 1] over white, of any number of channels."""
    if len(image) == 1:
        image = grayscale_to_rgb(image)
    elif len(image) == 4:
        image = rgba_to_rgb(image)
    return (image * 255).round().to(torch.uint8)


def _turn(image: Tensor, orientation: int) -> Tensor:
    """Bring an image (3, H, W) upright, by the orientation of EXIF."""
    turned = image.transpose(1, 2) if orientation >= 5 else image
    flipped = _FLIPPED.get(orientation, ())
    return turned.flip(flipped) if flipped else turned
