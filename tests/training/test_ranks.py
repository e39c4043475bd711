import math
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spawn_ranks import on_ranks
from torch.distributed import HashStore

from equicon.training import ALONE, Ranks, joined


@given(count=st.integers(0, 200), world=st.integers(1, 9))
def test_parts_are_the_whole_and_nearly_equal(count, world):
    parts = [list(range(count)[Ranks(rank, world).part(count)]) for rank in range(world)]
    assert [i for part in parts for i in part] == list(range(count))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_alone_nothing_is_asked_of_others():
    with joined() as ranks:
        assert ranks is ALONE
    assert ALONE.first
    assert ALONE.part(7) == slice(0, 7)
    assert (ALONE.any(True), ALONE.any(False)) == (True, False)
    assert ALONE.gather("a") == ["a"]
    assert ALONE.mean(torch.tensor([1.0, 2.0])).tolist() == [1, 2]
    assert ALONE.of_first(lambda: 3) == 3
    with pytest.raises(SystemExit, match="stop"):
        ALONE.of_first(lambda: sys.exit("stop"))


def test_each_rank_of_a_machine_has_a_gpu_of_its_own():
    assert [Ranks(5, 8, 1).device(wanted) for wanted in ("cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    assert ALONE.device("cuda:3") == "cuda:3"


def test_a_restart_is_told_from_a_start():
    store = HashStore()
    ranks = [Ranks(rank, 2, rank, store) for rank in range(2)]
    ranks[1].begin(Path("runs/a"))
    assert not any(rank.restarted for rank in ranks)
    ranks[0].begin(Path("runs/a"))
    assert [rank.restarted for rank in ranks] == ["runs/a", "runs/a"]
    ALONE.begin(Path("runs/a"))
    assert not ALONE.restarted


def ask(rank: int, world: int) -> list[object]:
    ranks = Ranks(rank, world)
    found: list[object] = [
        ranks.any(rank == 1),
        ranks.any(False),
        ranks.gather(10 * rank),
        ranks.of_first(lambda: f"from {rank}"),
        ranks.mean(torch.tensor([float(rank), math.nan if rank == 1 else 1.0])).tolist(),
    ]
    for code in (3, 0, "wrong"):
        with pytest.raises(SystemExit) as stopped:
            ranks.of_first(lambda code=code: sys.exit(code))
        found.append(stopped.value.code)
    try:
        ranks.of_first(lambda: 1 // 0)
    except ZeroDivisionError:
        found.append("zero")
    except SystemExit as stop:
        found.append(stop.code)
    return found


@pytest.mark.slow
def test_ranks_agree():
    for rank, found in enumerate(on_ranks(3, ask)):
        assert found[:4] == [True, False, [0, 10, 20], "from 0"]
        assert found[4] == [1.0, pytest.approx(math.nan, nan_ok=True)]
        assert found[5:] == ([3, 0, "wrong", "zero"] if rank == 0 else [3, 0, 1, 1])
