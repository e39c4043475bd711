"""Read the header of a JPEG or PNG: its format, which decoder can read it, and which way up it was taken."""

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
ORIENTATION = 0x0112  # its tag in EXIF
# Markers without a length, and markers of a frame: those of 0xC0 to 0xCF that are neither tables nor reserved.
_BARE = {0x01, *range(0xD0, 0xD9)}
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_APP1 = 0xE1


class Header(NamedTuple):
    """What the header of a file says.

    Args:
        kind: Its format, judged by its content and not its name; empty if it is neither JPEG nor PNG.
        special: Why Kornia cannot decode it, in words for an error; empty if it can.
        orientation: The orientation of EXIF, from 1 (upright) to 8.
        key: For a PNG of 16 bits, the grey value or the colour that is transparent, if there is one.
    """

    kind: Literal["JPEG", "PNG", ""]
    special: str = ""
    orientation: int = 1
    key: tuple[int, ...] = ()


def read_header(data: bytes) -> Header:
    """Read the header of a file. Damage in the header is left for the decoder to report."""
    if data.startswith(b"\xff\xd8\xff"):
        return _read_jpeg(data)
    return _read_png(data) if data.startswith(_PNG) else Header("")


def _read_jpeg(data: bytes) -> Header:
    orientation, channels = 1, 3
    for marker, body in segments(data):
        if marker == _APP1 and body.startswith(_EXIF):
            orientation = read_orientation(body[len(_EXIF) :])
        elif marker in FRAMES and len(body) > 5:
            channels = body[5]
    return Header("JPEG", "" if channels in (1, 3) else f"of {channels} channels, such as CMYK", orientation)


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG and their contents, up to its picture."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == 0xFF:  # any number of them may fill the space before a marker
            at += 1
            continue
        if marker == _SCAN:
            return
        length = 0 if marker in _BARE else int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _read_png(data: bytes) -> Header:
    depth = color = None
    orientation, special, key = 1, "", b""
    for name, body in _chunks(data):
        if name == b"IHDR" and len(body) == 13:
            depth, color = body[8], body[9]
            if color == 4:
                special = "of grey with alpha"
            elif depth not in (8, 16):
                special = f"of {depth} bits to a pixel"
        elif name == b"eXIf":
            orientation = read_orientation(body)
        elif name == b"tRNS" and depth == 16 and len(body) in (2, 6):
            key = body
    return Header("PNG", special, orientation, struct.unpack(f">{len(key) // 2}H", key))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        yield name, b"" if name == b"IDAT" else data[at + 8 : at + 8 + length]
        at += 12 + length


def read_orientation(exif: bytes) -> int:
    """Read the orientation in [1, 8] from EXIF data, from their byte order on. Without one, or if damaged, it is 1.

    Source: CIPA DC-008-2019 (Exif 2.32), sections 4.5 and 4.6.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == ORIENTATION:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", exif, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
