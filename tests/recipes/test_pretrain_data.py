import argparse
import json

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from kornia.io import write_image

import equicon as eq
from equicon.data import Boxed
from equicon.hands import FreiHAND, SyntheticHands, YouTube3DHands, write_freihand, write_youtube
from equicon.recipes import frame_of, labelled_batches, load_pretrain_data, training_batches
from equicon.training import Batches, Ranks


def options(*data: object, **changed) -> argparse.Namespace:
    plain = {
        "data": [str(name) for name in data] or ["synthetic"], "data_weights": None, "mirror_left": True,
        "hands": 20, "labelled": 10, "size": 16, "batch_size": 4, "seed": 3, "workers": 0,
        "device": "cpu", "skip_corrupt": False, "boxes": None, "holdout": 0.1,
        "groups_per_batch": 0, "context": 1.0, "scenes": 2, "side": "right", "inside": False, "padding_mode": "zeros",
    }  # fmt: skip
    return argparse.Namespace(**plain | changed)


def load_data(args: argparse.Namespace):
    return load_pretrain_data(args, quiet=True)


@pytest.mark.parametrize("data", ["synthetic", "stream"])
def test_rendered_hands_for_training_and_probing_are_different_ones(data):
    args = options(data)
    found = load_data(args)
    assert found.count == 20
    fitting, testing = found.labelled
    assert (len(fitting), len(testing)) == (10, 5)
    seen = torch.cat([batch.xyz for batch, _ in training_batches(found, args, 0, 5)])
    poses = torch.cat(
        [seen, *(hand.xyz[None] for hands in (fitting, testing) for hand in (hands[i] for i in range(5)))]
    )
    assert len(poses.flatten(1).unique(dim=0)) == 30


def test_an_endless_stream_goes_on_from_anywhere():
    args = options("stream")
    found = load_data(args)
    whole = [batch.image for batch, _ in training_batches(found, args, 0, 4)]
    later = training_batches(found, args, 2, 4)
    assert all(torch.equal(a.image, b) for (a, labels), b in zip(later, whole[2:], strict=True) if labels is None)
    parts = zip(*(training_batches(found, args, 0, 4, Ranks(rank, 3)) for rank in range(3)), strict=True)
    assert all(torch.equal(torch.cat([p.image for p, _ in a]), b) for a, b in zip(parts, whole, strict=True))


def test_of_freihand_no_sample_is_on_both_sides_and_the_probes_see_photographs(tmp_path):
    write_freihand(tmp_path, 90, size=16)
    args = options(tmp_path, workers=1)
    found = load_data(args)
    fitting, testing = found.labelled
    assert found.count == len(found.images) == 4 * 81
    assert (len(fitting), len(testing)) == (6, 3)
    parts = [set(part.samples.tolist()) for part in (found.images, fitting, testing)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 90
    assert fitting.versions == (0,)
    assert torch.equal(torch.cat([batch.xyz for batch in labelled_batches(fitting, args, 4)]), fitting.xyz)
    fewer = load_data(options(tmp_path, labelled=5)).labelled
    assert [len(part) for part in fewer] == [5, 3]
    assert (
        str(found)
        == f"324 images of FreiHAND in {tmp_path}; probes learn from 6 labelled images and are tested on 3 others"
    )
    everything = load_data(options(tmp_path, holdout=0.0))
    assert (everything.count, everything.labelled) == (360, None)


def test_too_few_labels_are_said(tmp_path):
    write_freihand(tmp_path, 40, size=16)
    assert str(load_data(options(tmp_path))).endswith("4 labelled hands are too few for probes: raise --holdout")


@pytest.mark.parametrize("near", ["", "freihand/training", "freihand/evaluation"])
def test_freihand_is_not_taken_for_photographs(tmp_path, near):
    write_freihand(tmp_path / "freihand", 2, size=16)
    with pytest.raises(ValueError, match=r"expected a folder of photographs, got .*\. FreiHAND is in .*freihand: give"):
        load_data(options(tmp_path / near))


def test_a_folder_of_images_has_no_labels(tmp_path):
    hands = SyntheticHands(3, size=32)
    for i in range(3):
        write_image(tmp_path / f"{i}.jpg", hands[i].image)
    (tmp_path / "boxes.json").write_text(json.dumps({"1.jpg": [4, 4, 20, 20]}))
    assert load_data(options(tmp_path)).count == 3
    found = load_data(options(tmp_path, boxes=tmp_path / "boxes.json"))
    assert str(found) == f"1 boxes in photographs in {tmp_path}; no probes, because there are no labels"
    assert found.images[0].image.shape == (3, 40, 40)


def test_corrupt_images_are_passed_over_where_asked(tmp_path):
    write_freihand(tmp_path, 40, size=16)
    broken = tmp_path / "training" / "rgb" / f"{FreiHAND(tmp_path).holdout(0.1, seed=3)[0].samples[5]:08d}.jpg"
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match=broken.name):
        list(training_batches(load_data(options(tmp_path)), options(tmp_path), 0, 36))
    for workers in (0, 1):
        args = options(tmp_path, skip_corrupt=True, workers=workers)
        found = load_data(args)
        assert found.skipped() == []
        assert len(list(training_batches(found, args, 0, 36))) == 36
        assert found.skipped() == [broken]


