"""Keypoints of anything, and videos, as sources of pre-training."""

import pytest
import torch

pytest.importorskip("matplotlib", reason="the recipes need matplotlib")
pytest.importorskip("torchvision", reason="the recipes need torchvision")

from pathlib import Path

import tiny_encoder
from matplotlib import pyplot as plt

from equicon.data import KeypointSample, write_coco_keypoints, write_deeplabcut, write_video
from equicon.presets import peclr
from equicon.recipes import (
    draw_probes,
    draw_views,
    frame_of,
    load_pretrain_data,
    named_errors,
    next_command,
    parse_pretrain_args,
    probe_hands,
    training_batches,
)

NAMES = ["nose", "left_ear", "right_ear"]
COUNT = 40


@pytest.fixture(scope="module")
def labels():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 3, 30, 36), dtype=torch.uint8, generator=generator)
    xy = 4 + 20 * torch.rand(COUNT, 3, 2, generator=generator)
    visible = torch.where(torch.rand(COUNT, 3, generator=generator) < 0.1, 0, 2)
    return images, xy, visible


@pytest.fixture(scope="module")
def sequence(tmp_path_factory, labels):
    """Frames in one folder."""
    folder = tmp_path_factory.mktemp("sequence")
    write_deeplabcut(folder, *labels, names=NAMES)
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory, labels):
    """Boxes in pictures of five videos."""
    folder = tmp_path_factory.mktemp("people")
    boxes = torch.tensor([[2.0, 2.0, 27.0, 25.0]]).repeat(COUNT, 1)
    write_coco_keypoints(folder, *labels, names=NAMES, skeleton=[(0, 1)], boxes=boxes, groups=torch.arange(COUNT) // 8)
    return folder


def parse(*words: object):
    fixed = ["--recipe", "quick", "--size", 16, "--batch-size", 8, "--device", "cpu", "--precision", "float32"]
    return parse_pretrain_args("", [str(word) for word in (*fixed, *words)])


def test_items_around_boxes_keep_their_videos_as_groups(people):
    args = parse("--data", people, "--holdout", 0.2)
    data = load_pretrain_data(args, quiet=True)
    _, test = data.labelled
    assert (data.count, len(test)) == (32, 8)
    assert len(data.images.groups.unique()) == 4
    assert not set(data.images.groups.tolist()) & set(test.groups.tolist())
    batch, same = next(training_batches(data, args, 0, 1))
    assert isinstance(batch, KeypointSample)
    assert same is None
    frame = frame_of(batch, args)
    corners = torch.stack([batch.box[:, :2], batch.box[:, 2:]], 1)
    size = (batch.image.shape[-2], batch.image.shape[-1])
    assert torch.allclose(
        frame.points(corners, size, (16, 16))[..., 0], torch.tensor([-0.5, 15.5]).expand(8, 2), atol=1e-3
    )


def test_one_sequence_is_one_scene_and_is_held_out_in_stretches(sequence):
    args = parse("--data", sequence, "--holdout", 0.2)
    data = load_pretrain_data(args, quiet=True)
    assert data.images.groups.unique().tolist() == [0]
    fit, test = data.labelled
    assert len(test.groups.unique()) > 1
    kept = {data.images.path(i) for i in range(len(data.images))}
    assert not kept & {test.path(i) for i in range(len(test))}
    assert {fit.path(i) for i in range(len(fit))} <= kept
    assert len(list(training_batches(data, args, 0, 2))) == 2


def test_without_a_holdout_there_are_no_probes(sequence):
    data = load_pretrain_data(parse("--data", sequence, "--holdout", 0), quiet=True)
    assert (data.count, data.labelled) == (COUNT, None)
    assert "no probes" in str(data)


def test_frames_of_a_video_are_learned_from_too(labels, people, tmp_path):
    pytest.importorskip("av", reason="videos need PyAV")
    write_video(tmp_path / "a.mp4", labels[0], rate=10)
    args = parse("--data", tmp_path / "a.mp4", "--data", people, "--holdout", 0.2)
    data = load_pretrain_data(args, quiet=True)
    assert data.counts == (COUNT, 32)
    assert len(data.images.groups.unique()) == 4 + 4
    assert data.labelled is not None
    batches = [batch for batch, _ in training_batches(data, args, 0, 9)]
    assert {batch.image.shape for batch in batches} == {(8, 3, 40, 40)}


@pytest.mark.parametrize("which", ["people", "sequence"])
def test_probes_find_keypoints_and_what_they_found_is_drawn(which, request, tmp_path):
    root = request.getfixturevalue(which)
    args = parse("--data", root, "--holdout", 0.3, "--out", tmp_path)
    data = load_pretrain_data(args, quiet=True)
    encoder, _ = tiny_encoder.build_tiny_encoder()
    found = probe_hands(encoder, data, args, torch.float32)
    assert {row.kind for row in found.rows} == {"mean", "linear"}
    assert all(row.mm is None and row.px > 0 for row in found.rows)
    assert all(name.startswith("probe, 2D [px]/") for name in named_errors(found.rows))
    figure = draw_probes(data, args, found, found)
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == 2 * len(found.shown)
    known = int((data.labelled[1][0].visible > 0).sum())
    assert len(drawn[0].lines[known].get_xdata()) == known  # after a line from each to where it was predicted
    plt.close(figure)
    batch, _ = next(training_batches(data, args, 0, 1))
    assert draw_views(batch, peclr(), args, seed=0).axes[1].collections


def test_if_one_video_is_left_to_learn_from_its_stretches_are_the_groups(labels, tmp_path):
    write_deeplabcut(tmp_path, *labels, names=NAMES, groups=torch.arange(COUNT) // 20)
    data = load_pretrain_data(args := parse("--data", tmp_path, "--holdout", 0.4), quiet=True)
    assert data.labelled[0].groups.unique().tolist() == [0, 1, 2, 3]
    encoder, _ = tiny_encoder.build_tiny_encoder()
    assert probe_hands(encoder, data, args, torch.float32).rows


def test_a_keypoint_without_any_label_leaves_no_probe(labels, tmp_path):
    images, xy, visible = labels
    write_deeplabcut(tmp_path, images, xy, visible * torch.tensor([1, 1, 0]), names=NAMES)
    data = load_pretrain_data(args := parse("--data", tmp_path, "--holdout", 0.2), quiet=True)
    encoder, _ = tiny_encoder.build_tiny_encoder()
    assert probe_hands(encoder, data, args, torch.float32).rows == []


def test_the_next_command_is_that_of_keypoints(people, tmp_path):
    args = parse("--data", people, "--out", tmp_path)
    words = next_command(args, Path("examples/finetune_freihand.py"))
    assert "examples/finetune_keypoints.py --weights" in words
    assert words.endswith(f"--data {people}")


def test_a_path_that_is_nothing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"expected 'synthetic', 'stream', a folder, a file of labels or a video, got"):
        load_pretrain_data(parse("--data", tmp_path / "nowhere"), quiet=True)


def test_two_layouts_in_a_folder_are_an_error(people, sequence, tmp_path, labels):
    write_deeplabcut(tmp_path, *labels, names=NAMES)
    (tmp_path / "annotations.json").write_bytes((people / "annotations.json").read_bytes())
    with pytest.raises(
        ValueError, match=r"expected one data set in a folder, got .* holds keypoints in COCO's layout and"
    ):
        load_pretrain_data(parse("--data", tmp_path), quiet=True)
