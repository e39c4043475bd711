import argparse

import pytest

pytest.importorskip("torchvision", reason="the recipes need torchvision")

from equicon.hands import SyntheticHands
from equicon.hands.recipes import (
    FinetuneData,
    PretrainData,
    Source,
    is_rendered,
    load_finetune_data,
    load_pretrain_data,
    parse_pretrain_args,
)
from equicon.hands.recipes import _dataset_table as table


@pytest.fixture
def mine(monkeypatch):
    """A data set of one's own, with labels: one more entry."""

    def pretrain(args, data, quiet):
        return PretrainData(SyntheticHands(7, args.size), 7, None, f"of mine in {data}")

    def finetune(args, data, quiet):
        hands = SyntheticHands(7, args.size)
        return FinetuneData(hands, hands, 7, f"of mine in {data}")

    source = Source(
        "Mine",
        lambda data: data.endswith(".mine"),
        pretrain,
        finetune,
        probed=True,
        sign="ending '.mine'",
        inside="mine.json",
    )
    monkeypatch.setattr(table, "SOURCES", (source, *table.SOURCES))


def test_a_new_data_set_is_one_entry(mine, tmp_path):
    (folder := tmp_path / "a.mine").mkdir()
    args = argparse.Namespace(data=[str(folder)], size=16)
    assert str(load_pretrain_data(args, quiet=True)) == f"7 of mine in {folder}; no labels, nothing to probe"
    args.data = str(folder)
    assert str(load_finetune_data(args, quiet=True)) == f"7 of mine in {folder}; validated on 7 other hands"
    assert not is_rendered([str(folder)])


def test_errors_know_a_new_data_set(mine, tmp_path, capsys):
    (folder := tmp_path / "a.mine").mkdir()
    (photos := tmp_path / "photos").mkdir()
    (tmp_path / "mine.json").touch()
    args = argparse.Namespace(data=[str(photos)], boxes=None, size=16)
    with pytest.raises(ValueError, match=rf"expected a folder of photographs, got .*, but Mine is {tmp_path}: give"):
        load_pretrain_data(args, quiet=True)
    args.data = str(photos)
    message = "expected the folder of Mine or the folder of FreiHAND, got .*, which has no ending '.mine' and no folder"
    with pytest.raises(ValueError, match=message):
        load_finetune_data(args, quiet=True)
    (folder / "training").mkdir()
    args.data = [str(folder)]
    with pytest.raises(ValueError, match=r"expected one data set in a folder, got .*, which holds Mine and FreiHAND"):
        load_pretrain_data(args, quiet=True)
    with pytest.raises(SystemExit):
        parse_pretrain_args("", ["--data", str(folder), "--data", str(folder)])
    assert "--data: expected Mine once, for the probes are of its samples" in capsys.readouterr().err


@pytest.mark.parametrize("source", table.SOURCES, ids=lambda source: source.name)
def test_entries_are_whole(source, tmp_path):
    assert source.rendered == source.recognises(source.name) or source.name == "photographs"
    assert bool(source.sign) == bool(source.inside)
    assert not (source.rendered and (source.probed or source.boxes))
    assert source.recognises(str(tmp_path)) == (source is table.SOURCES[-1])  # any folder may be one of photographs
