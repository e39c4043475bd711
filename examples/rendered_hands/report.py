"""The tables and figures of ``reproduce.py``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from plan import (
    FRACTIONS,
    KEPT,
    METHODS,
    QUESTIONS,
    SWEPT,
    Piece,
    Preset,
    Results,
    asked,
    encoder_rates,
    patient,
    rates,
    settings,
    starts,
    temperatures,
    tune_rates,
    tuned,
)
from work import DOMAINS, SHARES

from equicon.training import write_figure, write_text

NAMES = {"none": "from scratch", "simclr": "SimCLR", "peclr": "PeCLR", "exact": "exact", KEPT: KEPT}
COLOURS = {"none": "0.5", "simclr": "tab:orange", "peclr": "tab:blue", "exact": "tab:green", KEPT: "tab:purple"}
TITLES = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "PA-EPE [mm]"}
FORMATS = {"px": "{:.2f}", "mm": "{:.1f}", "pa_mm": "{:.1f}"}
LOOKED_AT = ("pooled", "4 × 4 map", "points")
BLIND = ("mean pose", "typical hand")


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


def found(piece: Piece, done: Results, domain: str, share: str, measure: str, features: str = "pooled") -> float:
    """Look up a figure of a piece that is done; of a pre-training, by the features that the probe was given."""
    for row in done[piece.key]["rows"]:
        if (row["domain"], row["share"], row.get("features", features)) == (domain, share, features):
            return float(row[measure])
    raise KeyError(f"{piece.key} has no row of {domain} with {share} of the labels")


def spread(values: Sequence[float], form: str) -> str:
    """Write a mean and the standard deviation of the sample; a dash where there is nothing yet."""
    if not values:
        return "–"
    return f"{form} ± {form}".format(mean(values), stdev(values)) if len(values) > 1 else form.format(values[0])


def finished(pieces: Sequence[Any], done: Results) -> list[Any]:
    return [piece for piece in pieces if piece.key in done]


def shares_of(preset: Preset) -> list[str]:
    """List the shares of the labels that hold enough of them for a probe."""
    return [SHARES[fraction] for fraction in FRACTIONS if round(fraction * preset.labelled) >= 5]


def of_share(share: str) -> float:
    return next(fraction for fraction, name in SHARES.items() if name == share)


# --- tables


def tables(preset: Preset, results: Mapping[str, Any]) -> str:
    """Write all tables, in Markdown."""
    done, sessions = results["pieces"], results["sessions"]
    minutes = sum(piece["minutes"] for piece in done.values())
    machines = "; ".join(
        dict.fromkeys(f"{s['date']}, {s['device']}, torch {s['torch']}, equicon {s['equicon']}" for s in sessions)
    )
    said = (
        f"Preset `{results['preset']}`: {machines}; {len(done)} pieces, {minutes:.0f} minutes in all of them together."
    )
    parts = [f"{said} Mean ± standard deviation over {preset.seeds} seeds.", summary_table(preset, done)]
    parts += [frozen_table(features, measure, preset, done) for features in LOOKED_AT for measure in TITLES]
    parts += [tuned_table(measure, preset, done) for measure in TITLES]
    parts += [settings_table(preset, done), *question_tables(preset, done)]
    return "\n\n".join(parts) + "\n"


def table(title: str, header: Sequence[str], rows: Mapping[str, Iterable[str]]) -> str:
    """Write a table with a named row each."""
    lines = [f"**{title}**", "", "| | " + " | ".join(header) + " |", "|---" * (len(header) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    return "\n".join(lines)


def frozen(
    method: str, features: str, domain: str, share: str, measure: str, preset: Preset, done: Results
) -> list[float]:
    """List what probes found in a method's frozen features, by seed."""
    runs = finished(starts(method, preset, done), done)
    return [found(run, done, domain, share, measure, features) for run in runs]


def finetuned(method: str, domain: str, share: str, measure: str, preset: Preset, done: Results) -> list[float]:
    """List what a method's fine-tuned models found, by seed."""
    runs = finished(tuned(method, of_share(share), preset, done), done)
    return [found(run, done, domain, share, measure) for run in runs]


