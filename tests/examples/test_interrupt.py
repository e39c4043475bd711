"""Ctrl-C while a script starts: the code 130, no traceback, and nothing or something to go on from left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the scripts need torchvision")
pytest.importorskip("tensorboard", reason="a run needs TensorBoard")

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = {
    "pretrain_freihand.py": [],
    "finetune_freihand.py": [],
    "evaluate_freihand.py": ["best.pt"],
    "convert_weights.py": ["a.pt", "b.pt"],
    "show_hands.py": [],
    "predict_hands.py": ["hand.png"],
    "rendered_hands/reproduce.py": ["--preset", "toy"],
}
# Interrupts the process itself at the n-th call of a function, or at the n-th import of a module.
START = """
import os, runpy, signal, sys
from importlib.abc import MetaPathFinder

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class AtImport(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == at:
            interrupt()

def at_call(module, name):
    function = getattr(module, name)
    def interrupted(*args, **options):
        interrupt()
        return function(*args, **options)
    setattr(module, name, interrupted)

at, script, *sys.argv[1:] = sys.argv[1:]
sys.argv[0], sys.path[0] = script, os.path.dirname(script)
if at.startswith("call "):
    from importlib import import_module
    module, name = at[5:].rsplit(".", 1)
    at_call(import_module(module), name)
else:
    sys.meta_path.insert(0, AtImport())
runpy.run_path(script, run_name="__main__")
"""


def interrupted(at: str, script: str, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START, at, str(EXAMPLES / script), *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_while_it_imports(script, tmp_path):
    done = interrupted("equicon.hands", script, SCRIPTS[script], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")
    assert not [*tmp_path.iterdir()]


SHORT = ["--hands", "16", "--batch-size", "8", "--size", "32", "--epochs", "1"]
WHEN = {
    "options": "call torch.cpu.get_capabilities",
    "rendering": "call equicon.hands._rendered.synthetic.render_hands",
    "network": "call equicon.backbones._build._quarter_resnet18",
    "first checkpoint": "call equicon.training._training.is_finite",
    "first batch": "call equicon.training._batches.draw_order",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "when"),
    [*(("pretrain_freihand.py", when) for when in WHEN), ("finetune_freihand.py", "first batch")],  # of one launch
)
def test_while_a_run_starts(script, when, tmp_path):
    words = [
        *SHORT,
        *(["--labelled", "10", "--groups-per-batch", "0"] if "pretrain" in script else []),
        "--out",
        "new/out",
    ]
    done = interrupted(WHEN[when], script, words, tmp_path)
    assert "Traceback" not in done.stderr
    assert "Stopped" in done.stderr + done.stdout
    assert done.returncode == 128 + signal.SIGINT
    assert not [*tmp_path.rglob("*.part")]
    if not (tmp_path / "new").exists():
        return
    assert when.startswith("first")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(EXAMPLES / script), *words, "--resume"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "out" / "result.json").exists()
