import json
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch.distributed import HashStore
from toy_training import Points, Toy, options, start

import equicon as eq
from equicon.data import CorruptImage
from equicon.training import ALONE, Checkpoints, NotFiniteError, Ranks, _lifecycle, last_line, launch
from equicon.training._lifecycle import begin, conclude, last_good, leave, open_folder, train


def run_toy(folder: Path, kind=Toy, **changed) -> Toy:
    """Launch a run and give it back."""
    made = []

    class Noted(kind):
        def __init__(self, *others):
            super().__init__(*others)
            made.append(self)

    launch(Noted, lambda words: options(out=folder, resume="--resume" in words, **changed), changed.pop("words", []))
    return made[0]


# --- A whole life --------------------------------------------------------------------------------------------------


def test_the_hooks_are_called_in_their_order(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")
    run = run_toy(tmp_path, weights="imagenet")
    assert run.calls == [
        "check_arguments", "make_views", "build from imagenet", "load_data", "build from imagenet", "make_optimizer",
        "preview", "measure at 0", "loop from 0", "measure at 20",
    ]  # fmt: skip
    said = capsys.readouterr()
    assert said.out.endswith(f"40 points\ntoy on cpu; 20 steps of 4 images\nResults go to {tmp_path}.\nThe end.\n")
    assert "toy: 100%" in said.err
    found = json.loads((tmp_path / "result.json").read_text())
    assert list(found) == ["end", "minutes", "skipped", "arguments", "versions"]
    assert (found["end"], found["skipped"], found["arguments"]["lr"]) == (20, [], 0.1)
    assert {"equicon", "torch"} <= set(found["versions"])
    assert json.loads((tmp_path / "arguments.json").read_text()) == found["arguments"]
    assert [path.name for path in run.checkpoints.paths()] == ["step_00000000.pt", "step_00000020.pt"]


def test_a_folder_that_tensorboard_cannot_name_is_refused(tmp_path):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")
    with pytest.raises(SystemExit, match=r"^--out: expected a path in UTF-8, got '.*caf\\udce9'\. Give another folder"):
        run_toy(tmp_path / os.fsdecode(b"caf\xe9"))


def test_a_signal_saves_and_the_run_that_goes_on_ends_alike(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")
    whole = run_toy(tmp_path / "whole")

    class Cut(Toy):
        def advance(self):
            super().advance()
            if self.step == 7:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        run_toy(tmp_path / "cut", Cut)
    assert stopped.value.code == 128 + signal.SIGTERM
    run = run_toy(tmp_path / "cut", words=["--resume"])
    assert f"{tmp_path / 'cut'} goes on at step 7 of 20." in capsys.readouterr().out
    assert run.calls == [
        "check_arguments", "make_views", "load_data", "build from none", "make_optimizer", "loop from 7",
        "measure at 20",
    ]  # fmt: skip
    ours, theirs = (one.model.state_dict() for one in (run, whole))
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_a_run_that_goes_on_does_not_say_again_that_its_loss_is_at_its_floor(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")

    class Low(Toy):
        def loop(self, journal, stop):
            for _ in range(10):
                journal.step(self.step, self.rate, torch.tensor(1.0), "", levels=[eq.LossLevels(4.0, 1.0)])
                self.step += 1
            self.save(journal)
            return self.step < self.steps

    with pytest.raises(SystemExit):
        run_toy(tmp_path, Low)
    assert "The loss has been at its floor" in capsys.readouterr().out
    run = run_toy(tmp_path, Low, words=["--resume"])
    assert run.step == 20
    assert "The loss has been at its floor" not in capsys.readouterr().out


def test_a_restart_goes_on_in_its_own_folder_though_nothing_is_in_it_yet(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")
    store = HashStore()
    Ranks(store=store).begin(tmp_path / "chosen")
    monkeypatch.setattr(_lifecycle, "joined", lambda: nullcontext(Ranks(store=store)))

    def parse_args(words):
        assert words == ["--lr", "1", "--resume", "--out", str(tmp_path / "chosen")]
        sys.exit("parsed")

    with pytest.raises(SystemExit, match="parsed"):
        launch(Toy, parse_args, ["--lr", "1"])


# --- What is said before it begins ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": "gone.pt"}, "--weights: gone.pt is no file."),
        ({"degrees": -1.0}, "views: degrees: expected"),
        ({"batch_size": 41}, "--batch-size: expected at most 40, the number of images to train on, got 41."),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_saved(tmp_path, changed, message):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")
    with pytest.raises(SystemExit) as stopped:
        run_toy(tmp_path, **changed)
    assert str(stopped.value).startswith(message)
    assert not Checkpoints(tmp_path / "checkpoints").paths()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("expected a folder, got nowhere.", "--data: expected a folder, got nowhere."),
        ("weights: expected two, got one.", "--weights: expected two, got one."),
        ("batch_size: expected at most 3, got 4.", "--batch-size: expected at most 3, got 4."),
        ("a.json: expected a list.", "--data: a.json: expected a list."),
    ],
)
def test_data_that_cannot_be_opened_are_named_by_their_option(tmp_path, error, message):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")

    class Bad(Toy):
        def load_data(self):
            raise ValueError(error)

    with pytest.raises(SystemExit) as stopped:
        run_toy(tmp_path, Bad)
    assert stopped.value.code == message


def test_a_folder_is_taken_once_and_by_one_kind(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(3, start(tmp_path).state() | {"kind": "another"})
    with pytest.raises(
        SystemExit, match=r"--out: .* holds a run already\. Add --resume to go on with it, or give another f"
    ):
        open_folder(Toy(options(out=tmp_path), checkpoints))
    with pytest.raises(SystemExit, match=r"--out: .* holds a run of another kind, not of toy\. Give another folder\."):
        open_folder(Toy(options(out=tmp_path, resume=True), checkpoints))


@pytest.mark.parametrize(("counts", "got"), [((41,), "41"), ((20, 2000), r"20 \+ 2,000")])
def test_other_data_than_the_run_was_begun_on_is_noticed(tmp_path, counts, got):
    class Changed(Toy):
        def load_data(self):
            return Points(counts)

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, start(tmp_path).state())
    with pytest.raises(SystemExit, match=rf"^--data: the run was begun on 40 images, got {got}\. Give it the same"):
        begin(Changed(options(out=tmp_path, resume=True), checkpoints))


def test_another_rank_is_quiet(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Ranks, "of_first", lambda ranks, function: None)
    monkeypatch.setattr(Ranks, "gather", lambda ranks, value: [value])
    run = Toy(options(out=tmp_path), Checkpoints(tmp_path / "checkpoints"), Ranks(1, 2))
    begin(run)
    train(run)
    assert run.calls == [
        "load_data",
        "build from none",
        "make_optimizer",
        "measure at 0",
        "loop from 0",
        "measure at 20",
    ]
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


# --- What is said when it ends early -------------------------------------------------------------------------------


def ended(work, folder: Path, ranks: Ranks = ALONE) -> object:
    def fail() -> None:
        raise work

    with pytest.raises(SystemExit) as stopped:
        conclude(fail, Checkpoints(folder / "checkpoints"), ranks)
    return stopped.value.code


def test_a_run_that_ends_early_says_why_and_what_to_do(tmp_path, capsys):
    worker = "Caught CorruptImage in worker 0.\nTraceback\n  x\n"
    names = ("", "CorruptImage: ", "equicon.data.CorruptImage: ", "equicon.data._corrupt.CorruptImage: ")
    for text in ("a.jpg: bad.", *(f"{worker}{name}a.jpg: bad.\n" for name in names)):
        assert last_line(CorruptImage(text)) == "a.jpg: bad."
        code = ended(CorruptImage(text), tmp_path)
        assert code == "a.jpg: bad. Here, --skip-corrupt does that. Add --resume too if the run had begun."
    assert ended(NotFiniteError("The loss is nan."), tmp_path) == (
        "The loss is nan. There is no checkpoint yet. Add --resume and a lower --lr to go on from there."
    )
    assert ended(NotFiniteError("The loss is nan."), tmp_path, Ranks(1, 2)) == 1
    path = Checkpoints(tmp_path / "checkpoints").save(3, {})
    assert ended(OSError("No space."), tmp_path) == f"No space. The last good checkpoint is {path}."
    assert last_good(Checkpoints(tmp_path / "checkpoints")) == f"The last good checkpoint is {path}."
    assert ended(KeyboardInterrupt(), tmp_path) == 130
    assert f"Stopped. The last good checkpoint is {path}. Add --resume to go on." in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        conclude(lambda: 1 // 0, Checkpoints(tmp_path / "checkpoints"), ALONE)


def test_ctrl_c_before_there_is_a_checkpoint_is_said_and_leaves_nothing(tmp_path, capsys):
    assert ended(KeyboardInterrupt(), tmp_path / "new") == 130
    assert "Stopped. There is no checkpoint yet. The same command begins again." in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_ctrl_c_outside_of_a_run_s_work_has_no_traceback(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="a run needs TensorBoard")

    def parse_args(words):
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 1)  # until it comes

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a script's own handler stands for
    try:
        with pytest.raises(SystemExit) as stopped:
            launch(Toy, parse_args, [])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert (stopped.value.code, capsys.readouterr().err) == (130, "\nStopped.\n")


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
    run = start(tmp_path)
    run.step = 3
    for run.ranks, said in ((ALONE, True), (Ranks(1, 2), False)):
        with pytest.raises(SystemExit) as stopped:
            leave(number, run)
        assert stopped.value.code == code
        name = (number or signal.SIGTERM).name
        text = f"Stopped by {name} and saved after step 3 of 20. Add --resume to go on."
        assert (text in capsys.readouterr().out) == said
