import signal

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.pretraining.running import TOY, curve, driver, same, short

from equicon.training import Checkpoints


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_workers_too_saves_all_the_same(photos, whole, tmp_path, number):
    code = f"""
        seed_of = pretrain_freihand.seed_of
        def seed_and_signal(*numbers):
            if numbers[1:] == (1, 5, 0):
                # From outside, as a queue does it: a worker takes its parent's SIGTERM for the end of its work.
                group = str(os.getpgid(0))
                subprocess.run(["kill", "-{number.value}", "--", "-" + group], start_new_session=True, check=True)
                time.sleep(0.5)
            return seed_of(*numbers)
        pretrain_freihand.seed_of = seed_and_signal
        pretrain_freihand.main(words)
    """
    done = driver(code, [*TOY, *short(photos, "--workers", 2, "--out", tmp_path)])
    assert done.returncode == 128 + number, done.stderr
    assert Checkpoints(tmp_path / "checkpoints").load()["step"] == 5
    done = driver("pretrain_freihand.main(words)", [*TOY, "--resume", "--out", tmp_path])
    assert done.returncode == 0, done.stderr
    assert same(tmp_path, whole)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_and_ends_alike(photos, whole, tmp_path):
    # One process imports everything and forks the runs, so that little time passes outside of them.
    code = """
        dice, kills, ended = random.Random(), 0, (0, 0)
        while not ended[0]:
            child = os.fork()
            if not child:
                try:
                    pretrain_freihand.main(words)
                finally:
                    os._exit(sys.exc_info()[0] is not None)
            end = time.monotonic() + dice.uniform(0.0, 1.0 + kills / 4)
            while not ended[0] and time.monotonic() < end:
                time.sleep(0.005)
                ended = os.waitpid(child, os.WNOHANG)
            if not ended[0]:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                kills += 1
                saved = Checkpoints(Path(words[-1]) / 'checkpoints').load()
                print('step', saved['step'] if saved else 0, flush=True)
        sys.exit(ended[1])
    """
    words = [*TOY, *short(photos, "--save-every", 0.25, "--resume", "--out", tmp_path)]
    done = driver(code, words)
    assert done.returncode == 0, done.stderr
    steps = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("step ")]
    assert steps  # at least one was killed
    assert steps == sorted(steps)
    assert not list(tmp_path.rglob("*.part"))
    assert same(tmp_path, whole)
    assert dict(curve(tmp_path)).keys() == set(range(12))
