import argparse
import math
import signal
from pathlib import Path

import pytest
import torch

pytest.importorskip("tensorboard", reason="the examples need tensorboard")

from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from equicon.data import CorruptImage
from equicon.training._checkpoints import Checkpoints
from equicon.training._journal import Journal, NotFiniteError
from equicon.training._lifecycle import (
    Training,
    conclude,
    is_finite,
    last_good,
    last_line,
    learning_rate,
    leave,
    plain_state,
)
from equicon.training._ranks import ALONE, Ranks


def options(**changed) -> argparse.Namespace:
    plain = {"device": "cpu", "precision": "float32", "epochs": 2.0, "lr": 0.1, "warmup": 0.25, "seed": 0}
    return argparse.Namespace(**plain | changed)


def begin(folder: Path, saved=None, *, counts=(40,), per_epoch: float = 10, **changed) -> Training:
    run = Training(options(**changed), counts, per_epoch, Checkpoints(folder))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    model(torch.rand(2, 3, 8, 8))
    run.prepare(model, lambda model: torch.optim.Adam(model.parameters(), 0.1), saved)
    return run


def journal(folder: Path) -> Journal:
    return Journal(folder / "tensorboard", torch.device("cpu"), first=0, steps=20, images=4, name="train")


def advance(run: Training) -> None:
    run.model(torch.rand(2, 3, 8, 8)).square().sum().backward()
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.step += 1


@given(steps=st.integers(1, 60), warmup=st.floats(0, 1))
def test_the_rate_rises_linearly_and_falls_as_half_a_cosine(steps, warmup):
    args = options(lr=0.5, warmup=warmup)
    rates = [learning_rate(step, steps, args) for step in range(steps)]
    warm = min(steps, round(steps * warmup))
    assert rates[:warm] == pytest.approx([0.5 * (step + 1) / warm for step in range(warm)])
    left = steps - warm
    assert rates[warm:] == pytest.approx([0.25 * (1 + math.cos(math.pi * k / left)) for k in range(left)])
    assert min(rates) > 0
    assert max(rates) == pytest.approx(0.5)


def test_a_run_knows_how_far_it_is(tmp_path):
    run = begin(tmp_path, epochs=2.5)
    assert (run.steps, run.per_epoch, run.step) == (25, 10, 0)
    assert run.rate == learning_rate(0, 25, run.args)
    run.step = 5
    assert run.rate == learning_rate(5, 25, run.args)
    assert [run.due(epochs) for epochs in (0.5, 1, 0.1, 0.001, 0)] == [True, False, True, True, False]
    assert begin(tmp_path, epochs=0.01).steps == 1
    assert begin(tmp_path, per_epoch=2.6, epochs=3.0).steps == 8


def test_the_seed_decides_what_is_random(tmp_path):
    weights = []
    for seed in (0, 0, 1):
        Training(options(seed=seed), (1,), 1, Checkpoints(tmp_path))
        weights.append(torch.rand(3).tolist())
    assert weights[0] == weights[1] != weights[2]


