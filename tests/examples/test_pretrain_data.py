import argparse
import json
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torchvision", reason="the examples need torchvision")

from kornia.io import write_image
from pretrain_data import Batches, frame_of, labelled_batches, load_data, seed_of, training_batches
from ranks import Ranks

import equicon as eq
from equicon.hands import Boxed, FreiHAND, SyntheticHands, write_freihand


def options(**changed) -> argparse.Namespace:
    plain = {
        "data": "synthetic", "hands": 20, "labelled": 10, "size": 16, "batch_size": 4, "seed": 3, "workers": 0,
        "device": "cpu", "skip_corrupt": False, "boxes": None, "holdout": 0.1,
    }  # fmt: skip
    return argparse.Namespace(**plain | changed)


@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 2**40),
    cut=st.integers(0, 30),
)
def test_batches_go_on_from_anywhere_and_each_epoch_is_a_new_permutation(count, batch_size, seed, cut):
    if batch_size > count:
        return
    per_epoch = count // batch_size
    last = 2 * per_epoch
    whole = list(Batches(count, batch_size, seed, 0, last))
    cut = min(cut, last)
    assert len(Batches(count, batch_size, seed, cut, last)) == last - cut
    assert list(Batches(count, batch_size, seed, cut, last)) == whole[cut:]
    assert all(len(batch) == batch_size for batch in whole)
    for epoch in (whole[:per_epoch], whole[per_epoch:]):
        seen = [index for batch in epoch for index in batch]
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(range(count))


@given(batch_size=st.integers(2, 12), world=st.integers(1, 4), cut=st.integers(0, 6))
def test_ranks_share_the_batches_of_one_process(batch_size, world, cut):
    whole = list(Batches(40, batch_size, 3, cut, 6))
    parts = zip(*(Batches(40, batch_size, 3, cut, 6, Ranks(rank, world)) for rank in range(world)), strict=True)
    assert [[i for part in batch for i in part] for batch in parts] == whole


def test_epochs_and_seeds_differ():
    orders = [next(iter(Batches(50, 50, seed, epoch, epoch + 1))) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_seeds_depend_on_every_number_and_its_place():
    numbers = [(0,), (1,), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0), (0, 1, 0, 5)]
    assert len({seed_of(*n) for n in numbers}) == len(numbers)
    assert all(0 <= seed_of(*n) < 2**63 for n in numbers)
    torch.manual_seed(seed_of(2**40, 1))


@pytest.mark.parametrize("data", ["synthetic", "stream"])
def test_rendered_hands_for_training_and_probing_are_different_ones(data):
    args = options(data=data)
    found = load_data(args)
    assert found.count == 20
    fitting, testing = found.labelled
    assert (len(fitting), len(testing)) == (10, 5)
    seen = torch.cat([batch.xyz for batch in training_batches(found, args, 0, 5)])
    poses = torch.cat(
        [seen, *(hand.xyz[None] for hands in (fitting, testing) for hand in (hands[i] for i in range(5)))]
    )
    assert len(poses.flatten(1).unique(dim=0)) == 30


def test_an_endless_stream_goes_on_from_anywhere():
    args = options(data="stream")
    found = load_data(args)
    whole = [batch.image for batch in training_batches(found, args, 0, 4)]
    assert all(torch.equal(a.image, b) for a, b in zip(training_batches(found, args, 2, 4), whole[2:], strict=True))
    parts = zip(*(training_batches(found, args, 0, 4, Ranks(rank, 3)) for rank in range(3)), strict=True)
    assert all(torch.equal(torch.cat([p.image for p in a]), b) for a, b in zip(parts, whole, strict=True))


