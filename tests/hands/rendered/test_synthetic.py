import dataclasses
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from equicon.hands import Hand, SyntheticHands


@pytest.fixture(scope="module")
def many() -> Hand:
    return SyntheticHands(300, size=16).render(range(300))


def assert_same(hand: Hand, other: Hand) -> None:
    assert all(torch.equal(value, expected) for value, expected in zip(hand, other, strict=True))


def test_items_are_hands():
    hands = SyntheticHands(5, size=20)
    assert len(hands) == 5
    image, xyz, K = hands[4]
    assert (image.shape, image.dtype) == ((3, 20, 20), torch.uint8)
    assert (xyz.shape, xyz.dtype) == ((21, 3), torch.float32)
    assert (K.shape, K.dtype) == ((3, 3), torch.float32)
    assert len(list(hands)) == 5
    assert_same(hands[-1], hands[4])


@pytest.mark.parametrize("size", [8, 37, 64])
@settings(max_examples=8, deadline=None)
@given(indices=st.lists(st.integers(0, 99), min_size=1, max_size=40), domain=st.sampled_from(["studio", "wild"]))
def test_a_sample_is_the_same_in_any_batch(size, indices, domain):
    hands = SyntheticHands(100, size=size, domain=domain)
    together = hands.render(indices)
    for i in {0, len(indices) - 1}:
        assert_same(hands[indices[i]], Hand(*(value[i] for value in together)))


def test_a_sample_is_the_same_in_a_batch_that_is_rendered_in_chunks():
    hands = SyntheticHands(200)
    together = hands.render(range(200))
    for i in (0, 63, 64, 128, 199):
        assert_same(hands[i], Hand(*(value[i] for value in together)))


def test_a_sample_is_the_same_on_any_number_of_threads():
    hands, threads = SyntheticHands(30), torch.get_num_threads()
    one = hands.render(range(30))
    try:
        torch.set_num_threads(3)
        assert_same(hands.render(range(30)), one)
    finally:
        torch.set_num_threads(threads)


def test_a_worker_process_makes_the_same_samples():
    hands = SyntheticHands(6, size=16)
    loader = DataLoader(hands, batch_size=4, num_workers=1)
    for batch, indices in zip(loader, ([0, 1, 2, 3], [4, 5]), strict=True):
        assert isinstance(batch, Hand)
        assert_same(batch, hands.render(indices))


def test_a_larger_set_begins_with_the_smaller_one():
    assert_same(SyntheticHands(3, size=16)[2], SyntheticHands(300, size=16)[2])


@pytest.mark.parametrize("domain", ["studio", "wild"])
def test_a_data_set_can_be_pickled(domain):
    hands = SyntheticHands(3, size=16, seed=5, domain=domain)
    again = pickle.loads(pickle.dumps(hands))
    assert again == hands
    assert_same(again[1], hands[1])


def test_domains_show_the_same_hands_in_another_way():
    studio, wild = (SyntheticHands(60, size=32, domain=domain).render(range(60)) for domain in ("studio", "wild"))
    assert torch.equal(studio.xyz, wild.xyz)
    assert torch.equal(studio.K, wild.K)
    assert (studio.image != wild.image).flatten(1).any(1).all()
    apart = (studio.image.float().mean((2, 3)) - wild.image.float().mean((2, 3))).abs().mean(1)
    assert apart.median() > 15


def test_a_studio_varies_less_around_the_hand():
    studio, wild = (SyntheticHands(200, size=32, domain=domain).render(range(200)) for domain in ("studio", "wild"))
    borders = [
        torch.cat([h.image[:, :, [0, -1]].flatten(2), h.image[..., [0, -1]].flatten(2)], -1) for h in (studio, wild)
    ]
    spread = [border.float().std(-1).mean(-1) for border in borders]
    assert spread[0].median() < 0.6 * spread[1].median()


def test_seeds_share_no_samples(many):
    others = [SyntheticHands(100, size=16, seed=seed).render(range(100)).xyz for seed in (1, 2, 300, 2**40, 2**70)]
    every = torch.cat([many.xyz, *others]).flatten(1)
    assert len(every.unique(dim=0)) == len(every)


def test_the_empty_batch():
    assert SyntheticHands(3, size=16).render([]).image.shape == (0, 3, 16, 16)


def test_pictures_vary():
    images = SyntheticHands(64).render(range(64)).image.float()
    assert images.std((1, 2, 3)).min() > 8
    assert images.mean((1, 2, 3)).std() > 25
    assert len(images.flatten(1).unique(dim=0)) == 64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_renders_the_same_hands():
    hands = SyntheticHands(64)
    cpu, gpu = hands.render(range(64)), hands.render(range(64), device="cuda")
    assert all(value.is_cuda for value in gpu)
    assert torch.equal(gpu.xyz.cpu(), cpu.xyz)
    assert torch.equal(gpu.K.cpu(), cpu.K)
    difference = (gpu.image.cpu().int() - cpu.image.int()).abs()
    assert (difference > 1).float().mean() < 1e-3


# --- Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_samples": 2.0}, TypeError, "num_samples: expected a whole number, got float 2.0"),
        ({"num_samples": -1}, ValueError, "num_samples: expected a whole number of at least 0, got int -1"),
        ({"size": 7}, ValueError, "size: expected a whole number of at least 8, got int 7"),
        ({"size": (64, 64)}, TypeError, r"size: expected a whole number, got tuple \(64, 64\)"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0, got int -1"),
        ({"seed": None}, TypeError, "seed: expected a whole number, got NoneType None"),
        ({"domain": "lab"}, ValueError, "domain: expected one of studio, wild, got str 'lab'"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        SyntheticHands(**{"num_samples": 1} | arguments)


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_named(index):
    with pytest.raises(IndexError, match=rf"indices: expected whole numbers in \[-3, 2\], got list \[0, {index}\]"):
        SyntheticHands(3).render([0, index])


def test_the_settings_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SyntheticHands(3).seed = 4
