import subprocess
import sys
from pathlib import Path

import pytest

from equicon import _extra
from equicon.training import launch, need

HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    hidden = name.split('.')[0] in ('torchvision', 'tqdm', 'matplotlib', 'tensorboard')
    return None if hidden else find(name, path, target)
PathFinder.find_spec = staticmethod(find_others)
"""
JOURNAL = """
import torch
from pathlib import Path
from equicon.training import Journal
Journal(Path('runs'), torch.device('cpu'), first=0, steps=1, images=1, name='', quiet={})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "pretrain_freihand.py",
        "finetune_freihand.py",
        "evaluate_freihand.py",
        "show_hands.py",
        "predict_hands.py",
        "rendered_hands/reproduce.py",
    ],
)
def test_scripts_say_which_extra_they_need(tmp_path, script):
    path = Path(__file__).parents[2] / "examples" / script
    start = f"import runpy, sys\n{HIDE}\nsys.path[0] = {str(path.parent)!r}\n"
    code = start + f"runpy.run_path({str(path)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "ModuleNotFoundError: not installed: torchvision, tqdm, matplotlib" in done.stderr
    assert "pip install 'equicon[train]', or in a clone pip install -e '.[train]'" in done.stderr
    assert not [*tmp_path.iterdir()]


def test_a_run_looks_for_the_extra_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(_extra, "find_spec", lambda name: None if name == "tensorboard" else name)
    with pytest.raises(SystemExit, match=r"^not installed: tensorboard\. Install the extra: pip install"):
        launch(None, None, ["--out", str(tmp_path / "out")])
    assert not [*tmp_path.iterdir()]


def test_what_is_missing_is_said_with_what_to_install():
    need("torch", "math")
    with pytest.raises(
        ModuleNotFoundError, match=r"^not installed: nonsense, sense\. .*: pip install 'equicon\[train\]'"
    ):
        need("torch", "nonsense", "sense")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import equicon.training", ""),
        ("import equicon.recipes", "not installed: torchvision, tqdm, matplotlib. Install the extra: pip"),
        (JOURNAL.format(True), ""),
        (
            JOURNAL.format(False),
            "tensorboard. Install the extra: pip install 'equicon[train]', or in a clone pip install -e '.[train]'.",
        ),
    ],
    ids=["kit", "recipes", "quiet journal", "journal"],
)
def test_only_what_needs_the_extra_asks_for_it(tmp_path, code, error):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HIDE + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode == 0) == (not error), done.stderr
    assert error in done.stderr
