"""The figures of ``reproduce.py``."""

from statistics import mean

import matplotlib as mpl

mpl.use("Agg")

from common import DOMAINS
from found import NAMES, TITLES, finetuned, finished, found, frozen, of_share, shares_of
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from plan import METHODS, QUESTIONS, Results, asked, settings
from sizes import Preset

COLOURS = {"none": "0.5", "simclr": "tab:orange", "peclr": "tab:blue", "exact": "tab:green"}


def draw_labels(preset: Preset, done: Results) -> Figure:
    """Draw the errors against the number of labels."""
    shares = shares_of(preset)
    labels = [round(of_share(share) * preset.labelled) for share in shares]
    figure, axes = plt.subplots(2, 4, figsize=(14, 6.6), squeeze=False, layout="constrained")
    for row, tuning in zip(axes, (True, False), strict=True):
        panels = [(domain, measure) for measure in ("mm", "px") for domain in DOMAINS]
        for axis, (domain, measure) in zip(row, panels, strict=True):
            for method, name in NAMES.items():
                values = [
                    finetuned(method, domain, share, measure, preset, done)
                    if tuning
                    else frozen(method, "pooled", domain, share, measure, preset, done)
                    for share in shares
                ]
                known = [(label, each) for label, each in zip(labels, values, strict=True) if each]
                if not known:
                    continue
                at = [label for label, _ in known]
                label = f"{name} (frozen: random weights)" if method == "none" else name
                middle = [mean(each) for _, each in known]
                axis.plot(at, middle, color=COLOURS[method], label=label, marker="o", ms=3)
                low, high = [min(each) for _, each in known], [max(each) for _, each in known]
                axis.fill_between(at, low, high, color=COLOURS[method], alpha=0.15, linewidth=0)
            axis.set(xscale="log", xlabel="labelled hands", ylabel=TITLES[measure])
            axis.set_xticks(labels, [f"{label:,}" for label in labels])
            axis.minorticks_off()
            axis.set_title(f"{'fine-tuned' if tuning else 'frozen, linear probe'}, {domain}", fontsize=10)
            axis.grid(alpha=0.3)
    handles, names = axes[1, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def draw_questions(preset: Preset, done: Results) -> Figure:
    """Draw how each change affects the error of each method, with a point for each seed."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 5.2), squeeze=False, sharey=True)
    rows = [change for changes, _ in QUESTIONS.values() for change in changes]
    for axis, domain in zip(axes[0], DOMAINS, strict=True):
        for k, method in enumerate(METHODS):
            label = NAMES[method]
            if (base := settings(method, preset, done)) is None:
                continue
            usual = [
                found(run, done, domain, "100 %", "mm") for run in finished(asked(base.method, "", preset, done), done)
            ]
            if usual:
                axis.axvline(mean(usual), color=COLOURS[method], linestyle=":", label=f"{label}, unchanged")
            for i, change in enumerate(rows):
                runs = finished(asked(method, change, preset, done), done)
                errors = [found(run, done, domain, "100 %", "mm") for run in runs]
                axis.plot(errors, [i + 0.2 * (k - 1)] * len(errors), "o", color=COLOURS[method], ms=4)
        axis.set_yticks(range(len(rows)), rows, fontsize=9)
        axis.set(xlabel="3D [mm]", title=f"{domain}: short runs, all labels")
        axis.grid(alpha=0.3)
    axes[0, 0].invert_yaxis()
    if axes[0, 0].get_legend_handles_labels()[0]:
        axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    return figure
