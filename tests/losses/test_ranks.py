"""One loss on many ranks is the loss of one process with the whole batch, in value and in the gradients of DDP."""

import pytest
import torch
import torch.distributed as dist
from spawn_ranks import on_ranks
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

import equicon as eq
from equicon._losses import ranks

IMAGES = 11
SPLITS = {1: [[11]], 2: [[8, 3], [5, 6]], 3: [[4, 4, 3], [1, 9, 1]]}
REPRESENTATIONS = {"peclr points": eq.PeCLRPoints(), "points": eq.Points(), "plain": eq.Invariant()}
CHUNKS = {"one block": None, "blocks": 3}
EXTRAS = {
    "alone": {},
    "weights and labels": {
        "weights": torch.linspace(0, 2, IMAGES, dtype=torch.float64),
        "labels": torch.tensor([0, 1, 2, 0, 3, 4, 5, 1, 6, 0, 7]),
    },
    "labels of another type and a queue": {
        "labels": torch.tensor([3, 1, 1, 0, 3, 4, 5, 1, 6, 0, 7], dtype=torch.int32),
        "negatives": torch.linspace(-2, 1, 24, dtype=torch.float64).cos().view(3, 8),
    },
    "queue": {"negatives": torch.linspace(-1, 1, 40, dtype=torch.float64).sin().view(5, 8)},
}


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 8)).double()


def part_of_batch(start: int, stop: int) -> tuple[list[torch.Tensor], list[eq.Affine]]:
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(IMAGES, 6, generator=generator, dtype=torch.float64) for _ in range(3)]
    augment = eq.RandomAffine(45, 0.2, (0.8, 1.2), 10)
    g = [augment.sample(IMAGES, generator=generator).affine.to(dtype=torch.float64) for _ in range(3)]
    return [view[start:stop] for view in x], [each[start:stop] for each in g]


def one_step(i: int, start: int, stop: int) -> list[torch.Tensor]:
    """Compute a loss of some of the images and its levels, with what it gives to weights and to a temperature."""
    name, chunk_size, more, extras = CASES[i][0], CHUNKS[CASES[i][1]], CASES[i][2], EXTRAS[CASES[i][3]]
    learns = (i + i // len(EXTRAS)) % 2
    temperature = torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64)) if learns else 0.2
    model = build()
    if dist.is_initialized():
        model = DistributedDataParallel(model)
    x, g = part_of_batch(start, stop)
    z = model(torch.cat(x)).chunk(3)
    given = {key: value if key == "negatives" else value[start:stop] for key, value in extras.items()}
    if start and "labels" in given:
        given["labels"] = given["labels"].long()
    if name == "plain":
        criterion = eq.NTXentLoss(temperature, gather_distributed=True, chunk_size=chunk_size)
        views = {"more_views": [z[2]] if more else []}
    else:
        representation = REPRESENTATIONS[name]
        criterion = eq.PeCLRLoss(
            temperature, representation=representation, gather_distributed=True, chunk_size=chunk_size
        )
        views = {"g1": g[0], "g2": g[1], "more_views": [(z[2], g[2])] if more else []}
    counted = {key: len(value) if key == "negatives" else value for key, value in given.items()}
    levels = criterion.levels(stop - start, views=2 + more, **counted)
    if dist.is_initialized() and learns:
        criterion = DistributedDataParallel(criterion)
    loss = criterion(z[0], z[1], **views, **given)
    (3 * loss + 0 * z[2].sum()).backward()
    levels = [torch.as_tensor(level, dtype=torch.float64) for level in levels]
    return [loss.detach(), *levels, *(p.grad for module in (model, criterion) for p in module.parameters())]


CASES = [
    (name, chunk, more, extra) for name in REPRESENTATIONS for chunk in CHUNKS for more in (0, 1) for extra in EXTRAS
]


def work(rank: int, world: int) -> list[list[torch.Tensor]]:
    found = []
    for i in range(len(CASES)):
        counts = SPLITS[world][i % len(SPLITS[world])]
        found.append(one_step(i, sum(counts[:rank]), sum(counts[: rank + 1])))
    return found


@pytest.mark.parametrize("world", [pytest.param(n, marks=[] if n == 2 else pytest.mark.slow) for n in SPLITS])
def test_ranks_do_together_what_one_process_does(world):
    found = on_ranks(world, work)
    for i in range(len(CASES)):
        expected = one_step(i, 0, IMAGES)
        assert min(float(value.abs().max()) for value in expected) > 1e-3
        for rank in range(world):
            scale = [value.abs().max() for value in expected]  # 1e-10 of the largest entry
            ours = [a / b for a, b in zip(found[rank][i], scale, strict=True)]
            theirs = [a / b for a, b in zip(expected, scale, strict=True)]
            assert_close(ours, theirs, rtol=0, atol=1e-10, msg=lambda m, i=i: f"{CASES[i]}: {m}")


def batch(images: int = 3, **other) -> ranks.Batch:
    return ranks.Batch(images, 2, 8, "torch.float32", False)._replace(**other)


