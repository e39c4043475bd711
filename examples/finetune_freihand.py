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
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import torch
import torchvision
from matplotlib import pyplot as plt
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

import equicon as eq
from equicon.data import CorruptImage
from equicon.data._files import write_text
from equicon.hands import Hand, Pose25D, pose_errors, pose_loss, project
from equicon.hands import PoseErrors as Errors
from equicon.hands import PoseTarget as View
from equicon.hands import pose_crop as frame_of
from equicon.hands import pose_target as see
from equicon.hands.recipes import CLIP_NORM as CLIP
from equicon.hands.recipes import REFINE_RATE as REFINING
from equicon.hands.recipes import _finetune_options as finetune_options
from equicon.hands.recipes import draw_skeletons
from equicon.hands.recipes._finetune_data import Data, load_data
from equicon.training._backbone import WeightsError, build_encoder
from equicon.training._batches import Batches, loading, seed_of
from equicon.training._checkpoints import Checkpoints, Stop, size_of, write_state
from equicon.training._journal import PAUSE, Journal, write_figure
from equicon.training._lifecycle import NORMALIZE, Training, conclude, leave, plain_state
from equicon.training._options import arguments_text
from equicon.training._ranks import ALONE, Ranks, joined

VALIDATION_BATCH = 128


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return finetune_options.parse_args((__doc__ or "").splitlines()[0], argv)


def make_views(args: argparse.Namespace) -> eq.Compose:
    return eq.Compose(
        [
            eq.RandomScale((args.scale[0], args.scale[1])),
            eq.RandomRotation(args.degrees),
            eq.RandomTranslate(args.translate),
            eq.ColorJitter(*args.jitter),
            NORMALIZE,
        ]
    )


