"""Teach a network about hands without labels, and measure what it has learned.

Train on rendered hands (about four minutes on two idle CPU cores with bfloat16, up to eight without):

    python examples/pretrain_freihand.py

Train on FreiHAND, unpacked at data/freihand, by PeCLR's recipe (Spurr et al., ICCV 2021, arXiv 2106.05953):

    python examples/pretrain_freihand.py --data data/freihand --out runs/freihand

Train on FreiHAND and YouTube3DHands, with two images of FreiHAND for each image of YouTube3DHands:

    python examples/pretrain_freihand.py --data data/freihand --data data/youtube --data-weights 2 1 --out runs/both

Train on all GPUs of a machine, with restarts if one fails (for several machines, see docs/how_to/pretrain.md):

    torchrun --nproc-per-node gpu --max-restarts 3 examples/pretrain_freihand.py --data data/freihand

The network sees each image in two random views. The loss undoes each transform on its embedding, then asks which two
embeddings show the same image. Before and after, probes on the frozen features predict the joints of hands that the
network never saw. With --resume, a stopped run goes on as if it had never stopped. Files in --out:

    encoder.pt      the encoder's weights with torchvision's or timm's names, without the classifier
    result.json     what the probes found, the arguments and the versions
    probe.png       test hands, with the joints that a linear probe predicts before and after training
    views.png       some images, their two views, and the views mapped back to the canonical frame
    arguments.json  what --resume reads
    checkpoints/    the last states of the run
    tensorboard/    loss, learning rate, speed, shares of a step's time, probes, views: tensorboard --logdir runs
"""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
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
from matplotlib.figure import Figure
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import equicon as eq
from equicon.probes import ProbeResult, format_probes
from equicon.recipes import (
    METHODS,
    Batch,
    PretrainData,
    Probed,
    SiameseModel,
    build_encoder,
    clip_gradients,
    conclude_probes,
    draw_probes,
    draw_views,
    encoder_options,
    explain_probes,
    find_unlabelled,
    load_pretrain_data,
    make_head,
    named_errors,
    next_command,
    parse_pretrain_args,
    pretrain_optimizer,
    pretrain_views,
    probe_hands,
    training_batches,
    two_views,
)
from equicon.training import (
    PAUSE,
    Journal,
    Stop,
    Training,
    launch,
    plain_state,
    seed_of,
    write_figure,
    write_state,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return parse_pretrain_args((__doc__ or "").partition("\n")[0], argv)


def pretrain(run: "Run", journal: Journal, stop: Stop) -> bool:
    """Train to the end, or until a signal comes to any rank; then save. Say whether a signal came."""
    args, model, watch, ranks = run.args, run.model.train(), journal.watch, run.ranks
    augment = eq.Compose([run.make_views(), eq.Normalize.imagenet()])
    criterion: Any = model.get_submodule("criterion")
    batches = training_batches(run.data, args, run.step * args.accumulate, run.steps * args.accumulate, ranks)
    stopping = ranks.any(bool(stop.signal))
    watch.mark(PAUSE)
    while run.step < run.steps and not stopping:
        total = torch.zeros((), device=run.device)
        before = [buffer.clone() for buffer in model.buffers()] if args.accumulate > 1 else []
        levels = []
        for k in range(args.accumulate):
            batch, labels = next(batches)
            watch.mark("data")
            torch.manual_seed(seed_of(args.seed, 1, run.step, k, *([ranks.rank] if ranks.rank else [])))
            x1, g1, x2, g2 = two_views(augment, batch, args, run.dtype)
            labels = None if labels is None else labels.to(run.device, non_blocking=True)
            watch.mark("views")
            last = k + 1 == args.accumulate  # only then do ranks exchange gradients
            ddp = run.embed if isinstance(run.embed, DistributedDataParallel) else None
            with nullcontext() if last or ddp is None else ddp.no_sync():
                with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
                    z1, z2 = run.embed(x1, x2)
                watch.mark("encoder")
                loss = criterion(z1, z2, g1, g2, labels=labels) / args.accumulate
                levels.append(run.levels if labels is None else criterion.levels(len(labels), labels=labels))
                watch.mark("loss")
                run.scaler.scale(loss).backward()
            total += loss.detach()
            watch.mark("encoder")
            if stopping := ranks.any(bool(stop.signal)):
                break
        if stopping and k + 1 < args.accumulate:  # an unfinished step is repeated when the run resumes
            for buffer, value in zip(model.buffers(), before, strict=True):
                buffer.copy_(value)
            break
        lr = run.rate
        for group in run.optimizer.param_groups:
            group["lr"] = lr * group["times"]
        clip_gradients(model, run.optimizer, run.scaler, args.clip)
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        watch.mark("optimizer")

        note = f"epoch {int(run.step / run.per_epoch) + 1}/{args.epochs:g}"
        journal.step(run.step, lr, total, note, levels=levels)
        run.step += 1
        if run.due(args.picture_every) and ranks.first:
            journal.picture(run.step - 1, "views", run.draw(batch, seed=run.step))
        if (run.due(args.save_every) or run.due(args.probe_every)) and run.step < run.steps:
            run.save(journal)
        if run.due(args.probe_every) and run.step < run.steps and not stopping:
            run.measure(journal)
            model.train()
        watch.mark(PAUSE)
    run.save(journal)
    return stopping


class Run(Training[PretrainData]):
    """A pre-training run.

    Attributes:
        probes: What the probes found, by step.
        embed: Gives the embeddings of both views.
    """

    kind = "pre-training"

    def check_arguments(self) -> None:
        args, world = self.args, self.ranks.world
        if args.batch_size < world:
            sys.exit(f"--batch-size: expected at least one image for each of {world} ranks, got {args.batch_size}.")
        if args.micro_batch and args.batch_size % world:
            why = "With --micro-batch, synchronised batch norm needs the same number of batches on all ranks."
            sys.exit(f"--batch-size: expected a multiple of {world} (ranks), got {args.batch_size}. {why}")
        sources = [find_unlabelled(data) for data in args.data]
        if sources[0].rendered:
            self.check_count(args.hands)

    def load_data(self) -> PretrainData:
        return load_pretrain_data(self.args, quiet=not self.ranks.first)

    def build(self, weights: str) -> nn.Module:
        args = self.args
        encoder, width = build_encoder(args.arch, weights, **encoder_options(args))
        criterion = eq.PeCLRLoss(args.temperature, representation=METHODS[args.method], gather_distributed=True)
        return SiameseModel(encoder, make_head(width, args.hidden, args.points), criterion)

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return pretrain_optimizer(model, self.args)

    def make_views(self) -> eq.Compose:
        return pretrain_views(self.args)

    def start(self, data: PretrainData, saved: Mapping[str, Any] | None) -> None:
        self.probes: dict[int, Probed] = {}
        super().start(data, saved)
        self.embed: nn.Module = self.model
        if self.args.micro_batch:
            self.embed = eq.GradCache(self.embed, self.args.micro_batch)
        if self.ranks.world > 1:
            self.embed = DistributedDataParallel(self.embed)

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore(saved)
        probes = saved["probes"].items()
        self.probes = {step: Probed([ProbeResult(*row) for row in rows], shown) for step, (rows, shown) in probes}

    def state(self) -> dict[str, Any]:
        probes = {step: ([*map(tuple, found.rows)], found.shown) for step, found in self.probes.items()}
        return super().state() | {"probes": probes}

    @property
    def encoder(self) -> nn.Module:
        """The part of the model that is kept."""
        return self.model.get_submodule("encoder")

    def draw(self, batch: Batch, *, seed: int) -> Figure:
        """Draw the first images of a batch and their views."""
        few = type(batch)(*(value[:4].cpu() for value in batch))
        return draw_views(few, self.make_views(), self.args, seed=seed)

    def preview(self) -> None:
        first, _ = next(training_batches(self.data, self.args, 0, 1, self.ranks))
        write_figure(self.args.out / "views.png", self.draw(first, seed=self.args.seed))

    def loop(self, journal: Journal, stop: Stop) -> bool:
        return pretrain(self, journal, stop)

    @property
    def unmeasured(self) -> bool:
        return self.step == 0 or self.due(self.args.probe_every)

    def measure(self, journal: Journal) -> None:
        if self.step not in self.probes:
            found = self.ranks.of_first(lambda: probe_hands(self.encoder, self.data, self.args, self.dtype))
            self.probes[self.step] = found
            self.save(journal)
            if 0 < self.step < self.steps:
                journal.say(format_probes({f"epoch {self.step / self.per_epoch:.3g}": found.rows}))
        journal.scalars(self.step, named_errors(self.probes[self.step].rows))

    def results(self) -> dict[str, Any]:
        write_state(self.args.out / "encoder.pt", plain_state(self.encoder))
        if self.data.labelled:
            figure = draw_probes(self.data, self.args, self.probes[0], self.probes[self.steps])
            write_figure(self.args.out / "probe.png", figure)
            plt.close(figure)
        return {"probes": {step: [row._asdict() for row in found.rows] for step, found in self.probes.items()}}

    @property
    def title(self) -> str:
        return f"pre-train ({self.args.method})"

    @property
    def accumulate(self) -> int:
        return int(self.args.accumulate)

    @property
    def few(self) -> str:
        return "" if self.args.recipe == "quick" else " For small data sets, add --recipe quick."

    @property
    def levels(self) -> eq.LossLevels:
        """Chance and floor of the loss of a batch of all ranks; both are a little lower if images share labels."""
        return eq.nt_xent_levels(self.args.batch_size, self.args.temperature)

    def describe(self) -> str:
        args, (chance, floor) = self.args, self.levels
        return (
            f"{args.arch} on {self.place} in {args.precision}, weights '{args.weights}'; {self.steps:,} steps of "
            f"{self.images:,} images, two views each; a loss compares {args.batch_size:,} images; its levels are "
            f"{chance:.2f} (chance) and about {floor:.2f} (floor: unrelated images)"
        )

    def say(self) -> None:
        out, args = self.args.out, self.args
        before, after = self.probes[0], self.probes[self.steps]
        if before.rows:
            print(explain_probes(args, before, after))
            print(f"\n{conclude_probes(args, self.minutes, before, after)} See {out / 'probe.png'}.")
        print(f"\nThe encoder is in {out / 'encoder.pt'}. {out / 'views.png'} shows views that it saw.")
        if command := next_command(args, Path(__file__).with_name("finetune_freihand.py")):
            print(f"To fine-tune it with labels:\n    {command}")


def main(argv: Sequence[str] | None = None) -> None:
    launch(Run, parse_args, argv)


if __name__ == "__main__":
    main()
