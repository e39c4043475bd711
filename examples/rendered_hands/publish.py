"""Put what the study has found into the documents.

    python examples/rendered_hands/publish.py

It writes docs/results/study.json, the figures docs/images/study_*.png, and the tables of docs/explanation/results.md
that stand between two comments. The prose of the page is written by hand.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from equicon.training import need

need("torchvision", "matplotlib")

from plan import ready
from report import tables, write_figures
from sizes import preset_of

from equicon.recipes import parse_publish_args, publish_study, read_results

DOCS = Path(__file__).parents[2] / "docs"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return parse_publish_args((__doc__ or "").partition("\n")[0], argv, out=Path("runs/study"), docs=DOCS)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    results = read_results(args.out)
    preset = preset_of(results, "--out", args.out)
    planned = {piece.key for piece in ready(preset, results["pieces"])}  # others are of earlier plans
    results["pieces"] = done = {key: value for key, value in results["pieces"].items() if key in planned}
    text = tables(preset, results)
    publish_study(
        args.docs, "results", "study", text, results, lambda folder: write_figures(folder, "study_", preset, done)
    )


if __name__ == "__main__":
    main()
