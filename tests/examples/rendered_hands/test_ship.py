import json
from dataclasses import asdict

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")
pytest.importorskip("safetensors", reason="the files are of safetensors")

from examples.loading import load

import equicon as eq
from equicon._pretrained import files

plan, sizes, ship = (load(f"rendered_hands/{name}.py") for name in ("plan", "sizes", "ship"))
TOY = sizes.PRESETS["toy"]


@pytest.fixture
def results(tmp_path):
    """Write the results of a study that has chosen all settings."""
    done = {}
    while todo := plan.missing(plan.ready(TOY, done), done):
        done |= {piece.key: {"chosen by": 1.0, "session": 0} for piece in todo}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"preset": "toy", "sizes": asdict(TOY) | {"processes": None}, "pieces": done}))
    return path


@pytest.mark.slow
def test_it_makes_what_is_missing_and_writes_files_that_are_read(results, tmp_path, monkeypatch, capsys):
    words = ["--results", str(results), "--out", str(tmp_path / "out"), "--to", str(tmp_path / "to"), "--device", "cpu"]
    ship.main(words)
    monkeypatch.setattr(files, "FOLDER", tmp_path / "to")
    names = [ship.NAME.format(kind) for kind in ship.WHAT]
    assert eq.list_pretrained() == names
    for name in names:
        card = eq.pretrained(name).card
        assert card == json.loads((tmp_path / "to" / f"{name}.json").read_bytes())
        assert card["check"]["px"] == pytest.approx(ship.check(name), abs=1e-3)
        assert {row["domain"] for row in card["figures"]} == {"studio", "wild"}
        assert card["commit"]
    assert "of both domains" in eq.pretrained(names[-1]).card["made of"]
    assert ship.table(tmp_path / "to") in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.pt")}
    ship.main(words)  # all is there
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.pt")}


def test_a_study_of_other_sizes_or_too_little_of_one_is_refused(results, tmp_path):
    known = json.loads(results.read_bytes())
    words = ["--results", str(results), "--out", str(tmp_path / "out"), "--to", str(tmp_path / "to"), "--device", "cpu"]
    results.write_text(json.dumps(known | {"sizes": known["sizes"] | {"steps": 7}}))
    with pytest.raises(SystemExit, match=r"--results: the sizes in .* are not those of the preset 'toy' today"):
        ship.main(words)
    assert not (tmp_path / "out").exists()
    few = {key: value for key, value in known["pieces"].items() if "short" in key}
    with pytest.raises(SystemExit, match=r"--results: no method has a pre-training with its chosen settings yet"):
        ship.pose(TOY, few)