class Run(Training):
    """A run in progress.

    Attributes:
        found: The errors on the validation hands, by step.
    """

    kind = "fine-tuning"

    def __init__(
        self,
        args: argparse.Namespace,
        count: int,
        checkpoints: Checkpoints,
        saved: dict[str, Any] | None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(args, (count,), max(1, count // args.batch_size), checkpoints, ranks)
        encoder, width = build_encoder(args.arch, "none" if saved else args.weights)
        self.prepare(Pose25D(encoder, width), self._make_optimizer, saved)
        self.found: dict[int, Errors] = {}
        if saved:
            self.found = {step: Errors(*row) for step, row in saved["found"].items()}
        self.predict: nn.Module = DistributedDataParallel(self.model) if ranks.world > 1 else self.model

    def _make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            times = REFINING if name.startswith("refine.") else 1.0
            groups.setdefault((parameter.ndim > 1, times), []).append(parameter)  # biases and norms do not decay
        return torch.optim.AdamW(
            [
                {"params": parameters, "weight_decay": self.args.weight_decay * decays, "times": times}
                for (decays, times), parameters in groups.items()
            ],
            self.args.lr,
        )

    @property
    def best(self) -> int:
        """The validated step with the least PA-EPE, the first of equals."""
        return min(self.found, key=lambda step: (self.found[step].pa_mm, step))

    def state(self) -> dict[str, Any]:
        return super().state() | {"found": {step: tuple(errors) for step, errors in self.found.items()}}


# --- training


def finetune(run: Run, data: Data, journal: Journal, stop: Stop) -> bool:
    """Train to the end, or until a signal comes to any rank: then save what is whole. Say whether one came."""
    args, watch, ranks = run.args, journal.watch, run.ranks
    augment = make_views(args)
    sampler = Batches(data.count, args.batch_size, args.seed, run.step, run.steps, ranks)
    batches = iter(DataLoader(data.train, batch_sampler=sampler, **loading(args)))
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
        nn.utils.clip_grad_norm_(run.model.parameters(), CLIP)
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
            validate(run, data, journal)
            run.model.train()
        elif run.due(args.save_every) and run.step < run.steps:
            run.save(journal, data.skipped())
        watch.mark(PAUSE)
    run.save(journal, data.skipped())
    return stopping


def make_view(hand: Hand, augment: eq.EquivariantTransform, run: Run) -> View:
    hand = Hand(*(field.to(run.device, non_blocking=True) for field in hand))
    size, frame = (run.args.size, run.args.size), frame_of(hand, run.args.size)
    images, g = augment(hand.image, size=size, frame=frame, dtype=run.dtype, memory_format=torch.channels_last)
    return see(hand, images, g @ frame)


# --- validation


def validate(run: Run, data: Data, journal: Journal) -> None:
    """Measure the model on the hands kept for it, unless that was done before the run was stopped."""
    if run.step not in run.found:
        journal.flush()  # where a loss is not finite, this says so; an alignment would only fail
        run.found[run.step] = run.ranks.of_first(lambda: measure(run, data, journal))
        run.save(journal, data.skipped())
    if run.best == run.step and run.ranks.first:  # after the checkpoint that knows of it, or again if that was the last
        write_state(run.args.out / "best.pt", plain_state(run.model))
    errors = run.found[run.step]
    journal.scalars(run.step, {f"validation/{name}": value for name, value in errors._asdict().items()})
    best = ", the best so far" if run.best == run.step else ""
    journal.say(f"epoch {run.step / run.per_epoch:.3g}: {describe(errors)}{best}")


def measure(run: Run, data: Data, journal: Journal) -> Errors:
    """Predict the hands kept for validation, and keep the picture if the model is the best so far."""
    run.check_finite()
    hands, joints = predict(run, data)
    errors = pose_errors(joints, hands.xyz, hands.K)
    first = Hand(*(field[:8] for field in hands))
    figure = draw_skeletons(first.image / 255, project(joints[:8], first.K), first.xy)
    journal.picture(run.step - 1, "skeletons", figure)  # of the steps done: what is of later ones is void on --resume
    if all(errors.pa_mm < others.pa_mm for others in run.found.values()):
        write_figure(run.args.out / "skeletons.png", figure)
    plt.close(figure)
    return errors


@torch.no_grad()
def predict(run: Run, data: Data) -> tuple[Hand, Tensor]:
    """Predict joints in metres, and give them with the labels and the first eight images."""
    run.model.eval()
    loader = DataLoader(data.validation, VALIDATION_BATCH, **loading(run.args))
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    plain = eq.Compose([NORMALIZE])
    for hand in tqdm(loader, desc="validate", leave=False):
        view = make_view(hand, plain, run)
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            pose = run.model(view.images, view.K)
        kept = hand.image[: 8 if not found else 0].clone()  # a view would keep its whole batch
        found.append((kept, hand.xyz, hand.K, pose.joints(view.scale).cpu()))
    images, xyz, K, joints = (torch.cat(values) for values in zip(*found, strict=True))
    return Hand(images, xyz, K), joints


def describe(errors: Errors) -> str:
    return (
        f"PA-EPE {errors.pa_mm:.1f} mm, EPE {errors.epe_mm:.1f} mm, from the wrist {errors.mm:.1f} mm, "
        f"2D {errors.px:.2f} px, PA-AUC {errors.pa_auc:.3f}"
    )


# --- a run, from its beginning or from where it stopped


def main(argv: Sequence[str] | None = None) -> None:
    with joined() as ranks:
        words = [*(sys.argv[1:] if argv is None else argv)]
        args = ranks.of_first(lambda: parse_args([*words, "--resume"] if ranks.restarted else words))
        args.device = ranks.device(args.device)
        checkpoints = Checkpoints(args.out / "checkpoints", args.keep)
        conclude(lambda: work(args, checkpoints, ranks), checkpoints, ranks)


def work(args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks) -> None:
    run, data = begin(args, checkpoints, ranks)
    train(run, data)
    if ranks.first:
        report(run)


def begin(args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks) -> tuple[Run, Data]:
    """Check all that can be checked before time is spent, and restore the run that is resumed."""
    saved = ranks.of_first(lambda: open_folder(args, checkpoints, ranks))
    ranks.begin()
    try:
        data = load_data(args, quiet=not ranks.first)
    except CorruptImage:  # which is a ValueError, and says more
        raise
    except ValueError as error:
        sys.exit(f"--data: {error}" if ranks.first else 1)
    ranks.of_first(lambda: check_count(args, data.count))
    try:
        run = Run(args, data.count, checkpoints, saved, ranks)
    except WeightsError as error:
        sys.exit(str(error) if ranks.first else 1)
    if ranks.first:
        print(data)
        several = f" on each of {ranks.world} ranks" if ranks.world > 1 else ""
        print(
            f"2.5D model on {args.arch}, on {args.device}{several}, the encoder in {args.precision} with weights "
            f"'{args.weights}'; {run.steps:,} steps of {args.batch_size:,} images"
        )
        if saved:
            print(f"{args.out} goes on at step {run.step} of {run.steps}.")
    return run, data


def open_folder(args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks) -> dict[str, Any] | None:
    """Check the arguments and the folder, and load the state of the run that is resumed, if there is one."""
    if checkpoints.paths() and not args.resume:
        sys.exit(f"--out: {args.out} holds a run already. Go on with it (--resume), or give another folder.")
    if args.batch_size % ranks.world or args.batch_size // ranks.world < 2:
        fix = "Then all weigh alike, and batch norm has two images at least."
        sys.exit(
            f"--batch-size: expected a multiple of {ranks.world} ranks, twice at least, got {args.batch_size}. {fix}"
        )
    if args.data == "synthetic":
        check_count(args, args.hands)
    checkpoints.check_room(0)
    try:
        make_views(args)
    except ValueError as error:
        sys.exit(f"views: {error}")
    try:
        saved = checkpoints.load()
    except OSError as error:
        sys.exit(str(error))
    if saved and saved.get("kind") != Run.kind:  # whose arguments may not be told apart from those given
        sys.exit(f"--out: {args.out} holds another run than one of {Run.kind}. Give another folder.")
    try:
        if saved is None:
            build_encoder(args.arch, args.weights)
    except WeightsError as error:
        sys.exit(str(error))
    return saved


def check_count(args: argparse.Namespace, count: int) -> None:
    if count < args.batch_size:
        sys.exit(f"--batch-size: expected at most {count}, the images to train on, got {args.batch_size}.")


def train(run: Run, data: Data) -> None:
    args, ranks = run.args, run.ranks
    if ranks.first:
        run.checkpoints.check_room(3 * size_of(run.model.state_dict()))  # AdamW keeps two numbers for each weight
        write_text(args.out / "arguments.json", arguments_text(args))
    with Journal(
        args.out / "tensorboard",
        run.device,
        first=run.step,
        steps=run.steps,
        images=args.batch_size,
        name="fine-tune",
        quiet=not ranks.first,
    ) as journal:
        if run.step == 0:
            run.save(journal, data.skipped())  # which also tries whether it can be done
        elif run.step < run.steps and (run.step in run.found or run.due(args.validate_every)):
            validate(run, data, journal)
        with Stop() as stop:
            stopping = finetune(run, data, journal, stop)
        if stopping:
            leave(stop.signal, run)
        validate(run, data, journal)


def report(run: Run) -> None:
    """Write the results, and print what a person wants to know."""
    out, best = run.args.out, run.best
    result = {
        "validation": {step: errors._asdict() for step, errors in run.found.items()},
        "best": best,
        "minutes": run.minutes,
        "skipped": run.skipped,
        "arguments": json.loads(arguments_text(run.args)),
        "versions": {"equicon": eq.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__},
    }
    write_text(out / "result.json", json.dumps(result, indent=2) + "\n")
    if run.skipped:
        print(f"\nWent on without {len(run.skipped)} corrupt images; result.json names them.")
    print(f"\nThe best model is that of epoch {best / run.per_epoch:.3g}: {describe(run.found[best])}.")
    print(f"{run.minutes:.1f} minutes. It is {out / 'best.pt'}; see {out / 'skeletons.png'}. Test it:")
    data = "" if run.args.data == "synthetic" else f" --data {run.args.data}"
    print(f"    {os.path.relpath(sys.executable)} examples/evaluate_freihand.py {out / 'best.pt'}{data}")


if __name__ == "__main__":
    main()