@pytest.mark.parametrize(
    ("theirs", "error", "match"),
    [
        (batch(7), None, ""),
        ("ValueError: z1", RuntimeError, r"rank 1 refused its batch\. ValueError: z1$"),
        (batch(7, views=3), ValueError, r"got Batch\(images=3, views=2.* on rank 0 and .*views=3.* on rank 1\. Give"),
        (batch(width=6), ValueError, "nothing but the number of images"),
        (batch(dtype="torch.float64"), ValueError, "nothing but the number of images"),
        (batch(labels=True), ValueError, "nothing but the number of images"),
    ],
)
def test_batches_may_differ_in_the_number_of_images_alone(monkeypatch, theirs, error, match):
    def gather(told, message):
        assert len(told) == 2
        told[:] = message, theirs

    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_gather_object", gather)
    if error is None:
        assert ranks.exchange(batch()) == [batch(), theirs]
    else:
        with pytest.raises(error, match=match):
            ranks.exchange(batch())


def test_an_error_is_told_where_ranks_wait_for_it(monkeypatch):
    told = []
    monkeypatch.setattr(ranks, "_tell", told.append)
    for gather in (False, True):
        with pytest.raises(ValueError, match="mine"), ranks.refuse_together(gather):
            raise ValueError("mine")
        with ranks.refuse_together(gather):
            pass
    assert told == ["ValueError: mine"]


def traffic(rank: int, world: int) -> dict[str, list[int]]:
    moved: dict[str, list[int]] = {"all_gather": [], "all_reduce": []}
    gather, reduce = dist.all_gather, dist.all_reduce

    def count_gather(parts, tensor):
        moved["all_gather"].append(tensor.numel())
        return gather(parts, tensor)

    def count_reduce(tensor):
        moved["all_reduce"].append(tensor.numel())
        return reduce(tensor)

    dist.all_gather, dist.all_reduce = count_gather, count_reduce
    z1, z2 = (torch.randn(50, 16).requires_grad_() for _ in range(2))
    eq.nt_xent(z1, z2, gather_distributed=True).backward()
    return moved


@pytest.mark.slow
def test_embeddings_and_two_numbers_for_each_travel():
    for moved in on_ranks(2, traffic):
        assert moved["all_gather"] == [100 * 16, 100 * 2]
        assert moved["all_reduce"] == [1]


BAD = {
    "the second view of another shape": (ValueError, "z2: expected the shape of z1"),
    "no images": (ValueError, "z1: expected embeddings of shape"),
    "a bare matrix": (TypeError, "g1: expected a group element, such as an equicon.Affine"),
    "a keyword that it does not take": (TypeError, "margin: expected a keyword of base_loss (more_views, weights,"),
    "an odd width": (ValueError, "z1: expected an even width"),
    "too few weights": (ValueError, "weights: expected one for each image"),
}
UNLIKE = {
    "another width": r"width=4.* on rank 0 and .*width=6.* on rank 1",
    "another type": r"float32.* on rank 0 and .*float64.* on rank 1",
    "labels": r"labels=False.* on rank 0 and .*labels=True.* on rank 1.*Give labels on every rank or on none",
    "one view more": r"views=2.* on rank 0 and .*views=3.* on rank 1",
}


def refuse(rank: int, world: int) -> list[tuple[str, str, str]]:
    criterion, messages = eq.PeCLRLoss(gather_distributed=True), []
    for case in (*BAD, *UNLIKE):
        last = rank == world - 1
        count, width = (0 if last and case == "no images" else 5 + rank), 4
        if last and case in ("another width", "an odd width"):
            width = 6 if case == "another width" else 5
        dtype = torch.float64 if last and case == "another type" else torch.float32
        z1, z2 = (torch.ones(count, width, dtype=dtype, requires_grad=True) for _ in range(2))
        g1, g2 = (eq.Affine.identity(count) for _ in range(2))
        given = {}
        if last:
            z2 = z2[1:] if case == "the second view of another shape" else z2
            g1 = g1.matrix if case == "a bare matrix" else g1
            given = {
                "labels": {"labels": torch.arange(count)},
                "too few weights": {"weights": torch.ones(3)},
                "a keyword that it does not take": {"margin": 1.0},
                "one view more": {"more_views": [(z2, g2)]},
            }.get(case, {})
        try:
            criterion(z1, z2, g1, g2, **given)
        except (ValueError, TypeError, RuntimeError) as error:
            messages.append((case, type(error).__name__, str(error)))
    z = torch.eye(4)  # and nobody waits for anybody
    loss = eq.nt_xent(z, z, gather_distributed=True)
    return [*messages, ("at last", "", f"{float(loss):.4f}")]


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_what_one_rank_refuses_all_refuse(world):
    found = on_ranks(world, refuse)
    for rank, messages in enumerate(found):
        assert [case for case, *_ in messages] == [*BAD, *UNLIKE, "at last"]
        for case, kind, message in messages[: len(BAD)]:
            error, text = BAD[case]
            own = rank == world - 1
            assert kind == (error.__name__ if own else "RuntimeError")
            assert text in message
            assert message.startswith(f"gather_distributed: rank {world - 1} refused its batch.") != own
        for case, kind, message in messages[len(BAD) : -1]:
            assert kind == "ValueError"
            with pytest.raises(ValueError, match=UNLIKE[case].replace("rank 1", f"rank {world - 1}")):
                raise ValueError(message)
    assert len({messages[-1] for messages in found}) == 1
