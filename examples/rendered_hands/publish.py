"""Put what the study has found into the documents.

    python examples/rendered_hands/publish.py

It writes docs/results/study.json, the figures docs/images/study_*.png, and the tables of docs/explanation/results.md
that stand between two comments. The prose of the page is written by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from equicon.training import need

need("torchvision", "matplotlib")

from plan import ready
from report import tables, write_figures
from sizes import preset_of

from equicon.training import Help, write_text

DOCS = Path(__file__).parents[2] / "docs"
BETWEEN = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- end of tables -->)", re.DOTALL)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    out = "folder of the study"
    parser.add_argument("--out", type=Path, default=Path("runs/study"), metavar="FOLDER", help=out)
    parser.add_argument("--docs", type=Path, default=DOCS, metavar="FOLDER", help="folder of the documents")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        results = json.loads((args.out / "results.json").read_bytes())
    except OSError as error:
        sys.exit(f"--out: {error}. Run reproduce.py first.")
    preset = preset_of(results, "--out", args.out)
    planned = {piece.key for piece in ready(preset, results["pieces"])}  # others are of earlier plans
    results["pieces"] = done = {key: value for key, value in results["pieces"].items() if key in planned}
    page = args.docs / "explanation" / "results.md"
    text = page.read_text(encoding="utf-8")
    if not BETWEEN.search(text):
        sys.exit(f"{page} has no place for the tables: <!-- tables --> and <!-- end of tables -->.")
    write_figures(args.docs / "images", "study_", preset, done)
    write_text(page, BETWEEN.sub(lambda _: f"\n{tables(preset, results)}\n", text))
    write_text(args.docs / "results" / "study.json", json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
