"""What all scripts have in common: they say what they are, however Python was started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the scripts need torchvision")
pytest.importorskip("cv2", reason="the benchmarks need OpenCV")

from examples.loading import load_anew

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "ArgumentParser" in (text := path.read_text(encoding="utf-8")) or "def parse_args" in text
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_there_without_docstrings(script, monkeypatch, capsys):
    module = load_anew(script, monkeypatch)
    for doc in (module.__doc__, None):
        module.__doc__ = doc
        with pytest.raises(SystemExit) as ended:
            module.parse_args(["--help"])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert said.startswith("usage: ")
        assert (" ".join(doc.splitlines()[0].split()) in " ".join(said.split())) if doc else True


@pytest.mark.slow
def test_help_is_there_without_assertions_and_docstrings():
    code = (
        "import runpy, sys\n"
        "for script in sys.argv[1:]:\n"
        "    sys.argv, sys.path[0] = [script, '--help'], script.rpartition('/')[0]\n"
        "    try: runpy.run_path(script, run_name='__main__')\n"
        "    except SystemExit as ended: code = ended.code\n"
        "    if code: raise RuntimeError(script)\n"
    )
    done = subprocess.run(
        [sys.executable, "-OO", "-W", "ignore", "-c", code, *SCRIPTS],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(SCRIPTS)


def test_no_promise_of_the_library_is_kept_by_an_assertion_or_a_docstring():
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            assert not line.lstrip().startswith("assert "), f"python -O leaves this out: {path}: {line}"
            assert "__doc__" not in line, f"python -OO has none: {path}: {line}"
