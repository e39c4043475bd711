import math
from pathlib import Path

import pytest
import torch
from toy_training import Points, start

from equicon.training import Journal, NotFiniteError, Ranks, learning_rate


def journal(folder: Path, quiet: bool = True) -> Journal:
    return Journal(folder / "runs", torch.device("cpu"), first=0, steps=20, images=4, name="train", quiet=quiet)


def test_a_run_knows_how_far_it_is(tmp_path):
    run = start(tmp_path, epochs=2.5)
    assert (run.steps, run.per_epoch, run.step, run.images) == (25, 10, 0, 4)
    assert run.rate == learning_rate(0, 25, peak=0.1, warmup=0.25)
    run.step = 5
    assert run.rate == learning_rate(5, 25, peak=0.1, warmup=0.25)
    assert [run.due(epochs) for epochs in (0.5, 1, 0.1, 0.001, 0)] == [True, False, True, True, False]
    assert start(tmp_path, epochs=0.01).steps == 1
    assert start(tmp_path, epochs=3.0, data=Points((11,))).steps == 6


def test_batches_may_be_gathered_to_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr("toy_training.Toy.accumulate", 5)
    run = start(tmp_path, epochs=3.0, data=Points((53,)))
    assert (run.steps, run.images, run.per_epoch) == (8, 20, pytest.approx(8 / 3))  # 13 batches to an epoch


def test_the_seed_decides_what_is_random(tmp_path):
    weights = [start(tmp_path, seed=seed).model[0].weight.tolist() for seed in (0, 0, 1)]
    assert weights[0] == weights[1] != weights[2]


def test_a_saved_run_goes_on_as_it_was(tmp_path):
    run = start(tmp_path)
    with journal(tmp_path) as book:
        for _ in range(3):
            run.advance()
        run.skipped = ["a.jpg"]
        run._start -= 60
        run.save(book)
    saved = run.checkpoints.load()
    assert (saved["step"], saved["kind"], saved["counts"]) == (3, "toy", [40])
    other = start(tmp_path, saved, weights="gone.pt")
    assert (other.step, other.skipped) == (3, ["a.jpg"])
    assert other.calls[0] == "build from none"
    assert other.minutes >= 1
    for one in (run, other):
        one.advance()
    ours, theirs = (one.model.state_dict() for one in (run, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_scale_of_half_precision_goes_on_too(tmp_path):
    run = start(tmp_path, precision="float16")
    run.scaler.scale(torch.ones(()))
    run.scaler.update(8.0)
    other = start(tmp_path, run.state(), precision="float16")
    assert other.scaler.state_dict() == run.scaler.state_dict()
    assert other.scaler.state_dict()["scale"] == 8


def test_corrupt_images_are_named_once_and_five_at_a_time(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="a journal that is not quiet needs TensorBoard")
    run = start(tmp_path)
    paths = tuple(Path(f"{name}.jpg") for name in "gabcdef")
    with journal(tmp_path, quiet=False) as book:
        for corrupt in (paths[:1], paths, paths):
            run.data.corrupt = corrupt
            run.save(book)
    said = capsys.readouterr().out
    assert [said.count(f"went on without {path}, which is corrupt") for path in paths] == [1, 1, 1, 1, 1, 1, 0]
    assert said.count("... and without 1 more") == 1
    assert run.skipped == [f"{name}.jpg" for name in "gabcdef"]
    assert run.checkpoints.load()["skipped"] == run.skipped


@pytest.mark.parametrize("where", ["weights", "moments"])
def test_what_is_not_finite_is_never_saved(tmp_path, where):
    run = start(tmp_path)
    run.advance()
    with torch.no_grad():
        parameter = next(run.model.parameters())
        target = parameter if where == "weights" else run.optimizer.state[parameter]["exp_avg"]
        target[0] = math.inf
    message = r"Weights or moments are not finite after step 0, at learning rate 0\.02\."
    with journal(tmp_path) as book, pytest.raises(NotFiniteError, match=message):
        run.save(book)
    assert run.checkpoints.paths() == []


def test_what_had_a_loss_that_is_not_finite_is_never_saved(tmp_path):
    run = start(tmp_path)
    with journal(tmp_path) as book:
        for step, loss in enumerate((1.0, math.nan)):
            book.step(step, 0.1, torch.tensor(loss), "")
        with pytest.raises(NotFiniteError, match="The loss is nan at step 1"):
            run.save(book)
    assert run.checkpoints.paths() == []


def test_only_the_first_rank_writes(tmp_path):
    run = start(tmp_path)

    class Second(Ranks):
        def gather(self, value):
            return [value]

    run.ranks = Second(1, 2)
    with journal(tmp_path) as book:
        run.save(book)
    assert run.checkpoints.paths() == []
    assert run.place == "cpu on each of 2 ranks"
