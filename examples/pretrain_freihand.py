"""Teach a ResNet about hands without labels, and measure what it has learned.

On hands that are rendered on the spot (about four minutes on two CPU cores, faster on a GPU):

    python examples/pretrain_freihand.py

On FreiHAND, unpacked at data/freihand, by the paper's recipe (PeCLR: Spurr et al., ICCV 2021, arXiv 2106.05953):

    python examples/pretrain_freihand.py --data data/freihand --out runs/freihand

On FreiHAND and YouTube3DHands, two images of the former to one of the latter:

    python examples/pretrain_freihand.py --data data/freihand --data data/youtube --data-weights 2 1 --out runs/both

On all GPUs of a machine (or of several, see docs/pretrain.md), with restarts if one of them fails:

    torchrun --nproc-per-node gpu --max-restarts 3 examples/pretrain_freihand.py --data data/freihand

Each image is seen twice through random transforms. The loss undoes each transform on its embedding before it asks which
two embeddings show the same image. Before and after, probes on the frozen features look for the joints of hands that
were never trained on. With --resume, a run that was stopped goes on as if it had not been. Writes to --out:

    encoder.pt      the encoder's weights, as torchvision names them, without the classifier (fc)
    result.json     what the probes found, the arguments and the versions
    views.png       some images, their two views, and the views brought back to the canonical frame
    arguments.json  what --resume reads
    checkpoints/    the last states of the run
    tensorboard/    loss, learning rate, speed, shares of a step's time, probes, views: tensorboard --logdir runs
"""

import argparse
import json
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import torch
import torchvision
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset
from tqdm import tqdm

import equicon as eq
from equicon.data import CorruptImage
from equicon.data._files import write_text
from equicon.hands import Hand
from equicon.hands.recipes import _pretrain_options as pretrain_options
from equicon.hands.recipes import draw_bones
from equicon.hands.recipes._pretrain_data import Batch, Data, frame_of, labelled_batches, load_data, training_batches
from equicon.hands.recipes._pretrain_options import METHODS, is_rendered
from equicon.probes import Features, ProbeResult, extract_features, format_probes, probe_table
from equicon.training._backbone import WeightsError, build_encoder
from equicon.training._batches import seed_of
from equicon.training._checkpoints import Checkpoints, Stop, size_of, write_state
from equicon.training._journal import PAUSE, Journal, write_figure
from equicon.training._lifecycle import NORMALIZE, Training, conclude, leave, plain_state
from equicon.training._options import arguments_text
from equicon.training._ranks import ALONE, Ranks, joined

ERRORS = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "aligned 3D [mm]"}
PROBE_MARGIN = 1.2  # the middle of the paper's margins
PROBE_BATCH = 128


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return pretrain_options.parse_args((__doc__ or "").splitlines()[0], argv)


def make_views(args: argparse.Namespace) -> eq.Compose:
    """Make ``presets.peclr`` of the figures that were asked for."""
    low, high = args.margin
    return eq.Compose(
        [
            eq.RandomScale((1 / high, 1 / low)),
            eq.RandomRotation(args.degrees),
            eq.RandomTranslate(args.translate),
            eq.ColorJitter(*args.jitter),
        ]
    )


def make_head(width: int, args: argparse.Namespace) -> nn.Module:
    """Make the paper's head: to points (x, y), without a bias, which would be a point that no transform moves."""
    last = nn.Linear(args.hidden, 2 * args.points, bias=False)
    return nn.Sequential(nn.Linear(width, args.hidden), nn.BatchNorm1d(args.hidden), nn.ReLU(), last)


