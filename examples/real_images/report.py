"""The tables of ``reproduce.py``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from equicon.recipes import machines_of, spread, table
from equicon.training import write_figure, write_text
from real_images.figures import draw_errors
from real_images.found import (
    MEASURES,
    SCRATCH,
    SCRATCH_LONGER,
    by_seed,
    change,
    errors,
    labels_of,
    mean_pose,
    winner,
)
from real_images.pieces import FineTune, Given, Pretrain, Results
from real_images.plan import Plan
from real_images.sets import Labelled

FORM = "{:.2f}"


def write_report(out: Path, plan: Plan, results: Mapping[str, Any]) -> str:
    """Write ``results.md`` and ``errors.png``, and give the text.

    Args:
        out: The folder of the study.
        plan: Which pieces there are.
        results: What ``results.json`` holds.
    """
    text = tables(plan, results)
    write_text(out / "results.md", text)
    write_errors(out / "errors.png", plan, results["pieces"])
    return f"{text}\nFigure: {out / 'errors.png'}"


def write_errors(path: Path, plan: Plan, done: Results) -> None:
    """Write the figure.

    Args:
        path: The file.
        plan: Which pieces there are.
        done: What is known.
    """
    figure = draw_errors(plan, done)
    write_figure(path, figure)
    plt.close(figure)


def tables(plan: Plan, results: Mapping[str, Any]) -> str:
    """Write all tables, in Markdown.

    Args:
        plan: Which pieces there are.
        results: What ``results.json`` holds.
    """
    done = results["pieces"]
    run = [done[piece.key] for piece in plan.finished(done)]
    minutes = sum(float(piece["minutes"]) for piece in run)
    preset = plan.preset
    where = machines_of(results) or "no session yet"
    said = (
        f"Preset `{results['preset']}`: {preset.arch}, {preset.steps:,} steps of pre-training, {preset.tune_steps:,} "
        f"of fine-tuning ({preset.choose_steps:,} to choose settings); {where}; "
        f"{len(run)} of {len(plan.all_pieces())} pieces, "
        f"{minutes:.0f} minutes in all of them together. Mean ± standard deviation over seeds. A change is that of the "
        "error, against scratch with the same seed; below 0 is better. In brackets stands the 95 % interval of its "
        "mean."
    )
    parts = [said, progress(plan, results), summary(plan, done)]
    parts += [set_table(plan, task, done) for task in plan.sets]
    parts += [settings_table(plan, done)]
    return "\n\n".join(parts) + "\n"


def progress(plan: Plan, results: Mapping[str, Any]) -> str:
    """Write how many pieces of each block are done, in the order in which blocks run."""
    finished, failed = plan.finished_blocks(results["pieces"]), len(results.get("failed", {}))
    rows = {name: [f"{len(finished[name])}", f"{len(pieces)}"] for name, pieces in plan.whole().items()}
    return table(f"Pieces, of which {failed} failed so far" if failed else "Pieces", ["done", "of"], rows)


def summary(plan: Plan, done: Results) -> str:
    """Write, in a line for each set, how the best of ours compares with scratch at about a tenth of the labels."""
    lines = ["**The best of ours, chosen by validation, against scratch with as many steps, and with more time**", ""]
    for task in plan.sets:
        row = winner(plan, task, done)
        if row is None:
            lines.append(f"- {task.name}: not known yet.")
            continue
        others = [each for each in plan.rows(task) if each in (SCRATCH, SCRATCH_LONGER)]
        parts = []
        for name, title in MEASURES[task.program].items():
            ours = errors(plan, task, row, task.chosen_at, name, done)
            parts.append(f"{title} {spread([*ours.values()], FORM)}")
            for other in others:
                theirs = errors(plan, task, other, task.chosen_at, name, done)
                parts[-1] += f", {other.name} {spread([*theirs.values()], FORM)} ({change(task, ours, theirs)} %)"
        lines.append(f"- {task.name}, {title_of(plan, task, task.chosen_at, done)}: {row.name}: {'; '.join(parts)}.")
    return "\n".join(lines)


def title_of(plan: Plan, task: Labelled, share: float, done: Results) -> str:
    """Name a share of the labels, with their number as soon as it is known."""
    count = labels_of(plan, task, share, done)
    return f"{100 * share:.3g} %" if count is None else f"{100 * share:.3g} % ({count:,} labels)"


def set_table(plan: Plan, task: Labelled, done: Results) -> str:
    """Write the table of a set: rows by number of labels."""
    shares, measures = task.kept_shares(plan.preset), MEASURES[task.program]
    header = [
        column
        for share in shares
        for title in measures.values()
        for column in (f"{title_of(plan, task, share, done)}: {title}", "change [%]")
    ]
    blind = [
        cell
        for share in shares
        for name in measures
        for cell in (
            spread([mean_pose(f, task, name) for f in by_seed(plan, task, SCRATCH, share, done).values()], FORM),
            "",
        )
    ]
    where = "" if task.program == "keypoints" else " of the validation hands"
    rows: dict[str, list[str]] = {f"mean pose{where}": blind}
    for row in plan.rows(task):
        cells = []
        for share in shares:
            for name in measures:
                ours, scratch = (errors(plan, task, each, share, name, done) for each in (row, SCRATCH))
                cells.append(spread([*ours.values()], FORM))
                cells.append("" if row == SCRATCH else change(task, ours, scratch))
        rows[row.name] = cells
    return table(f"{task.name}: {task.source}", header, rows)


def settings_table(plan: Plan, done: Results) -> str:
    """Write which settings were chosen, by the validation error of one seed."""
    rows: dict[str, list[str]] = {}
    for task in plan.sets:
        for row in plan.rows(task):
            chosen = plan.chosen(task, row, done)
            tried = [run for run in plan.candidates(task, row, done) if run.key in done]
            start = "" if chosen is None else start_of(chosen.start)
            errors_ = ", ".join(f"{rates_of(run)}: {float(done[run.key]['validation']):.4g}" for run in tried)
            rate = "–" if chosen is None else f"{chosen.rate:g}"
            rows[f"{task.name}: {row.name}"] = [start, rate, errors_ or "–"]
    header = ["start", "learning rate of fine-tuning", "validation errors of all candidates, by learning rates"]
    return table("Chosen settings", header, rows)


def rates_of(run: FineTune) -> str:
    """Write the learning rates that decide between candidates: of pre-training, if there is any, and of fine-tuning."""
    first = f"{run.start.rate:g} → " if isinstance(run.start, Pretrain) else ""
    return f"{first}{run.rate:g}"


def start_of(start: object) -> str:
    """Name what a fine-tuning starts from, without its seed."""
    if isinstance(start, Pretrain):
        return f"{start.method} on {' and '.join(start.data)}, rate {start.rate:g}"
    return start.key if isinstance(start, Given) else "labels of rendered hands"
