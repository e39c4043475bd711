"""The figure of ``reproduce.py``."""

from statistics import mean

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from real_images.found import MEASURES, SCRATCH, by_seed, errors, labels_of, mean_pose
from real_images.pieces import Results
from real_images.plan import ROWS, Plan
from real_images.sets import Labelled

COLOURS = {row.name: f"C{index}" for index, row in enumerate(ROWS)} | {SCRATCH.name: "black"}


def draw_errors(plan: Plan, done: Results) -> Figure:
    """Draw the errors by the number of labels, in a panel for each set.

    Args:
        plan: Which pieces there are.
        done: What is known.
    """
    figure, axes = plt.subplots(1, len(plan.sets), figsize=(4.2 * len(plan.sets), 4.2), squeeze=False)
    for axis, task in zip(axes[0], plan.sets, strict=True):
        draw_panel(axis, plan, task, done)
    figure.tight_layout()
    return figure


def draw_panel(axis: Axes, plan: Plan, task: Labelled, done: Results) -> None:
    """Draw the mean over seeds of each row, and each seed as a dot."""
    name, title = next(iter(MEASURES[task.program].items()))
    shares = [(share, labels_of(plan, task, share, done)) for share in task.kept_shares(plan.preset)]
    for row in plan.rows(task):
        found = [(labels, [*errors(plan, task, row, share, name, done).values()]) for share, labels in shares]
        known = [(labels, values) for labels, values in found if labels and values]
        colour = COLOURS[row.name]
        if known:
            xs, means = [labels for labels, _ in known], [mean(values) for _, values in known]
            axis.plot(
                xs, means, color=colour, label=row.name, linestyle="--" if row == SCRATCH else "-", marker="o", ms=4
            )
        for labels, values in known:
            axis.plot([labels] * len(values), values, ".", color=colour, ms=3, alpha=0.6)
    for share, _ in reversed(shares):
        if runs := by_seed(plan, task, SCRATCH, share, done):
            blind = mean(mean_pose(each, task, name) for each in runs.values())
            axis.axhline(blind, color="0.7", linestyle=":", label="mean pose")
            break
    axis.set(xscale="log", xlabel="labels", ylabel=title, title=task.name)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)
