"""The sizes of the study: networks, data and steps of ``reproduce.py``, by preset."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Preset:
    """The sizes of a study.

    Args:
        arch: The encoder, one of ``equicon.recipes.ARCHS``.
        size: The side of the views [pixels].
        scenes: The number of scenes that the unlabelled hands share.
        unlabelled: The number of hands of the domain ``wild`` to pre-train on.
        labelled: The number of hands of the domain ``studio`` for fitting probes and for fine-tuning.
        kept: The number of other hands of ``studio`` that choose settings and end fine-tuning.
        tested: The number of test hands in each domain.
        steps: The steps of pre-training. A step has ``batch`` hands (each in two views) from ``groups`` scenes.
        short: The steps of runs that choose temperatures or answer questions.
        batch: The number of hands in a step of pre-training.
        groups: The number of scenes in a step of pre-training.
        temperatures: The temperatures that each method can choose from.
        rates: The learning rates of pre-training that each method can choose from. Temperatures are chosen at the
            first.
        tune_steps: The largest number of steps of fine-tuning.
        tune_batch: The number of hands in a step of fine-tuning.
        tune_every: The number of steps between validations.
        tune_rates: The learning rates that training from scratch can choose from.
        encoder_rates: The rates of the encoder that each method can choose from, as multiples of the learning rate.
        seeds: The number of seeds in the tables.
        processes: The number of pieces to run at a time.
    """

    arch: str
    size: int
    scenes: int
    unlabelled: int
    labelled: int
    kept: int
    tested: int
    steps: int
    short: int
    batch: int
    groups: int
    temperatures: tuple[float, ...]
    rates: tuple[float, ...]
    tune_steps: int
    tune_batch: int
    tune_every: int
    tune_rates: tuple[float, ...]
    encoder_rates: tuple[float, ...]
    seeds: int
    processes: int

    @property
    def written(self) -> dict[str, Any]:
        """The sizes that decide the results, as JSON stores them."""
        sizes: dict[str, Any] = json.loads(json.dumps(asdict(self) | {"processes": None}))
        return sizes


PRESETS = {
    "cpu": Preset(
        arch="quarter_resnet18",
        size=64,
        scenes=32,
        unlabelled=8192,
        labelled=8192,
        kept=1000,
        tested=2000,
        steps=3000,
        short=800,
        batch=64,
        groups=2,
        temperatures=(0.05, 0.1, 0.2, 0.5),
        rates=(2e-3, 1e-3, 5e-4),
        tune_steps=5000,
        tune_batch=64,
        tune_every=100,
        tune_rates=(1e-3, 3e-3, 1e-2),
        encoder_rates=(0.3, 1.0),
        seeds=3,
        processes=2,
    ),
    "toy": Preset(
        arch="quarter_resnet18",
        size=32,
        scenes=2,
        unlabelled=24,
        labelled=20,
        kept=12,
        tested=12,
        steps=3,
        short=2,
        batch=8,
        groups=2,
        temperatures=(0.1, 0.5),
        rates=(2e-3, 1e-3),
        tune_steps=4,
        tune_batch=8,
        tune_every=1,
        tune_rates=(1e-3, 3e-3),
        encoder_rates=(0.3, 1.0),
        seeds=2,
        processes=2,
    ),
}
# For one GPU, where a piece should take at most eight minutes. Neither of these two presets has been run.
PRESETS["gpu"] = replace(
    PRESETS["cpu"],
    arch="resnet18",
    size=128,
    scenes=64,
    unlabelled=32768,
    tested=4000,
    steps=4000,
    short=1500,
    batch=128,
    groups=4,
    rates=(1e-3, 5e-4, 2e-3),
    processes=1,
)
PRESETS["gpu-resnet50"] = replace(PRESETS["gpu"], arch="resnet50", steps=2500, short=800, tune_steps=3000)


def preset_of(results: dict[str, Any], option: str, path: Path) -> Preset:
    """Give the preset that results were found with. End the program if its sizes are others today."""
    preset = PRESETS[results["preset"]]
    if results["sizes"] != preset.written:
        sys.exit(f"{option}: the sizes in {path} are not those of the preset '{results['preset']}' today.")
    return preset
