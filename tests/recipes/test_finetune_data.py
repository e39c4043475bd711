import argparse
import itertools

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from hypothesis import given
from hypothesis import strategies as st

from equicon.hands import FreiHAND, SyntheticHands, write_freihand
from equicon.recipes import load_finetune_data, load_pretrain_data
from equicon.recipes._opening import count_known
from equicon.recipes._run_data import Repeated

SAMPLES = 20


def options(data: object = "synthetic", **changed) -> argparse.Namespace:
    plain = {"data": str(data), "hands": 20, "size": 16, "seed": 3, "fraction": 1.0, "holdout": 0.1, "side": "right"}
    return argparse.Namespace(**plain | {"skip_corrupt": False} | changed)


def load(*data: object, **changed):
    return load_finetune_data(options(*data, **changed), quiet=True)


def poses(hands) -> set[bytes]:
    return {hands[i].xyz.numpy().tobytes() for i in range(len(hands))}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    write_freihand(root := tmp_path_factory.mktemp("freihand"), SAMPLES, size=16)
    return root


@given(length=st.integers(1, 40), count=st.integers(1, 12))
def test_a_set_is_repeated_to_a_length(length, count):
    data = Repeated(list(range(count)), length)
    assert [*data] == [i % count for i in range(length)]
    assert len(data) == length
    for index in (-1, length):
        with pytest.raises(IndexError, match=f"index: expected 0 to {length - 1}, got {index}"):
            data[index]


@given(count=st.integers(1, 10**6), fractions=st.tuples(*[st.floats(1e-6, 1)] * 2))
def test_at_least_one_hand_is_labelled_and_more_of_a_larger_share(count, fractions):
    few, many = (count_known(count, fraction) for fraction in sorted(fractions))
    assert 1 <= few <= many <= count
    assert count_known(count, 1.0) == count


def test_of_rendered_hands_a_share_is_labelled_and_others_validate():
    whole, half, few = (load(fraction=fraction) for fraction in (1.0, 0.5, 0.1))
    assert [len(data.labelled) for data in (whole, half, few)] == [20, 10, 2]
    assert [len(data.train) for data in (whole, half, few)] == [data.count for data in (whole, half, few)] == [20] * 3
    assert poses(few.labelled) < poses(half.labelled) < poses(whole.labelled)
    assert poses(whole.train) == poses(whole.labelled)
    assert poses(few.train) == poses(few.labelled)
    everything = SyntheticHands(22, 16, 3 + 2**32, "studio", side="right").render(range(22)).xyz
    for data in (whole, half, few):
        assert len(data.validation) == 2
        assert torch.equal(torch.stack([data.validation[i].xyz for i in range(2)]), everything[20:])
    assert str(whole) == "20 rendered hands; validated on 2 other hands"
    assert str(few) == "20 rendered hands, of which 2 are labelled; validated on 2 other hands"
    assert len(load(holdout=0.001).validation) == 1


@pytest.mark.parametrize("seed", [0, 3])
def test_of_freihand_no_version_of_a_validation_hand_is_trained_on(root, seed):
    data = load(root, holdout=0.3, seed=seed)
    training, validation = data.labelled, data.validation
    assert set(training.samples.tolist()) | set(validation.samples.tolist()) == set(range(SAMPLES))
    assert not set(training.samples.tolist()) & set(validation.samples.tolist())
    assert (training.versions, validation.versions) == ((0, 1, 2, 3), (0,))
    assert (data.count, len(validation)) == (4 * 14, 6)
    assert not poses(data.train) & poses(validation)
    assert str(data) == f"56 images of FreiHAND in {root}; validated on 6 other hands"


def test_the_validation_hands_are_those_that_pre_training_keeps(root):
    for seed in (0, 5):
        mine = load(root, holdout=0.5, seed=seed)
        args = options(root, holdout=0.5, seed=seed, labelled=100, groups_per_batch=None)
        theirs = load_pretrain_data(argparse.Namespace(**vars(args) | {"data": [str(root)]}), quiet=True)
        assert mine.labelled.samples.tolist() == theirs.images.samples.tolist()
        probed = [i for part in theirs.labelled for i in part.samples.tolist()]
        assert mine.validation.samples.tolist() == sorted(probed)


def test_smaller_shares_are_among_larger_ones_and_make_an_epoch_of_the_same_length(root):
    parts = [load(root, fraction=fraction) for fraction in (0.01, 0.25, 0.6, 1.0)]
    samples = [part.labelled.samples.tolist() for part in parts]
    assert [len(each) for each in samples] == [1, 4, 11, 18]
    assert all(set(few) < set(more) for few, more in itertools.pairwise(samples))
    assert {part.count for part in parts} == {len(part.train) for part in parts} == {72}
    assert len({tuple(part.validation.samples.tolist()) for part in parts}) == 1
    other = load(root, fraction=0.25, seed=4)
    assert other.labelled.samples.tolist() != samples[1]
    assert "72 images of FreiHAND" in str(parts[0])
    assert ", of which 4 are labelled; validated on 2 other hands" in str(parts[0])


def test_only_labelled_images_are_read(root, monkeypatch):
    read = []
    locate = FreiHAND._locate
    monkeypatch.setattr(FreiHAND, "_locate", lambda data, at: read.append(int(locate(data, at)[1])) or locate(data, at))
    data = load(root, fraction=0.25)
    assert read == []
    seen = {data.train[i].xyz.numpy().tobytes() for i in range(len(data.train))}
    assert len(read) == 72
    assert len(seen) == 4
    assert seen == {xyz.numpy().tobytes() for xyz in data.labelled.xyz}


def test_corrupt_images_are_passed_over_where_asked_and_stay_on_their_side(tmp_path):
    write_freihand(tmp_path, 10, size=16)
    part = load(tmp_path, fraction=0.5, holdout=0.3)
    broken = [part.labelled.path(3), part.validation.path(1)]
    for path in broken:
        path.write_bytes(b"")
    assert part.skipped() == []
    with pytest.raises(ValueError, match=broken[0].name):
        poses(part.train)
    data = load(tmp_path, fraction=0.5, holdout=0.3, skip_corrupt=True)
    assert data.skipped() == []
    assert poses(data.train) <= {xyz.numpy().tobytes() for xyz in part.labelled.xyz}
    assert poses(data.validation) <= {xyz.numpy().tobytes() for xyz in part.validation.xyz}
    assert data.skipped() == broken


def test_what_is_not_freihand_is_named(tmp_path):
    with pytest.raises(ValueError, match="expected 'synthetic' or the folder of FreiHAND, got nowhere, which is no f"):
        load("nowhere")
    (tmp_path / "e\u0301").mkdir()
    with pytest.raises(ValueError, match=r"which is no folder\. .* it is written 'e\\u0301', .* for '\\xe9'"):
        load(tmp_path / "\xe9")
    with pytest.raises(ValueError, match=r"expected the folder of FreiHAND, got .*, which has no folder 'training'"):
        load(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(ValueError, match=r"expected a data set with training_K\.json"):
        load(tmp_path)
