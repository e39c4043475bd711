import pytest
import torch

pytest.importorskip("torchvision", reason="the recipes need torchvision")

from torch import nn

from equicon.recipes import PretrainData, load_pretrain_data, named_errors, parse_pretrain_args, probe_hands


@pytest.mark.slow
def test_hands_are_probed_with_as_many_labels_as_there_are():
    words = "--hands 64 --labelled 60 --size 16 --device cpu --groups-per-batch 0 --mlp-probe"
    args = parse_pretrain_args("", words.split())
    data = load_pretrain_data(args, quiet=True)
    encoder = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    rows, shown = probe_hands(encoder, data, args, torch.float32)
    assert shown.shape == (6, 21, 2)
    first = torch.stack([data.labelled[1][i].xy for i in range(6)])
    assert 0 < (shown - first).norm(dim=-1).mean() < 16
    assert {(row.kind, row.labels) for row in rows} == {(k, n) for k in ("mean", "linear", "mlp") for n in (6, 60)}
    assert all(0 < row.px < 16 for row in rows)
    found = named_errors(rows)
    assert found["probe, 2D [px]/linear, 60 labels"] == next(
        row.px for row in rows if (row.kind, row.labels) == ("linear", 60)
    )
    assert len(found) == 3 * len(rows)


def test_without_labels_nothing_is_found():
    args = parse_pretrain_args("", ["--device", "cpu"])
    assert probe_hands(nn.Identity(), PretrainData(None, 4, None, "pictures"), args, torch.float32).rows == []
