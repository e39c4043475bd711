import itertools
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from equicon.hands import Hand, SyntheticHands, SyntheticHandStream


def assert_same(hand: Hand, other: Hand) -> None:
    assert all(torch.equal(value, expected) for value, expected in zip(hand, other, strict=True))


@pytest.mark.slow
@settings(max_examples=8)
@given(
    batch_size=st.integers(1, 6),
    seed=st.integers(0, 2**40),
    first=st.integers(0, 20),
    domain=st.sampled_from(["studio", "wild"]),
)
def test_batches_are_those_of_the_map_style_set(batch_size, seed, first, domain):
    stream = SyntheticHandStream(batch_size, 16, seed, domain, first=first)
    hands = SyntheticHands(1000, 16, seed, domain)
    for k, batch in enumerate(itertools.islice(stream, 3)):
        start = first + k * batch_size
        assert_same(batch, hands.render(range(start, start + batch_size)))


def test_a_stream_resumes():
    batches = list(itertools.islice(SyntheticHandStream(3, 16), 4))
    resumed = list(itertools.islice(SyntheticHandStream(3, 16, first=6), 2))
    for batch, expected in zip(resumed, batches[2:], strict=True):
        assert_same(batch, expected)


def test_every_iteration_begins_anew():
    stream = SyntheticHandStream(2, 16)
    assert_same(next(iter(stream)), next(iter(stream)))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_keep_the_order(workers):
    stream = SyntheticHandStream(2, 8)
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    for batch, expected in itertools.islice(zip(loader, stream, strict=True), 7):
        assert isinstance(batch, Hand)
        assert_same(batch, expected)


def test_a_worker_does_not_render_on_an_accelerator():
    loader = DataLoader(SyntheticHandStream(2, 8, device="cuda"), batch_size=None, num_workers=1)
    with pytest.raises(ValueError, match=r"device: expected the CPU in a worker process, got cuda\. Load with"):
        next(iter(loader))


def test_a_stream_can_be_pickled():
    stream = SyntheticHandStream(2, 8, 3, "studio", first=5, device="cpu")
    assert pickle.loads(pickle.dumps(stream)) == stream


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_same_batches():
    cpu, gpu = (next(iter(SyntheticHandStream(32, device=device))) for device in ("cpu", "cuda"))
    assert all(value.is_cuda for value in gpu)
    assert torch.equal(gpu.xyz.cpu(), cpu.xyz)
    assert ((gpu.image.cpu().int() - cpu.image.int()).abs() > 1).float().mean() < 2e-3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size: expected a whole number of at least 1, got int 0"),
        ({"size": 7}, ValueError, "size: expected a whole number of at least 8, got int 7"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0, got int -1"),
        ({"domain": "lab"}, ValueError, "domain: expected one of studio, wild, got str 'lab'"),
        ({"first": 0.5}, TypeError, "first: expected a whole number, got float 0.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        SyntheticHandStream(**{"batch_size": 2} | arguments)