@pytest.fixture(scope="module")
def youtube(tmp_path_factory):
    write_youtube(root := tmp_path_factory.mktemp("youtube"), 6, size=32)
    return root


@pytest.fixture(scope="module")
def freihand(tmp_path_factory):
    write_freihand(root := tmp_path_factory.mktemp("freihand"), 20, size=24)
    return root


def test_youtube_is_recognised_and_says_what_is_missing(youtube):
    found = load_data(options(youtube))
    assert isinstance(found.images, YouTube3DHands)
    assert (found.count, found.counts, found.images.size, found.images.mirror_left) == (9, (9,), 40, True)
    assert str(found) == (
        f"9 hands of YouTube3DHands in {youtube}; no probes, because there are no labels\n"
        "YouTube3DHands: 9 hands in 6 images. Left out: 3 hands not on disk (2 images, all of 1 video)."
    )
    assert not load_data(options(youtube, mirror_left=False)).images.mirror_left
    with pytest.raises(
        ValueError, match=r"expected a folder of photographs, got .*youtube\. YouTube3DHands is in .*: give"
    ):
        load_data(options(youtube / "youtube"))


def test_two_data_sets_in_one_folder_are_refused(youtube, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "youtube_train.json").write_bytes((youtube / "youtube_train.json").read_bytes())
    with pytest.raises(
        ValueError, match=r"expected one data set in a folder, got .*, which holds FreiHAND and YouTube"
    ):
        load_data(options(tmp_path))


