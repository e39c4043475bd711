"""What the studies share, which run many pieces: when and where they ran, their results so far, tables, and pages."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
import torchvision

import equicon as eq
from equicon.training import Help, fast_precision, write_text

_BETWEEN = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- end of tables -->)", re.DOTALL)


def describe_session(folder: Path, device: str) -> dict[str, str]:
    """Describe the machine, the versions and the command, for the results of a study.

    Args:
        folder: The folder of the running program, one of those in ``examples/``.
        device: The device to train on.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": _command(folder),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else cpu_name(),
        "precision": fast_precision(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "equicon": eq.__version__,
        "commit": _commit(folder),
    }


def _command(folder: Path) -> str:
    """Give the command as it was typed, without the folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() or ".." in Path(word).parts else word for word in sys.argv[1:]]
    return shlex.join(["python", f"examples/{folder.name}/{Path(sys.argv[0]).name}", *words])


def _commit(folder: Path) -> str:
    """Give the commit of the code, with a star if the code has changed since."""
    words = ["git", "-C", str(folder), "describe", "--always", "--dirty=*", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_name() -> str:
    """Name the processor of this machine, after the number of its cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {named[0] if named else platform.processor()}"


def open_results(out: Path, begun: dict[str, Any]) -> dict[str, Any]:
    """Read the results of a study so far, or begin new ones.

    Args:
        out: The folder of the study.
        begun: What new results hold, of which ``sizes`` must be those of the results so far.

    Raises:
        SystemExit: If the study was begun with other sizes.
    """
    path = out / "results.json"
    if not path.exists():
        write_results(out, begun)
        return begun
    results: dict[str, Any] = json.loads(path.read_bytes())
    if results["sizes"] != (sizes := begun["sizes"]):
        sys.exit(f"--preset: {path} was begun with {results['sizes']}, got {sizes}. Give another --out.")
    return results


def write_results(out: Path, results: Mapping[str, Any]) -> None:
    """Write ``results.json``.

    Args:
        out: The folder of the study.
        results: What it holds.
    """
    write_text(out / "results.json", json.dumps(results, indent=1) + "\n")


def machines_of(results: Mapping[str, Any]) -> str:
    """Name the days, machines and versions of all sessions of a study.

    Args:
        results: What ``results.json`` holds.
    """
    said = (f"{s['date']}, {s['device']}, torch {s['torch']}, equicon {s['equicon']}" for s in results["sessions"])
    return "; ".join(dict.fromkeys(said))


def table(title: str, header: Sequence[str], rows: Mapping[str, Iterable[str]]) -> str:
    """Write a table in Markdown, with a name for each row.

    Args:
        title: What stands above it.
        header: The names of the columns.
        rows: The cells, by row.
    """
    lines = [f"**{title}**", "", "| | " + " | ".join(header) + " |", "|---" * (len(header) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    return "\n".join(lines)


def spread(values: Sequence[float], form: str) -> str:
    """Write a mean and the standard deviation of the sample, or a dash if there are no values yet.

    Args:
        values: The values.
        form: How to write a number. A sign is for the mean alone.
    """
    if not values:
        return "–"
    first = form.format(mean(values))
    return f"{first} ± {form.replace('+', '').format(stdev(values))}" if len(values) > 1 else first


def parse_publish_args(
    description: str, argv: Sequence[str] | None = None, *, out: Path, docs: Path
) -> argparse.Namespace:
    """Parse the command line of a program that publishes a study.

    Args:
        description: The first text of ``--help``.
        argv: The words of the command line. None takes those of the running program.
        out: The usual folder of the study.
        docs: The usual folder of the documents.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=Help)
    parser.add_argument("--out", type=Path, default=out, metavar="FOLDER", help="folder of the study")
    parser.add_argument("--docs", type=Path, default=docs, metavar="FOLDER", help="folder of the documents")
    return parser.parse_args(argv)


def read_results(out: Path) -> dict[str, Any]:
    """Read the results of a study so far.

    Args:
        out: The folder of the study.

    Raises:
        SystemExit: If there are none.
    """
    try:
        results: dict[str, Any] = json.loads((out / "results.json").read_bytes())
    except OSError as error:
        sys.exit(f"--out: {error}. Run reproduce.py first.")
    return results


def publish_study(
    docs: Path, page: str, name: str, text: str, results: Mapping[str, Any], draw: Callable[[Path], Any]
) -> None:
    """Put what a study has found into the documents. The prose of the page stays.

    Args:
        docs: The folder of the documents.
        page: The name of the page in ``explanation/``.
        name: The name of the file in ``results/``.
        text: The tables, which go between two comments of the page.
        results: What the file is to hold.
        draw: Writes the figures to the folder that it is given.

    Raises:
        SystemExit: If the page has no place for tables. Then nothing is written.
    """
    path = docs / "explanation" / f"{page}.md"
    tables_of(path)
    draw(docs / "images")
    write_text(path, _BETWEEN.sub(lambda _: f"\n{text}\n", path.read_text(encoding="utf-8")))
    write_text(docs / "results" / f"{name}.json", json.dumps(results, indent=1) + "\n")


def tables_of(page: Path) -> str:
    """Read the tables of a page, which stand between two comments.

    Args:
        page: The page.

    Raises:
        SystemExit: If the page has no place for them.
    """
    found = _BETWEEN.search(page.read_text(encoding="utf-8"))
    if not found:
        sys.exit(f"{page} has no place for the tables: <!-- tables --> and <!-- end of tables -->.")
    return found[0].strip()
