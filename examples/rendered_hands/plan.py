"""Which runs ``reproduce.py`` is made of: its presets, and its pieces as functions of what is known so far."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Results: TypeAlias = Mapping[str, Mapping[str, Any]]
SWEPT = ("simclr", "peclr", "exact")
METHODS = (*SWEPT, "exact, scale kept")  # the last one at the temperature of the one before
FRACTIONS = (0.01, 0.1, 1.0)
SLOW = 0.3  # an encoder's learning rate, over that of the rest
SLOW_FRACTIONS = (0.01, 0.1)
GEOMETRY = ("scale", "rotation", "translation")


@dataclass(frozen=True)
class Preset:
    """How large everything is.

    Args:
        arch: A torchvision ResNet, or ``"slim"``: ResNet-18 of a quarter of its width.
        size: Side of all images [pixels].
        unlabelled: Hands of the domain ``wild`` to pre-train on.
        labelled: Hands of the domain ``studio`` to fit probes on and to fine-tune on.
        tested: Hands of either domain to test on, and of ``studio`` to choose temperatures by.
        steps: Of pre-training, ``batch`` hands (each seen twice) to a step. Runs beside the table have half of them.
        tune_steps: Of fine-tuning, ``tune_batch`` hands to a step.
        temperatures: To choose from, for each method.
        seeds: Of the rows of the table.
        processes: Pieces at a time.
    """

    arch: str
    size: int
    unlabelled: int
    labelled: int
    tested: int
    steps: int
    batch: int
    lr: float
    tune_steps: int
    tune_batch: int
    tune_lr: float
    temperatures: tuple[float, ...]
    seeds: int
    processes: int


PRESETS = {
    "cpu": Preset("slim", 64, 8192, 2000, 1000, 640, 64, 3e-3, 300, 64, 3e-3, (0.2, 0.5, 1.0, 2.0), 3, 2),
    "gpu": Preset("resnet18", 128, 65536, 10000, 4000, 5000, 256, 1e-3, 3000, 128, 1e-3, (0.2, 0.5, 1.0, 2.0), 5, 1),
    "toy": Preset("slim", 32, 24, 20, 12, 2, 8, 1e-3, 2, 8, 1e-3, (0.5, 1.0), 2, 2),
}


@dataclass(frozen=True)
class Pretrain:
    """A pre-training and the probes on its frozen features.

    Args:
        method: One of ``METHODS``, or ``"none"``: random weights.
        temperature: Of NT-Xent.
        seed: Of everything random.
        geometry: Which of ``GEOMETRY`` the views vary in, beside colour.
        degrees: Of the rotation to either side.
        short: Whether it has half of the steps.
        times: Batches to a step, of which there are so many fewer.
        cached: Whether a step of many images is one loss over all of them (cached gradients), or the sum of the losses
            of plain batches (accumulation).
    """

    method: str
    temperature: float = 0.5
    seed: int = 0
    geometry: tuple[str, ...] = GEOMETRY
    degrees: float = 45.0
    short: bool = False
    times: int = 1
    cached: bool = False

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        words = [self.method, f"temperature {self.temperature:g}", f"seed {self.seed}"]
        if self.method == "none":
            words = ["random weights", words[2]]
        if self.geometry != GEOMETRY:
            words.append(f"only {' '.join((*self.geometry, 'colour'))}")
        if self.degrees != 45:
            words.append(f"{self.degrees:g} degrees")
        if self.short:
            words.append("half of the steps")
        if self.times > 1:
            words.append(f"{self.times} batches to a step, {'cached' if self.cached else 'accumulated'}")
        return "pre-train, " + ", ".join(words)


@dataclass(frozen=True)
class FineTune:
    """A 2.5D model that begins with an encoder and learns from a share of the labels.

    Args:
        start: The pre-training that the encoder comes from; ``"none"`` is supervised training from scratch.
        fraction: Of the labels.
        encoder_rate: Learning rate of the encoder over that of all else.
    """

    start: Pretrain
    fraction: float
    encoder_rate: float = 1.0

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        slow = f", encoder at {self.encoder_rate:g} of the rate" if self.encoder_rate != 1 else ""
        return f"fine-tune with {100 * self.fraction:g} % of the labels after {self.start.key}{slow}"


Piece: TypeAlias = Pretrain | FineTune


def sweep(preset: Preset) -> Iterator[Pretrain]:
    """List the runs by which each method's temperature is chosen: of the first seed."""
    for method in SWEPT:
        for temperature in preset.temperatures:
            yield Pretrain(method, temperature, short=True)


def best_temperature(method: str, preset: Preset, done: Results) -> float | None:
    """Choose a method's temperature: the least 2D error of a probe on hands that are for this only.

    None while a run of its sweep is to be done.
    """
    runs = [run for run in sweep(preset) if run.method == ("exact" if method not in SWEPT else method)]
    if any(run.key not in done for run in runs):
        return None
    return min(runs, key=lambda run: float(done[run.key]["chosen by"])).temperature


def rows(preset: Preset, done: Results) -> Iterator[Pretrain]:
    """List the pre-trainings of the table as far as their temperatures are known, all methods of a seed together."""
    for seed in range(preset.seeds):
        yield Pretrain("none", seed=seed)
        for method in METHODS:
            if (temperature := best_temperature(method, preset, done)) is not None:
                yield Pretrain(method, temperature, seed)


def questions(preset: Preset, done: Results) -> dict[str, list[Pretrain]]:
    """List the runs, of the first seed, that answer the paper's questions, under the questions' names."""
    found: dict[str, list[Pretrain]] = {"augmentations": [], "batch": [], "rotation": []}
    for method in SWEPT:
        if (temperature := best_temperature(method, preset, done)) is None:
            continue
        base = Pretrain(method, temperature, short=True)
        found["augmentations"] += [replace(base, geometry=(name,)) for name in GEOMETRY]
        found["rotation"].append(replace(base, degrees=180.0))
        if method == "simclr":
            found["augmentations"].append(replace(base, geometry=()))
        if method == "exact":
            found["batch"] += [replace(base, times=4, cached=cached) for cached in (False, True)]
    return found


def ready(preset: Preset, done: Results) -> list[Piece]:
    """List all pieces that can be run with what is known, and those that are done, in the order they are wanted."""
    starts = [start for start in rows(preset, done) if start.key in done]
    pieces: list[Piece] = [*sweep(preset), *rows(preset, done)]
    pieces += [FineTune(start, fraction) for fraction in FRACTIONS for start in starts]
    pieces += [FineTune(start, fraction, SLOW) for fraction in SLOW_FRACTIONS for start in starts]
    for runs in questions(preset, done).values():
        pieces += runs
    return list(dict.fromkeys(pieces))


def count(preset: Preset) -> int:
    """Count the pieces of a whole study."""
    table = preset.seeds * (len(METHODS) + 1)
    others = len(SWEPT) * (len(preset.temperatures) + len(GEOMETRY) + 1) + 1 + 2
    return table * (1 + len(FRACTIONS) + len(SLOW_FRACTIONS)) + others


def missing(pieces: Iterable[Piece], done: Results) -> list[Piece]:
    """List the pieces that are to be done."""
    return [piece for piece in pieces if piece.key not in done]