def against(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Write by how many percent errors are below others of the same seeds."""
    changes = [100 * (a / b - 1) for a, b in zip(ours, theirs, strict=False)]
    return spread(changes, "{:+.1f}").replace("± +", "± ").replace("± -", "± ") + (" %" if changes else "")


def summary_table(preset: Preset, done: Results) -> str:
    """Write by how much the best of ours is below SimCLR frozen, and below training from scratch when fine-tuned."""
    shares = shares_of(preset)
    rows: dict[str, list[str]] = {}
    for method in METHODS[1:]:
        for measure in TITLES:
            cells = []
            for domain in DOMAINS:
                pair = [frozen(name, "pooled", domain, "100 %", measure, preset, done) for name in (method, "simclr")]
                cells.append(against(*pair))
                for share in shares[:-1]:
                    pair = [finetuned(name, domain, share, measure, preset, done) for name in (method, "none")]
                    cells.append(against(*pair))
            rows[f"{NAMES[method]}, {TITLES[measure].split(' [')[0]}"] = cells
    tuned_heads = [f"fine-tuned with {share} over scratch" for share in shares[:-1]]
    header = [f"{domain}, {what}" for domain in DOMAINS for what in ("frozen over SimCLR", *tuned_heads)]
    return table("In short: errors over others' of the same seed", header, rows)


def columns(preset: Preset) -> list[tuple[str, str]]:
    return [(domain, share) for domain in DOMAINS for share in shares_of(preset)]


def frozen_table(features: str, measure: str, preset: Preset, done: Results) -> str:
    rows = _blind_rows(measure, preset, done) if features == LOOKED_AT[0] else {}
    for method, name in NAMES.items():
        cells = [frozen(method, features, *column, measure, preset, done) for column in columns(preset)]
        label = "random weights" if method == "none" else name
        rows[label] = [spread(values, FORMATS[measure]) for values in cells]
    header = [", ".join(column) for column in columns(preset)]
    return table(f"Frozen, a linear probe of {_called(features)}: {TITLES[measure]}", header, rows)


def _called(features: str) -> str:
    return {"pooled": "pooled features", "points": "the head's points"}.get(features, f"a {features}")


def _blind_rows(measure: str, preset: Preset, done: Results) -> dict[str, list[str]]:
    """Write what guesses that see no image miss by. A typical hand is the same for all seeds."""
    known = [row for run in finished(starts("none", preset, done), done) for row in done[run.key]["rows"]]
    rows: dict[str, list[str]] = {}
    for blind in BLIND:
        cells = [
            [row[measure] for row in known if (row["features"], row["domain"], row["share"]) == (blind, *column)]
            for column in columns(preset)
        ]
        rows[blind] = [spread(values if blind == BLIND[0] else values[:1], FORMATS[measure]) for values in cells]
    return rows


def tuned_table(measure: str, preset: Preset, done: Results) -> str:
    rows = _blind_rows(measure, preset, done)
    for method, name in NAMES.items():
        cells = [finetuned(method, *column, measure, preset, done) for column in columns(preset)]
        rows[name] = [spread(values, FORMATS[measure]) for values in cells]
    longer = finished(patient(preset, done), done)
    cells = [
        [found(run, done, domain, share, measure) for run in longer if SHARES[run.fraction] == share]
        for domain, share in columns(preset)
    ]
    rows["from scratch, for as long as pre-training too"] = [spread(values, FORMATS[measure]) for values in cells]
    header = [", ".join(column) for column in columns(preset)]
    return table(f"Fine-tuned: {TITLES[measure]}", header, rows)


def settings_table(preset: Preset, done: Results) -> str:
    """Write how settings were chosen: the mean error of two seeds on hands kept for this, in millimetres."""

    def cells(runs: Mapping[float, list[Any]]) -> Iterator[str]:
        means = {key: mean(done[run.key]["chosen by"] for run in each) for key, each in runs.items()
                 if all(run.key in done for run in each)}  # fmt: skip
        for key, value in means.items():
            yield f"{key:g}: **{value:.1f}**" if value == min(means.values()) else f"{key:g}: {value:.1f}"

    rows = {}
    for method in ("none", *METHODS):
        swept: list[Mapping[float, list[Any]]] = [{}, {}]
        if method in SWEPT:
            swept = [temperatures(method, preset), rates(method, preset, done)]
        swept += [
            tune_rates(fraction, preset) if method == "none" else encoder_rates(method, fraction, preset, done)
            for fraction in FRACTIONS[:2]
        ]
        rows[NAMES[method]] = ["; ".join(cells(runs)) or "–" for runs in swept]
    header = ["temperature", "learning rate"]
    header += [f"fine-tuning's with {SHARES[fraction]} (the encoder's, over it)" for fraction in FRACTIONS[:2]]
    return table("What was chosen, by the error on other hands [mm]", header, rows)


def question_tables(preset: Preset, done: Results) -> list[str]:
    """Write the tables that answer questions, each from short runs of two seeds."""
    parts = []
    for title, (changes, methods) in QUESTIONS.items():
        rows: dict[str, list[str]] = {}
        for method in methods:
            for change in ("", *changes):
                runs = finished(asked(method, change, preset, done), done)
                label = f"{NAMES[method]}, {change}" if change else f"{NAMES[method]}"
                rows[label] = [
                    spread([found(run, done, domain, "100 %", measure) for run in runs], FORMATS[measure])
                    for domain in DOMAINS
                    for measure in ("px", "mm")
                ]
        header = [f"{domain} {TITLES[measure]}" for domain in DOMAINS for measure in ("px", "mm")]
        parts.append(table(f"{title}: the probe of pooled features with all labels, short runs", header, rows))
    return parts


# --- figures


def draw_labels(preset: Preset, done: Results) -> Figure:
    """Draw the errors by the number of labels."""
    shares = shares_of(preset)
    labels = [round(of_share(share) * preset.labelled) for share in shares]
    figure, axes = plt.subplots(2, 4, figsize=(14, 6.4), squeeze=False)
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
                label = "random weights" if method == "none" and not tuning else name
                middle = [mean(each) for _, each in known]
                axis.plot(at, middle, color=COLOURS[method], label=label, marker="o", ms=3)
                low, high = [min(each) for _, each in known], [max(each) for _, each in known]
                axis.fill_between(at, low, high, color=COLOURS[method], alpha=0.15, linewidth=0)
            axis.set(xscale="log", xlabel="labelled hands", ylabel=TITLES[measure])
            axis.set_title(f"{'fine-tuned' if tuning else 'frozen, linear probe'}, {domain}", fontsize=10)
            axis.grid(alpha=0.3)
        if row[0].lines:
            row[0].legend(fontsize=8)
    figure.tight_layout()
    return figure


def draw_questions(preset: Preset, done: Results) -> Figure:
    """Draw what each change costs or gains, by method, with a point for each seed."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 5.2), squeeze=False, sharey=True)
    rows = [change for changes, _ in QUESTIONS.values() for change in changes]
    for axis, domain in zip(axes[0], DOMAINS, strict=True):
        for k, method in enumerate(SWEPT):
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
