"""Teach a pre-trained ResNet where a hand's 21 joints are, in the picture and in space.

On hands that are rendered on the spot, from the encoder that pre-training left (about four minutes on two CPU cores):

    python examples/finetune_freihand.py --weights runs/pretrain/encoder.pt

On FreiHAND, unpacked at data/freihand, with a tenth of the labels:

    python examples/finetune_freihand.py --data data/freihand --weights runs/freihand/encoder.pt --fraction 0.1

On all GPUs of a machine, started again if one of them fails:

    torchrun --nproc-per-node gpu --max-restarts 3 examples/finetune_freihand.py --data data/freihand

The model is the 2.5D one of PeCLR (Spurr et al., ICCV 2021): ``equicon.hands.Pose25D``. Views are made by the same
transforms as in pre-training, and joints and camera are carried along. With --resume, a run that was stopped goes on as
if it had not been. Writes to --out:

    best.pt         the model with the least PA-EPE on the hands kept for validation: examples/evaluate_freihand.py
    result.json     the errors of every validation, the arguments and the versions
    skeletons.png   predicted and true skeletons of the first validation hands, by the best model
    arguments.json  what --resume reads
    checkpoints/    the last states of the run
    tensorboard/    losses, learning rate, speed, errors, skeletons: tensorboard --logdir runs
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # Ctrl-C while all that follows is imported ends it without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib", "tensorboard")

import matplotlib as mpl

mpl.use("Agg")

import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

import equicon as eq
from equicon.hands import Hand, Pose25D, PoseErrors, PoseTarget, pose_crop, pose_errors, pose_loss, pose_target, project
from equicon.hands.recipes import (
    CLIP_NORM,
    REFINE_RATE,
    FinetuneData,
    build_encoder,
    draw_skeletons,
    find_labelled,
    load_finetune_data,
    parse_finetune_args,
)
from equicon.training import (
    PAUSE,
    Batches,
    Journal,
    Stop,
    Training,
    launch,
    loading,
    parameter_groups,
    plain_state,
    seed_of,
    write_figure,
    write_state,
)

VALIDATION_BATCH = 128


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return parse_finetune_args((__doc__ or "").partition("\n")[0], argv)


# --- training


def finetune(run: "Run", journal: Journal, stop: Stop) -> bool:
    """Train to the end, or until a signal comes to any rank: then save what is whole. Say whether one came."""
    args, watch, ranks = run.args, journal.watch, run.ranks
    augment = run.make_views()
    sampler = Batches(run.data.count, args.batch_size, args.seed, run.step, run.steps, ranks)
    batches = iter(DataLoader(run.data.train, batch_sampler=sampler, **loading(args)))
    stopping = ranks.any(bool(stop.signal))
    run.model.train()
    watch.mark(PAUSE)
    while run.step < run.steps and not stopping:
        hand = next(batches)
        watch.mark("data")
        torch.manual_seed(seed_of(args.seed, 1, run.step, *([ranks.rank] if ranks.rank else [])))
        view = make_view(hand, augment, run)
        watch.mark("views")
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            pose = run.predict(view.images, view.K)
        watch.mark("model")
        losses = pose_loss(pose, view, tuple(args.loss_weights))
        total = torch.stack([*losses.values()]).sum()
        run.scaler.scale(total).backward()
        watch.mark("model")
        rate = run.rate
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), CLIP_NORM)
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        watch.mark("optimizer")

        # The mean over the ranks, so that all see what is not finite on one of them.
        shown, *parts = ranks.mean(torch.stack([total, *losses.values()]).detach())
        note = f"epoch {int(run.step / run.per_epoch) + 1}/{args.epochs:g}"
        journal.step(run.step, rate, shown, note, dict(zip(losses, parts, strict=True)))
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


def make_view(hand: Hand, augment: eq.EquivariantTransform, run: "Run") -> PoseTarget:
    hand = Hand(*(field.to(run.device, non_blocking=True) for field in hand))
    size, frame = (run.args.size, run.args.size), pose_crop(hand, run.args.size)
    images, g = augment(hand.image, size=size, frame=frame, dtype=run.dtype, memory_format=torch.channels_last)
    return pose_target(hand, images, g @ frame)


# --- validation


def validate(run: "Run", journal: Journal) -> None:
    """Measure the model on the hands kept for it, unless that was done before the run was stopped."""
    if run.step not in run.found:
        journal.flush()  # where a loss is not finite, this says so; an alignment would only fail
        run.found[run.step] = run.ranks.of_first(lambda: measure(run, journal))
        run.save(journal)
    if run.best == run.step and run.ranks.first:  # after the checkpoint that knows of it, or again if that was the last
        write_state(run.args.out / "best.pt", plain_state(run.model))
    errors = run.found[run.step]
    journal.scalars(run.step, {f"validation/{name}": value for name, value in errors._asdict().items()})
    best = ", the best so far" if run.best == run.step else ""
    journal.say(f"epoch {run.step / run.per_epoch:.3g}: {describe(errors)}{best}")


def measure(run: "Run", journal: Journal) -> PoseErrors:
    """Predict the hands kept for validation, and keep the picture if the model is the best so far."""
    run.check_finite()
    hands, joints = predict(run)
    errors = pose_errors(joints, hands.xyz, hands.K)
    first = Hand(*(field[:8] for field in hands))
    figure = draw_skeletons(first.image / 255, project(joints[:8], first.K), first.xy)
    journal.picture(run.step - 1, "skeletons", figure)  # of the steps done: what is of later ones is void on --resume
    if all(errors.pa_mm < others.pa_mm for others in run.found.values()):
        write_figure(run.args.out / "skeletons.png", figure)
    plt.close(figure)
    return errors


@torch.no_grad()
def predict(run: "Run") -> tuple[Hand, Tensor]:
    """Predict joints in metres, and give them with the labels and the first eight images."""
    run.model.eval()
    loader = DataLoader(run.data.validation, VALIDATION_BATCH, **loading(run.args))
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    plain = eq.Compose([eq.Normalize.imagenet()])
    for hand in tqdm(loader, desc="validate", leave=False):
        view = make_view(hand, plain, run)
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            pose = run.model(view.images, view.K)
        kept = hand.image[: 8 if not found else 0].clone()  # a view would keep its whole batch
        found.append((kept, hand.xyz, hand.K, pose.joints(view.scale).cpu()))
    images, xyz, K, joints = (torch.cat(values) for values in zip(*found, strict=True))
    return Hand(images, xyz, K), joints


def describe(errors: PoseErrors) -> str:
    return (
        f"PA-EPE {errors.pa_mm:.1f} mm, EPE {errors.epe_mm:.1f} mm, from the wrist {errors.mm:.1f} mm, "
        f"2D {errors.px:.2f} px, PA-AUC {errors.pa_auc:.3f}"
    )


# --- the run


class Run(Training[FinetuneData]):
    """A run in progress.

    Attributes:
        found: The errors on the validation hands, by step.
        predict: Gives poses, on all ranks.
    """

    kind = "fine-tuning"
    title = "fine-tune"

    def check_arguments(self) -> None:
        args, world = self.args, self.ranks.world
        if args.batch_size % world or args.batch_size // world < 2:
            fix = "Then all weigh alike, and batch norm has two images at least."
            sys.exit(
                f"--batch-size: expected a multiple of {world} ranks, twice at least, got {args.batch_size}. {fix}"
            )
        if find_labelled(args.data).rendered:
            self.check_count(args.hands)

    def load_data(self) -> FinetuneData:
        return load_finetune_data(self.args, quiet=not self.ranks.first)

    def build(self, weights: str) -> nn.Module:
        return Pose25D(*build_encoder(self.args.arch, weights))

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        groups = parameter_groups(model, self.args.weight_decay, {"refine": REFINE_RATE})
        return torch.optim.AdamW(groups, self.args.lr)

    def make_views(self) -> eq.Compose:
        args = self.args
        return eq.Compose(
            [
                eq.RandomScale((args.scale[0], args.scale[1])),
                eq.RandomRotation(args.degrees),
                eq.RandomTranslate(args.translate),
                eq.ColorJitter(*args.jitter),
                eq.Normalize.imagenet(),
            ]
        )

    def start(self, data: FinetuneData, saved: Mapping[str, Any] | None) -> None:
        self.found: dict[int, PoseErrors] = {}
        super().start(data, saved)
        self.predict: nn.Module = DistributedDataParallel(self.model) if self.ranks.world > 1 else self.model

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore(saved)
        self.found = {step: PoseErrors(*row) for step, row in saved["found"].items()}

    def state(self) -> dict[str, Any]:
        return super().state() | {"found": {step: tuple(errors) for step, errors in self.found.items()}}

    @property
    def best(self) -> int:
        """The validated step with the least PA-EPE, the first of equals."""
        return min(self.found, key=lambda step: (self.found[step].pa_mm, step))

    def loop(self, journal: Journal, stop: Stop) -> bool:
        return finetune(self, journal, stop)

    @property
    def unmeasured(self) -> bool:
        within = 0 < self.step < self.steps
        return within and (self.step in self.found or self.due(self.args.validate_every))

    def measure(self, journal: Journal) -> None:
        validate(self, journal)

    def results(self) -> dict[str, Any]:
        return {"validation": {step: errors._asdict() for step, errors in self.found.items()}, "best": self.best}

    def describe(self) -> str:
        args = self.args
        return (
            f"2.5D model on {args.arch}, on {self.place}, the encoder in {args.precision} with weights "
            f"'{args.weights}'; {self.steps:,} steps of {self.images:,} images"
        )

    def say(self) -> None:
        out, best = self.args.out, self.best
        print(f"\nThe best model is that of epoch {best / self.per_epoch:.3g}: {describe(self.found[best])}.")
        print(f"{self.minutes:.1f} minutes. It is {out / 'best.pt'}; see {out / 'skeletons.png'}. Test it:")
        program = Path(__file__).with_name("evaluate_freihand.py")
        words = [os.path.relpath(sys.executable), os.path.relpath(program), str(out / "best.pt")]
        print(f"    {shlex.join(words + ([] if self.args.data == 'synthetic' else ['--data', self.args.data]))}")


def main(argv: Sequence[str] | None = None) -> None:
    launch(Run, parse_args, argv)


if __name__ == "__main__":
    main()
