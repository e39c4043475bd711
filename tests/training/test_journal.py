import math
import time

import pytest
import torch

pytest.importorskip("tensorboard", reason="the examples need tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import equicon as eq
from equicon.training import PAUSE, Journal, NotFiniteError, Stopwatch, write_figure

CPU = torch.device("cpu")


def read(folder) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def curve(folder, name="training/loss") -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def journal(folder, first=0, steps=30, every=10, state=None) -> Journal:
    return Journal(folder, CPU, first=first, steps=steps, images=4, name="train", every=every, state=state)


@pytest.mark.parametrize("every", [1, 4, 100])
def test_every_step_is_written_down(tmp_path, every):
    with journal(tmp_path, every=every) as book:
        for step in range(30):
            book.step(step, lr=0.5 / (step + 1), loss=torch.tensor(float(step)), note="")
        book.flush()
    assert curve(tmp_path) == [(step, float(step)) for step in range(30)]
    assert curve(tmp_path, "training/learning rate") == [(s, pytest.approx(0.5 / (s + 1))) for s in range(30)]


def test_the_parts_of_a_loss_have_curves_of_their_own(tmp_path):
    with journal(tmp_path, every=4) as book:
        for step in range(6):
            loss = torch.tensor(float(step))
            parts = {} if step == 2 else {"2D": loss / 4, "3D": 3 * loss / 4}
            book.step(step, lr=1.0, loss=loss, note="", parts=parts)
        book.flush()
    assert curve(tmp_path) == [(step, float(step)) for step in range(6)]
    for name, share in (("2D", 0.25), ("3D", 0.75)):
        assert curve(tmp_path, f"training/loss, {name}") == [(s, s * share) for s in (0, 1, 3, 4, 5)]


def test_the_levels_of_a_loss_stand_beside_it(tmp_path, capsys):
    with journal(tmp_path, every=4) as book:
        for step in range(6):
            levels = [eq.LossLevels(4.0, 2.0), eq.LossLevels(torch.tensor(5.0), torch.tensor(2.5 + step))]
            book.step(step, lr=1.0, loss=torch.tensor(3.5), note="epoch 1/1", levels=levels)
        book.flush()
    assert curve(tmp_path) == [(step, 3.5) for step in range(6)]
    assert curve(tmp_path, "training/loss, chance") == [(step, 4.5) for step in range(6)]
    assert curve(tmp_path, "training/loss, floor") == [(step, 2.25 + step / 2) for step in range(6)]
    assert "custom_scalars__config__" in read(tmp_path).Tags()["tensors"]  # one chart of all three
    assert "loss=3.500 (chance 4.50, floor 2.25), epoch 1/1" in capsys.readouterr().err


def run_at(folder, shares, *, first=0, steps=100, state=None) -> Journal:
    """Write down a run whose losses lie at shares of the way from the floor, 2, to chance, 4."""
    with journal(folder, first=first, steps=steps, every=5, state=state) as book:
        for step, share in enumerate(shares, first):
            book.step(step, 1.0, torch.tensor(2 + 2 * share), "", levels=[eq.LossLevels(4.0, 2.0)])
        book.flush()
    return book


SAID = "The loss has been at its floor for 10 steps: it is 2.080. Unrelated images give 2.000 (the floor), and"


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([1.0] * 60 + [0.06] * 40, 0),
        ([1.0] * 60 + [0.04] * 40, 1),
        ([0.5] * 11 + ([0.04] * 5 + [0.5] * 5) * 8, 1),  # also where it comes and goes
        ([0.5] * 11 + [0.04] * 5 + [0.5] * 84, 0),
        ([0.5] * 10 + ([0.04] * 20 + [0.5] * 10) * 3, 1),  # and once is enough
        ([0.04] * 9, 0),
        ([-0.2] * 100, 1),
    ],
)
def test_a_loss_that_stays_at_its_floor_is_told_of_once(tmp_path, capsys, shares, said):
    run_at(tmp_path, shares)
    out = capsys.readouterr().out
    assert out.count("The loss has been at its floor") == said
    assert out.count(SAID) == (said and min(shares) > 0)
    assert ("--temperature" in out) == ("--groups-per-batch" in out) == bool(said)


def test_a_run_that_goes_on_knows_what_was_told_and_how_long_its_loss_was_there(tmp_path, capsys):
    one = run_at(tmp_path / "a", [0.5] * 6 + [0.04] * 5)
    assert "floor for" not in capsys.readouterr().out
    assert one.state() == {"near": 5, "said": 0}
    two = run_at(tmp_path / "b", [0.04] * 5, first=11, state=one.state())
    assert "floor for 10 steps" in capsys.readouterr().out
    assert two.state() == {"near": 10, "said": 1}
    run_at(tmp_path / "c", [0.04] * 80, first=16, state=two.state())
    assert "floor for" not in capsys.readouterr().out


