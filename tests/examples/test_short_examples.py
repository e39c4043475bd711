"""Each short example runs as a script does: from another folder, with public names only, beside no sibling."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples.loading import load

EXAMPLES = Path(__file__).parents[2] / "examples"
# The toy size of each, and what it must have said.
SHORT = {
    "masks_and_keypoints.py": (["--out", "labels.png"], r"100% of the visible joints .*\nSee labels.png"),
    "many_gpus.py": (["--steps", "2", "--batch-size", "8"], r"step 1: [\d.]+ over 8 images on 1 processes"),
    "own_loss.py": (["--steps", "5"], r"step 4: [\d.]+\n.*same label in \d+% .*\n.*does not take: .*label"),
    "own_representation.py": (
        ["--steps", "40"],
        r"loss [\d.]+ at first, [\d.]+ at the end\nthe loss is .* saving and loading",
    ),
    "own_transform.py": (["--out", "views.png"], r"Both obey the laws. See views.png"),
    "simclr_to_peclr.py": (["--hands", "64", "--steps", "2", "--batch-size", "8"], r"SimCLR +PeCLR(.*\n)+linear"),
}
FULL = {
    "pretrain_freihand.py", "finetune_freihand.py", "evaluate_freihand.py", "convert_weights.py", "show_hands.py",
    "predict_hands.py", "draw_idea.py", "gallery.py", "write_keypoints.py", "finetune_keypoints.py",
    "evaluate_keypoints.py", "predict_keypoints.py",
}  # fmt: skip


def run(folder: Path, *words: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_short_examples_are_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == SHORT.keys() | FULL


def check(name: str, said: str, folder: Path) -> None:
    words, expected = SHORT[name]
    assert re.search(expected, said)
    for word in words:
        if word.endswith(".png"):
            assert (folder / word).stat().st_size > 1000


@pytest.mark.parametrize("name", SHORT)
def test_it_runs_and_says_what_it_found(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    load(name).main(SHORT[name][0])
    check(name, capsys.readouterr().out, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_it_runs_as_a_script_from_any_folder(name, tmp_path):
    check(name, run(tmp_path, str(EXAMPLES / name), *SHORT[name][0]), tmp_path)


@pytest.mark.parametrize("name", SHORT)
def test_it_is_short_and_public(name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert 40 <= text.count("\n") <= 120
    imported = re.findall(r"^(?:from|import) (equicon[\w.]*)", text, re.MULTILINE)
    assert imported
    assert not any("._" in module for module in imported)
    assert "eq._" not in text


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    script, words = str(EXAMPLES / "many_gpus.py"), ["--steps", "6", "--batch-size", "16"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one, two = run(tmp_path, script, *words), run(tmp_path, *launch, script, *words)
    losses = [[float(value) for value in re.findall(r": ([\d.]+) over", text)] for text in (one, two)]
    assert len(losses[0]) == 2
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
