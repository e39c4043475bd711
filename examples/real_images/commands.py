"""The commands of a piece: which example programs it runs, with which options, and what they leave behind."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from equicon.data import UnlabelledImages, VideoFrames, is_video, keypoint_layout, open_keypoints
from equicon.hands import FreiHAND
from real_images.pieces import FineTune, Given, Piece, Pretrain, Start, Supervised
from real_images.sets import RENDERED, SETS, Labelled
from real_images.sizes import Preset

EXAMPLES = Path(__file__).parents[1]
FIRST_BOX = "0.75"
"""The share of a crop's side that the hands of real_joints fill."""

EPOCH = 20
"""The steps that an epoch of ``finetune_keypoints.py`` has at least."""

PROBED = 10
"""The labelled hands that probes learn from, which nobody looks at."""


@dataclass(frozen=True)
class Study:
    """Where a study has its data and its runs.

    Args:
        out: The folder of the study.
        preset: Its sizes.
        sources: The folders that were given, by the name of the set.
        device: The device to train on.
    """

    out: Path
    preset: Preset
    sources: Mapping[str, Path]
    device: str

    def folder(self, piece: Piece) -> Path:
        """Give the folder of a piece's run."""
        return self.out / "runs" / re.sub(r"[^a-z0-9.]+", "-", piece.key.lower())

    def weights(self, start: Start) -> str:
        """Give the weights that a fine-tuning starts from."""
        if isinstance(start, Given):
            return start.weights
        return str(self.folder(start) / ("encoder.pt" if isinstance(start, Pretrain) else "best.pt"))

    def training(self, task: Labelled, seed: int) -> Path:
        """Give the folder of a set's training part."""
        return self._part(task, seed, "train")

    def test(self, task: Labelled, seed: int) -> Path:
        """Give the folder of a set's test part."""
        return self._part(task, seed, "test")

    def _part(self, task: Labelled, seed: int, name: str) -> Path:
        if task.program == "freihand":
            return self.sources[task.name]
        return self.out / "data" / task.name / str(seed % task.parts(self.preset)) / name

    @cached_property
    def videos(self) -> dict[str, list[Path]]:
        """The videos of each set that has any."""
        found = {
            name: sorted(path for path in (folder / "videos").glob("*") if is_video(str(path)))
            for name, folder in self.sources.items()
        }
        return {name: paths for name, paths in found.items() if paths}

    def unlabelled(self, name: str) -> list[str]:
        """List the values of ``--data`` that a set without labels stands for."""
        if name == RENDERED:
            return [RENDERED]
        if name.endswith(" video"):
            return [str(path) for path in self.videos[name.removesuffix(" video")]]
        return [str(self.training(SETS[name], 0)) if name in SETS else str(self.out / "data" / name)]

    def commands(self, piece: Piece) -> list[list[str]]:
        """Write the commands of a piece."""
        if isinstance(piece, Pretrain):
            return [self._pretrain(piece)]
        if isinstance(piece, Supervised):
            return [self._supervised(piece)]
        return [self._finetune(piece), self._evaluate(piece)]

    def _pretrain(self, piece: Pretrain) -> list[str]:
        preset = self.preset
        data = [value for name in piece.data for value in self.unlabelled(name)]
        epochs = preset.steps / _batches(self.count(tuple(data), piece.seed), preset.batch)
        words: list[Any] = ["pretrain_freihand.py", *(word for value in data for word in ("--data", value))]
        if piece.data == (RENDERED,):
            words += ["--hands", preset.hands, "--scenes", preset.scenes, "--labelled", PROBED]
        else:
            words += ["--labelled", 2 * PROBED, "--holdout", preset.holdout]
        words += ["--method", piece.method, "--temperature", preset.temperature, "--inside"]
        words += ["--groups-per-batch", piece.groups, "--picture-every", f"{epochs:.9g}"]
        return self._words(piece, words, piece.size, preset.batch, epochs, piece.rate)

    def _supervised(self, piece: Supervised) -> list[str]:
        preset, batch = self.preset, self.preset.tune_batch
        epochs = preset.supervised_steps / _batches(preset.hands, batch)
        words = ["finetune_freihand.py", "--data", RENDERED, "--hands", preset.hands, "--fraction", 1, "--no-baseline"]
        words += ["--validate-every", f"{epochs / preset.validations:.6g}"]
        return self._words(piece, words, piece.size, batch, epochs, preset.tune_rates[len(preset.tune_rates) // 2])

    def _finetune(self, piece: FineTune) -> list[str]:
        preset, task = self.preset, SETS[piece.on]
        there, batch = self.there(task, piece.seed), preset.tune_batch
        freihand = task.program == "freihand"
        epochs = piece.steps / _batches(there if freihand else max(there, EPOCH * batch), batch)
        words = [f"finetune_{task.program}.py", "--data", self.training(task, piece.seed)]
        words += ["--fraction", f"{piece.share:.6g}", "--holdout", preset.holdout]
        words += ["--weights", self.weights(piece.start), *(["--no-baseline"] if freihand else [])]
        words += ["--validate-every", f"{epochs / preset.validations:.6g}"]
        for value in (value for name in piece.unlabelled for value in self.unlabelled_of(piece, name)):
            words += ["--unlabelled", value]
        words += ["--consistency", preset.consistency] if piece.unlabelled else []
        return self._words(piece, words, task.size(preset), batch, epochs, piece.rate)

    def unlabelled_of(self, piece: FineTune, name: str) -> list[str]:
        """List what a set without labels stands for in a fine-tuning, which has its own training part."""
        return [str(self.training(SETS[name], piece.seed))] if name == piece.on else self.unlabelled(name)

    def _words(self, piece: Piece, words: list[Any], size: int, batch: int, epochs: float, rate: float) -> list[str]:
        out, often = self.folder(piece), f"{epochs / 2:.6g}"
        words = [*words, "--recipe", "quick", "--arch", self.preset.arch, "--size", size, "--batch-size", batch]
        words += ["--epochs", f"{epochs:.9g}", "--lr", rate, "--seed", piece.seed, "--device", self.device]
        words += ["--workers", self.preset.workers]
        words += ["--save-every", often, "--keep", 1, "--out", out, "--resume"]
        return _program(words)

    def _evaluate(self, piece: FineTune) -> list[str]:
        task, out = SETS[piece.on], self.folder(piece)
        words: list[Any] = [f"evaluate_{task.program}.py", out / "best.pt", "--data", self.test(task, piece.seed)]
        words += ["--first", FIRST_BOX] if task.program == "freihand" else []
        words += ["--workers", self.preset.workers, "--device", self.device]
        return _program([*words, "--out", out / "test"])

    def there(self, task: Labelled, seed: int) -> int:
        """Count the training items of a set, without those that validate the model."""
        return count_items(str(self.training(task, seed)), self.preset.holdout, seed)

    def count(self, data: tuple[str, ...], seed: int) -> int:
        """Count the pictures that pre-training learns from."""
        if data == (RENDERED,):
            return self.preset.hands
        return sum(count_items(value, self.preset.holdout, seed) for value in data)

    def found(self, piece: Piece) -> dict[str, Any]:
        """Read what a finished piece found."""
        if not isinstance(piece, FineTune):
            return {"weights": str(Path(self.weights(piece)).relative_to(self.out))}
        folder, task = self.folder(piece), SETS[piece.on]
        result = json.loads((folder / "result.json").read_bytes())
        tested = json.loads((folder / "test" / "evaluation.json").read_bytes())
        best = result["validation"][str(result["best"])]
        least = "mm" if task.program == "freihand" else "nme"
        kept = {name: value for name, value in tested.items() if not isinstance(value, list | str)}
        return {
            "validation": best["this model"][least],
            "validated by": least,
            "mean pose on the validation items": best["mean pose"],
            "labels": max(1, round(piece.share * self.there(task, piece.seed))),
            "test": kept,
        }


def _batches(count: int, batch: int) -> int:
    """Count the batches of an epoch. Where there is none, the program says what is wrong."""
    return max(1, count // batch)


def _program(words: list[Any]) -> list[str]:
    script, *options = map(str, words)
    return [sys.executable, str(EXAMPLES / script), *options]


@cache
def count_items(data: str, holdout: float, seed: int) -> int:
    """Count the items of a data set on disk, without those that are held out for validation or probes.

    Args:
        data: What ``--data`` takes.
        holdout: The share that is held out, where there are labels.
        seed: The seed of the run.
    """
    if is_video(data):
        return len(VideoFrames(data, 8))
    if (Path(data) / "training_K.json").is_file():
        return len(FreiHAND(data).holdout(holdout, seed=seed)[0])
    if keypoint_layout(data) is None:
        return len(UnlabelledImages(data, 8))
    return len(open_keypoints(data, 8).split(holdout, seed)[0])
