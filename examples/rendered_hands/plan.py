"""The pieces of ``reproduce.py``: which runs the study needs, as functions of what is known so far."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, TypeAlias

from sizes import Preset

Results: TypeAlias = Mapping[str, Mapping[str, Any]]
METHODS = ("simclr", "peclr", "exact")
FRACTIONS = (0.01, 0.1, 1.0)
GEOMETRY = ("scale", "rotation", "translation")


@dataclass(frozen=True)
class Change:
    """How a pre-training differs from the others.

    Args:
        geometry: The parts of ``GEOMETRY`` that vary in the views, besides colour.
        degrees: The largest rotation to either side.
        border: Whether views come from pictures of the hand's square alone, so that they are black outside it.
        hands: The unlabelled hands: ``"unlabelled"`` share scenes, ``"alone"`` have a scene each, ``"clips"`` show
            eight frames of each hand in motion, ``"many"`` are four times as many, in four times as many scenes.
        longer: How many times as many images pre-training sees.
        times: The number of batches in a step. The number of steps is divided by it.
        cached: How a step of several batches is computed: as one loss over all images (cached gradients), or as a sum
            of the losses of the batches (accumulation).
    """

    geometry: tuple[str, ...] = GEOMETRY
    degrees: float = 45.0
    border: bool = False
    hands: str = "unlabelled"
    longer: int = 1
    times: int = 1
    cached: bool = False


COLOUR_ALONE, LONGER, MORE_HANDS = "colour alone", "four times as long", "four times as many hands"
CHANGES = {
    "": Change(),
    **{f"{name} and colour alone": Change(geometry=(name,)) for name in GEOMETRY},
    COLOUR_ALONE: Change(geometry=()),
    "turned by up to 180 degrees": Change(degrees=180.0),
    "black border": Change(border=True),
    "a scene for each hand": Change(hands="alone"),
    "eight frames of each hand": Change(hands="clips"),
    "4 batches to a step, accumulated": Change(times=4),
    "4 batches to a step, cached": Change(times=4, cached=True),
    LONGER: Change(longer=4),
    MORE_HANDS: Change(hands="many"),
}
"""All changes, by name."""


@dataclass(frozen=True)
class Pretrain:
    """A pre-training, and the probes on its frozen features.

    Args:
        method: One of ``METHODS``, or ``"none"`` for random weights.
        temperature: The temperature of NT-Xent.
        rate: The highest learning rate.
        seed: The seed of everything random.
        short: Whether it has ``Preset.short`` steps.
        change: One of ``CHANGES``.
    """

    method: str
    temperature: float = 0.1
    rate: float = 0.0
    seed: int = 0
    short: bool = False
    change: str = ""

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        if self.method == "none":
            return f"random weights, seed {self.seed}"
        words = [self.method, f"temperature {self.temperature:g}", f"rate {self.rate:g}", f"seed {self.seed}"]
        return ", ".join([*words, *(["short"] if self.short else []), *([self.change] if self.change else [])])


@dataclass(frozen=True)
class FineTune:
    """A 2.5D model that starts from an encoder and learns from a share of the labels.

    Args:
        start: The pre-training that the encoder comes from; ``"none"`` is supervised training from scratch.
        fraction: The share of the labels.
        rate: The learning rate of everything but the encoder.
        encoder_rate: The learning rate of the encoder, as a multiple of ``rate``.
        cosine: Whether it has ``Preset.tune_steps`` steps, and rates that fall along a cosine. Otherwise it lowers its
            rates where it gains no more, which is quicker, and good enough to choose settings.
        patient: Whether it has as many steps more as pre-training has, for all its images.
        both: Whether it also learns from as many labels of ``wild``.
    """

    start: Pretrain
    fraction: float
    rate: float
    encoder_rate: float = 1.0
    cosine: bool = False
    patient: bool = False
    both: bool = False

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        slow = f", encoder at {self.encoder_rate:g}" if self.encoder_rate != 1 else ""
        long = (", cosine" if self.cosine else "") + (", for as long as pre-training too" if self.patient else "")
        labels = "labels of both domains" if self.both else "labels"
        return f"{100 * self.fraction:g} % of {labels}, rate {self.rate:g}{slow}{long}, after {self.start.key}"


Piece: TypeAlias = Pretrain | FineTune


def chooses(preset: Preset) -> range:
    """Give the seeds with which settings are chosen: two, or one if there is only one."""
    return range(min(2, preset.seeds))


def _least(runs: Mapping[float, list[Any]], done: Results) -> float | None:
    """Choose the setting whose runs have the least mean error on hands kept for this purpose.

    It is None if a run is not done yet.
    """
    if any(run.key not in done for each in runs.values() for run in each):
        return None
    return min(runs, key=lambda setting: mean(float(done[run.key]["chosen by"]) for run in runs[setting]))


def temperatures(method: str, preset: Preset) -> dict[float, list[Pretrain]]:
    """List the runs that choose the temperature of a method."""
    return {
        t: [Pretrain(method, t, preset.rates[0], seed, short=True) for seed in chooses(preset)]
        for t in preset.temperatures
    }


def rates(method: str, preset: Preset, done: Results) -> dict[float, list[Pretrain]]:
    """List the runs that choose the learning rate of a method, at its temperature.

    The list is empty while that is unknown.

    These runs have the whole length. A rate that is best in short runs need not be best in long ones.
    """
    if (temperature := _least(temperatures(method, preset), done)) is None:
        return {}
    return {rate: [Pretrain(method, temperature, rate, seed) for seed in chooses(preset)] for rate in preset.rates}


def settings(method: str, preset: Preset, done: Results) -> Pretrain | None:
    """Make the pre-training of a method with its chosen settings and the first seed; None while they are unknown."""
    if method == "none":
        return Pretrain(method)
    runs = rates(method, preset, done)
    rate = _least(runs, done) if runs else None
    return None if rate is None else Pretrain(method, runs[rate][0].temperature, rate)


def starts(method: str, preset: Preset, done: Results) -> list[Pretrain]:
    """List the pre-trainings of a method with all seeds. The list is empty while its settings are unknown."""
    base = settings(method, preset, done)
    return [] if base is None else [replace(base, seed=seed) for seed in range(preset.seeds)]


def tune_rates(fraction: float, preset: Preset) -> dict[float, list[FineTune]]:
    """List the runs that choose the learning rate of training from scratch. All other fine-tuning uses it too."""
    return {
        rate: [FineTune(Pretrain("none", seed=seed), fraction, rate) for seed in chooses(preset)]
        for rate in preset.tune_rates
    }


def encoder_rates(method: str, fraction: float, preset: Preset, done: Results) -> dict[float, list[FineTune]]:
    """List the runs that choose the rate of a method's encoder. The list is empty while their settings are unknown."""
    rate, begun = _least(tune_rates(fraction, preset), done), starts(method, preset, done)
    if rate is None or not begun:
        return {}
    chosen = [begun[seed] for seed in chooses(preset)]
    return {times: [FineTune(start, fraction, rate, times) for start in chosen] for times in preset.encoder_rates}


