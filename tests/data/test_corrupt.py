import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from equicon.data import CorruptImage, Reader, SkipCorrupt, UnlabelledImages, read_rgb


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
        assert data.stand_in(index) == data.stand_in(index - count) == expected
    assert data.skipped == sorted({Path(f"{i // 2}.jpg") for i in corrupt})


def test_what_was_skipped_is_what_was_met_and_is_not_read_again() -> None:
    numbers = Numbers(6, {1, 2, 5})
    data = SkipCorrupt(numbers)
    assert data.skipped == []
    assert [data[1], data[1]] == [3, 3]
    assert numbers.read == [1, 2, 3, 3]
    assert data.skipped == [Path("0.jpg"), Path("1.jpg")]
    assert data.dataset is numbers


def test_what_stands_in_is_told_as_far_as_it_is_known_and_nothing_is_read_for_it() -> None:
    numbers = Numbers(3, {0, 1, 2})
    data = SkipCorrupt(numbers)
    assert [data.stand_in(i) for i in range(3)] == [0, 1, 2]
    assert numbers.read == []
    with pytest.raises(CorruptImage):
        data[1]
    assert [data.stand_in(i) for i in range(3)] == [0, 1, 2]  # all are corrupt: none stands in
    with pytest.raises(IndexError, match="index: expected a whole number in"):
        data.stand_in(3)


def test_groups_are_those_of_what_was_wrapped() -> None:
    numbers = Numbers(3, {1})
    numbers.groups = torch.tensor([4, 4, 2])  # type: ignore[attr-defined]
    assert SkipCorrupt(numbers).groups.tolist() == [4, 4, 2]


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


@pytest.mark.slow
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


# --- a data set of one's own, with public names only


class Letters(Dataset[tuple[Tensor, str]]):
    """Images and what is written on them, from a list that has a line for each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines = (root / "letters.txt").read_text().split()

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        image = read_rgb(self.path(index), index)
        letter = self.lines[index].split(":")[1]
        if not letter:
            raise CorruptImage(f"{self.path(index)}: expected a letter, got none.", self.path(index))
        return image, letter

    def path(self, index: int) -> Path:
        return self.root / self.lines[index].split(":")[0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_of_one_s_own_can_be_gone_on_with(root: Path, tmp_path: Path, workers: int) -> None:
    for name in ("0.png", "1.png", "2.png"):  # of which the last does not decode
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / "letters.txt").write_text("2.png:a 0.png: gone.png:c 1.png:d")
    letters: Reader[tuple[Tensor, str]] = Letters(tmp_path)
    for index, message in enumerate(
        [r"2\.png \(index 0\): expected a PNG image", "expected a letter", r"gone\.png \(index 2\): .*No such file"]
    ):
        with pytest.raises(CorruptImage, match=message) as caught:
            letters[index]
        assert caught.value.path == letters.path(index)
    data = SkipCorrupt(letters)
    found = list(DataLoader(data, 2, num_workers=workers, multiprocessing_context="fork" if workers else None))
    assert [letter for _, several in found for letter in several] == ["d"] * 4
    assert torch.equal(found[0][0][0], picture(1))
    assert [path.name for path in data.skipped] == ["2.png", "0.png", "gone.png"]
