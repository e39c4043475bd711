import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor

from equicon.data import CorruptImage, read_rgb


def picture() -> Tensor:
    return (torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) * 50).to(torch.uint8)


@settings(max_examples=25)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_jpeg_cut_short_anywhere_is_an_error_and_never_grey(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.jpg"
    write_image(path, picture())
    assert read_rgb(path, 0).shape == (3, 20, 30)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        CorruptImage, match=r"cut\.jpg \(index 5\): expected a JPEG image, got this: .*decode"
    ) as caught:
        read_rgb(path, 5)
    assert caught.value.path == path


def test_a_missing_file_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptImage, match=r"a\.PNG \(index 0\): expected a PNG image, got this: .*No such file"):
        read_rgb(tmp_path / "a.PNG", 0)


# Channels of the file, and what they are as RGB: alpha is laid over white.
STORED = {
    "grey": ([40], [40, 40, 40]),
    "rgb": ([40, 90, 200], [40, 90, 200]),
    "opaque": ([40, 90, 200, 255], [40, 90, 200]),
    "transparent": ([40, 90, 200, 0], [255, 255, 255]),
    "half": ([40, 90, 200, 51], [212, 222, 244]),
}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("bits", [8, 16])
def test_all_kinds_of_png_are_rgb_of_8_bits(tmp_path: Path, name: str, bits: int) -> None:
    stored, shown = STORED[name]
    values = torch.tensor(stored, dtype=torch.int32)[:, None, None].expand(-1, 5, 7)
    values = values.to(torch.uint8) if bits == 8 else (values * 257).to(torch.uint16)
    write_image(tmp_path / "a.png", values.contiguous())
    image = read_rgb(tmp_path / "a.png", 0)
    assert image.dtype == torch.uint8
    assert torch.equal(image, torch.tensor(shown, dtype=torch.uint8)[:, None, None].expand(3, 5, 7))


def test_16_bits_are_rounded_to_the_nearest_of_8(tmp_path: Path) -> None:
    values = torch.arange(0, 65536, 7, dtype=torch.int32)[: 96 * 97].reshape(1, 96, 97)
    write_image(tmp_path / "a.png", values.to(torch.uint16))
    expected = (values.double() / 257).round().to(torch.uint8)
    assert torch.equal(read_rgb(tmp_path / "a.png", 0), expected.expand(3, 96, 97))


def test_a_text_is_a_path_and_an_image_without_an_index_is_named_by_its_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", picture())
    assert torch.equal(read_rgb(str(tmp_path / "a.png")), picture())
    with pytest.raises(CorruptImage, match=r"b\.png: expected a PNG image, got this: .*No such file") as caught:
        read_rgb(str(tmp_path / "b.png"))
    assert caught.value.path == tmp_path / "b.png"


def test_what_is_no_fault_of_the_image_is_no_corrupt_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(24, "Too many open files", str(path))

    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        read_rgb(tmp_path / "a.png")


# --- pictures of every kind, as Pillow reads them


def drawn(mode: str, colors: int = 256, **options: Any) -> Any:
    """A picture of Pillow's, of a mode, with transparent places where the mode has them."""
    image = pytest.importorskip("PIL.Image", reason="makes the files").effect_mandelbrot((21, 13), (-2, -1, 1, 0.6), 90)
    rgba = image.convert("RGBA")
    alpha = image.point(lambda value: 255 if value > 99 else value)
    rgba.putalpha(alpha)
    if mode == "P":
        return image.convert("RGB").quantize(colors)
    return rgba.convert(mode)


# Mode, endings, format, options to save it.
KINDS: dict[str, tuple[Any, ...]] = {
    "1": ("1", "PNG", {}),
    "L": ("L", "PNG", {}),
    "L with a transparent grey": ("L", "PNG", {"transparency": 90}),
    "LA": ("LA", "PNG", {}),
    **{f"P of {2**bits}": ("P", "PNG", {"bits": bits}) for bits in (1, 2, 4, 8)},
    "P of 4 with a transparent colour": ("P", "PNG", {"bits": 2, "transparency": 1}),
    "P of 16 with alphas": ("P", "PNG", {"bits": 4, "transparency": bytes(range(0, 256, 17))}),
    "RGB": ("RGB", "PNG", {}),
    "RGBA": ("RGBA", "PNG", {}),
    "JPEG": ("RGB", "JPEG", {"quality": 95}),
    "progressive JPEG": ("RGB", "JPEG", {"progressive": True}),
    "grey JPEG": ("L", "JPEG", {}),
    "CMYK JPEG": ("CMYK", "JPEG", {}),
    "WebP": ("RGBA", "WEBP", {"lossless": True}),
    "GIF": ("P", "GIF", {}),
    "BMP": ("RGB", "BMP", {}),
    "TIFF": ("RGB", "TIFF", {}),
}


