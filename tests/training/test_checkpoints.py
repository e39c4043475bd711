import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import namedtuple

import pytest
import torch

from equicon.training import Checkpoints, Stop, load_state, size_of, write_whole

STATE = {"step": 3, "model": {"weight": torch.arange(5.0)}, "note": ["a", 1.5, None]}


def test_what_was_saved_is_loaded(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load() is None
    checkpoints.save(3, STATE)
    found = checkpoints.load()
    assert torch.equal(found["model"].pop("weight"), torch.arange(5.0))
    assert found == {"step": 3, "model": {}, "note": ["a", 1.5, None]}


def test_the_newest_are_kept_and_the_newest_of_all_is_loaded(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 9, 10, 100_000_000_000):
        checkpoints.save(step, {"step": step})
    assert [path.name for path in checkpoints.paths()] == ["step_00000010.pt", "step_100000000000.pt"]
    assert checkpoints.load() == {"step": 100_000_000_000}


def test_what_is_no_checkpoint_is_left_alone(tmp_path):
    for name in ("step_best.pt", "encoder.pt", "step_00000009.pt.part"):
        (tmp_path / name).write_bytes(b"")
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.paths() == []
    checkpoints.save(1, {})
    assert len(list(tmp_path.iterdir())) == 4
    checkpoints.check_room(0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder.pt", "step_00000001.pt", "step_best.pt"]


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    torch.save({"print": print}, tmp_path / "step_00000001.pt")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load_state(tmp_path / "step_00000001.pt")


def test_a_damaged_checkpoint_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, STATE)
    checkpoints.save(2, STATE).write_bytes(b"abc")
    with pytest.raises(OSError, match=r"step_00000002\.pt is damaged: .* Remove it to go on from the one before"):
        checkpoints.load()


@pytest.mark.slow
def test_a_process_killed_while_it_writes_leaves_what_was_there(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from equicon.data._files import write_whole\n"
        "def half(file):\n"
        "    file.write(bytes(2**20))\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(Path(sys.argv[1]) / 'step_00000002.pt', half)\n"
    )
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})
    paths = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "step_00000002.pt.part").stat().st_size == 2**20
    assert checkpoints.load() == {"step": 1}


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_disk_that_is_full_is_an_error_and_the_last_checkpoint_stays(tmp_path, limit):
    # A limit on the size of a file stands in for the full disk: the write fails in the same place.
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"step_00000002\.pt could not be written"):
            checkpoints.save(2, {"weight": torch.zeros(10**6)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert checkpoints.load() == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001.pt"]


def test_too_little_room_is_said_before_it_runs_out(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 7 * 2**20))
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.check_room(7 * 2**20 // 4)
    with pytest.raises(OSError, match=r"has room for 7 MiB, but 4 checkpoints take 8 MiB more\. Make room, keep few"):
        checkpoints.check_room(2 * 2**20)
    checkpoints.save(1, {})
    checkpoints.check_room(2 * 2**20)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file/trial could not be written"):
        Checkpoints(tmp_path / "file").check_room(0)
    with (
        pytest.raises(OSError, match="file/checkpoints cannot be written to"),
        Checkpoints(tmp_path / "file" / "checkpoints").held(),
    ):
        pass


def test_one_process_at_a_time(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for _ in range(2):
        with checkpoints.held():
            other = Checkpoints(tmp_path)
            with pytest.raises(OSError, match="in use by another process"), other.held():
                pass


def test_a_folder_that_got_nothing_is_removed_with_what_was_made_for_it(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new" / "out" / "checkpoints")
    with checkpoints.held():
        checkpoints.check_room(0)
    with pytest.raises(ZeroDivisionError), checkpoints.held():
        1 // 0  # noqa: B018
    assert not [*tmp_path.iterdir()]
    (tmp_path / "new" / "out").mkdir(parents=True)
    with checkpoints.held():
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "out"]
    with checkpoints.held():
        checkpoints.save(1, {})
    assert checkpoints.load() == {}


def test_a_folder_that_was_removed_meanwhile_is_no_error(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with checkpoints.held():
        shutil.rmtree(checkpoints.folder)


def test_a_lock_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    checkpoints, flock = Checkpoints(tmp_path / "checkpoints"), fcntl.flock
    locked = []

    def removed_first(file, how):
        if not locked:  # as by a process that leaves, and removes what this one has opened
            (checkpoints.folder / "lock").unlink()
        locked.append(file)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with checkpoints.held(), pytest.raises(OSError, match="in use by another process"), checkpoints.held():
        pass
    assert len(locked) == 3


def test_ctrl_c_while_a_file_is_written_leaves_no_part_of_it(tmp_path):
    def interrupt(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.bin", interrupt)
    assert not [*tmp_path.iterdir()]


def test_sizes_are_those_of_the_tensors():
    assert size_of({"a": [torch.zeros(3), (torch.zeros(2, dtype=torch.float64), 1, "b")], "c": None}) == 28


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    def act(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, act)
    try:
        with Stop() as stop:
            assert stop.signal is None
            os.kill(os.getpid(), number)
            assert stop.signal == number
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        with Stop():
            pass
        assert signal.getsignal(number) is act
    finally:
        signal.signal(number, before)
