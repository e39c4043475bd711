"""Teach a pre-trained network where a hand's 21 joints are, in the picture and in space.

Train on rendered hands, from the encoder of pre-training (two to four minutes on two idle cores):

    python examples/finetune_freihand.py --weights runs/pretrain/encoder.pt

Train on FreiHAND, unpacked at data/freihand, with a tenth of the labels:

    python examples/finetune_freihand.py --data data/freihand --weights runs/freihand/encoder.pt --fraction 0.1

Train on all GPUs of a machine, with restarts if one fails:

    torchrun --nproc-per-node gpu --max-restarts 3 examples/finetune_freihand.py --data data/freihand

The model is the 2.5D model of PeCLR (Spurr et al., ICCV 2021): ``equicon.hands.Pose25D``. The transforms of the views
also move the joints and the camera. On rendered hands, the same model is also trained from random weights, on the same
views. Each error is printed beside the error of that model and of the mean pose. With --resume, a stopped run goes on
as if it had never stopped. Files in --out:

    best.pt         the model with the least error from the wrist on the hands kept for validation
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
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

import equicon as eq
from equicon.hands import Hand, Pose, PoseErrors, PoseTarget, pose_crop, pose_errors, pose_loss, pose_target, project
from equicon.recipes import (
    FLAT_POSE,
    MEAN,
    POSE_MARGIN,
    TUNED,
    FinetuneData,
    Models,
    PretrainData,
    Teacher,
    Validated,
    check_shares,
    check_unlabelled,
    draw_skeletons,
    encoder_options,
    find_labelled,
    flat_pose,
    format_errors,
    geometric_views,
    load_finetune_data,
    load_unlabelled,
    mean_pose,
    parse_finetune_args,
    read_pose,
)
from equicon.training import (
    PAUSE,
    Batches,
    Journal,
    Stop,
    launch,
    loading,
    plain_state,
    seed_of,
    write_figure,
    write_state,
)

VALIDATION_BATCH = 128


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return parse_finetune_args((__doc__ or "").partition("\n")[0], argv)


def finetune(run: "Run", journal: Journal, stop: Stop) -> bool:
    """Train to the end, or until a signal comes to any rank; then save. Say whether a signal came."""
    args, watch, ranks = run.args, journal.watch, run.ranks
    augment = run.make_views()
    sampler = Batches(run.data.count, args.batch_size, args.seed, run.step, run.steps, ranks)
    batches = iter(DataLoader(run.data.train, batch_sampler=sampler, **loading(args)))
    lessons = run.teacher.lessons(read_pose, run.step, run.steps, ranks, watch) if run.teacher else None
    stopping = ranks.any(bool(stop.signal))
    run.model.train()
    watch.mark(PAUSE)
    while run.step < run.steps and not stopping:
        hand = next(batches)
        watch.mark("data")
        torch.manual_seed(seed_of(args.seed, 1, run.step, *([ranks.rank] if ranks.rank else [])))
        view = make_view(hand, augment, run)
        taught = next(lessons) if lessons else None
        watch.mark("views")
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            poses = run.predict(view.images, view.K, taught and taught.images)
        watch.mark("model")
        labelled = [Pose(*(field[: len(hand.image)] for field in pose)) for pose in poses]
        each = [pose_loss(pose, view, tuple(args.loss_weights)) for pose in labelled]
        if taught:
            z = flat_pose(poses[0], view.images)[len(hand.image) :]
            each[0]["consistency"] = taught.loss(z, run.scales)
        totals = [torch.stack([*losses.values()]).sum() for losses in each]
        run.scaler.scale(torch.stack(totals).sum()).backward()  # the loss of one model has no gradient in the other
        watch.mark("model")
        rate = run.rate
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        run.scaler.unscale_(run.optimizer)
        run.models.clip_gradients(args.clip)
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        if run.teacher:
            run.teacher.follow(run.student, run.step, ranks)
        watch.mark("optimizer")

        # Take the mean over the ranks, so that all ranks see a value that is not finite on one of them.
        parts = each[0] | dict(zip(run.models.by_name, totals, strict=True))
        parts = dict(zip(parts, ranks.mean(torch.stack([*parts.values()]).detach()), strict=True))
        note = f"epoch {int(run.step / run.per_epoch) + 1}/{args.epochs:g}"
        journal.step(run.step, rate, parts.pop(TUNED), note, parts)
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


def validate(run: "Run", journal: Journal) -> None:
    """Measure the model on the validation hands, unless this was done before the run was stopped."""
    if run.step not in run.found:
        journal.flush()  # names a loss that is not finite; without this, the alignment would just fail
        run.found[run.step] = run.ranks.of_first(lambda: measure(run, journal))
        run.save(journal)
    if run.best == run.step and run.ranks.first:  # after saving; done again if the run stopped in between
        write_state(run.args.out / "best.pt", plain_state(run.tested))
    for name, errors in run.found[run.step].items():
        group = "validation" if name == TUNED else f"validation, {name}"
        journal.scalars(run.step, {f"{group}/{field}": value for field, value in errors._asdict().items()})
    best = ", the best so far" if run.best == run.step else ""
    journal.say(f"epoch {run.step / run.per_epoch:.3g}{best}\n{format_errors(run.found[run.step])}")


def measure(run: "Run", journal: Journal) -> dict[str, PoseErrors]:
    """Predict the validation hands, and keep the picture if the model is the best so far."""
    run.check_finite()
    hands, joints = predict(run)
    errors = {name: pose_errors(found, hands.xyz, hands.K) for name, found in joints.items()}
    first = Hand(*(field[:8] for field in hands))
    figure = draw_skeletons(first.image / 255, project(joints[TUNED][:8], first.K), first.xy)
    journal.picture(run.step - 1, "skeletons", figure)  # the last step that is done: --resume voids later ones
    if all(errors[TUNED].mm < others[TUNED].mm for others in run.found.values()):
        write_figure(run.args.out / "skeletons.png", figure)
    plt.close(figure)
    return errors


@torch.no_grad()
def predict(run: "Run") -> tuple[Hand, dict[str, Tensor]]:
    """Predict joints in metres with each model and the mean pose. Also give the labels and the first eight images."""
    models = [run.tested, *(model for model in run.models if model is not run.student)]
    for model in models:
        model.eval()
    loader = DataLoader(run.data.validation, VALIDATION_BATCH, **loading(run.args))
    images: list[Tensor] = []
    views, hands, found = [], [], []
    plain = eq.Compose([eq.Normalize.imagenet()])
    for hand in tqdm(loader, desc="validate", leave=False):
        view = make_view(hand, plain, run)
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            poses = [model(view.images, view.K) for model in models]
        images.append(hand.image[: 0 if images else 8].clone())  # clone: a slice would keep the whole batch
        hands.append((hand.xyz, hand.K))
        views.append(view._replace(images=view.images[:0].clone()))  # likewise
        found.append([pose.joints(view.scale).cpu() for pose in poses])
    joints = {name: torch.cat(parts) for name, parts in zip(run.models.by_name, zip(*found, strict=True), strict=True)}
    xyz, K = (torch.cat(values) for values in zip(*hands, strict=True))
    return Hand(torch.cat(images), xyz, K), joints | {MEAN: mean_pose(views).cpu()}


class Run(Validated[FinetuneData]):
    """A fine-tuning run.

    Attributes:
        models: The model, and the model from random weights if there is one.
        predict: Gives the poses of each model, on all ranks.
    """

    kind = "fine-tuning"
    title = "fine-tune"
    # The error from the wrist decides. After alignment, the mean pose may be the best.
    errors, kept, least = PoseErrors, TUNED, "mm"

    def check_arguments(self) -> None:
        check_shares(self.args.batch_size, self.ranks.world)
        check_unlabelled(self.args)
        if find_labelled(self.args.data).rendered:
            self.check_count(self.args.hands)

    def load_data(self) -> FinetuneData:
        quiet = not self.ranks.first
        return replace(load_finetune_data(self.args, quiet=quiet), unlabelled=load_unlabelled(self.args, quiet=quiet))

    def build(self, weights: str) -> nn.Module:
        return Models(self.args.arch, weights, self.args.baseline, **encoder_options(self.args))

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        groups = self.models.groups(self.args.weight_decay, self.args.layer_decay)
        return torch.optim.AdamW(groups, self.args.lr, fused=True)

    def make_views(self) -> eq.Compose:
        return eq.Compose([*geometric_views(self.args), eq.ColorJitter(*self.args.jitter), eq.Normalize.imagenet()])

    def make_teacher(self, unlabelled: PretrainData) -> Teacher:
        flat, depth, _ = self.args.loss_weights  # each part of the loss is a mean over its values
        self.scales = torch.tensor([flat * 63 / 42] * 42 + [depth * 63 / 21] * 21, device=self.device)
        return Teacher(self.student, unlabelled, FLAT_POSE, margin=POSE_MARGIN, args=self.args)

    def start(self, data: FinetuneData, saved: Mapping[str, Any] | None) -> None:
        super().start(data, saved)
        self.predict: nn.Module = DistributedDataParallel(self.model) if self.ranks.world > 1 else self.model

    @property
    def student(self) -> nn.Module:
        return self.models.kept

    @property
    def models(self) -> Models:
        return self.model  # type: ignore[return-value]  # build makes it

    def loop(self, journal: Journal, stop: Stop) -> bool:
        return finetune(self, journal, stop)

    def measure(self, journal: Journal) -> None:
        validate(self, journal)

    def describe(self) -> str:
        args = self.args
        return (
            f"2.5D model on {args.arch}, on {self.place}, the encoder in {args.precision} with weights "
            f"'{args.weights}'; {self.steps:,} steps of {self.images:,} images"
        )

    def say(self) -> None:
        out, best = self.args.out, self.best
        print(f"\nThe best model is from epoch {best / self.per_epoch:.3g}.\n{format_errors(self.found[best])}")
        print(f"Fine-tuning took {self.minutes:.1f} minutes. {out / 'skeletons.png'} shows what the model predicts.")
        print(f"The model is in {out / 'best.pt'}. To test it:")
        program = Path(__file__).with_name("evaluate_freihand.py")
        words = [os.path.relpath(sys.executable), os.path.relpath(program), str(out / "best.pt")]
        print(f"    {shlex.join(words + ([] if self.args.data == 'synthetic' else ['--data', self.args.data]))}")


def main(argv: Sequence[str] | None = None) -> None:
    launch(Run, parse_args, argv)


if __name__ == "__main__":
    main()