def test_where_a_loss_has_no_negatives_nothing_is_told(tmp_path, capsys):
    with journal(tmp_path, steps=10) as book:
        for step in range(10):
            book.step(step, 1.0, torch.tensor(0.0), "", levels=[eq.LossLevels(0.0, 0.0)])
    assert "floor for" not in capsys.readouterr().out


def test_a_figure_is_written_whole(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot", reason="the examples need matplotlib")
    figure = plt.figure()
    write_figure(tmp_path / "new" / "a.png", figure)
    plt.close(figure)
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_what_a_cut_off_run_wrote_of_later_steps_is_void(tmp_path):
    for first, last in ((0, 20), (10, 30)):
        with journal(tmp_path, first=first) as book:
            for step in range(first, last):
                book.step(step, lr=1.0, loss=torch.tensor(float(first)), note="")
            book.flush()
        time.sleep(1.1)  # TensorBoard names its files by the second, and reads them in that order
    assert curve(tmp_path) == [(step, 0.0 if step < 10 else 10.0) for step in range(30)]


def test_a_loss_that_is_not_finite_is_found_at_its_step(tmp_path):
    with journal(tmp_path, every=5) as book:
        for step in range(5):
            book.step(step, lr=0.1, loss=torch.tensor(1.0), note="")
        for step in range(5, 10):
            book.step(step, step / 1000, torch.tensor(math.nan if step in (7, 8) else 1.0), note="")
        with pytest.raises(NotFiniteError, match=r"The loss is nan at step 7, where the learning rate is 0\.007\."):
            book.flush()
    assert len(curve(tmp_path)) == 8


def test_a_quiet_journal_writes_and_shows_nothing_and_watches_all_the_same(tmp_path, capsys):
    with Journal(tmp_path, CPU, first=0, steps=9, images=4, name="train", quiet=True) as book:
        book.step(0, 0.1, torch.tensor(1.0), "")
        book.say("hello")
        book.scalars(0, {"a": 1.0})
        book.step(1, 0.1, torch.tensor(math.inf), "")
        with pytest.raises(NotFiniteError, match="The loss is inf at step 1"):
            book.flush()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_the_parts_of_a_step_add_up():
    watch = Stopwatch(CPU)
    for _ in range(3):
        time.sleep(0.02)
        watch.mark("views")
        time.sleep(0.01)
        watch.mark("loss")
    start = time.perf_counter()
    spent = watch.seconds()
    assert list(spent) == ["views", "loss"]
    assert spent["views"] >= 0.06
    assert spent["loss"] >= 0.03
    watch.mark("views")
    assert list(watch.seconds()) == ["views"]
    assert watch.seconds() == {}
    assert time.perf_counter() >= start


def test_speed_shares_and_pictures_are_written(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot", reason="the examples need matplotlib")
    with journal(tmp_path) as book:
        for step in range(11):
            book.watch.mark("views")
            book.watch.mark("encoder")
            time.sleep(0.01)
            book.watch.mark(PAUSE)
            book.step(step, lr=1.0, loss=torch.tensor(1.0), note="")
        figure = plt.figure()
        book.picture(3, "views", figure)
        plt.close(figure)
        book.scalars(7, {"probe/px": 2.5})
        book.flush()
    found = read(tmp_path)
    assert found.Tags()["images"] == ["views"]
    assert curve(tmp_path, "probe/px") == [(7, 2.5)]
    assert [step for step, _ in curve(tmp_path, "training/images per second")] == [0, 10]
    shares = [curve(tmp_path, f"share of the step/{part}")[1][1] for part in ("views", "encoder")]
    assert sum(shares) == pytest.approx(1.0)
    assert f"share of the step/{PAUSE}" not in found.Tags()["scalars"]
    assert curve(tmp_path, "training/images per second")[1][1] > 10 * 4 / 0.1  # without the pauses


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_time_on_a_gpu_is_that_of_the_gpu():
    watch = Stopwatch(torch.device("cuda"))
    for part, rounds in (("short", 5), ("long", 50)):
        for _ in range(rounds):
            torch.rand(2000, 2000, device="cuda").matmul(torch.rand(2000, 2000, device="cuda"))
        watch.mark(part)
    spent = watch.seconds()
    assert spent["long"] > 2 * spent["short"] > 0