def tuned(method: str, fraction: float, preset: Preset, done: Results) -> list[FineTune]:
    """List the fine-tunings of a method with all seeds, each at its chosen rates.

    The list is empty while these are unknown.

    With all labels, the rates are those that were chosen with 10 % of them.
    """
    by = min(fraction, FRACTIONS[1])
    runs = tune_rates(by, preset) if method == "none" else encoder_rates(method, by, preset, done)
    best = _least(runs, done) if runs else None
    if best is None:
        return []
    one = runs[best][0]
    return [replace(one, start=start, fraction=fraction, cosine=True) for start in starts(method, preset, done)]


def patient(preset: Preset, done: Results) -> list[FineTune]:
    """List the trainings from scratch, with few labels, that also get the time of pre-training."""
    return [replace(run, patient=True) for fraction in FRACTIONS[:2] for run in tuned("none", fraction, preset, done)]


QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Which transforms?": (tuple(f"{name} and colour alone" for name in GEOMETRY), METHODS),
    "No geometry?": ((COLOUR_ALONE,), ("simclr",)),  # without geometry, all methods are the same
    "Turns": (("turned by up to 180 degrees",), METHODS),
    "Border and scene": (("black border", "a scene for each hand", "eight frames of each hand"), ("simclr", "exact")),
    "A large batch": (("4 batches to a step, accumulated", "4 batches to a step, cached"), ("exact",)),
}
"""The questions of the paper and our own: which changes they need, and for which methods."""


