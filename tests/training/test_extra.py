import subprocess
import sys

import pytest

from equicon.training import need

HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    hidden = name.split('.')[0] in ('torchvision', 'tqdm', 'matplotlib', 'tensorboard')
    return None if hidden else find(name, path, target)
PathFinder.find_spec = find_others
"""
JOURNAL = """
import torch
from pathlib import Path
from equicon.training import Journal
Journal(Path('runs'), torch.device('cpu'), first=0, steps=1, images=1, name='', quiet={})
"""


def test_what_is_missing_is_said_with_what_to_install():
    need("torch", "math")
    with pytest.raises(
        ModuleNotFoundError, match=r"^not installed: nonsense, sense\. .*: pip install 'equicon\[train\]'"
    ):
        need("torch", "nonsense", "sense")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import equicon.training", ""),
        ("import equicon.hands.recipes", "not installed: torchvision, tqdm, matplotlib. Install the extra: pip"),
        (JOURNAL.format(True), ""),
        (
            JOURNAL.format(False),
            "tensorboard. Install the extra: pip install 'equicon[train]', or in a clone -e '.[train]'.",
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
