"""Change one thing at a time in a recipe of pre-training, and measure what the linear probe then finds.

Each row runs ``examples/pretrain_freihand.py`` with a few more options, once for each seed. Finished rows are kept in
--journal and are not run again, so you may stop the program at any time. It prints a table with the recipe itself in
the first row:

    python benchmarks/recipes.py --journal runs/recipes.jsonl
    python benchmarks/recipes.py --journal runs/recipes.jsonl --only "recipe" "temperature 0.2" --seeds 0 1 2
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import pretrain_freihand

# The name of each change, and the options that make it. The recipe is --recipe quick.
ROWS = {
    "recipe": "",
    "black border": "--no-inside --context 1",
    "reflected border": "--no-inside --context 1 --padding-mode reflection",
    "black corners": "--no-inside",
    "reflected corners": "--no-inside --padding-mode reflection",
    "three times as wide": "--context 3",
    "a blur that hides the scale": "--blur 1",
    "a scene for each hand": "--scenes 0 --groups-per-batch 0",
    "batches of any scenes": "--groups-per-batch 0",
    "batches of 1 scene": "--groups-per-batch 1",
    "batches of 8 scenes": "--groups-per-batch 8",
    "temperature 0.5": "--temperature 0.5",
    "temperature 0.2": "--temperature 0.2",
    "temperature 0.05": "--temperature 0.05",
    "as published (PeCLR)": "--method peclr",
    "SimCLR": "--method simclr",
    "half the colour": "--jitter 0.25 0.05 0.25 0.005",
    "twice the rate": "--lr 4e-3",
    "half the rate": "--lr 1e-3",
    "32 points": "--points 32",
    "128 images to a batch, half the steps": "--batch-size 128 --groups-per-batch 4",
}
# The rendered hands depend on these options alone.
RENDERED = ("data", "hands", "size", "seed", "context", "scenes", "side", "labelled")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    journal = "file that keeps finished rows; they are not run again (default: runs/recipes.jsonl)"
    parser.add_argument("--journal", type=Path, default=Path("runs/recipes.jsonl"), metavar="FILE", help=journal)
    only = f"rows to run (default: all): {', '.join(map(repr, ROWS))}"
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", default=list(ROWS), help=only)
    seeds = "seeds of the runs of each row (default: 0 1)"
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], metavar="SEED", help=seeds)
    words = "more options of pretrain_freihand.py for all rows, as one text such as '--epochs 8'"
    parser.add_argument("--words", default="", metavar="OPTIONS", help=words)
    parser.add_argument("--show", action="store_true", help="run nothing, and print what is in the journal")
    return parser.parse_args(argv)


def run(words: list[str]) -> dict[str, Any]:
    """Pre-train in a temporary folder. Give what the linear probe with all labels found, before and after."""
    with tempfile.TemporaryDirectory() as out:
        pretrain_freihand.main([*words, "--out", out])
        result = json.loads((Path(out) / "result.json").read_text(encoding="utf-8"))
    probes = [[row for row in rows if row["kind"] == "linear"][-1] for rows in result["probes"].values()]
    return {"before": probes[0], "after": probes[-1], "minutes": result["minutes"], "versions": result["versions"]}


def keep_hands() -> None:
    """Keep rendered hands in memory, so that rows with the same hands render them once."""
    program: Any = pretrain_freihand
    load = program.load_pretrain_data

    @cache
    def loaded(given: tuple[Any, ...]) -> Any:
        return load(argparse.Namespace(**dict(given), groups_per_batch=0, skip_corrupt=False), quiet=False)

    program.load_pretrain_data = lambda args, *, quiet: loaded(
        tuple((name, tuple(value) if isinstance(value := getattr(args, name), list) else value) for name in RENDERED)
    )


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    keep_hands()
    known: dict[str, Any] = {}
    if args.journal.exists():
        lines = map(json.loads, args.journal.read_text(encoding="utf-8").splitlines())
        known = {line["words"]: line for line in lines}
    wanted = {name: [f"{ROWS[name]} {args.words} --seed {seed}".split() for seed in args.seeds] for name in args.only}
    for each in wanted.values():
        for words in each:
            if (key := shlex.join(words)) not in known and not args.show:
                known[key] = {"words": key} | run(words)
                args.journal.parent.mkdir(parents=True, exist_ok=True)
                with args.journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(known[key]) + "\n")

    print(f"\n{'':38s} seeds   2D [px]      3D [mm]      over random weights'")
    for name, each in wanted.items():
        found = [known[key] for words in each if (key := shlex.join(words)) in known]
        if not found:
            continue
        cells = []
        for field in ("px", "mm"):
            values = [row["after"][field] for row in found]
            cells.append(f"{mean(values):6.2f} ± {max(values) - mean(values):4.2f}")
        shares = [mean(row["after"][field] / row["before"][field] for row in found) for field in ("px", "mm")]
        print(f"{name:38s} {len(found):5d} {cells[0]} {cells[1]}   {shares[0]:.2f}, {shares[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
