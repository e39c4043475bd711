"""What does pre-training bring on real photographs with few labels? Run the example programs, and compare.

    python examples/real_images/reproduce.py --ti1k ti1k --real-joints real_joints --real-hands real_hands \
        --mirror-mouse mirror_mouse --lspet lspet --out runs/real

Sets that are not given are left out; one with labels is needed. --plan lists the pieces and the minutes that they take
on a CPU, and runs none. --preset gpu is for one GPU, --preset toy shows that everything runs.

The rows of the tables are training from scratch; SimCLR, PeCLR and exact equivariance, pre-trained on the pictures
without labels; consistency on these pictures, alone and after the best of the three; and, on hands, what rendered hands
teach, and the encoder that comes with equicon. Whole groups of pictures are held out for tests. Settings are chosen by
the validation errors of one seed. All rows have the same seeds and labels, and, but for "scratch, longer", the same
steps.

The study consists of pieces, which come in blocks: hands with a tenth of the labels first. A piece is one or two
commands of the example programs, which run as a person would run them. If the study stops, give the same command again:
it runs the missing pieces, and those that failed. Files in --out:

    results.json    what every piece found, with date, machine, versions and command
    results.md      the tables
    errors.png      the errors by the number of labels
    data/           the training and test parts, as links to the pictures
    runs/           what the programs wrote and printed
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib", "tensorboard")

sys.path.insert(0, str(Path(__file__).parents[1]))  # the folder of the package that this program belongs to

import torch
from tqdm import tqdm

from equicon.recipes import describe_session, open_results, write_results
from equicon.training import Checkpoints, Help, check_device, escape_stdout, interruptible, whole
from real_images.commands import Study
from real_images.costs import minutes_of
from real_images.layout import group_pictures, part_set
from real_images.pieces import Piece
from real_images.plan import Plan, extras_of
from real_images.report import write_report
from real_images.running import Job, Jobs
from real_images.sets import PICTURES, SETS
from real_images.sizes import PRESETS

INTERVAL = 0.5


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=Help, allow_abbrev=False
    )
    for task in SETS.values():
        parser.add_argument(task.option, type=Path, metavar="FOLDER", help=task.source)
    pictures = "hands without labels: a folder of photographs"
    parser.add_argument("--real-hands", type=Path, metavar="FOLDER", help=pictures)
    preset = "size of the study: networks and steps; toy only shows that everything runs"
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help=preset)
    out = "folder for the results; an unfinished study in it goes on"
    parser.add_argument("--out", type=Path, default=Path("runs/real"), metavar="FOLDER", help=out)
    processes = "pieces to run at a time; if not given, the preset says"
    parser.add_argument("--processes", type=whole(1), metavar="N", help=processes)
    pieces = "stop after N pieces; the same command goes on later; if not given, run all"
    parser.add_argument("--pieces", type=whole(1), metavar="N", help=pieces)
    device = "device to train on, such as cpu, cuda or cuda:1"
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help=device)
    plan = "list the pieces and how long they take on a CPU, and run none"
    parser.add_argument("--plan", action="store_true", help=plan)
    args = parser.parse_args(argv)
    check_device(parser, args.device)
    args.sources = {name: folder for name in (*SETS, PICTURES) if (folder := getattr(args, name))}
    if not set(args.sources) & set(SETS):
        parser.error(f"expected the folder of at least one set with labels, got none. Give {options()}.")
    return args


def options() -> str:
    *most, last = (task.option for task in SETS.values())
    return f"{', '.join(most)} or {last}"


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        before = signal.signal(signal.SIGTERM, stop)
        try:
            reproduce(args)
        finally:
            signal.signal(signal.SIGTERM, before)


def stop(number: int, frame: FrameType | None) -> None:
    """Stop as Ctrl-C does."""
    raise KeyboardInterrupt


def reproduce(args: argparse.Namespace) -> None:
    preset = PRESETS[args.preset]
    if args.processes:
        preset = replace(preset, processes=args.processes)
    study = Study(args.out, preset, args.sources, args.device)
    plan = make_plan(study)
    if args.plan:
        show(plan)
        return
    try:
        with Checkpoints(args.out).held():
            sizes = study.preset.written
            given = {"sets": [task.name for task in plan.sets], "extras": [*plan.extras]}
            begun = {"preset": args.preset, "sizes": sizes, "sessions": [], "pieces": {}, "failed": {}, "given": given}
            results = open_results(args.out, begun)
            # What earlier sessions were given is published too.
            results["given"] = {name: sorted({*results["given"][name], *some}) for name, some in given.items()}
            lay_out(study)
            work(args, plan, study, results)
            print(write_report(args.out, plan, results))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    conclude(plan, results)


def make_plan(study: Study) -> Plan:
    """Find out which sets and videos are given."""
    for name, folder in study.sources.items():
        if not folder.is_dir():
            sys.exit(f"--{name.replace('_', '-')}: expected a folder, got {folder}, which is none.")
    tasks = tuple(task for task in SETS.values() if task.name in study.sources)
    return Plan(tasks, extras_of(PICTURES in study.sources, frozenset(study.videos)), study.preset)


def show(plan: Plan) -> None:
    """Print all pieces by block, in the order in which blocks run, with the minutes that each takes on a core."""
    known: list[float] = []
    for name, pieces in plan.whole().items():
        minutes = [minutes_of(piece, plan.preset) for piece in pieces]
        known += [each for each in minutes if each is not None]
        print(f"{name}: {said(len(pieces), sum(each or 0 for each in minutes))}")
        for piece, took_each in zip(pieces, minutes, strict=True):
            print(f"{'?' if took_each is None else f'{took_each:.1f}':>6}  {piece.key}")
    hours = sum(known) / 60 / plan.preset.processes
    end = f", or {hours:.1f} hours with {plan.preset.processes} at a time." if known else "."
    print(f"{said(len(plan.all_pieces()), sum(known))}{end}")


def said(count: int, minutes: float) -> str:
    took = f"about {minutes:.0f} minutes of a CPU core" if minutes else "how long they take was not measured"
    return f"{count} pieces, {took}"


def lay_out(study: Study) -> None:
    """Part the sets, and group the pictures without labels."""
    for name, folder in study.sources.items():
        try:
            if name == PICTURES:
                group_pictures(folder, study.out)
            else:
                part_set(SETS[name], folder, study.out, study.preset)
        except ValueError as error:
            sys.exit(f"--{name.replace('_', '-')}: {error}")


def work(args: argparse.Namespace, plan: Plan, study: Study, results: dict[str, Any]) -> None:
    """Run the missing pieces, and record each when it ends."""
    processes = study.preset.processes
    total, left = len(plan.all_pieces()), args.pieces or sys.maxsize
    if not todo(plan, study, results, set()):
        return
    results["sessions"].append(describe_session(Path(__file__).parent, args.device))
    env = dict(os.environ) | ({"OMP_NUM_THREADS": "1"} if processes > 1 and args.device == "cpu" else {})
    tried: set[str] = set()
    bar = tqdm(total=total, initial=count_done(plan, results), desc="pieces")
    try:
        with bar, Jobs() as jobs:
            while True:
                for piece in todo(plan, study, results, tried)[: min(left, processes - len(jobs.running))]:
                    tried.add(piece.key)
                    left -= 1
                    jobs.running.append(begin(piece, study, env))
                if not jobs.running:
                    return
                bar.set_postfix_str("; ".join(job.piece.key for job in jobs.running))
                while not (ended := jobs.ended()):
                    time.sleep(INTERVAL)
                    bar.refresh()  # a piece takes minutes: keep the clock going
                for job, code in ended:
                    record(job, code, study, results)
                    write_results(study.out, results)
                    if job.piece.key in results["pieces"]:
                        shutil.rmtree(study.folder(job.piece) / "checkpoints", ignore_errors=True)
                    bar.update(count_done(plan, results) - bar.n)
    except KeyboardInterrupt:
        said = f"\nStopped after {count_done(plan, results)} of {total} pieces. Give the same command to go on."
        print(said, file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def todo(plan: Plan, study: Study, results: dict[str, Any], tried: set[str]) -> list[Piece]:
    """List the pieces that can run and were not tried in this session.

    Weights are lost if a study goes on from a copy of ``results.json`` alone.
    """
    done = results["pieces"]
    lost = {key for key, found in done.items() if "weights" in found and not (study.out / found["weights"]).exists()}
    return [piece for piece in plan.todo(done, lost) if piece.key not in tried]


def count_done(plan: Plan, results: dict[str, Any]) -> int:
    return len(plan.finished(results["pieces"]))


def begin(piece: Piece, study: Study, env: dict[str, str]) -> Job:
    folder = study.folder(piece)
    return Job(piece, study.commands(piece), folder.with_name(f"{folder.name}.log"), env)


def record(job: Job, code: int, study: Study, results: dict[str, Any]) -> None:
    """Keep what a piece found, or how it failed."""
    key, session = job.piece.key, {"session": len(results["sessions"]) - 1}
    if code == 0:
        try:
            found = study.found(job.piece)
        except (OSError, KeyError, ValueError) as error:
            code, why = 1, f"The programs ended well, but their results cannot be read: {error!r}"
        else:
            results["pieces"][key] = found | {"minutes": job.minutes} | session
            results["failed"].pop(key, None)
            return
    else:
        why = job.output()
    results["failed"][key] = {"code": code, "end of the output": why} | session


def conclude(plan: Plan, results: dict[str, Any]) -> None:
    """Say what is missing. End with the code 1 if a piece failed."""
    done, total = count_done(plan, results), len(plan.all_pieces())
    failed = [*results["failed"]]
    if done < total and not failed:
        print(f"{done} of {total} pieces are done. Give the same command to go on.")
    for key in failed:
        print(f"\nFailed: {key}\n{results['failed'][key]['end of the output']}", file=sys.stderr)
    if failed:
        waiting = total - done - len(failed)
        said = f"{done} of {total} pieces are done. Failed: {len(failed)}. Not run, or waiting for these: {waiting}."
        sys.exit(f"\n{said} The same command tries again.")


if __name__ == "__main__":
    main()
