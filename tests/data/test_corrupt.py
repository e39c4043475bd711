import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from equicon.data import CorruptImage, SkipCorrupt, UnlabelledImages
from equicon.data._corrupt import read_rgb


class Numbers(Dataset[int]):
    """Items 0, 1, ..., some of them corrupt; two items to a file."""

    def __init__(self, count: int, corrupt: set[int]) -> None:
        self.count, self.corrupt = count, corrupt
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        self.read.append(index)
        if index in self.corrupt:
            raise CorruptImage(f"item {index}", self.path(index))
        return index

    def path(self, index: int) -> Path:
        return Path(f"{index // 2}.jpg")


@st.composite
def some(draw: st.DrawFn) -> tuple[int, set[int]]:
    count = draw(st.integers(1, 9))
    return count, draw(st.sets(st.integers(0, count - 1)))


@given(some(), st.lists(st.integers(0, 8)))
def test_the_next_readable_item_stands_in(case: tuple[int, set[int]], before: list[int]) -> None:
    count, corrupt = case
    data = SkipCorrupt(Numbers(count, corrupt))
    assert len(data) == count
    for index in [i % count for i in before] + list(range(count)):  # what was asked for before makes no difference
        if len(corrupt) == count:
            with pytest.raises(CorruptImage, match=f"item {index}"):
                data[index]
            continue
        expected = index
        while expected in corrupt:
            expected = (expected + 1) % count
        assert data[index] == data[index - count] == expected
    assert data.skipped == sorted({Path(f"{i // 2}.jpg") for i in corrupt})


def test_what_was_skipped_is_what_was_met_and_is_not_read_again() -> None:
    numbers = Numbers(6, {1, 2, 5})
    data = SkipCorrupt(numbers)
    assert data.skipped == []
    assert [data[1], data[1]] == [3, 3]
    assert numbers.read == [1, 2, 3, 3]
    assert data.skipped == [Path("0.jpg"), Path("1.jpg")]
    assert data.dataset is numbers


def test_other_errors_are_not_hidden() -> None:
    class Broken(Numbers):
        def __getitem__(self, index: int) -> int:
            raise ValueError("not the image's fault")

    data = SkipCorrupt(Broken(3, set()))
    with pytest.raises(ValueError, match="not the image's fault"):
        data[0]
    assert data.skipped == []


def test_indices_are_those_of_a_sequence() -> None:
    data = SkipCorrupt(Numbers(3, {2}))
    for index in (3, -4):
        with pytest.raises(IndexError, match=rf"index: expected a whole number in \[-3, 2\], got {index}"):
            data[index]
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        data[0.5]  # type: ignore[index]


def test_a_data_set_without_paths_raises() -> None:
    with pytest.raises(TypeError, match=r"dataset: expected a data set with path\(index\), got Subset .*around this"):
        SkipCorrupt(Subset(Numbers(3, set()), [0]))  # type: ignore[arg-type]


# --- images, and workers


def picture(value: int = 0) -> Tensor:
    noise = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(value))
    return (noise * 50 + 20 * value).to(torch.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(8):
        write_image(folder / f"{number}.png", picture(number))
    for number in (2, 3, 7):
        (folder / f"{number}.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (1, "spawn")])
def test_all_workers_skip_alike_and_tell(root: Path, workers: int, start: str | None) -> None:
    data = SkipCorrupt(UnlabelledImages(root, 16))
    loader = DataLoader(data, 2, num_workers=workers, multiprocessing_context=start)
    images = torch.cat([batch.image for batch in loader])
    wanted = [UnlabelledImages(root, 16)[i].image for i in (0, 1, 4, 4, 4, 5, 6, 0)]
    assert torch.equal(images, torch.stack(wanted))
    # The two corrupt neighbours and the last are in batches of different workers.
    assert [path.name for path in data.skipped] == ["2.png", "3.png", "7.png"]


def test_workers_share_what_they_skip_and_no_more() -> None:
    data = SkipCorrupt(Numbers(1_000_000, set()))
    assert len(ForkingPickler.dumps(data)) < 2_000  # a byte for each item would take a megabyte


def test_without_it_the_first_stops_the_run(root: Path) -> None:
    loader = DataLoader(UnlabelledImages(root, 16), 4, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(CorruptImage, match=r"2\.png \(index 2\): expected a PNG image, got this: ") as caught:
        list(loader)
    assert caught.value.path is None  # a DataLoader passes on the text alone


def test_the_error_keeps_its_path_through_pickle() -> None:
    error = pickle.loads(pickle.dumps(CorruptImage("a.jpg: gone", Path("a.jpg"))))
    assert (str(error), error.path) == ("a.jpg: gone", Path("a.jpg"))


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
