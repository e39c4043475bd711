import argparse

import pytest

pytest.importorskip("torchvision", reason="the recipes need torchvision")

from equicon.hands import SyntheticHands, write_freihand
from equicon.recipes import (
    FinetuneData,
    PretrainData,
    Source,
    is_rendered,
    load_finetune_data,
    load_pretrain_data,
    parse_pretrain_args,
)
from equicon.recipes import _dataset_table as table


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
    args = argparse.Namespace(data=[str(folder)], size=16, groups_per_batch=None)
    assert str(load_pretrain_data(args, quiet=True)) == f"7 of mine in {folder}; no probes, because there are no labels"
    args.data = str(folder)
    assert str(load_finetune_data(args, quiet=True)) == f"7 of mine in {folder}; validated on 7 other hands"
    assert not is_rendered([str(folder)])


def test_errors_know_a_new_data_set(mine, tmp_path, capsys):
    (folder := tmp_path / "a.mine").mkdir()
    (photos := tmp_path / "photos").mkdir()
    (tmp_path / "mine.json").touch()
    args = argparse.Namespace(data=[str(photos)], boxes=None, size=16, groups_per_batch=None)
    with pytest.raises(ValueError, match=rf"expected a folder of photographs, got .*\. Mine is in {tmp_path}: give"):
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
    assert "--data: expected Mine once, because the probes use its samples" in capsys.readouterr().err


@pytest.mark.parametrize("source", table.SOURCES, ids=lambda source: source.name)
def test_entries_are_whole(source, tmp_path):
    assert source.rendered == source.recognises(source.name) or source.name == "photographs"
    assert bool(source.sign) == bool(source.inside)
    assert not (source.rendered and (source.probed or source.boxes))
    assert source.recognises(str(tmp_path)) == (source is table.SOURCES[-1])  # any folder may be one of photographs


def part_of_freihand(root, keep):
    write_freihand(root, 20, size=16)
    for path in (root / "training" / "rgb").iterdir():
        if not keep(divmod(int(path.stem), 20)):
            path.unlink()


@pytest.mark.parametrize("version", [0, 2])
def test_one_version_of_freihand_will_do(tmp_path, version):
    part_of_freihand(tmp_path, lambda image: image[0] == version)
    args = argparse.Namespace(
        data=[str(tmp_path)], holdout=0.5, seed=0, labelled=10, skip_corrupt=False, fraction=1.0, groups_per_batch=None
    )
    found = load_pretrain_data(args, quiet=True)
    assert (found.count, [part.versions for part in found.labelled]) == (10, [(version,)] * 2)
    args.data = str(tmp_path)
    assert len(load_finetune_data(args, quiet=True).validation) == 10


def test_a_part_of_freihand_says_what_it_lacks(tmp_path):
    part_of_freihand(tmp_path, lambda image: image[1] < 8)
    args = argparse.Namespace(
        data=[str(tmp_path)], holdout=0.5, seed=0, labelled=10, skip_corrupt=False, fraction=1.0, groups_per_batch=None
    )
    said = f"16 images of FreiHAND in {tmp_path} (12 annotated samples have no image); "
    assert str(load_pretrain_data(args, quiet=True)).startswith(said)
    args.data = str(tmp_path)
    assert str(load_finetune_data(args, quiet=True)).startswith(said)


def test_freihand_without_its_training_is_told_from_photographs(tmp_path):
    write_freihand(tmp_path, 2, size=16)
    for path in [*tmp_path.glob("training_*"), *(tmp_path / "training" / "rgb").iterdir()]:
        path.unlink()
    (tmp_path / "training" / "rgb").rmdir()
    (tmp_path / "training").rmdir()
    message = "root: expected a data set with training/ and training_K.json, got .*, which holds evaluation alone"
    args = argparse.Namespace(data=[str(tmp_path)], boxes=None, size=16, groups_per_batch=None)
    with pytest.raises(ValueError, match=message):
        load_pretrain_data(args, quiet=True)
    args.data = str(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_finetune_data(args, quiet=True)