@pytest.mark.parametrize("freihand_first", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_several_data_sets_make_batches_of_one_kind(youtube, freihand, freihand_first, workers):
    folders = [freihand, youtube] if freihand_first else [youtube, freihand]
    args = options(*folders, holdout=0.5, workers=workers)
    found, alone = load_data(args), load_data(options(freihand, holdout=0.5))
    assert (found.count, found.counts) == (49, (40, 9) if freihand_first else (9, 40))
    assert [part.samples.tolist() for part in found.labelled] == [part.samples.tolist() for part in alone.labelled]
    training = found.images.parts[folders.index(freihand)]
    assert training.samples.tolist() == alone.images.samples.tolist()
    assert f"40 images of FreiHAND in {freihand}" in str(found)
    assert f"9 hands of YouTube3DHands in {youtube}" in str(found)
    assert str(found).startswith("49 images, which are ")
    assert "; probes learn from 7 labelled images and are tested on 3 others\nYouTube3DHands: 9 hands in" in str(found)
    batches = [batch for batch, _ in training_batches(found, args, 0, 12)]
    assert all(isinstance(batch, Boxed) and batch.image.shape == (4, 3, 40, 40) for batch in batches)
    smaller = [batch.image[:, :, 24:].flatten(1).amax(1) == 0 for batch in batches]
    assert 0 < int(torch.cat(smaller).sum()) < 48
    assert any(0 < int(each.sum()) < 4 for each in smaller)
    for batch, (again, _) in zip(batches[5:], training_batches(found, args, 5, 12), strict=True):
        assert torch.equal(batch.image, again.image)
        assert torch.equal(batch.box, again.box)
    views = frame_of(batches[0], args, 1.2)
    assert torch.equal(views.matrix, eq.Affine.from_boxes(batches[0].box, (40, 40), 1.2).matrix)


def test_weights_choose_from_the_sets(youtube, freihand):
    args = options(youtube, freihand, holdout=0.5, data_weights=[2.0, 1.0])
    found = load_data(args)
    wide = [batch.image[:, :, 24:].flatten(1).amax(1) > 0 for batch, _ in training_batches(found, args, 0, 12)]
    assert 30 <= int(torch.cat(wide).sum()) <= 33  # 33 of 49 in an epoch, of which one image is left over


def test_corrupt_images_of_each_set_are_passed_over(youtube, tmp_path):
    write_freihand(tmp_path / "a", 6, size=16)
    hands = load_data(options(tmp_path / "a", holdout=0.5)).images
    hands.path(3).write_bytes(b"")
    write_youtube(tmp_path / "b", 4, size=16)
    frames = YouTube3DHands(tmp_path / "b", size=8)
    frames.path(0).write_bytes(b"")
    args = options(tmp_path / "a", tmp_path / "b", holdout=0.5, skip_corrupt=True, workers=1)
    found = load_data(args)
    assert len(list(training_batches(found, args, 0, 4))) == 4
    assert set(found.skipped()) <= {hands.path(3), frames.path(0)}
    assert frames.path(0) in found.skipped()
    with pytest.raises(ValueError, match=r"00000000\.jpg \(index 0\): expected a JPEG image"):
        load_data(options(tmp_path / "a", tmp_path / "b", holdout=0.5))


@pytest.mark.parametrize("workers", [0, 1])
def test_versions_of_a_hand_share_a_label_and_what_stands_in_has_its_own(youtube, tmp_path, workers):
    write_freihand(tmp_path, 20, size=24)
    hands = load_data(options(tmp_path, holdout=0.5)).images
    for index in (3, 4):
        hands.path(index).write_bytes(b"")
    args = options(youtube, tmp_path, holdout=0.5, skip_corrupt=True, workers=workers, batch_size=7)
    found = load_data(args)
    shown: dict[int, set[str]] = {}
    stood_in = 0
    batches = list(Batches(found.count, 7, args.seed, 0, 7))
    for (batch, labels), indices in zip(training_batches(found, args, 0, 7), batches, strict=True):
        assert labels.shape == (7,)
        for image, box, label, index in zip(*batch, labels.tolist(), indices, strict=True):
            small = int(image[:, 24:].max()) == 0  # of FreiHAND, whose hands lie alike in every version
            shown.setdefault(label, set()).add(str(box.tolist()) if small else str(index))
            stood_in += index - 9 in (3, 4)
            if index - 9 in (3, 4):
                assert label == 9 + int(hands.instances[5] - hands.instances.min())
    assert stood_in == 2
    assert len(shown) == 9 + 10
    assert all(len(boxes) == 1 for boxes in shown.values())


def test_labels_are_given_where_they_are_needed_and_there_alone(youtube, freihand):
    needed, others = ([freihand], [youtube, freihand]), ([youtube], ["synthetic"], ["stream"])
    for data, given in [(each, True) for each in needed] + [(each, False) for each in others]:
        args = options(*data, holdout=0.5)
        assert (next(training_batches(load_data(args), args, 0, 1))[1] is not None) == given
    # By shares, an image may come twice in a batch.
    args = options(youtube, youtube, data_weights=[8.0, 1.0], batch_size=18)
    labels = next(training_batches(load_data(args), args, 0, 1))[1]
    assert len(labels.unique()) < 18


def test_batches_are_drawn_from_groups_where_asked(youtube, freihand):
    args = options(youtube, groups_per_batch=1, batch_size=3)
    found = load_data(args)
    boxes = [found.images[i].box for i in range(9)]
    for batch, _ in training_batches(found, args, 0, 6):
        drawn = [next(i for i, box in enumerate(boxes) if torch.equal(box, each)) for each in batch.box]
        assert len(found.images.groups[drawn].unique()) == 1
    mixed = options(youtube, freihand, holdout=0.5, groups_per_batch=1, batch_size=5, skip_corrupt=True)
    found = load_data(mixed)
    first = int(found.images.groups[8]) + 1
    assert found.images.groups[-40:].tolist() == [first + version for version in range(4) for _ in range(10)]
    for batch, labels in training_batches(found, mixed, 0, 12):
        assert len(labels.unique()) == len(labels)  # a sample's versions are of several groups
        assert len({int(image[:, 24:].max()) == 0 for image in batch.image}) == 1  # of one data set


@pytest.mark.parametrize("data", ["synthetic", "stream"])
def test_batches_of_rendered_hands_are_of_few_scenes_and_no_hand_comes_twice(data):
    args = options(data, groups_per_batch=2, scenes=2, batch_size=6, hands=36)
    found = load_data(args)
    hands = SyntheticHands(200, args.size, args.seed, scenes=2, side="right")
    known = [str(hand.xyz) for hand in hands.__getitems__(range(200))]
    drawn = []
    for batch, _ in training_batches(found, args, 0, 5):
        indices = [known.index(str(xyz)) for xyz in batch.xyz]
        assert hands.groups[indices].unique(return_counts=True)[1].tolist() == [3, 3]
        drawn += indices
    assert len(set(drawn)) == 30
    parts = zip(*(training_batches(found, args, 0, 2, Ranks(rank, 2)) for rank in range(2)), strict=True)
    for each, (whole, _) in zip(parts, training_batches(found, args, 0, 2), strict=True):
        assert torch.equal(torch.cat([part.xyz for part, _ in each]), whole.xyz)
        for part, _ in each:  # a rank has hands of both
            assert len(hands.groups[[known.index(str(xyz)) for xyz in part.xyz]].unique()) == 2


def test_labelled_hands_are_of_the_studio_and_their_square_alone():
    args = options(context=2.0)
    found = load_data(args)
    assert found.images[0].image.shape == (3, 32, 32)
    assert found.labelled[0][0].image.shape == (3, 16, 16)
    assert str(found).startswith("20 rendered hands in 2 scenes; probes learn from 10 labelled images")


def test_data_that_have_too_small_groups_are_refused():
    with pytest.raises(ValueError, match=r"^groups_per_batch: expected groups that can give 2 images each .* has 1\."):
        load_data(options(groups_per_batch=2, scenes=20))


def test_hands_are_framed_by_joints_by_boxes_or_by_their_picture():
    hand = SyntheticHands(4, size=32).render(range(4))
    assert torch.equal(frame_of(hand, options(size=32), 1.2).matrix, eq.Affine.identity(4).matrix)
    wide = SyntheticHands(4, size=32, context=1.5)
    assert torch.equal(frame_of(wide.render(range(4)), options(size=32)).matrix, wide.frame(4).matrix)
    joints = eq.Affine.from_points(hand.xy, (32, 32), 1.2)
    assert torch.equal(frame_of(hand, options("data/freihand"), 1.2).matrix, joints.matrix)
    boxed = Boxed(hand.image, torch.tensor([[3.0, 4, 20, 30]]).expand(4, 4))
    box = eq.Affine.from_boxes(boxed.box, (32, 32), 1.5)
    assert torch.equal(frame_of(boxed, options("photos"), 1.5).matrix, box.matrix)


def test_black_is_put_beside_photographs_only_where_views_may_show_it(tmp_path):
    youtube, photographs, boxes = tmp_path / "youtube", tmp_path / "photographs", tmp_path / "boxes.json"
    write_youtube(youtube, 4, size=48)
    photographs.mkdir()
    write_image(photographs / "a.png", torch.full((3, 40, 40), 200, dtype=torch.uint8))
    boxes.write_text(json.dumps({"a.png": [0, 0, 30, 30]}))
    for inside, padding_mode, shown in ((False, "zeros", True), (True, "zeros", False), (False, "border", False)):
        found = load_data(options(youtube, photographs, boxes=boxes, inside=inside, padding_mode=padding_mode))
        assert found.images.enlarge is not shown
        assert {part.padding_mode for part in found.images.parts} == {"reflection" if inside else padding_mode}
        assert (int(found.images[len(found.images) - 1].image.min()) == 0) == shown