def test_of_freihand_no_sample_is_on_both_sides_and_the_probes_see_photographs(tmp_path):
    write_freihand(tmp_path, 90, size=16)
    args = options(data=str(tmp_path), workers=1)
    found = load_data(args)
    fitting, testing = found.labelled
    assert found.count == len(found.images) == 4 * 81
    assert (len(fitting), len(testing)) == (6, 3)
    parts = [set(part.samples.tolist()) for part in (found.images, fitting, testing)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 90
    assert fitting.versions == (0,)
    assert torch.equal(torch.cat([batch.xyz for batch in labelled_batches(fitting, args, 4)]), fitting.xyz)
    fewer = load_data(options(data=str(tmp_path), labelled=5)).labelled
    assert [len(part) for part in fewer] == [5, 3]
    assert str(found) == f"324 images of FreiHAND in {tmp_path}; probes learn from 6 other hands and are tested on 3"
    everything = load_data(options(data=str(tmp_path), holdout=0.0))
    assert (everything.count, everything.labelled) == (360, None)


def test_too_few_labels_are_said(tmp_path):
    write_freihand(tmp_path, 40, size=16)
    assert str(load_data(options(data=str(tmp_path)))).endswith(
        "4 labelled hands are too few to probe, raise --holdout"
    )


@pytest.mark.parametrize("near", ["", "freihand/training", "freihand/evaluation"])
def test_freihand_is_not_taken_for_photographs(tmp_path, near):
    write_freihand(tmp_path / "freihand", 2, size=16)
    with pytest.raises(ValueError, match=r"expected a folder of photographs, got .*, but FreiHAND is .*freihand: give"):
        load_data(options(data=str(tmp_path / near)))


def test_a_folder_of_images_has_no_labels(tmp_path):
    hands = SyntheticHands(3, size=32)
    for i in range(3):
        write_image(tmp_path / f"{i}.jpg", hands[i].image)
    (tmp_path / "boxes.json").write_text(json.dumps({"1.jpg": [4, 4, 20, 20]}))
    assert load_data(options(data=str(tmp_path))).count == 3
    found = load_data(options(data=str(tmp_path), boxes=tmp_path / "boxes.json"))
    assert str(found) == f"1 boxes in photographs in {tmp_path}; no labels, nothing to probe"
    assert found.images[0].image.shape == (3, 40, 40)


def test_corrupt_images_are_passed_over_where_asked(tmp_path):
    write_freihand(tmp_path, 40, size=16)
    broken = tmp_path / "training" / "rgb" / f"{FreiHAND(tmp_path).holdout(0.1, seed=3)[0].samples[5]:08d}.jpg"
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match=broken.name):
        list(training_batches(load_data(options(data=str(tmp_path))), options(data=str(tmp_path)), 0, 36))
    for workers in (0, 1):
        args = options(data=str(tmp_path), skip_corrupt=True, workers=workers)
        found = load_data(args)
        assert found.skipped() == []
        assert len(list(training_batches(found, args, 0, 36))) == 36
        assert found.skipped() == [broken]


def test_hands_are_framed_by_joints_by_boxes_or_by_their_picture():
    hand = SyntheticHands(4, size=32).render(range(4))
    assert torch.equal(frame_of(hand, "synthetic", 1.2).matrix, eq.Affine.identity(4).matrix)
    joints = eq.Affine.from_points(hand.xy, (32, 32), 1.2)
    assert torch.equal(frame_of(hand, "data/freihand", 1.2).matrix, joints.matrix)
    boxed = Boxed(hand.image, torch.tensor([[3.0, 4, 20, 30]]).expand(4, 4))
    box = eq.Affine.from_boxes(boxed.box, (32, 32), 1.5)
    assert torch.equal(frame_of(boxed, "photos", 1.5).matrix, box.matrix)


def test_a_worker_outlives_a_signal_but_not_for_ever():
    code = (
        "import os, signal, time\n"
        "from pretrain_data import _outlive_signals\n"
        "_outlive_signals(0)\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    os.kill(os.getpid(), number)\n"
        "print('alive', flush=True)\n"
        "time.sleep(3600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
