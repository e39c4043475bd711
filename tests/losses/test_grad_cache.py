import weakref
from typing import Any, NamedTuple

import pytest
import torch
from spawn_ranks import on_ranks
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

import equicon as eq


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 32), *layers, nn.ReLU(), nn.Linear(32, 8))


def images(count: int = 22) -> torch.Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def step(model: nn.Module, *, autocast: bool = False, scale: float = 1.0) -> list[torch.Tensor]:
    """Compute a loss of two views, and its gradients."""
    torch.manual_seed(2)
    (x1, g1), (x2, g2) = (eq.RandomRotation(45)(images()) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        z1, z2 = model(x1), model(x2)
        loss = eq.PeCLRLoss(0.2)(z1, z2, g1, g2)
    (scale * loss).backward()
    return [loss.detach(), *(p.grad / scale for p in model.parameters())]


@pytest.mark.parametrize("chunk_size", [1, 5, 11, 22, 100])
def test_gradients_are_those_of_the_whole_batch(chunk_size):
    assert_close(step(eq.GradCache(network(), chunk_size)), step(network()), rtol=1e-5, atol=1e-6)


class Loop(nn.Module):
    """Runs chunk by chunk and keeps all activations."""

    def __init__(self, module: nn.Module, chunk_size: int) -> None:
        super().__init__()
        self.module, self.chunk_size = module, chunk_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.module(chunk) for chunk in x.split(self.chunk_size)])


def test_also_under_autocast_and_scaled():
    cached, loop = (step(kind(network(), 11), autocast=True, scale=1024.0) for kind in (eq.GradCache, Loop))
    assert_close(cached, loop, rtol=1e-5, atol=1e-6)
    assert not torch.equal(cached[1], step(network())[1])


def test_a_gradient_scaler_steps_as_ever():
    weights = []
    for model in (network(), eq.GradCache(network(), 5)):
        optimizer, scaler = torch.optim.SGD(model.parameters(), 0.1), torch.amp.GradScaler("cpu", init_scale=512.0)
        for _ in range(2):
            optimizer.zero_grad()
            torch.manual_seed(2)
            scaler.scale(eq.nt_xent(model(images()), model(images().flip(3)))).backward()
            scaler.step(optimizer)
            scaler.update()
        weights.append([p.detach() for p in model.parameters()])
    assert_close(weights[0], weights[1], rtol=1e-5, atol=1e-6)


class MakesViews(nn.Module):
    """Makes its own views, with noise, and drops features out."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network(nn.Dropout(0.5))
        self.augment = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4, 0.4), eq.RandomGaussianNoise(0.1)])
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, eq.Affine]:
        views, g = self.augment(x)
        self.seen.append(views)
        return self.network(views), g


def test_random_numbers_are_drawn_again():
    model = MakesViews()
    cached = eq.GradCache(model, 8)
    torch.manual_seed(3)
    (z1, g1), (z2, g2) = cached(images()), cached(images())
    assert isinstance(g1, eq.Affine)
    assert len(g1) == len(z1) == 22
    first, after = list(model.seen), torch.rand(1)
    eq.PeCLRLoss(0.2)(z1, z2, g1, g2).backward()
    again = model.seen[len(first) :]
    assert len(first) == len(again) == 6
    assert all(any(torch.equal(x, y) for y in again) for x in first)

    other = MakesViews()
    torch.manual_seed(3)  # the same by hand, chunk by chunk, with all activations
    pieces = [[other(chunk) for chunk in images().tensor_split([7, 14])] for _ in range(2)]
    assert torch.equal(torch.rand(1), after)
    z = [torch.cat([z for z, _ in view]) for view in pieces]
    g = [eq.Affine.cat([g for _, g in view]) for view in pieces]
    eq.PeCLRLoss(0.2)(*z, *g).backward()
    assert_close([p.grad for p in model.parameters()], [p.grad for p in other.parameters()], rtol=1e-5, atol=1e-6)


class Counting(nn.Module):
    """Counts the rows whose activations are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = network()
        self.alive = self.most = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.layers[1](self.layers[0](x)).exp()  # whose result is kept for its gradient
        rows = len(hidden)
        self.alive += rows
        self.most = max(self.most, self.alive)
        weakref.finalize(hidden.untyped_storage(), self.gone, rows)
        return self.layers[3](hidden.exp().log())

    def gone(self, rows: int) -> None:
        self.alive -= rows


