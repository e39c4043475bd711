"""How large everything is in ``reproduce.py``."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Preset:
    """How large everything is.

    Args:
        arch: One of ``equicon.hands.recipes.ARCHS``.
        size: Side of the views [pixels].
        scenes: That the unlabelled hands share.
        unlabelled: Hands of the domain ``wild`` to pre-train on.
        labelled: Hands of the domain ``studio`` to fit probes on and to fine-tune on.
        kept: Other hands of ``studio``, to choose settings by, and by which fine-tuning ends.
        tested: Hands of either domain to test on.
        steps: Of pre-training, ``batch`` hands (each seen twice) of ``groups`` scenes to a step.
        short: Of runs that choose temperatures or answer questions.
        temperatures: To choose from, for each method.
        rates: Learning rates of pre-training to choose from, for each method; temperatures are chosen at the first.
        tune_steps: Of fine-tuning at most, ``tune_batch`` hands to a step.
        tune_every: Steps from one validation to the next.
        tune_rates: Learning rates of fine-tuning to choose from, for training from scratch.
        encoder_rates: Those of the encoder over that of all else to choose from, for each method.
        seeds: Of the rows of the tables.
        processes: Pieces at a time.
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
        """What decides the results, as JSON has it."""
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
        tune_rates=(3e-4, 1e-3, 3e-3),
        encoder_rates=(0.1, 0.3, 1.0),
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
# For one GPU: a piece is meant to take eight minutes at most. Neither has been run.
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
