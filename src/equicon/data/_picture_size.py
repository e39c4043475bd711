"""The size of a picture, by its header where that tells it."""

import struct
from pathlib import Path

from equicon._checks import Size
from equicon.data._corrupt import CorruptImage
from equicon.data._headers import FRAMES, read_header, segments
from equicon.data._reading import read_rgb

_START = 2**18  # bytes; a profile and a preview fit before the size in them
_TURNED = 5  # from this orientation of EXIF on, the picture lies on its side


def picture_size(path: Path) -> Size | None:
    """Return the height and width of a picture that stands upright, or None if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_START)
            if data.startswith(b"\x89PNG"):
                data += file.read()  # its orientation may stand behind the picture
    except OSError:
        return None
    header = read_header(data)
    size = None
    if header.kind == "PNG" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        size = (height, width)
    elif header.kind == "JPEG":
        frames = (body for marker, body in segments(data) if marker in FRAMES and len(body) >= 5)
        size = next((struct.unpack_from(">HH", body, 1) for body in frames), None)
    if size is None or 0 in size:
        try:
            _, height, width = read_rgb(path).shape
            return height, width
        except CorruptImage:
            return None
    height, width = size
    return (width, height) if header.orientation >= _TURNED else (height, width)
