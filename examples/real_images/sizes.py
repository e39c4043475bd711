"""The sizes of the study: networks, data and steps of ``reproduce.py``, by preset."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Preset:
    """The sizes of a study.

    Args:
        arch: The encoder, one of ``equicon.recipes.ARCHS``.
        shipped: What the names of the networks begin with that come with equicon and have this architecture; empty if
            there are none.
        size: The side of the views [pixels].
        large: The side of the views of sets whose pictures show small things [pixels].
        steps: The steps of pre-training.
        batch: The pictures in a step of pre-training.
        rates: The learning rates of pre-training that each method can choose from on pictures of hands. All others,
            and rendered hands, use the first.
        temperature: The temperature of NT-Xent.
        hands: The number of rendered hands to learn from.
        scenes: The number of scenes that they share.
        tune_steps: The steps of fine-tuning.
        choose_steps: The steps of the fine-tunings that choose settings.
        tune_batch: The pictures in a step of fine-tuning.
        tune_rates: The learning rates of fine-tuning that each row can choose from, in order. The middle one chooses
            what a row starts from, and is that of learning from rendered hands.
        supervised_steps: The steps of fine-tuning on rendered hands with labels.
        consistency: The weight of the consistency loss.
        holdout: The share of the training pictures that validate a model and choose settings.
        validations: The number of validations of a fine-tuning.
        seeds: The number of seeds of a set that has one test part.
        more_seeds: The same, on hands at about a tenth of the labels.
        splits: The number of test parts of a set with few labels. Each has a seed of its own.
        shares: The largest number of shares of the labels; those nearest to the one that settings are chosen with.
        rows: The rows of the tables to run, by name; empty for all.
        workers: The processes of a program that read pictures; 0 for none.
        processes: The number of pieces to run at a time.
    """

    arch: str
    shipped: str
    size: int
    large: int
    steps: int
    batch: int
    rates: tuple[float, ...]
    temperature: float
    hands: int
    scenes: int
    tune_steps: int
    choose_steps: int
    tune_batch: int
    tune_rates: tuple[float, ...]
    supervised_steps: int
    consistency: float
    holdout: float
    validations: int
    seeds: int
    more_seeds: int
    splits: int
    shares: int
    rows: tuple[str, ...]
    workers: int
    processes: int

    @property
    def written(self) -> dict[str, Any]:
        """The sizes that decide the results, as JSON stores them."""
        sizes: dict[str, Any] = json.loads(json.dumps(asdict(self) | {"workers": None, "processes": None}))
        return sizes


PRESETS = {
    "cpu": Preset(
        arch="quarter_resnet18",
        shipped="hands-r18-quarter",
        size=64,
        large=96,
        steps=900,
        batch=64,
        rates=(2e-3, 1e-3),
        temperature=0.1,
        hands=4096,
        scenes=32,
        tune_steps=800,
        choose_steps=400,
        tune_batch=32,
        tune_rates=(1e-3, 3e-3, 1e-2),
        supervised_steps=1000,
        consistency=1.0,
        holdout=0.1,
        validations=4,
        seeds=3,
        more_seeds=4,
        splits=3,
        shares=3,
        rows=(),
        workers=0,
        processes=2,
    ),
    "toy": Preset(
        arch="quarter_resnet18",
        shipped="hands-r18-quarter",
        size=32,
        large=32,
        steps=2,
        batch=8,
        rates=(2e-3,),
        temperature=0.1,
        hands=8,
        scenes=2,
        tune_steps=2,
        choose_steps=2,
        tune_batch=4,
        tune_rates=(1e-3,),
        supervised_steps=2,
        consistency=1.0,
        holdout=0.2,
        validations=1,
        seeds=1,
        more_seeds=1,
        splits=1,
        shares=1,
        rows=("scratch", "exact", "consistency", "best + consistency", "shipped"),
        workers=0,
        processes=2,
    ),
}
# For one GPU. This preset has not been run.
PRESETS["gpu"] = replace(
    PRESETS["cpu"],
    arch="resnet18",
    shipped="",
    size=128,
    large=192,
    steps=5000,
    batch=128,
    rates=(1e-3, 5e-4),
    hands=32768,
    tune_steps=4000,
    choose_steps=2000,
    tune_batch=64,
    tune_rates=(3e-4, 1e-3, 3e-3),
    supervised_steps=8000,
    validations=20,
    seeds=5,
    more_seeds=5,
    splits=10,
    workers=8,
    processes=1,
)
