"""Look up what the pieces of ``reproduce.py`` found, for its tables and its figure."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from equicon.recipes import spread
from real_images.pieces import FineTune, Results
from real_images.plan import ROWS, Plan, Row
from real_images.sets import Labelled

MEASURES = {
    "keypoints": {"px": "error [px]"},
    "freihand": {"px": "2D [px]", "mm": "from the wrist [mm]", "pa_mm": "aligned (PA) [mm]"},
}
"""What is measured, by program."""

SCRATCH, SCRATCH_LONGER = ROWS[:2]
"""The rows that others are compared with: with as many steps, and with at least as much time."""

STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""The quantiles 0.975 of Student's distribution with 1 degree of freedom, 2, and so on."""


def measure(found: dict[str, Any], task: Labelled, name: str) -> float:
    """Take an error out of what ``evaluation.json`` says.

    Args:
        found: What a piece found.
        task: The set that it was tested on.
        name: One of ``MEASURES``.
    """
    tested = found["test"]
    if task.program == "keypoints":
        return float(tested["model"]["pixels"])
    if name == "px":
        return float(tested["2D [px]"])
    return 10 * float(tested["from the wrist [cm]" if name == "mm" else "PA-EPE [cm]"])


def mean_pose(found: dict[str, Any], task: Labelled, name: str) -> float:
    """Give the error of the mean pose: on the test items, or on the validation items where no program tests it."""
    if task.program == "keypoints":
        return float(found["test"]["mean pose"]["pixels"])
    return float(found["mean pose on the validation items"][name])


def by_seed(plan: Plan, task: Labelled, row: Row, share: float, done: Results) -> dict[int, dict[str, Any]]:
    """Give what the finished runs of a row found, by seed."""
    runs: list[FineTune] = plan.runs(task, row, share, done)
    return {run.seed: dict(done[run.key]) for run in runs if run.key in done}


def errors(plan: Plan, task: Labelled, row: Row, share: float, name: str, done: Results) -> dict[int, float]:
    """Give the errors of a row, by seed."""
    found = by_seed(plan, task, row, share, done)
    return {seed: measure(each, task, name) for seed, each in found.items()}


def changes(ours: dict[int, float], theirs: dict[int, float]) -> list[float]:
    """Give how much our errors differ from those of the same seeds, in percent. Negative is better."""
    return [100 * (ours[seed] / theirs[seed] - 1) for seed in sorted(ours.keys() & theirs.keys())]


def interval(values: Sequence[float], form: str) -> str:
    """Write a mean and its 95 % interval (Student's), or a dash if there are no values yet."""
    if len(values) < 2 or len(values) > len(STUDENT) + 1:
        return spread(values, form)
    middle, reach = mean(values), STUDENT[len(values) - 2] * stdev(values) / len(values) ** 0.5
    return f"{form} [{form}, {form}]".format(middle, middle - reach, middle + reach)


def change(task: Labelled, ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Write the change of the error; with an interval for a set with few labels, whose runs differ much.

    Args:
        task: The set.
        ours: Our errors, by seed.
        theirs: The errors that they are compared with.
    """
    return (interval if task.few else spread)(changes(ours, theirs), "{:+.1f}")


def labels_of(plan: Plan, task: Labelled, share: float, done: Results) -> int | None:
    """Give the number of labels that a share is; None while no run of it is done."""
    for row in plan.rows(task):
        for each in by_seed(plan, task, row, share, done).values():
            return int(each["labels"])
    return None


def winner(plan: Plan, task: Labelled, done: Results) -> Row | None:
    """Choose the best row of ours by validation. It is None while a row is not done."""
    ours: dict[Row, float] = {}
    for row in plan.rows(task):
        if not row.ours:
            continue
        found = by_seed(plan, task, row, task.chosen_at, done)
        if len(found) < len(task.seeds(plan.preset, task.chosen_at)):
            return None
        ours[row] = mean(float(each["validation"]) for each in found.values())
    return min(ours, key=lambda row: ours[row]) if ours else None
