import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from equicon.probes import Features, ProbeResult, format_probes, probe, probe_table
from equicon.probes import _regressors as _regress

KINDS: list[Any] = ["mean", "linear", "mlp"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regress, "_STEPS", (0, 20))


def some(n: int, seed: int) -> Features:
    g = torch.Generator().manual_seed(seed)
    return Features(*(torch.rand(n, *shape, generator=g) for shape in ((8,), (3, 2), (3, 3))))


TRAIN, TEST = some(60, 0), some(20, 1)


def through_json(rows: list[ProbeResult]) -> list[ProbeResult]:
    """What comes back from JSON, which has lists in the place of tuples."""
    plain = json.loads(json.dumps([row._asdict() for row in rows]))
    return [ProbeResult(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}) for row in plain]


def test_the_table_is_its_probes_and_is_plain_data() -> None:
    seen: list[Any] = []
    lengths: list[int] = []

    def progress(wrapped: list[Any]) -> Iterable[Any]:
        lengths.append(len(wrapped))
        for job in wrapped:
            if len(wrapped) == 6:
                seen.append(job)
            yield job

    found = probe_table(TRAIN, TEST, fractions=(0.1, 1.0), seed=2, progress=progress)
    assert len(seen) == lengths[0] == 6
    assert len(lengths) == 3  # that of the probes, and one for the steps of each "mlp"
    assert min(lengths[1:]) > 6
    assert found == [probe(TRAIN, TEST, kind=kind, fraction=f, seed=2) for f in (0.1, 1.0) for kind in KINDS]
    assert through_json(found) == found


def test_a_table_by_name_and_from_a_root_is_plain_data_and_can_be_saved(tmp_path: Path) -> None:
    named: dict[str, Any] = {"root": 2, "names": ("nose", "ear", "tail")}
    found = probe_table(TRAIN, TEST, kinds=["mean", "linear"], fractions=[1.0], **named)
    assert found == [probe(TRAIN, TEST, kind=kind, **named) for kind in ("mean", "linear")]
    assert found[0].mm != probe(TRAIN, TEST, kind="mean").mm
    flat = probe_table(TRAIN._replace(xyz=None), TEST._replace(xyz=None), kinds=["mean"], fractions=[1.0])
    for rows in (found, flat):
        assert through_json(rows) == rows
        torch.save([*map(tuple, rows)], tmp_path / "rows.pt")
        assert [ProbeResult(*row) for row in torch.load(tmp_path / "rows.pt", weights_only=True)] == rows


def test_what_was_not_measured_is_not_shown() -> None:
    flat, full = ProbeResult("linear", 100, 2.5), ProbeResult("linear", 100, 2.1, 17.0, 8.0, 0.8)
    assert [line.split() for line in format_probes({"before": [flat]}).splitlines()] == [
        ["2D", "[px]"],
        ["probe", "labels", "before"],
        ["linear", "100", "2.50"],
    ]
    both = format_probes({"before": [flat], "after": [full]}).splitlines()
    assert both[2].split() == ["linear", "100", "2.50", "2.10", "-", "17.00", "-", "8.00"]
    assert len({len(line) for line in both}) == 1


def test_runs_stand_beside_each_other_whatever_their_names() -> None:
    long = "after 5 epochs"
    before = [ProbeResult("mean", 326, 10.0, 20.0, 30.0, 0.3), ProbeResult("mlp", 32560, 11.0, 21.0, 31.0, 0.3)]
    after = [ProbeResult("mean", 326, 12.0, 22.0, 32.0, 0.3), ProbeResult("mlp", 32560, 1234.567, 23.0, 33.0, 0.3)]
    lines = format_probes({"before": before, long: after}).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert format_probes({"before": before}).splitlines()[0].split() == lines[0].split()
    assert re.split(r"\s{2,}", lines[0].strip()) == ["2D [px]", "3D [mm]", "PA [mm]"]
    assert lines[1].split() == ["probe", "labels", *3 * ["before", *long.split()]]
    assert lines[2].split() == ["mean", "326", "10.00", "12.00", "20.00", "22.00", "30.00", "32.00"]
    assert lines[3].split() == ["mlp", "32560", "11.00", "1234.57", "21.00", "23.00", "31.00", "33.00"]
    assert format_probes({"before": before}).splitlines()[3].split() == ["mlp", "32560", "11.00", "21.00", "31.00"]
    for runs in ({}, {"before": before, long: after[:1]}, {"before": before, long: after[::-1]}):
        with pytest.raises(ValueError, match="runs: expected at least one, and all with the same probes"):
            format_probes(runs)


def test_a_table_is_refused_before_anything_is_fitted() -> None:
    started: list[Any] = []
    with pytest.raises(ValueError, match="fractions: expected at least 5 labels"):
        probe_table(TRAIN, TEST, progress=lambda jobs: started.extend(jobs) or jobs)
    assert not started


def test_intervals_stand_behind_their_errors() -> None:
    rows = [
        ProbeResult("mean", 100, 12.0, 101.0, 9.0, 0.8, px_interval=(10.5, 13.25), mm_interval=(95.0, 107.125)),
        ProbeResult("linear", 100, 7.5, px_interval=(7.0, 8.0)),
    ]
    runs = {"before": rows, "after": [rows[0], ProbeResult("linear", 100, 6.0)]}
    lines = format_probes(runs, intervals=True).splitlines()
    mean, linear = (" ".join(line.split()) for line in lines[2:])
    mm = "101.00 [95.00, 107.12]"
    assert mean == f"mean 100 12.00 [10.50, 13.25] 12.00 [10.50, 13.25] {mm} {mm} 9.00 9.00"
    assert linear == "linear 100 7.50 [7.00, 8.00] 6.00 - - - -"
    assert len({len(line) for line in lines}) == 1
    assert "[1" not in format_probes(runs)
    with pytest.raises(TypeError, match="intervals: expected True or False"):
        format_probes(runs, intervals=1)  # type: ignore[arg-type]
