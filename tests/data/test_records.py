import json
import random
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equicon.data import _json
from equicon.data._records import read_records


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "records.json"


def read(path: Path, text: str, shape: tuple[int, ...], window: int) -> Tensor:
    """Read a text through a window of so many characters."""
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "_WINDOW", window)
        return read_records(path, shape)


@settings(max_examples=100)
@given(
    shape=st.sampled_from([(), (3,), (3, 3), (5, 1, 2)]),
    count=st.integers(1, 30),
    window=st.integers(6, 400),  # the opening bracket lies in the first
    layout=st.sampled_from([None, 0, 2]),
    seed=st.integers(0, 2**31 - 1),
)
def test_what_json_reads_is_read_through_any_window(
    path: Path, shape: tuple[int, ...], count: int, window: int, layout: int | None, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(count, *shape, generator=draw, dtype=torch.float64)
    values *= 10.0 ** torch.randint(-50, 30, values.shape, generator=draw)
    values[0] = values[0].round().clamp(-1e9, 1e9)
    records = values.tolist()
    if shape == ():
        records[0] = int(records[0])
    found = read(path, f" \n{json.dumps(records, indent=layout)}\n ", shape, window)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.tensor(records, dtype=torch.float64).float())


def plainly(text: str) -> list[float] | None:
    """Give the numbers that a text lists, None if it is anything else."""
    try:
        values = json.loads(text)
    except ValueError:
        return None
    good = isinstance(values, list) and values and all(isinstance(v, int | float) and abs(v) < 3e38 for v in values)
    return [float(v) for v in values] if good else None


@settings(max_examples=400)
@given(seed=st.integers(0, 2**31 - 1), window=st.integers(1, 40))
def test_what_json_refuses_is_refused(path: Path, seed: int, window: int) -> None:
    draw = random.Random(seed)
    text = list(draw.choice(["[1.5, -2e3, 40, 0.25]", "[]", "[7]", "[\n1,\n2\n]\n"]))
    for _ in range(draw.choice([0, 1, 1, 2])):
        at = draw.randrange(len(text))
        text[at : at + draw.choice([0, 1])] = draw.choice(["", "[", "]", ",", ".", "-", "e", " ", "1", "x", "{", "NaN"])
    values = plainly("".join(text))
    if values is None:
        with pytest.raises(ValueError, match=r"records\.json"):
            read(path, "".join(text), (), window)
    else:
        assert torch.equal(read(path, "".join(text), (), window), torch.tensor(values, dtype=torch.float64).float())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected JSON, got this: record 0: Expecting value: line 1 column 1"),
        ("[[1, 2], [3, 4]", r"expected JSON, got this: record 1: Expecting ',' delimiter: line 1 column 7"),
        ("[[1, 2], [3, 4", r"expected JSON, got this: record 1: Expecting ',' delimiter: line 1 column 6"),
        ("[[1, 2], [3 4]]", r"expected JSON, got this: record 1: Expecting ',' delimiter: line 1 column 4"),
        ("[[1, 2],]", r"expected JSON, got this: record 1: Expecting value: line 1 column 1"),
        ("[[1, 2]] 3", r"expected JSON, got this: record 1: Extra data: line 1 column 1"),
        ("7", r"expected a list of records, got int 7"),
        ("[]", r"expected a list of records, got an empty one"),
        ("[[1, 2], [3]]", r"records\.json \(record 1\): expected numbers of shape \(2,\), got shape \(1,\)"),
        ("[[1, 2], [[3], 4]]", r"\(record 1\): expected numbers of shape \(2,\), got list \[\[3\], 4\]"),
        ("[[1, 2], [3, NaN]]", r"\(record 1\): expected finite numbers, got list \[3, nan\]"),
        (f"[[1, 2], [{10**400}, 0]]", r"\(record 1\): expected numbers of shape \(2,\), got list \[1000"),
        ("[[1, 2], [-1e39, 0]]", r"\(record 1\): expected finite numbers, got list \[-1e\+39, 0\]"),
    ],
)
def test_errors_name_the_record(path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(path, text, (2,), 5)


def test_another_number_of_records_than_the_other_file_raises(path: Path) -> None:
    path.write_text("[1, 2, 3]")
    assert len(read_records(path, (), like=(Path("K.json"), 3))) == 3
    with pytest.raises(ValueError, match=r"expected 4 records, as many as K\.json has, got 3"):
        read_records(path, (), like=(Path("K.json"), 4))


@pytest.mark.parametrize("damage", [False, True])
def test_the_text_is_never_in_memory_as_a_whole(path: Path, damage: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(torch.rand(300, 200, 3, dtype=torch.float64).tolist())
    path.write_text(text.replace(",", ";", 1) if damage else text)
    monkeypatch.setattr(_json, "_WINDOW", 2**14)
    tracemalloc.start()
    try:
        if damage:
            with pytest.raises(ValueError, match="record 0: Expecting ',' delimiter"):
                read_records(path, (200, 3))
        else:
            assert read_records(path, (200, 3)).shape == (300, 200, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(text) / 2  # the tensor alone is a fifth of the text, and Python's numbers would be twice the text