def asked(method: str, change: str, preset: Preset, done: Results, *, short: bool = True) -> list[Pretrain]:
    """List the runs of a method with a change, short or of the whole length, with two seeds; ``""`` is no change.

    The list is empty while its settings are unknown.
    """
    base = settings(method, preset, done)
    return [] if base is None else [replace(base, seed=s, short=short, change=change) for s in chooses(preset)]


FURTHER: dict[str, tuple[str, ...]] = dict.fromkeys((LONGER, MORE_HANDS), ("exact", "simclr"))
"""What might carry further: changes to the whole pre-training, each with the methods to compare."""


def further_tuned(method: str, change: str, fraction: float, preset: Preset, done: Results) -> list[FineTune]:
    """List the fine-tunings that start from whole runs with a change, at the rates chosen without it."""
    begun = asked(method, change, preset, done, short=False)
    usual = tuned(method, fraction, preset, done)[: len(begun)]
    return [replace(run, start=start) for run, start in zip(usual, begun, strict=False)]


def ready(preset: Preset, done: Results) -> list[Piece]:
    """List all pieces that are done or can run with what is known, in the order in which they should run."""
    return list(dict.fromkeys(_wanted(preset, done)))


def _wanted(preset: Preset, done: Results) -> Iterator[Piece]:
    for method in METHODS:
        for runs in (temperatures(method, preset), rates(method, preset, done)):
            yield from (run for each in runs.values() for run in each)
    rows = [start for method in ("none", *METHODS) for start in starts(method, preset, done)]
    yield from sorted(rows, key=lambda start: start.seed)
    begun = [start.key for start in rows if start.key in done]
    for fraction in FRACTIONS[1::-1]:
        choices = [tune_rates(fraction, preset)]
        choices += [encoder_rates(method, fraction, preset, done) for method in METHODS]
        runs_of = [run for runs in choices for each in runs.values() for run in each]
        yield from (run for run in runs_of if run.start.key in begun)
    for changes, methods in QUESTIONS.values():
        for change in ("", *changes):  # the first is the control; if its rate is the first too, it chose a temperature
            yield from (run for method in methods for run in asked(method, change, preset, done))
    for fraction in (FRACTIONS[1], FRACTIONS[0], FRACTIONS[2]):
        every = [run for method in ("none", *METHODS) for run in tuned(method, fraction, preset, done)]
        yield from sorted((run for run in every if run.start.key in begun), key=lambda run: run.start.seed)
    yield from patient(preset, done)
    for change, methods in FURTHER.items():
        for method in methods:
            yield from asked(method, change, preset, done, short=False)
            longer = [run for part in FRACTIONS[:2] for run in further_tuned(method, change, part, preset, done)]
            yield from (run for run in longer if run.start.key in done)


def count(preset: Preset, done: Results) -> int:
    """Count the pieces of a whole study. It may change by a few as long as settings are not chosen."""
    known: dict[str, Mapping[str, Any]] = dict(done)
    while todo := missing(ready(preset, known), known):
        known |= {piece.key: {"chosen by": math.inf} for piece in todo}
    return len(ready(preset, known))


def missing(pieces: Iterable[Piece], done: Results) -> list[Piece]:
    """List the pieces that are not done yet."""
    return [piece for piece in pieces if piece.key not in done]
