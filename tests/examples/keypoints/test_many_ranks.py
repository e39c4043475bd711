import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.keypoints.running import curves, finetune_keypoints, result, short

from equicon.training import Checkpoints


@pytest.mark.slow
def test_two_ranks_train_one_model(coco, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*map(str, short(coco, "--unlabelled", coco, "--ramp", 0, "--agree", 5, "--out", tmp_path / "out"))]
    done = subprocess.run(
        [*launcher, finetune_keypoints.__file__, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "on cpu on each of 2 ranks" in done.stdout
    assert done.stdout.count("The best model is from epoch") == 1
    assert [step for step, _ in curves(tmp_path / "out")["training/loss"]] == list(range(12))
    assert all(loss > 0 for _, loss in curves(tmp_path / "out")["training/loss, consistency"])
    assert list(result(tmp_path / "out")["validation"]) == ["6", "12"]
    assert Checkpoints(tmp_path / "out" / "checkpoints").load()["step"] == 12
    assert torch.load(tmp_path / "out" / "best.pt", weights_only=True)["equicon"]["kind"] == "keypoint model"
