"""The tables and figures of ``reproduce.py``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from plan import (
    GEOMETRY,
    SLOW,
    SLOW_FRACTIONS,
    SWEPT,
    FineTune,
    Piece,
    Preset,
    Results,
    best_temperature,
    questions,
    rows,
    sweep,
)
from work import SHARES

from equicon.training import write_figure, write_text

NAMES = {
    "none": "from scratch",
    "simclr": "SimCLR",
    "peclr": "PeCLR",
    "exact": "exact",
    "exact, scale kept": "exact, scale kept",
}
COLOURS = {
    "none": "0.5",
    "simclr": "tab:orange",
    "peclr": "tab:blue",
    "exact": "tab:green",
    "exact, scale kept": "tab:purple",
}
DOMAINS = ("studio", "wild")
TITLES = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "PA-EPE [mm]", "pa_auc": "PA-AUC"}
FORMATS = {"px": "{:.2f}", "mm": "{:.1f}", "pa_mm": "{:.1f}", "pa_auc": "{:.3f}"}


def write_report(out: Path, preset: Preset, results: Mapping[str, Any]) -> str:
    """Write ``results.md`` and the figures, and give the text."""
    text = tables(preset, results)
    write_text(out / "results.md", text)
    done = results["pieces"]
    figures = {"labels": draw_labels(preset, done), "questions": draw_questions(preset, done)}
    for name, figure in figures.items():
        write_figure(out / f"{name}.png", figure)
        plt.close(figure)
    return f"{text}\nFigures: {', '.join(str(out / f'{name}.png') for name in figures)}"


# --- what was found


def found(piece: Piece, done: Results, domain: str, share: str, measure: str) -> float:
    """Look up a figure of a piece that is done."""
    for row in done[piece.key]["rows"]:
        if (row["domain"], row["share"]) == (domain, share):
            return float(row[measure])
    raise KeyError(f"{piece.key} has no row of {domain} with {share} of the labels")


def by_seed(
    method: str,
    preset: Preset,
    done: Results,
    domain: str,
    share: str,
    measure: str,
    *,
    tuned: bool,
    rate: float = 1.0,
) -> list[float]:
    """List what a method's runs of all seeds found, frozen or fine-tuned."""
    fraction = next(fraction for fraction, name in SHARES.items() if name == share)
    starts = [start for start in rows(preset, done) if start.method == method]
    pieces: list[Piece] = [FineTune(start, fraction, rate) if tuned else start for start in starts]
    return [found(piece, done, domain, share, measure) for piece in pieces]


def spread(values: Sequence[float], form: str) -> str:
    """Write a mean and the standard deviation of the sample."""
    return f"{form} ± {form}".format(mean(values), stdev(values)) if len(values) > 1 else form.format(values[0])


# --- tables


