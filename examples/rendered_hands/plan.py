"""Which runs ``reproduce.py`` is made of: its pieces, as functions of what is known so far."""

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
        geometry: Which of ``GEOMETRY`` the views vary in, beside colour.
        degrees: Of the rotation to either side.
        border: Whether views come from pictures of the hand's square alone, and are black outside.
        hands: Which unlabelled hands: ``"unlabelled"``, whose scenes they share; ``"alone"``, each in a scene of its
            own; ``"clips"``, eight frames of each hand in motion.
        times: Batches to a step, of which there are so many fewer.
        cached: Whether a step of many images is one loss over all of them (cached gradients), or the sum of the losses
            of plain batches (accumulation).
    """

    geometry: tuple[str, ...] = GEOMETRY
    degrees: float = 45.0
    border: bool = False
    hands: str = "unlabelled"
    times: int = 1
    cached: bool = False


COLOUR_ALONE = "colour alone"
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
}
"""What else may be done, by its name."""


@dataclass(frozen=True)
class Pretrain:
    """A pre-training and the probes on its frozen features.

    Args:
        method: One of ``METHODS``, or ``"none"``: random weights.
        temperature: Of NT-Xent.
        rate: The learning rate at its highest.
        seed: Of everything random.
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
    """A 2.5D model that begins with an encoder and learns from a share of the labels.

    Args:
        start: The pre-training that the encoder comes from; ``"none"`` is supervised training from scratch.
        fraction: Of the labels.
        rate: The learning rate of all but the encoder.
        encoder_rate: That of the encoder over it.
        patient: Whether its rate may first fall only after as many images as pre-training sees.
        both: Whether it learns from as many labels of ``wild`` too.
    """

    start: Pretrain
    fraction: float
    rate: float
    encoder_rate: float = 1.0
    patient: bool = False
    both: bool = False

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        slow = f", encoder at {self.encoder_rate:g}" if self.encoder_rate != 1 else ""
        long = ", for as long as pre-training too" if self.patient else ""
        labels = "labels of both domains" if self.both else "labels"
        return f"{100 * self.fraction:g} % of {labels}, rate {self.rate:g}{slow}{long}, after {self.start.key}"


Piece: TypeAlias = Pretrain | FineTune


def chooses(preset: Preset) -> range:
    """Give the seeds by which settings are chosen: two, or those that there are."""
    return range(min(2, preset.seeds))


def _least(runs: Mapping[float, list[Any]], done: Results) -> float | None:
    """Choose a setting by what its runs found on hands that are for this only; None while one is to be done."""
    if any(run.key not in done for each in runs.values() for run in each):
        return None
    return min(runs, key=lambda setting: mean(float(done[run.key]["chosen by"]) for run in runs[setting]))


def temperatures(method: str, preset: Preset) -> dict[float, list[Pretrain]]:
    """List the runs by which a method's temperature is chosen."""
    return {
        t: [Pretrain(method, t, preset.rates[0], seed, short=True) for seed in chooses(preset)]
        for t in preset.temperatures
    }


def rates(method: str, preset: Preset, done: Results) -> dict[float, list[Pretrain]]:
    """List the runs by which a method's learning rate is chosen, at its temperature; none while that is unknown.

    They have the whole length: short ones prefer rates that leave much to learn.
    """
    if (temperature := _least(temperatures(method, preset), done)) is None:
        return {}
    return {rate: [Pretrain(method, temperature, rate, seed) for seed in chooses(preset)] for rate in preset.rates}


def settings(method: str, preset: Preset, done: Results) -> Pretrain | None:
    """Make a method's pre-training of the first seed with what was chosen; None while that is unknown."""
    if method == "none":
        return Pretrain(method)
    runs = rates(method, preset, done)
    rate = _least(runs, done) if runs else None
    return None if rate is None else Pretrain(method, runs[rate][0].temperature, rate)


