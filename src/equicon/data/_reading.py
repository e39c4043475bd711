"""Read images from disk: upright, as RGB of 8 bits, or with an error that names the file."""

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

    Kornia decodes JPEG and PNG of 8 and 16 bits. Pillow, which comes with the extra ``train``, decodes everything else:
    CMYK, palettes of 2 to 16 colours, 1 bit, grey with alpha; files whose ending does not fit their content, or whose
    name is not UTF-8; WebP, GIF and other formats. For a file of 8 bits that both can read, both give the same bytes.

    Transparent pixels are laid over white. Values of 16 bits are rounded to 8 bits, and 65535 is white. If Pillow reads
    16 bits in colour, only the upper 8 are kept. Of several frames, the first is read. Colour profiles are not applied.
    A file that cannot be read raises an error, and never gives a picture that is half grey: see ``CorruptImage``. A
    data set that reads its images with this function can be wrapped in ``SkipCorrupt``.

    Args:
        path: The file.
        index: Index of the item that the image is read for. The error names it beside the file.
        apply_exif_orientation: Whether to turn and mirror the picture as the camera noted (EXIF), so that it is
            upright. False leaves it as it is stored.

    Returns:
        (3, H, W) uint8.

    Raises:
        CorruptImage: If the file is gone, or is not a whole image.
        ModuleNotFoundError: If only Pillow can read the file, and Pillow is not installed.
        OSError: If the reason lies outside the file, such as a disk that is missing, or too many open files.

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
            path.read_bytes()  # raises if the reason lies outside the image: a missing disk, or too many open files
        fix = other_spelling(path) or "Unpack it again, or go on without it: SkipCorrupt(data)."
        raise corrupt_image(path, index, f"a {kind} image", f"this: {error}", fix) from error
    return _turn(image, orientation) if apply_exif_orientation else image


def _suits_kornia(path: Path, header: Header) -> bool:
    """Whether Kornia decodes a file. Kornia judges a file by its ending, and needs a name in UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return bool(header.kind) and _NAMED.get(path.suffix.lower()) == header.kind and not header.special


def _has_pillow(path: Path, header: Header) -> bool:
    """Whether Pillow is installed. If it is not, an image that may be intact but needs Pillow raises an error."""
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        if not header.kind:
            return False
        what = f"a {header.kind} {header.special or 'that is named otherwise'}"
        fix = f"{what} needs Pillow, which is not installed. Install the extra: pip install 'equicon[train]'."
        raise ModuleNotFoundError(f"{str(path)!r}: {fix}") from error
    return True


def _load_kornia(path: Path, header: Header) -> Tensor:
    try:
        return load_image(path, ImageLoadType.RGB8)
    except NotImplementedError:  # 16 bits for each channel, which Kornia returns unchanged or not at all
        image = load_image(path, ImageLoadType.UNCHANGED).float()
    if header.key:
        opaque = (image != image.new_tensor(header.key)[:, None, None]).any(0, keepdim=True)
        image = torch.cat([image.expand(3, -1, -1), opaque * 65535.0])
    return _to_rgb8(image / 65535)


def _load_pillow(data: bytes, header: Header) -> tuple[Tensor, int]:
    """Decode a file of any format. Return the image, and the orientation that is still to be applied."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as image:
            image.verify()  # checks the checksums of a PNG, which decoding ignores
        with Image.open(BytesIO(data)) as image:
            image.load()
            orientation = header.orientation if header.kind else int(image.getexif().get(ORIENTATION, 1))
            if image.mode.startswith("I;16"):
                return _to_rgb8(torch.from_numpy(np.array(image, np.float32))[None] / 65535), orientation
            if image.mode in ("I", "F"):
                raise ValueError(f"grey values of 32 bits (mode {image.mode}), for which no value is known to be white")
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