def test_a_saved_run_goes_on_as_it_was(tmp_path):
    run = begin(tmp_path)
    with journal(tmp_path) as book:
        for _ in range(3):
            advance(run)
        run.skipped = ["a.jpg"]
        run._start -= 60
        run.save(book, [])
    saved = run.checkpoints.load()
    assert saved["step"] == 3
    other = begin(tmp_path, saved)
    assert (other.step, other.skipped) == (3, ["a.jpg"])
    assert other.minutes >= 1
    for one in (run, other):
        torch.manual_seed(5)
        advance(one)
    ours, theirs = (one.model.state_dict() for one in (run, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    old = {name: value for name, value in saved.items() if name not in ("counts", "kind")} | {"count": 40}
    assert begin(tmp_path, old).step == 3


def test_the_scale_of_half_precision_goes_on_too(tmp_path):
    run = begin(tmp_path, precision="float16")
    run.scaler.scale(torch.ones(()))
    run.scaler.update(8.0)
    other = begin(tmp_path, run.state(), precision="float16")
    assert other.scaler.state_dict() == run.scaler.state_dict()
    assert other.scaler.state_dict()["scale"] == 8


@pytest.mark.parametrize(("counts", "got"), [((41,), "41"), ((20, 2000), r"20 \+ 2,000")])
def test_other_data_than_the_run_was_begun_on_is_noticed(tmp_path, counts, got):
    saved = begin(tmp_path).state()
    with pytest.raises(SystemExit, match=rf"^--data: the run was begun on 40 images, got {got}\. Give it the same"):
        begin(tmp_path, saved, counts=counts)


def test_a_run_of_another_kind_is_told_apart(tmp_path):
    saved = begin(tmp_path).state()
    with pytest.raises(
        SystemExit, match=r"--out: expected a run of pre-training, got one of fine-tuning\. Give another"
    ):
        begin(tmp_path, saved | {"kind": "fine-tuning"})


def test_corrupt_images_are_named_once_and_five_at_a_time(tmp_path, capsys):
    run = begin(tmp_path)
    paths = [Path(f"{name}.jpg") for name in "gabcdef"]
    with journal(tmp_path) as book:
        run.save(book, paths[:1])
        run.save(book, paths)
        run.save(book, paths)
    said = capsys.readouterr().out
    assert [said.count(f"went on without {path}, which is corrupt") for path in paths] == [1, 1, 1, 1, 1, 1, 0]
    assert said.count("... and without 1 more") == 1
    assert run.skipped == [f"{name}.jpg" for name in "gabcdef"]
    assert run.checkpoints.load()["skipped"] == run.skipped


@pytest.mark.parametrize("where", ["weights", "moments"])
def test_what_is_not_finite_is_never_saved(tmp_path, where):
    run = begin(tmp_path)
    advance(run)
    with torch.no_grad():
        parameter = next(run.model.parameters())
        target = parameter if where == "weights" else run.optimizer.state[parameter]["exp_avg"]
        target[0] = math.inf
    message = r"Weights or moments are not finite after step 0, at learning rate 0\.02\."
    with journal(tmp_path) as book, pytest.raises(NotFiniteError, match=message):
        run.save(book, [])
    assert run.checkpoints.paths() == []


def test_what_had_a_loss_that_is_not_finite_is_never_saved(tmp_path):
    run = begin(tmp_path)
    with journal(tmp_path) as book:
        for step, loss in enumerate((1.0, math.nan)):
            book.step(step, 0.1, torch.tensor(loss), "")
        with pytest.raises(NotFiniteError, match="The loss is nan at step 1"):
            run.save(book, [])
    assert run.checkpoints.paths() == []


def test_only_the_first_rank_writes(tmp_path):
    run = begin(tmp_path)

    class Second(Ranks):
        def gather(self, value):
            return [value]

    run.ranks = Second(1, 2)
    with journal(tmp_path) as book:
        run.save(book, [])
    assert run.checkpoints.paths() == []


@given(st.integers(0, 3))
def test_finiteness_is_looked_for_in_everything_nested(depth):
    def nest(value):
        for level in range(depth):
            value = {"a": 1, "b": [value]} if level % 2 else [3.0, value]
        return value

    assert is_finite(nest(torch.ones(3)))
    assert is_finite(nest(torch.tensor(3)))
    assert not is_finite(nest(torch.tensor([1.0, math.nan])))
    assert not is_finite(nest(torch.tensor(-math.inf)))


def ended(work, folder: Path, ranks: Ranks = ALONE) -> object:
    def fail() -> None:
        raise work

    with pytest.raises(SystemExit) as stopped:
        conclude(fail, Checkpoints(folder / "checkpoints"), ranks)
    return stopped.value.code


def test_a_run_that_ends_early_says_why_and_what_to_do(tmp_path, capsys):
    worker = "Caught CorruptImage in worker 0.\nTraceback\n  x\nequicon.data._corrupt.CorruptImage: a.jpg: bad.\n"
    for text in ("a.jpg: bad.", worker):
        assert last_line(CorruptImage(text)) == "a.jpg: bad."
        code = ended(CorruptImage(text), tmp_path)
        assert code == "a.jpg: bad. Here, that is --skip-corrupt, and --resume if the run had begun."
    assert ended(NotFiniteError("The loss is nan."), tmp_path) == (
        "The loss is nan. There is no checkpoint yet. Add --resume and a lower --lr to go on from there."
    )
    assert ended(NotFiniteError("The loss is nan."), tmp_path, Ranks(1, 2)) == 1
    path = Checkpoints(tmp_path / "checkpoints").save(3, {})
    assert ended(OSError("No space."), tmp_path) == f"No space. The last good checkpoint is {path}."
    assert last_good(Checkpoints(tmp_path / "checkpoints")) == f"The last good checkpoint is {path}."
    assert ended(KeyboardInterrupt(), tmp_path) == 130
    assert f"Stopped. The last good checkpoint is {path}. --resume goes on." in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        conclude(lambda: 1 // 0, Checkpoints(tmp_path / "checkpoints"), ALONE)


def test_the_folder_is_held_while_there_is_work(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    inside = []

    def work() -> None:
        inside.append(True)
        with pytest.raises(SystemExit, match="is in use by another process"):
            conclude(lambda: inside.append(False), checkpoints, ALONE)
        conclude(lambda: None, checkpoints, Ranks(1, 2))  # of the same run

    conclude(work, checkpoints, ALONE)
    assert inside == [True]
    with checkpoints.held():
        pass


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, 143)])
def test_a_run_that_a_signal_stopped_says_so_once(tmp_path, capsys, number, code):
    run = begin(tmp_path)
    run.step = 3
    for run.ranks, said in ((ALONE, True), (Ranks(1, 2), False)):
        with pytest.raises(SystemExit) as stopped:
            leave(number, run)
        assert stopped.value.code == code
        name = (number or signal.SIGTERM).name
        assert (f"Stopped by {name} and saved after step 3 of 20: --resume goes on." in capsys.readouterr().out) == said


def test_weights_are_given_in_the_plain_order():
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    state = plain_state(model)
    assert state.keys() == model.state_dict().keys()
    assert all(value.is_contiguous() and value.device.type == "cpu" for value in state.values())
    assert torch.equal(state["weight"], model.weight)