def test_activations_of_one_chunk_are_alive_at_a_time():
    for model, most in ((Counting(), 44), (eq.GradCache(Counting(), 4), 4)):
        step(model)
        assert getattr(model, "module", model).most == most


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_is_that_of_a_loop_over_chunks_and_its_statistics_move_once(momentum):
    model, loop = (network(nn.BatchNorm1d(32, momentum=momentum)) for _ in range(2))
    z = eq.GradCache(model, 11)(images())
    after = {name: value.clone() for name, value in model.state_dict().items()}
    z.square().sum().backward()
    Loop(loop, 11)(images()).square().sum().backward()
    assert_close([p.grad for p in model.parameters()], [p.grad for p in loop.parameters()])
    assert_close(dict(model.state_dict()), after, rtol=0, atol=0)
    assert_close(dict(model.state_dict()), dict(loop.state_dict()))
    assert model[2].momentum == momentum
    assert int(model[2].num_batches_tracked) == 2


def test_a_second_backward_pass_is_as_the_first():
    model = eq.GradCache(network(nn.BatchNorm1d(32)), 5)
    loss = eq.nt_xent(model(images()), model(images().flip(3)))
    grads = [torch.autograd.grad(loss, list(model.parameters()), retain_graph=True) for _ in range(2)]
    assert_close(grads[0], grads[1], rtol=0, atol=0)


