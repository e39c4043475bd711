"""The tables of ``reproduce.py``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from common import DOMAINS, SHARES
from figures import draw_labels, draw_questions
from found import (
    BLIND,
    FORMATS,
    LOOKED_AT,
    NAMES,
    TITLES,
    finetuned,
    finished,
    found,
    frozen,
    of_share,
    shares_of,
)
from matplotlib import pyplot as plt
from plan import (
    FRACTIONS,
    FURTHER,
    METHODS,
    QUESTIONS,
    Results,
    asked,
    chooses,
    count,
    encoder_rates,
    further_tuned,
    patient,
    rates,
    ready,
    starts,
    temperatures,
    tune_rates,
)
from sizes import Preset

from equicon.recipes import machines_of, spread, table
from equicon.training import write_figure, write_text


def write_report(out: Path, preset: Preset, results: Mapping[str, Any]) -> str:
    """Write ``results.md`` and the figures, and give the text."""
    text = tables(preset, results)
    write_text(out / "results.md", text)
    figures = write_figures(out, "", preset, results["pieces"])
    return f"{text}\nFigures: {', '.join(map(str, figures))}"


def write_figures(folder: Path, prefix: str, preset: Preset, done: Results) -> list[Path]:
    """Write all figures, and give their paths."""
    figures = {"labels": draw_labels(preset, done), "questions": draw_questions(preset, done)}
    for name, figure in figures.items():
        write_figure(folder / f"{prefix}{name}.png", figure)
        plt.close(figure)
    return [folder / f"{prefix}{name}.png" for name in figures]


def tables(preset: Preset, results: Mapping[str, Any]) -> str:
    """Write all tables, in Markdown."""
    done = results["pieces"]
    run = [done[piece.key] for piece in finished(ready(preset, done), done)]
    minutes = sum(piece["minutes"] for piece in run)
    said = (
        f"Preset `{results['preset']}`: {machines_of(results)}; {len(run)} of {count(preset, done)} pieces, "
        f"{minutes:.0f} minutes in all of them together."
    )
    parts = [f"{said} Mean ± standard deviation over {preset.seeds} seeds.", short_table(preset, done)]
    parts += [summary_table(preset, done)]
    parts += [frozen_table(features, measure, preset, done) for features in LOOKED_AT for measure in TITLES]
    parts += [tuned_table(measure, preset, done) for measure in TITLES]
    parts += [settings_table(preset, done), *question_tables(preset, done)]
    parts += [further_table(domain, preset, done) for domain in DOMAINS]
    return "\n\n".join(parts) + "\n"


def against(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Write how much our errors differ from those of the same seeds, in percent. Negative is better."""
    if len(ours) != len(theirs):
        return "–"  # some runs are not done yet
    changes = [100 * (a / b - 1) for a, b in zip(ours, theirs, strict=True)]
    return spread(changes, "{:+.1f}") + (" %" if changes else "")


def short_table(preset: Preset, done: Results) -> str:
    """Write what a reader wants to know first: errors on studio hands."""
    domain, shares = DOMAINS[0], shares_of(preset)
    header = [f"frozen, {shares[-1]}: {TITLES[measure]}" for measure in ("px", "mm")]
    header += [f"fine-tuned, {share}: {TITLES[measure]}" for share in shares[:-1] for measure in ("mm", "pa_mm")]
    rows: dict[str, list[str]] = {}
    for method, name in NAMES.items():
        cells = [
            spread(frozen(method, "pooled", domain, shares[-1], measure, preset, done), FORMATS[measure])
            for measure in ("px", "mm")
        ]
        cells += [
            spread(finetuned(method, domain, share, measure, preset, done), FORMATS[measure])
            for share in shares[:-1]
            for measure in ("mm", "pa_mm")
        ]
        rows["random weights, or from scratch" if method == "none" else name] = cells
    return table(f"Errors on {domain} hands, by the number of labels", header, rows)


def summary_table(preset: Preset, done: Results) -> str:
    """Write how much our methods change the error.

    Frozen features are compared with SimCLR's, fine-tuned models with training from scratch.
    """
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
    tuned_heads = [f"fine-tuned with {share}, against scratch" for share in shares[:-1]]
    header = [f"{domain}, {what}" for domain in DOMAINS for what in ("frozen, against SimCLR", *tuned_heads)]
    return table("Summary: change of the error against others of the same seed", header, rows)


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
    """Write the errors of guesses that see no image.

    The typical hand is the same for all seeds, so its error has no spread.
    """
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
    rows["from scratch, with the time of pre-training added"] = [spread(values, FORMATS[measure]) for values in cells]
    header = [", ".join(column) for column in columns(preset)]
    return table(f"Fine-tuned: {TITLES[measure]}", header, rows)


def settings_table(preset: Preset, done: Results) -> str:
    """Write how settings were chosen: the errors of two seeds on hands kept for this purpose, in millimetres."""

    def cells(runs: Mapping[float, list[Any]]) -> Iterator[str]:
        known = {
            key: [done[run.key]["chosen by"] for run in each]
            for key, each in sorted(runs.items())
            if all(run.key in done for run in each)
        }
        least = min(map(mean, known.values()), default=0.0)
        for key, errors in known.items():
            shown = f"{key:g}: " + ", ".join(f"{error:.1f}" for error in errors)
            yield f"**{shown}**" if mean(errors) == least else shown

    rows = {}
    for method in ("none", *METHODS):
        swept: list[Mapping[float, list[Any]]] = [{}, {}]
        if method != "none":
            swept = [temperatures(method, preset), rates(method, preset, done)]
        swept += [
            tune_rates(fraction, preset) if method == "none" else encoder_rates(method, fraction, preset, done)
            for fraction in FRACTIONS[:2]
        ]
        rows[NAMES[method]] = ["; ".join(cells(runs)) or "–" for runs in swept]
    header = ["temperature", "learning rate"]
    tuning = "learning rate of fine-tuning with {} (for methods: the encoder's, as a multiple of it)"
    header += [tuning.format(SHARES[fraction]) for fraction in FRACTIONS[:2]]
    return table("Chosen settings, by the mean error of two seeds on other hands [mm]", header, rows)


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


def further_table(domain: str, preset: Preset, done: Results) -> str:
    """Write what changes to the whole pre-training bring, each beside the same seeds without the change."""
    shares = shares_of(preset)
    measures = ("mm", "pa_mm")
    header = [f"frozen, {shares[-1]}: {TITLES[measure]}" for measure in ("px", "mm")]
    header += [f"fine-tuned, {share}: {TITLES[measure]}" for share in shares[:-1] for measure in measures]
    wanted = [(method, "") for method in NAMES]
    wanted += [(method, change) for change, methods in FURTHER.items() for method in methods]
    rows: dict[str, list[str]] = {}
    for method, change in wanted:
        known = finished(asked(method, change, preset, done, short=False), done)
        cells = [
            spread([found(run, done, domain, shares[-1], measure) for run in known], FORMATS[measure])
            for measure in ("px", "mm")
        ]
        for share in shares[:-1]:
            runs = finished(further_tuned(method, change, of_share(share), preset, done), done)
            cells += [spread([found(run, done, domain, share, m) for run in runs], FORMATS[m]) for m in measures]
        rows[", ".join([NAMES[method], *([change] if change else [])])] = cells
    return table(f"What carries further, on {domain} hands, {len(chooses(preset))} seeds", header, rows)