@pytest.mark.parametrize("name", ["a.jpg", "a.PNG", os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"caf\xe9.png")])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_read_as_pillow_reads_them_whatever_their_name(tmp_path: Path, kind: str, name: str) -> None:
    mode, fmt, options = KINDS[kind]
    drawn(mode, 2 ** options.get("bits", 8)).save(tmp_path / "a", fmt, **options)
    (tmp_path / "a").rename(tmp_path / name)
    from PIL import Image

    with Image.open(tmp_path / name) as image:
        rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    expected = torch.tensor(list(Image.alpha_composite(white, rgba).convert("RGB").tobytes())).view(13, 21, 3)
    off = (read_rgb(tmp_path / name).permute(1, 2, 0).int() - expected).abs().max()
    assert off <= (rgba.getextrema()[3][0] < 255)  # half a level more or less where it is half transparent


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_16_bits_are_read_whatever_their_name(tmp_path: Path, name: str) -> None:
    pytest.importorskip("PIL", reason="reads what is named otherwise")
    values = torch.arange(0, 65536, 7, dtype=torch.int32)[: 96 * 97].reshape(1, 96, 97)
    write_image(tmp_path / "a.png", values.to(torch.uint16))
    (tmp_path / "a.png").rename(tmp_path / name)
    assert torch.equal(read_rgb(tmp_path / name)[:1], (values.double() / 257).round().to(torch.uint8))


def test_a_transparent_value_of_16_bits_is_white(tmp_path: Path) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    for color, key, samples in (
        (0, b"\x12\x34", b"\x12\x34\x12\x35"),
        (2, b"\0\1\0\2\0\3", b"\0\1\0\2\0\3\0\1\0\2\0\4"),
    ):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, color, 0, 0, 0)) + chunk(b"tRNS", key)
        body = chunk(b"IDAT", zlib.compress(b"\0" + samples)) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
        first, second = read_rgb(tmp_path / "a.png").permute(2, 1, 0)[:, 0].tolist()
        assert first == [255] * 3
        assert max(second) < 20


def test_the_first_of_several_frames_is_read(tmp_path: Path) -> None:
    first, second = drawn("RGB"), drawn("RGB").rotate(180)
    for fmt in ("PNG", "WEBP", "GIF"):
        options = {} if fmt == "GIF" else {"lossless": True}
        first.save(tmp_path / "a.png", fmt, save_all=True, append_images=[second], duration=1, **options)
        expected = torch.tensor(list(first.tobytes())).view(13, 21, 3)
        assert torch.equal(read_rgb(tmp_path / "a.png").permute(1, 2, 0).long(), expected), fmt


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # of Pillow, before it refuses a TIFF
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_cut_short_is_an_error_whatever_its_kind(tmp_path: Path, kind: str) -> None:
    mode, fmt, options = KINDS[kind]
    drawn(mode, 2 ** options.get("bits", 8)).save(tmp_path / "a.jpg", fmt, **options)
    whole = (tmp_path / "a.jpg").read_bytes()
    for share in (0, 0.02, 0.3, 0.6, 0.95):
        (tmp_path / "a.jpg").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CorruptImage, match=r"a\.jpg \(index 4\): expected a (JPEG|PNG) image, got this: \S+"):
            read_rgb(tmp_path / "a.jpg", 4)


def test_values_without_a_white_are_an_error(tmp_path: Path) -> None:
    drawn("F").save(tmp_path / "a.png", "TIFF")
    with pytest.raises(CorruptImage, match=r"got this: grey values of 32 bits \(mode F\), for which no value is known"):
        read_rgb(tmp_path / "a.png")


def test_a_decompression_bomb_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn("CMYK").save(tmp_path / "a.jpg")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 9)
    with pytest.raises(CorruptImage, match=r"got this: it cannot be decoded: Image size \(273 pixels\) exceeds limit"):
        read_rgb(tmp_path / "a.jpg")


def test_without_pillow_what_takes_it_says_so_and_is_not_called_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn("CMYK").save(tmp_path / "cmyk.jpg")
    drawn("LA").save(tmp_path / "la.png")
    drawn("RGB").save(tmp_path / "other.jpg", "PNG")
    (tmp_path / "none.jpg").write_bytes(b"no image")
    drawn("RGB").save(tmp_path / "plain.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name, what in (
        ("cmyk.jpg", "a JPEG of 4 channels, such as CMYK"),
        ("la.png", "a PNG of grey with alpha"),
        ("other.jpg", "a PNG that is named otherwise"),
    ):
        with pytest.raises(ModuleNotFoundError, match=rf"{name}': {what} needs Pillow, .*'equicon\[train\]'"):
            read_rgb(tmp_path / name)
    with pytest.raises(CorruptImage, match=r"none\.jpg: expected a JPEG image, got this: "):
        read_rgb(tmp_path / "none.jpg")
    assert read_rgb(tmp_path / "plain.png").shape == (3, 13, 21)


# --- upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "fmt"), [("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("LA", "PNG"), ("RGB", "WEBP")]
)
def test_pictures_are_upright_as_pillow_turns_them(tmp_path: Path, mode: str, fmt: str, orientation: int) -> None:
    picture = drawn(mode)
    from PIL import Image, ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{'png' if fmt == 'PNG' else 'jpg'}"
    picture.save(path, fmt, exif=exif)
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    upright.save(tmp_path / "upright.png" if mode != "CMYK" else tmp_path / "upright.tif")
    with Image.open(path) as image:
        stored = (3, image.height, image.width)
    as_stored = read_rgb(path, apply_exif_orientation=False)
    assert as_stored.shape == stored == (3, 13, 21)
    image = read_rgb(path)
    assert image.shape == (3, upright.height, upright.width)
    assert torch.equal(image, read_rgb(tmp_path / ("upright.png" if mode != "CMYK" else "upright.tif")))
    assert torch.equal(image, as_stored) == (orientation == 1)
