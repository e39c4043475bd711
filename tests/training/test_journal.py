import math
import time

import pytest
import torch

pytest.importorskip("tensorboard", reason="the examples need tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equicon.training import PAUSE, Journal, NotFiniteError, Stopwatch, write_figure

CPU = torch.device("cpu")


def read(folder) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def curve(folder, name="training/loss") -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def journal(folder, first=0, steps=30, every=10) -> Journal:
    return Journal(folder, CPU, first=first, steps=steps, images=4, name="train", every=every)


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
