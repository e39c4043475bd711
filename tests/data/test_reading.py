from pathlib import Path

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