def starts(method: str, preset: Preset, done: Results) -> list[Pretrain]:
    """List a method's pre-trainings of all seeds; none while its settings are unknown."""
    base = settings(method, preset, done)
    return [] if base is None else [replace(base, seed=seed) for seed in range(preset.seeds)]


def tune_rates(fraction: float, preset: Preset) -> dict[float, list[FineTune]]:
    """List the runs by which the learning rate of training from scratch is chosen, which all else takes over."""
    return {
        rate: [FineTune(Pretrain("none", seed=seed), fraction, rate) for seed in chooses(preset)]
        for rate in preset.tune_rates
    }


def encoder_rates(method: str, fraction: float, preset: Preset, done: Results) -> dict[float, list[FineTune]]:
    """List the runs by which the rate of a method's encoder is chosen; none while what they need is unknown."""
    rate, begun = _least(tune_rates(fraction, preset), done), starts(method, preset, done)
    if rate is None or not begun:
        return {}
    chosen = [begun[seed] for seed in chooses(preset)]
    return {times: [FineTune(start, fraction, rate, times) for start in chosen] for times in preset.encoder_rates}


def tuned(method: str, fraction: float, preset: Preset, done: Results) -> list[FineTune]:
    """List a method's fine-tunings of all seeds, each at its own rates; none while they are unknown.

    With all labels, rates are those chosen with 10 % of them.
    """
    by = min(fraction, FRACTIONS[1])
    runs = tune_rates(by, preset) if method == "none" else encoder_rates(method, by, preset, done)
    best = _least(runs, done) if runs else None
    if best is None:
        return []
    one = runs[best][0]
    return [replace(one, start=start, fraction=fraction) for start in starts(method, preset, done)]


def patient(preset: Preset, done: Results) -> list[FineTune]:
    """List the trainings from scratch that have the time of pre-training too, with few labels."""
    return [replace(run, patient=True) for fraction in FRACTIONS[:2] for run in tuned("none", fraction, preset, done)]


QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Which transforms?": (tuple(f"{name} and colour alone" for name in GEOMETRY), METHODS),
    "No geometry?": ((COLOUR_ALONE,), ("simclr",)),  # where the representations are the same
    "Turns": (("turned by up to 180 degrees",), METHODS),
    "Border and scene": (("black border", "a scene for each hand", "eight frames of each hand"), ("simclr", "exact")),
    "A large batch": (("4 batches to a step, accumulated", "4 batches to a step, cached"), ("exact",)),
}
"""The paper's questions and ours: which changes they ask for, and of which methods."""


def asked(method: str, change: str, preset: Preset, done: Results) -> list[Pretrain]:
    """List the short runs of a method with a change, ``""`` being none; none while its settings are unknown."""
    base = settings(method, preset, done)
    return [] if base is None else [replace(base, seed=s, short=True, change=change) for s in chooses(preset)]


def ready(preset: Preset, done: Results) -> list[Piece]:
    """List all pieces that can be run with what is known, and those that are done, in the order they are wanted."""
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
    for fraction in FRACTIONS:
        every = [run for method in ("none", *METHODS) for run in tuned(method, fraction, preset, done)]
        yield from sorted((run for run in every if run.start.key in begun), key=lambda run: run.start.seed)
    for changes, methods in QUESTIONS.values():
        yield from (run for change in changes for method in methods for run in asked(method, change, preset, done))
    yield from patient(preset, done)


def count(preset: Preset) -> int:
    """Count the pieces of a whole study, which are as many whatever is chosen."""
    done: dict[str, dict[str, float]] = {}
    while todo := missing(ready(preset, done), done):
        done |= {piece.key: {"chosen by": 0.0} for piece in todo}
    return len(done)


def missing(pieces: Iterable[Piece], done: Results) -> list[Piece]:
    """List the pieces that are to be done."""
    return [piece for piece in pieces if piece.key not in done]
