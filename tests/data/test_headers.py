import io
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from equicon.data._headers import Header, read_header, read_orientation

Image = pytest.importorskip("PIL.Image", reason="makes the files")


def stored(fmt: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (6, 4)).save(file, fmt, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "kind", "special"),
    [
        (stored("JPEG"), "JPEG", ""),
        (stored("JPEG", progressive=True), "JPEG", ""),
        (stored("JPEG", "L"), "JPEG", ""),
        (stored("JPEG", "CMYK"), "JPEG", "of 4 channels, such as CMYK"),
        (stored("PNG"), "PNG", ""),
        (stored("PNG", "RGBA"), "PNG", ""),
        (stored("PNG", "I;16"), "PNG", ""),
        (stored("PNG", "P"), "PNG", "of 1 bits to a pixel"),
        (stored("PNG", "1"), "PNG", "of 1 bits to a pixel"),
        (stored("PNG", "LA"), "PNG", "of grey with alpha"),
        (stored("GIF"), "", ""),
        (b"", "", ""),
    ],
)
def test_the_content_tells_the_kind_and_what_is_special(data: bytes, kind: str, special: str) -> None:
    assert read_header(data)[:2] == (kind, special)


def exif(order: str, orientation: int, kind: int = 3) -> bytes:
    """EXIF with another entry before the orientation, which is of 16 or 32 bits."""
    value = struct.pack(f"{order}I" if kind == 4 else f"{order}Hxx", orientation)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    entries = [struct.pack(f"{order}HHII", 0x0100, 4, 1, 6), struct.pack(f"{order}HHI", 0x0112, kind, 1) + value]
    return head + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("orientation", range(10))
def test_the_orientation_is_what_pillow_reads(order: str, kind: int, orientation: int) -> None:
    data = exif(order, orientation, kind)
    expected = orientation if 1 <= orientation <= 8 else 1
    assert read_orientation(data) == expected
    for fmt in ("JPEG", "PNG"):
        file = stored(fmt, exif=b"Exif\0\0" + data)
        assert Image.open(io.BytesIO(file)).getexif()[0x0112] == orientation
        assert read_header(file).orientation == expected


@given(st.binary(max_size=60), st.integers(0, 40))
@example(b"II*\0\xff\xff\xff\xff", 0)
@example(b"MM\0*\0\0\0\x08\xff\xff", 0)
def test_damaged_headers_raise_nothing(noise: bytes, keep: int) -> None:
    assert 1 <= read_orientation(noise) <= 8
    assert read_orientation(exif(">", 6)[:keep]) in (1, 6)
    for fmt in ("JPEG", "PNG"):
        header = read_header(stored(fmt, exif=b"Exif\0\0" + exif("<", 3))[: keep + 8] + noise)
        assert header.kind == fmt
        assert 1 <= header.orientation <= 8


def test_fill_bytes_and_bare_markers_are_passed_over() -> None:
    data = stored("JPEG", "CMYK")
    assert read_header(data[:2] + b"\xff\xff\xff\x01" + data[2:]) == read_header(data)
    assert read_header(data).special


def test_the_key_of_16_bits_is_read() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + bytes(4)

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    assert read_header(start + chunk(b"tRNS", b"\x01\x02\0\x04\0\x06")) == Header("PNG", key=(258, 4, 6))
