"""Find faults that the tests of the core would miss: change its code in small ways, and run its tests on each change.

pip install cosmic-ray && OMP_NUM_THREADS=1 python benchmarks/mutants.py --journal runs/mutants.jsonl

A mutant has one operator, number, condition, loop or decorator changed, by the operators of Cosmic Ray. Places in the
code are drawn at random, with one mutant for each place. The tests of its package run on the mutant, then the laws.
Every mutant is written to the journal, and is not run again. So a run that was stopped goes on. To try a mutant again,
delete its line.
"""

import argparse
import contextlib
import difflib
import json
import os
import random
import re
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("_plane", "_groups", "_representations", "_losses")
# Mutants that are left out: bit operations and shifts of floats, which raise at once; `is` for ==, which is the same
# for small numbers; duplicates of other mutants; and `|`, which occurs in annotations.
POINTLESS = re.compile(
    r"core/Replace(BinaryOperator_(BitOr_|\w+_(Bit|LShift|RShift))"
    r"|ComparisonOperator_(Is|IsNot)_(?!Is)|ComparisonOperator_(?!Is)\w+_Is|UnaryOperator_(?!Delete))"
)


def draw(seed: int, count: int) -> dict[str, tuple[Path, str, str]]:
    """Draw mutants by name: the file, its text, and the changed text."""
    from cosmic_ray.commands.init import _all_work_items
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    places: dict[tuple[str, tuple[int, int], str], list[tuple[str, int]]] = {}
    for path in (path for room in ROOMS for path in sorted(Path("src/equicon", room).glob("*.py"))):
        lines = path.read_text().splitlines()
        for (mutant,) in (item.mutations for item in _all_work_items([path], {})):
            operator, for_types = mutant.operator_name, ("@override", "@final")
            if not POINTLESS.match(operator) and lines[mutant.start_pos[0] - 1].strip() not in for_types:
                place = str(path), mutant.start_pos, "_".join(operator.split("_")[:2])
                places.setdefault(place, []).append((operator, mutant.occurrence))
    chance, drawn = random.Random(seed), dict[str, tuple[Path, str, str]]()
    for place in chance.sample(sorted(places), len(places)):
        path, (operator, occurrence) = Path(place[0]), chance.choice(places[place])
        before = path.read_text()
        after = mutate_code(before, get_operator(operator)(), occurrence)
        with contextlib.suppress(SyntaxError):  # the place is no operator, such as the star before keywords
            compile(after, path, "exec")
            drawn[f"{path} {operator} {occurrence}"] = path, before, after
        if len(drawn) == count:
            break
    print(f"{len(drawn)} of {len(places)} places, drawn with the seed {seed}", flush=True)
    return drawn


def run(path: Path, timeout: float | None = None) -> tuple[str, str]:
    """Run the tests of a file. Tell whether the mutant survived them, and give what they printed."""
    from cosmic_ray.testing import run_tests

    room = path.parent.name.removeprefix("_")
    # The file's own tests come first. Tests with several ranks come last, because their processes start slowly.
    tests = sorted(Path("tests", room).glob("test_*.py"), key=lambda f: ("ranks" in f.stem, path.stem not in f.stem))
    command = [sys.executable, "-m", "pytest", "-qx", "--tb=line", "-pno:cacheprovider", *map(str, tests)]
    command += ["tests/test_laws.py"]
    if room in ("losses", "representations"):  # transforms do not use these packages
        command += ["--deselect", "tests/test_laws.py::test_every_transform_keeps_its_promises"]
    outcome, output = run_tests(shlex.join(command), timeout)
    return "timeout" if output == "timeout" else outcome.value, output


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    journal = "file of JSON lines, one for each mutant; mutants in it are not run again"
    parser.add_argument("--journal", type=Path, required=True, metavar="FILE", help=journal)
    parser.add_argument("--seed", type=int, default=0, help="seed that draws the mutants (default: 0)")
    parser.add_argument("--count", type=int, default=300, metavar="N", help="mutants to draw (default: 300)")
    timeout = "time after which the tests stop and the mutant counts as killed [seconds] (default: 300)"
    parser.add_argument("--timeout", type=int, default=300, metavar="SECONDS", help=timeout)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_args(argv)
    journal: Path = options.journal.resolve()
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.touch()
    done = [json.loads(line)["name"] for line in journal.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", ".")
        # Without plugins, pytest starts much faster. No test here needs one.
        os.environ |= {"PYTHONPATH": f"{folder}/src", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        for room in () if done else ROOMS:
            how, output = run(Path("src/equicon", room, "all"))
            if how != "survived":
                sys.exit(f"the tests fail without a mutant:\n{output}")
        for name, (path, before, after) in draw(options.seed, options.count).items():
            if name in done:
                continue
            path.write_text(after)
            how, output = run(path, options.timeout)
            path.write_text(before)
            diff = [*difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")][3:]
            by = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
            with journal.open("a") as file:
                file.write(json.dumps({"name": name, "how": how, "by": by, "diff": diff}) + "\n")
            if how != "killed":
                print("", f"{name} {how}", *diff, sep="\n", flush=True)
    counts = Counter(json.loads(line)["how"] for line in journal.read_text().splitlines())
    print("", f"{dict(counts)}, killed: {1 - counts['survived'] / counts.total():.1%}", sep="\n")


if __name__ == "__main__":
    main()