class TwoViews(nn.Module):
    """Sees both views in one batch, which batch norm normalises together."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        z1, z2 = self.model(torch.cat([x1, x2])).chunk(2)
        return z1, z2


def make_optimizer(model: nn.Module, args: argparse.Namespace) -> torch.optim.Optimizer:
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]  # biases and norms
    groups = [{"params": weights, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.Adam(groups, args.lr)


class Run(Training):
    """A run in progress.

    Attributes:
        probes: What the probes found, by step.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        counts: tuple[int, ...],
        checkpoints: Checkpoints,
        saved: dict[str, Any] | None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(args, counts, sum(counts) // args.batch_size / args.accumulate, checkpoints, ranks)
        self.encoder, width = build_encoder(args.arch, "none" if saved else args.weights)
        parts = OrderedDict(encoder=self.encoder, head=make_head(width, args))
        self.prepare(nn.Sequential(parts), lambda model: make_optimizer(model, args), saved)
        self.probes: dict[int, list[ProbeResult]] = {}
        if saved:
            self.probes = {step: [ProbeResult(*row) for row in rows] for step, rows in saved["probes"].items()}
        self.embed: nn.Module = TwoViews(self.model)
        if args.micro_batch:
            self.embed = eq.GradCache(self.embed, args.micro_batch)
        if ranks.world > 1:
            self.embed = DistributedDataParallel(self.embed)

    def state(self) -> dict[str, Any]:
        return super().state() | {"probes": {step: [*map(tuple, rows)] for step, rows in self.probes.items()}}


# --- training


def pretrain(run: Run, data: Data, journal: Journal, stop: Stop) -> bool:
    """Train to the end, or until a signal comes to any rank: then save what is whole. Say whether one came."""
    args, model, watch, ranks = run.args, run.model.train(), journal.watch, run.ranks
    augment = eq.Compose([make_views(args), NORMALIZE])
    criterion = eq.PeCLRLoss(args.temperature, representation=METHODS[args.method], gather_distributed=True)
    batches = training_batches(data, args, run.step * args.accumulate, run.steps * args.accumulate, ranks)
    stopping = ranks.any(bool(stop.signal))
    watch.mark(PAUSE)
    while run.step < run.steps and not stopping:
        total = torch.zeros((), device=run.device)
        before = [buffer.clone() for buffer in model.buffers()] if args.accumulate > 1 else []
        for k in range(args.accumulate):
            batch = next(batches)
            watch.mark("data")
            torch.manual_seed(seed_of(args.seed, 1, run.step, k, *([ranks.rank] if ranks.rank else [])))
            x1, g1, x2, g2 = two_views(augment, batch, run)
            watch.mark("views")
            last = k + 1 == args.accumulate  # when gradients travel
            ddp = run.embed if isinstance(run.embed, DistributedDataParallel) else None
            with nullcontext() if last or ddp is None else ddp.no_sync():
                with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
                    z1, z2 = run.embed(x1, x2)
                watch.mark("encoder")
                loss = criterion(z1, z2, g1, g2) / args.accumulate
                watch.mark("loss")
                run.scaler.scale(loss).backward()
            total += loss.detach()
            watch.mark("encoder")
            if stopping := ranks.any(bool(stop.signal)):
                break
        if stopping and k + 1 < args.accumulate:  # a step cut short is done again as a whole
            for buffer, value in zip(model.buffers(), before, strict=True):
                buffer.copy_(value)
            break
        lr = run.rate
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        watch.mark("optimizer")

        journal.step(run.step, lr, total, f"epoch {int(run.step / run.per_epoch) + 1}/{args.epochs:g}")
        run.step += 1
        if run.due(args.picture_every) and ranks.first:
            journal.picture(run.step - 1, "views", draw_views(batch, args, seed=run.step))
        if (run.due(args.save_every) or run.due(args.probe_every)) and run.step < run.steps:
            run.save(journal, data.skipped())
        if run.due(args.probe_every) and run.step < run.steps and not stopping:
            measure(run, data, journal)
            model.train()
        watch.mark(PAUSE)
    run.save(journal, data.skipped())
    return stopping


def two_views(augment: eq.EquivariantTransform, batch: Batch, run: Run) -> tuple[Tensor, eq.Affine, Tensor, eq.Affine]:
    images = batch.image.to(run.device, non_blocking=True)
    frame, size = frame_of(batch, run.args.data).to(run.device), (run.args.size, run.args.size)
    written: dict[str, Any] = {"dtype": run.dtype, "memory_format": torch.channels_last}  # as the encoder takes them
    x1, g1 = augment(images, size=size, frame=frame, **written)
    x2, g2 = augment(images, size=size, frame=frame, **written)
    return x1, g1, x2, g2


# --- what it has learned


def measure(run: Run, data: Data, journal: Journal) -> None:
    """Probe, unless it was done before the run was stopped, and write down what was found."""
    if run.step not in run.probes:
        run.probes[run.step] = run.ranks.of_first(lambda: probe_all(run, data))
        run.save(journal, data.skipped())
        if 0 < run.step < run.steps:
            journal.say(format_probes({f"epoch {run.step / run.per_epoch:.3g}": run.probes[run.step]}))
    journal.scalars(run.step, named(run.probes[run.step]))


def probe_all(run: Run, data: Data) -> list[ProbeResult]:
    """Look for joints in the frozen features, with 1 %, 10 % and all of the labels, as far as that is enough."""
    if data.labelled is None:
        return []
    train, test = (embed(run, hands) for hands in data.labelled)
    fractions = [fraction for fraction in (0.01, 0.1, 1.0) if round(fraction * len(train.z)) >= 5]
    return probe_table(train, test, fractions=fractions, progress=partial(tqdm, desc="probe", leave=False))


def embed(run: Run, hands: Dataset[Hand]) -> Features:
    loader = labelled_batches(hands, run.args, PROBE_BATCH)

    def framed() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for hand in loader:
            frame, source = frame_of(hand, run.args.data, PROBE_MARGIN), (hand.image.shape[-2], hand.image.shape[-1])
            size = (run.args.size, run.args.size)
            images = frame.to(run.device).warp(hand.image.to(run.device, non_blocking=True), size)
            views = NORMALIZE(images)[0].contiguous(memory_format=torch.channels_last)
            yield views, frame.points(hand.xy, source, size), hand.xyz

    bar = partial(tqdm, desc="embed", total=len(loader), leave=False)
    with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
        return extract_features(run.encoder, framed(), progress=bar)


# --- the picture


def draw_views(batch: Batch, args: argparse.Namespace, *, seed: int, count: int = 4) -> Figure:
    """Draw images, two views of each, and the views brought back; with joints where they are known."""
    batch = type(batch)(*(value[:count].cpu() for value in batch))
    frame, source, size = frame_of(batch, args.data), (batch.image.shape[-2], batch.image.shape[-1]), (args.size,) * 2
    joints = batch.xy if isinstance(batch, Hand) else None
    columns, back = [("image", batch.image / 255, joints)], []
    generator = torch.Generator().manual_seed(seed)
    for name in ("view 1", "view 2"):
        x, g = make_views(args)(batch.image, size=size, frame=frame, generator=generator)
        seen = None if joints is None else (g @ frame).points(joints, source, size)
        columns.append((name, x, seen))
        home = g.inverse()
        back.append((f"{name}, brought back", home.warp(x), None if seen is None else home.points(seen, size)))
    columns += back
    rows = len(batch.image)
    figure, axes = plt.subplots(rows, len(columns), figsize=(2.2 * len(columns), 2.2 * rows + 0.3), squeeze=False)
    for row, shown in enumerate(axes):
        for axis, (name, images, xy) in zip(shown, columns, strict=True):
            axis.imshow(images[row].permute(1, 2, 0).clamp(0, 1).numpy())
            if xy is not None:
                draw_bones(axis, xy[row])
            axis.set(xlim=(-0.5, images.shape[-1] - 0.5), ylim=(images.shape[-2] - 0.5, -0.5))
            axis.axis("off")
            if row == 0:
                axis.set_title(name)
    figure.tight_layout()
    return figure


# --- a run, from its beginning or from where it stopped


def main(argv: Sequence[str] | None = None) -> None:
    with joined() as ranks:
        words = [*(sys.argv[1:] if argv is None else argv)]
        args = ranks.of_first(lambda: parse_args([*words, "--resume"] if ranks.restarted else words))
        args.device = ranks.device(args.device)
        checkpoints = Checkpoints(args.out / "checkpoints", args.keep)
        conclude(lambda: pretrain_and_report(args, checkpoints, ranks), checkpoints, ranks)


def pretrain_and_report(args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks) -> None:
    run, data = begin(args, checkpoints, ranks)
    train(run, data)
    if ranks.first:
        report(run)


def begin(args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks) -> tuple[Run, Data]:
    """Check all that can be checked before time is spent, and restore the run that is resumed."""
    saved = ranks.of_first(lambda: open_folder(args, checkpoints, ranks))
    ranks.begin()
    try:
        data = load_data(args, ranks)
    except CorruptImage:  # which is a ValueError, and says more
        raise
    except ValueError as error:
        wrong = f"--{error}" if str(error).startswith("boxes:") else f"--data: {error}"
        sys.exit(wrong if ranks.first else 1)
    ranks.of_first(lambda: check_count(args, data.count))
    try:
        run = Run(args, data.counts, checkpoints, saved, ranks)
    except WeightsError as error:
        sys.exit(str(error) if ranks.first else 1)
    if ranks.first:
        print(data)
        several = f" on each of {ranks.world} ranks" if ranks.world > 1 else ""
        print(
            f"{args.arch} on {args.device}{several} in {args.precision}, weights '{args.weights}'; {run.steps:,} steps "
            f"of {args.batch_size * args.accumulate:,} images seen twice, {args.batch_size:,} to a loss, where chance "
            f"is {math.log(2 * args.batch_size - 1):.2f}"
        )
        if saved:
            print(f"{args.out} goes on at step {run.step} of {run.steps}.")
    return run, data


def open_folder(args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks) -> dict[str, Any] | None:
    """Check the arguments and the folder, and load the state of the run that is resumed, if there is one."""
    if checkpoints.paths() and not args.resume:
        sys.exit(f"--out: {args.out} holds a run already. Go on with it (--resume), or give another folder.")
    if args.batch_size < ranks.world:
        sys.exit(f"--batch-size: expected at least one image for each of {ranks.world} ranks, got {args.batch_size}.")
    if args.micro_batch and args.batch_size % ranks.world:
        fix = "Then all put as many micro-batches through the network, as synchronised batch norm asks."
        sys.exit(f"--batch-size: expected a multiple of {ranks.world}, the ranks, got {args.batch_size}. {fix}")
    if is_rendered(args.data):
        check_count(args, args.hands)
    checkpoints.check_room(0)
    try:
        make_views(args)
    except ValueError as error:
        sys.exit(f"views: {error}")
    try:
        return checkpoints.load()
    except OSError as error:
        sys.exit(str(error))


def check_count(args: argparse.Namespace, count: int) -> None:
    if count < args.batch_size:
        small = "" if args.recipe == "quick" else " A smaller recipe is --recipe quick."
        sys.exit(f"--batch-size: expected at most {count}, the images to train on, got {args.batch_size}.{small}")


def train(run: Run, data: Data) -> None:
    """Probe, train, and probe again."""
    args, ranks = run.args, run.ranks
    if ranks.first:
        run.checkpoints.check_room(3 * size_of(run.model.state_dict()))  # Adam keeps two numbers for each weight
        write_text(args.out / "arguments.json", arguments_text(args))
    with Journal(
        args.out / "tensorboard",
        run.device,
        first=run.step,
        steps=run.steps,
        images=args.batch_size * args.accumulate,
        name=f"pre-train ({args.method})",
        quiet=not ranks.first,
    ) as journal:
        if run.step == 0:
            if ranks.first:
                figure = draw_views(next(training_batches(data, args, 0, 1, ranks)), args, seed=args.seed)
                write_figure(args.out / "views.png", figure)
                plt.close(figure)
            run.save(journal, data.skipped())  # which also tries whether it can be done
        if run.step == 0 or run.due(args.probe_every):
            measure(run, data, journal)
        with Stop() as stop:
            stopping = pretrain(run, data, journal, stop)
        if stopping:
            leave(stop.signal, run)
        measure(run, data, journal)


def named(rows: list[ProbeResult]) -> dict[str, float]:
    """Name what was measured as TensorBoard groups it."""
    return {
        f"probe, {title}/{row.kind}, {row.labels} labels": getattr(row, name)
        for row in rows
        for name, title in ERRORS.items()
    }


def report(run: Run) -> None:
    """Write the encoder and the results, and print what a person wants to know."""
    out, skipped, minutes = run.args.out, run.skipped, run.minutes
    write_state(out / "encoder.pt", plain_state(run.encoder))
    result = {
        "probes": {step: [row._asdict() for row in rows] for step, rows in run.probes.items()},
        "minutes": minutes,
        "skipped": skipped,
        "arguments": json.loads(arguments_text(run.args)),
        "versions": {"equicon": eq.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__},
    }
    write_text(out / "result.json", json.dumps(result, indent=2) + "\n")
    if skipped:
        more = f" and {len(skipped) - 5} more (result.json has all)" if len(skipped) > 5 else ""
        print(f"\nWent on without {len(skipped)} corrupt images: {', '.join(skipped[:5])}{more}.")
    if run.probes[0]:
        print(
            f"\nHow far probes on frozen features miss the joints of hands they never saw: 2D [pixels of\n"
            f"{run.args.size}], 3D from the wrist [mm] and the same aligned (PA), by labels. 'mean' looks at no\n"
            f"image, and 'mlp' falls back to it on few labels. Before: weights '{run.args.weights}'.\n"
            f"After: {run.args.method} pre-training.\n"
        )
        print(format_probes({"before": run.probes[0], "after": run.probes[run.steps]}))
    print(f"\n{minutes:.1f} minutes. The encoder is {out / 'encoder.pt'}; see {out / 'views.png'}.")


if __name__ == "__main__":
    main()