@pytest.mark.parametrize(("rows", "chunk_size"), [(15, 7), (257, 16), (17, 16), (4, 3), (129, 64), (33, 4)])
def test_no_chunk_is_a_small_rest(rows, chunk_size):
    seen = []
    model = network(nn.BatchNorm1d(32))
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    x = images(rows)
    assert_close(eq.GradCache(model.eval(), chunk_size)(x), model(x))
    sizes = seen[:-1]
    assert sum(sizes) == rows
    assert len(sizes) == -(-rows // chunk_size)  # no more than it takes
    assert max(sizes) <= chunk_size
    assert min(sizes) >= max(max(sizes) - 1, 2)


@pytest.mark.parametrize(("rows", "chunk_size", "sizes"), [(257, 16, [15] * 15 + [16] * 2), (64, 16, [16] * 4)])
def test_chunks_are_as_equal_as_can_be_and_train_with_batch_norm(rows, chunk_size, sizes):
    seen = []
    model = network(nn.BatchNorm1d(32))
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    eq.GradCache(model, chunk_size)(images(rows)).square().sum().backward()
    assert sorted(seen[: len(sizes)]) == sizes
    assert sorted(seen[len(sizes) :]) == sizes  # again, for the gradient


def test_a_chunk_of_one_row_is_there_only_where_it_must_be():
    module, seen = nn.Identity(), []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for chunk_size in range(1, 12):
        for rows in range(1, 60):
            seen.clear()
            x = torch.arange(float(rows))
            assert torch.equal(eq.GradCache(module, chunk_size)(x), x)
            assert max(seen) <= chunk_size
            assert 1 not in seen or rows == 1 or chunk_size == 1 or (chunk_size == 2 and rows % 2)


class Outputs(NamedTuple):
    z: torch.Tensor
    rest: dict[str, Any]


class Nested(nn.Module):
    """Gives a named tuple that holds a dict, a list and a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, x: torch.Tensor, g: eq.Affine) -> Outputs:
        z = self.network(x)
        return Outputs(z, {"g": g, "both": [z.sin(), (z.cos(), g.inverse())]})


@pytest.mark.parametrize("chunk_size", [5, 21, 22, 100])
def test_outputs_come_back_as_what_they_were(chunk_size):
    model, g = Nested(), eq.RandomRotation(45).sample(22).affine
    found, expected = eq.GradCache(model, chunk_size)(images(), g), model(images(), g)
    assert type(found) is Outputs
    assert list(found.rest) == ["g", "both"]
    assert [type(found.rest["both"]), type(found.rest["both"][1])] == [list, tuple]
    assert_close(found.rest["g"].matrix, g.matrix)
    assert_close(found.rest["both"][1][1].matrix, g.inverse().matrix)
    for out in (found, expected):
        (out.z.square() + out.rest["both"][0] * out.rest["both"][1][0]).sum().backward()
        out.z.detach_()
    assert_close(found.z, expected.z)


def test_without_gradients_it_runs_once():
    model = Counting()
    with torch.no_grad():
        z = eq.GradCache(model, 4)(images())
    assert_close(z, model(images()).detach())
    assert not z.requires_grad


def test_several_inputs_and_outputs_keep_their_order():
    class Pair(nn.Module):
        def forward(self, a, g, b):
            return b + 1, g, a

    a, b, g = torch.arange(7.0), torch.arange(14.0).view(7, 2), eq.RandomRotation(45).sample(7).affine
    out = eq.GradCache(Pair(), 3)(a, g, b)
    assert_close(out[0], b + 1)
    assert_close(out[1].matrix, g.matrix)
    assert_close(out[2], a)


def reduce_once(rank: int, world: int) -> tuple[int, list[torch.Tensor]]:
    model, buckets = DistributedDataParallel(eq.GradCache(Together(), 3)), []

    def hook(state, bucket):
        buckets.append(bucket.buffer().numel())
        work = torch.distributed.all_reduce(bucket.buffer() / world, async_op=True)
        return work.get_future().then(lambda future: future.value()[0])

    model.register_comm_hook(None, hook)
    x = [images(20)[rank * 10 : rank * 10 + 10], images(20).flip(3)[rank * 10 : rank * 10 + 10]]
    for _ in range(2):
        model.zero_grad()
        loss = eq.NTXentLoss(0.2, gather_distributed=True)(*model(*x))
        loss.backward()
    return sum(buckets), [p.grad for p in model.parameters()]


class Together(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network(x1), self.network(x2)


@pytest.mark.slow
def test_ranks_reduce_once_and_get_the_gradients_of_one_process():
    model = Together()
    eq.nt_xent(*model(images(20), images(20).flip(3)), 0.2).backward()
    expected = [p.grad for p in model.parameters()]
    for moved, grads in on_ranks(2, reduce_once):
        assert moved == 2 * sum(p.numel() for p in model.parameters())  # once in each of two steps
        assert_close(grads, expected, rtol=1e-5, atol=1e-6)


def test_bad_input_is_refused():
    model = eq.GradCache(nn.Linear(4, 2), 2)
    for call, error, match in [
        (lambda: eq.GradCache(lambda x: x, 2), TypeError, "module: expected a torch.nn.Module"),
        (lambda: eq.GradCache(nn.Linear(4, 2), 0), ValueError, "chunk_size: expected a whole number of at least 1"),
        (lambda: model(), ValueError, "inputs: expected the same number of rows"),
        (lambda: model(torch.rand(4, 4), torch.rand(3, 4)), ValueError, r"inputs: .* got \[3, 4\]"),
        (lambda: model("images"), TypeError, "inputs: expected tensors .* or group elements"),
        (
            lambda: eq.GradCache(nn.Flatten(0), 2)(torch.rand(4, 4)),
            ValueError,
            r"the module's outputs: .* got \[2, 8\]",
        ),
        (
            lambda: eq.GradCache(nn.Flatten(0), 4)(torch.rand(4, 4)),  # whatever the batch's size
            ValueError,
            r"the module's outputs: .* got \[4, 16\]",
        ),
        (lambda: eq.GradCache(nn.MSELoss(), 2)(torch.rand(4, 4), torch.rand(4, 4)), TypeError, "outputs: expected"),
    ]:
        with pytest.raises(error, match=match):
            call()


def wrapped(rank: int, world: int) -> str:
    try:
        eq.GradCache(DistributedDataParallel(nn.Linear(4, 2)), 2)
    except TypeError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_ddp_goes_around_it():
    assert "DistributedDataParallel(GradCache(model, chunk_size))" in on_ranks(1, wrapped)[0]
