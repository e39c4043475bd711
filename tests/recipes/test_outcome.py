import argparse
import shlex
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib", reason="the recipes need matplotlib")
pytest.importorskip("torchvision", reason="the recipes need torchvision")

from matplotlib import pyplot as plt

from equicon.hands import SyntheticHands, write_freihand
from equicon.probes import ProbeResult
from equicon.recipes import (
    PretrainData,
    Probed,
    conclude_probes,
    draw_probes,
    next_command,
    parse_finetune_args,
    parse_pretrain_args,
)


def probed(px: float, shown: torch.Tensor) -> Probed:
    few, all_labels = (ProbeResult("linear", n, px=px + 30 / n, mm=10 * px, pa_mm=1.0) for n in (5, 50))
    return Probed([few, ProbeResult("mean", 50, px=15.0, mm=101.0, pa_mm=2.0), all_labels], shown)


def test_the_sentence_is_of_all_labels_and_has_what_was_before_and_the_mean_pose():
    text = conclude_probes(argparse.Namespace(size=64), 3.21, probed(13.4, torch.empty(0)), probed(8.4, torch.empty(0)))
    assert text.startswith("Pre-training took 3.2 minutes and used no labels. Then a linear probe")
    assert "fitted to the features of 50 labelled images" in text
    assert (
        "by 9.0 pixels and 84 mm, with views of 64 pixels. Before pre-training, such a probe missed them by 14.0"
        in text
    )
    assert text.endswith("The mean pose, which looks at no image, misses them by 15.0 pixels and 101 mm.")


def test_hands_are_drawn_with_what_was_seen_before_and_after_and_the_truth():
    args = argparse.Namespace(data=["synthetic"], size=32, device="cpu")
    hands = SyntheticHands(4, size=32)
    before, after = torch.rand(4, 21, 2), torch.rand(4, 21, 2) + 5
    data = PretrainData(None, 4, (hands, hands), "hands")
    figure = draw_probes(data, args, probed(13.4, before), probed(8.4, after))
    assert len(figure.axes) == 2 * 6  # two of each row stay empty
    for row, (found, title) in enumerate(((before, "14.0 pixels and 134 mm"), (after, "9.0 pixels and 84 mm"))):
        line = figure.axes[6 * row : 6 * row + 6]
        assert line[0].get_title(loc="left").endswith(title)
        assert [len(axis.lines) for axis in line] == [40, 40, 40, 40, 0, 0]
        for i in range(4):
            truth, seen = line[i].lines[:20], line[i].lines[20:]
            assert seen[0].get_xdata().tolist() == pytest.approx(found[i, [0, 1], 0].tolist())
            assert truth[0].get_xdata().tolist() == pytest.approx(hands[i].xy[[0, 1], 0].tolist(), abs=1e-4)
    plt.close(figure)


def following(*words: object) -> list[str]:
    args = parse_pretrain_args("", ["--device", "cpu", "--out", "its results", *map(str, words)])
    return shlex.split(next_command(args, Path("examples/finetune_freihand.py")))


def test_the_next_command_can_be_parsed_and_fits_the_encoder(tmp_path):
    _, program, *words = following()
    assert program == "examples/finetune_freihand.py"
    assert words == ["--weights", "its results/encoder.pt"]
    assert following("--size", 32, "--side", "left")[4:] == ["--size", "32", "--side", "left"]
    write_freihand(tmp_path, 1, size=8)
    words = following("--data", tmp_path, "--recipe", "quick", "--seed", 3)[2:]
    tuned = parse_finetune_args("", words)
    assert (tuned.data, tuned.arch, tuned.seed) == (str(tmp_path), "quarter_resnet18", 3)
    (tmp_path / "photos").mkdir()
    assert following("--data", tmp_path / "photos", "--boxes", "b.json") == []  # there are no labels