def tables(preset: Preset, results: Mapping[str, Any]) -> str:
    """Write all tables, in Markdown."""
    done, parts = results["pieces"], []
    shares = shares_of(preset)
    sessions = results["sessions"]
    minutes = sum(piece["minutes"] for piece in done.values())
    machines = "; ".join(
        dict.fromkeys(f"{s['date']}, {s['device']}, torch {s['torch']}, equicon {s['equicon']}" for s in sessions)
    )
    parts.append(
        f"Preset `{results['preset']}`: {machines}; {len(done)} pieces, {minutes:.0f} minutes in all of them together."
        f" Mean ± standard deviation over {preset.seeds} seeds."
    )
    for tuned, title in ((True, "Fine-tuned"), (False, "Frozen, linear probe")):
        for measure in ("px", "mm", "pa_mm", "pa_auc"):

            def cells(method: str, *, measure: str = measure, tuned: bool = tuned) -> Iterable[str]:
                for domain in DOMAINS:
                    for share in shares:
                        values = by_seed(method, preset, done, domain, share, measure, tuned=tuned)
                        yield spread(values, FORMATS[measure])

            header = [f"{domain}, {share}" for domain in DOMAINS for share in shares]
            parts.append(
                table(
                    f"{title}: {TITLES[measure]}", header, cells, scratch="from scratch" if tuned else "random weights"
                )
            )
    for tuned, title in ((True, "fine-tuned"), (False, "frozen")):

        def against(method: str, *, tuned: bool = tuned) -> Iterable[str]:
            for domain in DOMAINS:
                for share in shares:
                    ours = by_seed(method, preset, done, domain, share, "px", tuned=tuned)
                    theirs = by_seed("simclr", preset, done, domain, share, "px", tuned=tuned)
                    yield spread([a - b for a, b in zip(ours, theirs, strict=True)], "{:+.2f}").replace("± +", "± ")

        header = [f"{domain}, {share}" for domain in DOMAINS for share in shares]
        parts.append(
            table(
                f"Less SimCLR, seed by seed, {title}: 2D [px]",
                header,
                against,
                scratch="from scratch" if tuned else "random weights",
            )
        )

    def slow(method: str) -> Iterable[str]:
        for domain in DOMAINS:
            for share in (SHARES[fraction] for fraction in SLOW_FRACTIONS):
                yield spread(by_seed(method, preset, done, domain, share, "px", tuned=True, rate=SLOW), FORMATS["px"])

    header = [f"{domain}, {SHARES[fraction]}" for domain in DOMAINS for fraction in SLOW_FRACTIONS]
    title = f"Fine-tuned, the encoder at {SLOW:g} of the learning rate: 2D [px]"
    parts.append(table(title, header, slow, scratch="from scratch"))
    return "\n\n".join([*parts, *question_tables(preset, done)]) + "\n"


def table(title: str, header: Sequence[str], cells: Callable[[str], Iterable[str]], *, scratch: str) -> str:
    """Write a table with a row for each method; ``scratch`` is what the row of random weights is called."""
    lines = [f"**{title}**", "", "| | " + " | ".join(header) + " |", "|---" * (len(header) + 1) + "|"]
    for method, name in NAMES.items():
        label = scratch if method == "none" else name
        lines.append(f"| {label} | " + " | ".join(cells(method)) + " |")
    return "\n".join(lines)


def question_tables(preset: Preset, done: Results) -> list[str]:
    """Write the tables that answer the paper's questions, each from runs of one seed."""
    lines = [
        "**Temperature: 2D [px] of the probe with all labels, one seed** (`chosen`: on hands kept for choosing)",
        "",
    ]
    lines += [
        "| | " + " | ".join(f"{t:g}" for t in preset.temperatures) + " |",
        "|---" * (len(preset.temperatures) + 1) + "|",
    ]
    for method in SWEPT:
        runs = [run for run in sweep(preset) if run.method == method]
        best = best_temperature(method, preset, done)
        shown = [
            f"{found(run, done, 'studio', '100 %', 'px'):.2f} / {found(run, done, 'wild', '100 %', 'px'):.2f}"
            + (" (chosen)" if run.temperature == best else "")
            for run in runs
        ]
        lines.append(f"| {NAMES[method]}, studio / wild | " + " | ".join(shown) + " |")
    parts = ["\n".join(lines)]
    for name, runs in (
        ("Augmentations", questions(preset, done)["augmentations"]),
        ("Rotations by up to 180 degrees", questions(preset, done)["rotation"]),
        ("A large batch: accumulated, cached", questions(preset, done)["batch"]),
    ):
        lines = [f"**{name}: the probe with all labels, one seed**", ""]
        lines += ["| | studio 2D [px] | studio 3D [mm] | wild 2D [px] | wild 3D [mm] |", "|---|---|---|---|---|"]
        plain = {run.method for run in runs}
        usual = [run for run in sweep(preset) if run.temperature == best_temperature(run.method, preset, done)]
        for run in [*(run for run in usual if run.method in plain), *runs]:
            label = run.key.removeprefix("pre-train, ").replace(", seed 0", "").replace(", half of the steps", "")
            values = [
                FORMATS[measure].format(found(run, done, domain, "100 %", measure))
                for domain in DOMAINS
                for measure in ("px", "mm")
            ]
            lines.append(f"| {label} | " + " | ".join(values) + " |")
        parts.append("\n".join(lines))
    return parts


