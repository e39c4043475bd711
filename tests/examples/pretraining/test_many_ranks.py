import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.pretraining.running import TOY, curve, encoder, pretrain_freihand, same, short

from equicon.training import Batches, Checkpoints, Ranks

TORCHRUN = """
import json, os, signal, sys
from pathlib import Path
import tiny_encoder
from equicon.training import Batches
from examples.pretraining.running import pretrain_freihand
pretrain_freihand.build_encoder = tiny_encoder.build_tiny_encoder
log, event, *words = sys.argv[1:]
rank, restart = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
seed_of, draw = pretrain_freihand.seed_of, Batches.__iter__

def seed_and_event(*numbers):
    if restart == 0 and numbers[1:3] == (1, 5) and rank == 0:
        if event == "end the job":
            os.kill(os.getppid(), signal.SIGTERM)
        if event == "kill a rank":  # the one that writes
            os.kill(os.getpid(), signal.SIGKILL)
    return seed_of(*numbers)

def draw_and_log(sampler):
    for number, indices in zip(sampler.wanted, draw(sampler)):
        with open(f"{log}.{rank}", "a") as file:
            file.write(json.dumps([number, indices]) + "\\n")
        yield indices

pretrain_freihand.seed_of, Batches.__iter__ = seed_and_event, draw_and_log
pretrain_freihand.main(words)
"""


def torchrun(
    folder: Path, ranks: int, *words: object, event: str = "none", restarts: int = 3
) -> subprocess.CompletedProcess[str]:
    script = folder.parent / "several.py"
    script.write_text(TORCHRUN)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--max-restarts={restarts}"]
    given = [script, folder.parent / f"{folder.name}.log", event, *TOY, *words, "--out", folder]
    return subprocess.run(
        [*launcher, "--nproc-per-node", str(ranks), *map(str, given)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def drawn(folder: Path, ranks: int = 2) -> dict[int, list[int]]:
    """Read which images made each batch when it was drawn for the last time, by so many ranks together."""
    parts = []
    for rank in range(ranks):
        lines = (folder.parent / f"{folder.name}.log.{rank}").read_text().splitlines()
        parts.append(dict(map(json.loads, lines)))
    return {number: [i for part in parts for i in part.get(number, [])] for number in parts[-1]}


@pytest.fixture(scope="module")
def two_ranks(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "whole"
    done = torchrun(out, 2, *short(photos))
    assert done.returncode == 0, done.stderr
    return out, done


@pytest.mark.slow
def test_two_ranks_see_together_what_one_process_does(two_ranks):
    out, done = two_ranks
    order = list(Batches(24, 3, 0, 0, 24))
    assert [drawn(out)[number] for number in range(24)] == order
    assert dict(curve(out)).keys() == set(range(12))
    assert "12 steps of 6 images, two views each; a loss compares 3 images" in done.stdout
    assert done.stdout.count("on each of 2 ranks") == done.stdout.count("The encoder is") == 1
    assert done.stderr.count("pre-train (peclr):   0%") == 1
    assert "Warning" not in done.stderr
    assert [path.name for path in Checkpoints(out / "checkpoints").paths()][-1] == "step_00000012.pt"


@pytest.mark.slow
def test_a_rank_that_is_killed_is_started_again_and_the_run_ends_as_if_nothing_had_happened(
    two_ranks, photos, tmp_path
):
    out = tmp_path / "killed"
    done = torchrun(out, 2, *short(photos), event="kill a rank")
    assert done.returncode == 0, done.stderr
    assert "goes on at step 4 of 12" in done.stdout
    assert same(out, two_ranks[0])
    assert dict(curve(out)) == dict(curve(two_ranks[0]))
    assert drawn(out) == drawn(two_ranks[0])
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
def test_a_run_stopped_by_a_signal_goes_on_with_another_number_of_ranks(photos, whole, tmp_path):
    out = tmp_path / "stopped"
    done = torchrun(
        out, 2, *short(photos, "--micro-batch", 2, "--batch-size", 6, "--accumulate", 1), event="end the job"
    )
    assert done.returncode != 0
    assert "Stopped by SIGTERM and saved after step" in done.stdout
    step = Checkpoints(out / "checkpoints").load()["step"]
    assert 5 <= step < 12
    done = torchrun(out, 3, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"goes on at step {step} of 12" in done.stdout
    assert "on each of 3 ranks" in done.stdout
    assert [step for step, _ in curve(out)] == list(range(12))
    order = list(Batches(24, 6, 0, 0, 12))
    assert [drawn(out)[number] for number in range(step)] == order[:step]
    assert [drawn(out, 3)[number] for number in range(step, 12)] == order[step:]
    assert encoder(out).keys() == encoder(whole).keys()


@pytest.mark.slow
def test_what_is_wrong_is_said_once_and_ends_all_ranks(photos, whole):
    before = (whole / "encoder.pt").read_bytes()
    done = torchrun(whole, 2, *short(photos), restarts=1)
    assert done.returncode == 1
    assert done.stderr.count("holds a run already. Add --resume") == 2  # and was not resumed by the restart
    assert (whole / "encoder.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch-size", 3], "expected at least one image for each of 4 ranks, got 3"),
        (["--batch-size", 6, "--micro-batch", 2], r"expected a multiple of 4 \(ranks\), got 6"),
    ],
)
def test_batches_that_ranks_cannot_share_are_refused(tmp_path, words, message):
    args = pretrain_freihand.parse_args(["--groups-per-batch", "0", *map(str, words)])
    with pytest.raises(SystemExit, match=f"^--batch-size: {message}"):
        pretrain_freihand.Run(args, Checkpoints(tmp_path), Ranks(0, 4)).check_arguments()
