"""Put what the study on photographs has found into the documents.

    python examples/real_images/publish.py

It writes docs/results/real_images.json, the figure docs/images/real_errors.png as soon as a piece is done, and the
tables of docs/explanation/real_images.md that stand between two comments. The prose of the page is written by hand.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equicon.training import need

need("torchvision", "matplotlib")

sys.path.insert(0, str(Path(__file__).parents[1]))  # the folder of the package that this program belongs to

from equicon.recipes import parse_publish_args, publish_study, read_results
from real_images.plan import Plan
from real_images.report import tables, write_errors
from real_images.sets import SETS
from real_images.sizes import PRESETS

DOCS = Path(__file__).parents[2] / "docs"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return parse_publish_args((__doc__ or "").partition("\n")[0], argv, out=Path("runs/real"), docs=DOCS)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    results = read_results(args.out)
    plan = plan_of(results, args.out)
    results["pieces"] = done = {piece.key: results["pieces"][piece.key] for piece in plan.finished(results["pieces"])}
    # What a program printed names folders of the machine.
    results["failed"] = {key: found | {"end of the output": ""} for key, found in results["failed"].items()}

    def draw(folder: Path) -> None:
        if done:
            write_errors(folder / "real_errors.png", plan, done)

    publish_study(args.docs, "real_images", "real_images", tables(plan, results), results, draw)


def plan_of(results: dict[str, Any], out: Path) -> Plan:
    """Make the plan that results were found with. End the program if its sizes are others today."""
    preset, given = PRESETS[results["preset"]], results["given"]
    if results["sizes"] != preset.written:
        sys.exit(f"--out: the sizes in {out} are not those of the preset '{results['preset']}' today.")
    sets = tuple(task for task in SETS.values() if task.name in given["sets"])
    return Plan(sets, frozenset(given["extras"]), preset)


if __name__ == "__main__":
    main()