def shares_of(preset: Preset) -> list[str]:
    """List the shares of the labels that hold enough of them for a probe."""
    return [share for fraction, share in SHARES.items() if round(fraction * preset.labelled) >= 5]


# --- figures


def draw_labels(preset: Preset, done: Results) -> Figure:
    """Draw the errors by the number of labels."""
    shares = shares_of(preset)
    labels = [round(fraction * preset.labelled) for fraction, share in SHARES.items() if share in shares]
    figure, axes = plt.subplots(2, 4, figsize=(14, 6.4), squeeze=False)
    for row, tuned in zip(axes, (True, False), strict=True):
        panels = [(domain, measure) for measure in ("px", "mm") for domain in DOMAINS]
        for axis, (domain, measure) in zip(row, panels, strict=True):
            for method, name in NAMES.items():
                runs = [by_seed(method, preset, done, domain, share, measure, tuned=tuned) for share in shares]
                label = "random weights" if method == "none" and not tuned else name
                axis.plot(
                    labels, [mean(values) for values in runs], color=COLOURS[method], label=label, marker="o", ms=3
                )
                axis.fill_between(
                    labels,
                    [min(values) for values in runs],
                    [max(values) for values in runs],
                    color=COLOURS[method],
                    alpha=0.15,
                    linewidth=0,
                )
            axis.set(xscale="log", xlabel="labelled hands", ylabel=TITLES[measure])
            axis.set_title(f"{'fine-tuned' if tuned else 'frozen, linear probe'}, {domain}", fontsize=10)
            axis.grid(alpha=0.3)
        row[0].legend(fontsize=8)
    figure.tight_layout()
    return figure


def draw_questions(preset: Preset, done: Results) -> Figure:
    """Draw the errors by temperature, and by what the views vary in."""
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), squeeze=False)
    for axis, domain in zip(axes[0, :2], DOMAINS, strict=True):
        for method in SWEPT:
            runs = [run for run in sweep(preset) if run.method == method]
            errors = [found(run, done, domain, "100 %", "px") for run in runs]
            axis.plot(preset.temperatures, errors, color=COLOURS[method], label=NAMES[method], marker="o", ms=3)
        axis.set(xscale="log", xlabel="temperature", ylabel="2D [px]")
        axis.set_xticks(preset.temperatures, [f"{t:g}" for t in preset.temperatures], minor=False)
        axis.minorticks_off()
        axis.set_title(f"frozen, all labels, {domain}", fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    alone = questions(preset, done)["augmentations"]
    for axis, domain in zip(axes[0, 2:], DOMAINS, strict=True):
        none = next(run for run in alone if run.geometry == ())
        axis.axhline(found(none, done, domain, "100 %", "px"), color="0.5", linestyle=":", label="colour alone")
        for k, method in enumerate(SWEPT):
            runs = [next(run for run in alone if run.method == method and run.geometry == (name,)) for name in GEOMETRY]
            errors = [found(run, done, domain, "100 %", "px") for run in runs]
            places = [i + 0.25 * (k - 1) for i in range(len(GEOMETRY))]
            axis.plot(places, errors, "o", color=COLOURS[method], label=NAMES[method])
        axis.set_xticks(range(len(GEOMETRY)), [f"colour,\n{name}" for name in GEOMETRY])
        axis.set_title(f"one transform at a time, {domain}", fontsize=10)
        axis.set_ylabel("2D [px]")
    axes[0, 2].legend(fontsize=7)
    figure.tight_layout()
    return figure
