import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.finetuning.running import TOY, curves, finetune_freihand, result, short

from equicon.training import Checkpoints, Ranks

TORCHRUN = """
import os, signal, sys
import tiny_encoder, torch
from equicon.recipes import _beside
from examples.finetuning.running import finetune_freihand
_beside.build_encoder = tiny_encoder.build_tiny_encoder
seed_of = finetune_freihand.seed_of

def seed_and_kill(*numbers):
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and numbers[1:] == (1, 5, 1):  # the second rank
        os.kill(os.getpid(), signal.SIGKILL)
    return seed_of(*numbers)

pose_loss = finetune_freihand.pose_loss

def note_loss(*args):
    losses = pose_loss(*args)
    with open(sys.argv[-1] + "." + os.environ["RANK"], "a") as file:
        file.write(f"{sum(loss.item() for loss in losses.values())}\\n")
    return losses

loop = finetune_freihand.Run.loop

def note_weights(run, journal, stop):
    stopping = loop(run, journal, stop)
    torch.save([*run.model.parameters()], sys.argv[-1] + ".weights." + os.environ["RANK"])
    return stopping

finetune_freihand.seed_of, finetune_freihand.pose_loss = seed_and_kill, note_loss
finetune_freihand.Run.loop = note_weights
finetune_freihand.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_two_ranks_finish_a_run_though_one_is_killed(root, whole, tmp_path):
    (tmp_path / "several.py").write_text(TORCHRUN)
    out = tmp_path / "out"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=3", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, str(tmp_path / "several.py"), *map(str, [*TOY, *short(root), "--out", out])],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "goes on at step 4 of 12" in done.stdout
    assert "on each of 2 ranks" in done.stdout
    assert done.stdout.count("The best model is") == 1
    assert "Warning" not in done.stderr
    assert dict(curves(out)["training/loss"]).keys() == set(range(12))
    assert list(result(out)["validation"]) == ["3", "6", "9", "12"]
    state = torch.load(out / "best.pt", weights_only=True)
    assert state.keys() == torch.load(whole / "best.pt", weights_only=True).keys()
    ends = [torch.load(tmp_path / f"out.weights.{rank}", weights_only=True) for rank in range(2)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*ends, strict=True))
    last = [float((tmp_path / f"out.{rank}").read_text().split()[-1]) for rank in range(2)]
    assert last[0] != last[1]
    assert dict(curves(out)["training/loss"])[11] == pytest.approx(sum(last) / 2, rel=1e-5)  # the mean over the ranks
    first = [dict(curves(path)["training/loss"])[0] for path in (out, whole)]
    assert first[0] != first[1]  # other views, but of the same images
    assert first[0] == pytest.approx(first[1], rel=0.5)


@pytest.mark.parametrize(("batch", "world"), [(3, 2), (4, 4)])
def test_batches_that_ranks_cannot_share_are_refused(tmp_path, batch, world):
    args = finetune_freihand.parse_args(["--batch-size", str(batch)])
    with pytest.raises(
        SystemExit, match=rf"--batch-size: expected at least {2 * world}, and a multiple of {world}.*, got {batch}"
    ):
        finetune_freihand.Run(args, Checkpoints(tmp_path), Ranks(0, world)).check_arguments()
