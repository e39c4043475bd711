"""Teach a network where the keypoints of anything are, from pictures that you labelled.

Train on a folder with COCO's annotations.json or DeepLabCut's CollectedData*.csv:

    python examples/finetune_keypoints.py --data mouse

Start from the encoder that was pre-trained on your pictures without labels, with a tenth of the labels:

    python examples/finetune_keypoints.py --data mouse --weights runs/mouse/encoder.pt --fraction 0.1 --out runs/few

Train on all GPUs of a machine, with restarts if one fails:

    torchrun --nproc-per-node gpu --max-restarts 3 examples/finetune_keypoints.py --data coco

The transforms of the views also move the keypoints. Whole videos, folders or stretches of frames are held out to
validate the model. Each error is printed beside that of the mean pose. With --resume, a stopped run goes on as if it
had never stopped. Files in --out:

    best.pt         the model with the least validation error, with its names, skeleton, normalisation and size
    result.json     the errors of every validation, the arguments and the versions
    keypoints.png   predicted and true keypoints of the first validation items, by the best model
    arguments.json  what --resume reads
    checkpoints/    the last states of the run
    tensorboard/    losses, learning rate, speed, errors, keypoints: tensorboard --logdir runs
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib", "tensorboard")

import matplotlib as mpl

mpl.use("Agg")

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

import equicon as eq
from equicon.backbones import describe_backbone
from equicon.data import KeypointSample
from equicon.keypoints import (
    KeypointModel,
    KeypointPredictor,
    KeypointTarget,
    keypoint_frame,
    keypoint_loss,
    keypoint_target,
    write_keypoint_model,
)
from equicon.recipes import (
    PretrainData,
    Teacher,
    Validated,
    build_encoder,
    check_shares,
    check_unlabelled,
    clip_gradients,
    encoder_options,
    encoder_rates,
    geometric_views,
    load_unlabelled,
)
from equicon.recipes.keypoints import (
    TUNED,
    KeypointData,
    KeypointErrors,
    draw_sheet,
    first_of,
    flat_points,
    format_keypoint_errors,
    load_keypoint_data,
    make_task,
    parse_keypoint_args,
    read_points,
    run_keypoints,
    stacked,
)
from equicon.training import (
    PAUSE,
    Batches,
    Journal,
    Stop,
    WeightsError,
    launch,
    loading,
    parameter_groups,
    plain_state,
    seed_of,
    write_figure,
)

VALIDATION_BATCH, SHOWN = 64, 8


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return parse_keypoint_args((__doc__ or "").partition("\n")[0], argv)


def finetune(run: "Run", journal: Journal, stop: Stop) -> bool:
    """Train to the end, or until a signal comes to any rank; then save. Say whether a signal came."""
    args, watch, ranks = run.args, journal.watch, run.ranks
    augment = run.make_views()
    sampler = Batches(run.data.count, args.batch_size, args.seed, run.step, run.steps, ranks)
    batches = iter(DataLoader(run.data.train, batch_sampler=sampler, **loading(args)))
    lessons = run.teacher.lessons(read_points, run.step, run.steps, ranks, watch) if run.teacher else None
    stopping = ranks.any(bool(stop.signal))
    run.model.train()
    watch.mark(PAUSE)
    while run.step < run.steps and not stopping:
        sample = next(batches)
        watch.mark("data")
        torch.manual_seed(seed_of(args.seed, 1, run.step, *([ranks.rank] if ranks.rank else [])))
        view = make_view(sample, augment, run)
        taught = next(lessons) if lessons else None
        images = torch.cat([view.images, taught.images]) if taught else view.images
        watch.mark("views")
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            found = run.predict(images)
        losses = keypoint_loss(first_of(found, len(view.images)), view)
        if taught:
            losses["consistency"] = taught.loss(flat_points(found, images)[len(view.images) :])
        run.scaler.scale(torch.stack([*losses.values()]).sum()).backward()
        watch.mark("model")
        rate = run.rate
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        clip_gradients(run.model, run.optimizer, run.scaler, args.clip)
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        if run.teacher:
            run.teacher.follow(run.student, run.step, ranks)
        watch.mark("optimizer")

        # Take the mean over the ranks, so that all ranks see a value that is not finite on one of them.
        parts = dict(zip(losses, ranks.mean(torch.stack([*losses.values()]).detach()), strict=True))
        note = f"epoch {int(run.step / run.per_epoch) + 1}/{args.epochs:g}"
        journal.step(run.step, rate, torch.stack([*parts.values()]).sum(), note, parts)
        run.step += 1
        stopping = ranks.any(bool(stop.signal))
        if run.step < run.steps and not stopping and run.due(args.validate_every):
            run.measure(journal)
            run.model.train()
        elif run.due(args.save_every) and run.step < run.steps:
            run.save(journal)
        watch.mark(PAUSE)
    run.save(journal)
    return stopping


def make_view(sample: KeypointSample, augment: eq.EquivariantTransform, run: "Run") -> KeypointTarget:
    sample = KeypointSample(*(field.to(run.device, non_blocking=True) for field in sample))
    size, frame = (run.args.size, run.args.size), keypoint_frame(sample, run.data.margin)
    images, g = augment(sample.image, size=size, frame=frame, dtype=run.dtype, memory_format=torch.channels_last)
    return keypoint_target(sample, images, g @ frame, run.flip)


def validate(run: "Run", journal: Journal) -> None:
    """Measure the model on the validation items, unless this was done before the run was stopped."""
    if run.step not in run.found:
        journal.flush()  # names a loss that is not finite
        run.found[run.step] = run.ranks.of_first(lambda: measure(run, journal))
        run.save(journal)
    if run.best == run.step and run.ranks.first:  # after saving; done again if the run stopped in between
        write_keypoint_model(run.args.out / "best.pt", plain_state(run.tested), run.task)
    for name, errors in run.found[run.step].items():
        group = "validation" if name == TUNED else f"validation, {name}"
        journal.scalars(run.step, {f"{group}/{field}": value for field, value in errors._asdict().items()})
    best = ", the best so far" if run.best == run.step else ""
    journal.say(f"epoch {run.step / run.per_epoch:.3g}{best}\n{format_keypoint_errors(run.found[run.step])}")


def measure(run: "Run", journal: Journal) -> dict[str, KeypointErrors]:
    """Predict the validation items, and keep the picture if the model is the best so far."""
    run.check_finite()
    run.tested.eval()
    data = run.data
    loader = tqdm(DataLoader(data.validation, VALIDATION_BATCH, **loading(run.args)), desc="validate", leave=False)
    predictor = KeypointPredictor(run.tested, run.task)  # type: ignore[arg-type]  # build makes a KeypointModel
    tested = run_keypoints(predictor, loader, run.device, run.dtype)
    errors = tested.errors(data.held_out)
    first = stacked(data.validation, range(min(SHOWN, len(data.validation))))
    figure = draw_sheet(first.image / 255, tested.xy[:SHOWN], run.task.skeleton, first.xy, first.visible)
    journal.picture(run.step - 1, "keypoints", figure)  # the last step that is done: --resume voids later ones
    if all(errors[TUNED].nme < others[TUNED].nme for others in run.found.values()):
        write_figure(run.args.out / "keypoints.png", figure)
    plt.close(figure)
    return errors


class Run(Validated[KeypointData]):
    """A run on keypoints.

    Attributes:
        predict: Gives the prediction of the model, on all ranks.
    """

    kind = "keypoints"
    title = "fine-tune"
    errors, kept, least = KeypointErrors, TUNED, "nme"  # relative to the boxes
    model: KeypointModel

    def check_arguments(self) -> None:
        check_shares(self.args.batch_size, self.ranks.world)
        check_unlabelled(self.args)

    def load_data(self) -> KeypointData:
        data, quiet = load_keypoint_data(self.args), not self.ranks.first
        self.task = make_task(data, self.args)
        return replace(data, unlabelled=load_unlabelled(self.args, quiet=quiet))

    def build(self, weights: str) -> nn.Module:
        encoder, _ = build_encoder(self.args.arch, weights, **encoder_options(self.args))
        if self.args.head == "heatmap" and self.args.size % (stride := describe_backbone(encoder).stride):
            raise WeightsError(f"--size: expected a multiple of {stride}, the stride of the map, got {self.args.size}.")
        if not hasattr(self, "task"):  # a first look at the weights, before the data is read
            return encoder
        return KeypointModel(encoder, len(self.task.names), self.args.head)

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        args = self.args
        rates = encoder_rates(model.get_submodule("encoder"), args.layer_decay)
        return torch.optim.AdamW(parameter_groups(model, args.weight_decay, rates), args.lr, fused=True)

    def make_views(self) -> eq.Compose:
        looks = eq.RandomHorizontalFlip(self.args.flip), eq.ColorJitter(*self.args.jitter), eq.Normalize.imagenet()
        return eq.Compose([*geometric_views(self.args), *looks])

    def make_teacher(self, unlabelled: PretrainData) -> Teacher:
        return Teacher(self.model, unlabelled, eq.Points(), margin=self.data.margin, args=self.args)

    def start(self, data: KeypointData, saved: Mapping[str, Any] | None) -> None:
        super().start(data, saved)
        self.flip = data.about.flip.to(self.device)
        self.predict: nn.Module = self.model
        if self.ranks.world > 1:
            # Some networks end in a norm behind their pooling, which the map for heatmaps does not go through.
            self.predict = DistributedDataParallel(self.model, find_unused_parameters=self.args.head == "heatmap")

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.data.check_same(saved["labels"])
        super().restore(saved)

    def state(self) -> dict[str, Any]:
        return super().state() | {"labels": self.data.labels}

    def loop(self, journal: Journal, stop: Stop) -> bool:
        return finetune(self, journal, stop)

    def measure(self, journal: Journal) -> None:
        validate(self, journal)

    def results(self) -> dict[str, Any]:
        return super().results() | {"names": list(self.task.names)}

    def describe(self) -> str:
        args = self.args
        pairs = sum(other > k for k, other in enumerate(self.task.flip))
        mirrored = f"; mirrored views swap {pairs} pairs of left and right keypoints" if args.flip else ""
        return (
            f"{args.head} model of {len(self.task.names)} keypoints on {args.arch}, on {self.place} in "
            f"{args.precision}, the encoder with weights '{args.weights}'; {self.steps:,} steps of "
            f"{self.images:,} images{mirrored}"
        )

    def say(self) -> None:
        out, best = self.args.out, self.best
        print(
            f"\nThe best model is from epoch {best / self.per_epoch:.3g}.\n{format_keypoint_errors(self.found[best])}"
        )
        print(f"Fine-tuning took {self.minutes:.1f} minutes. {out / 'keypoints.png'} shows what the model predicts.")
        print(f"The model is in {out / 'best.pt'}. To test it on labels that it did not learn from, give their folder:")
        program = Path(__file__).with_name("evaluate_keypoints.py")
        words = [os.path.relpath(sys.executable), os.path.relpath(program), str(out / "best.pt")]
        print(f"    {shlex.join(words)} --data FOLDER")


def main(argv: Sequence[str] | None = None) -> None:
    launch(Run, parse_args, argv)


if __name__ == "__main__":
    main()
