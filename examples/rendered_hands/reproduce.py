"""Does undoing a transform on the embedding help? Pre-train, probe, fine-tune and compare, on rendered hands.

Run the study on two CPU cores with bfloat16, in about eight hours (on one GPU: --preset gpu; to try it out: --preset
toy):

    python examples/rendered_hands/reproduce.py

Unlabelled hands are from the domain "wild", labelled hands from "studio". Tests use both domains. The rows of the
tables are random weights, which are also supervised training from scratch, SimCLR, PeCLR as published, and exact
equivariance. Each method has its own temperature and learning rate: of a few values, those that did best on hands kept
for this purpose, with two seeds. All methods have the same seeds, images, views and labels. Each encoder is probed with
frozen features. It is also fine-tuned with 1 %, 10 % and all of the labels, until it gains no more.

The study consists of pieces, each of a few minutes. If it stops, give the same command again: it runs the missing
pieces. Files in --out:

    results.json    what every piece found, with date, machine, versions and command
    results.md      the tables
    *.png           the figures
    encoders/       the encoders, with their heads
    models/         the fine-tuned 2.5D models
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

import torch
from common import encoder_file, render, sets_of
from found import finished
from plan import FineTune, Piece, Results, count, missing, ready
from report import write_report
from sizes import PRESETS, Preset
from tqdm import tqdm
from work import run

from equicon.recipes import describe_session, open_results, write_results
from equicon.training import Checkpoints, Help, check_device, escape_stdout, interruptible


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    preset = "size of the study: networks, data and steps; toy only shows that everything runs"
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help=preset)
    out = "folder for the results; an unfinished study in it goes on"
    parser.add_argument("--out", type=Path, default=Path("runs/study"), metavar="FOLDER", help=out)
    processes = "pieces to run at a time, which share the cores of a CPU; if not given, the preset says"
    parser.add_argument("--processes", type=int, metavar="N", help=processes)
    pieces = "stop after N pieces; the same command goes on later; if not given, run all"
    parser.add_argument("--pieces", type=int, metavar="N", help=pieces)
    device = "device to train on, such as cpu, cuda or cuda:1"
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help=device)
    args = parser.parse_args(argv)
    check_device(parser, args.device)
    for name in ("processes", "pieces"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected at least 1, got {value}.")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        reproduce(parse_args(argv))


def reproduce(args: argparse.Namespace) -> None:
    preset = PRESETS[args.preset]
    if args.processes:
        preset = replace(preset, processes=args.processes)
    try:
        with Checkpoints(args.out).held():
            begun = {"preset": args.preset, "sizes": preset.written, "sessions": [], "pieces": {}}
            results = open_results(args.out, begun)
            work(args, preset, results)
    except OSError as error:
        sys.exit(str(error))
    done = results["pieces"]
    if todo(args, preset, done):
        print(f"{so_far(preset, done)} pieces are done. Give the same command to go on.")
        return
    print(write_report(args.out, preset, results))


def todo(args: argparse.Namespace, preset: Preset, done: Results) -> list[Piece]:
    """List the missing pieces that can run, after those whose encoder is lost although others start from it.

    Encoders are lost if a study goes on from a copy of results.json alone.
    """
    left = missing(ready(preset, done), done)
    starts = dict.fromkeys(piece.start for piece in left if isinstance(piece, FineTune))
    lost = [start for start in starts if not encoder_file(args.out, start).exists()]
    return [*lost, *(piece for piece in left if not (isinstance(piece, FineTune) and piece.start in lost))]


def counted(preset: Preset, done: Results) -> int:
    """Count the pieces that are done. Results of earlier plans do not count."""
    return len(finished(ready(preset, done), done))


def so_far(preset: Preset, done: Results) -> str:
    """Say how many pieces are done, of how many."""
    return f"{counted(preset, done)} of {count(preset, done)}"


def work(args: argparse.Namespace, preset: Preset, results: dict[str, Any]) -> None:
    """Run the missing pieces, and record each when it ends."""
    done, left = results["pieces"], args.pieces or count(preset, results["pieces"])
    threads = max(1, (os.cpu_count() or 1) // preset.processes) if args.device == "cpu" else 0
    if not todo(args, preset, done):
        return
    results["sessions"].append(describe_session(Path(__file__).parent, args.device))
    running: dict[Future[dict[str, Any]], Piece] = {}
    bar = tqdm(total=count(preset, done), initial=counted(preset, done), desc="pieces")
    with ProcessPoolExecutor(preset.processes, get_context("spawn")) as pool, bar:
        try:
            while True:
                begun = set(running.values())
                for piece in todo(args, preset, done):
                    if left and len(running) < preset.processes and piece not in begun:
                        render(preset, args.out / "hands", args.device, sets_of(piece))
                        # Workers inherit the blocked signal. Only this process gets Ctrl-C, and then it ends them.
                        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                        running[pool.submit(run, piece, preset, args.out, args.device, threads)] = piece
                        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
                        left -= 1
                if not running:
                    return
                bar.set_postfix_str("; ".join(piece.key for piece in running.values()))
                while not (ended := wait(running, timeout=1, return_when=FIRST_COMPLETED).done):
                    bar.refresh()  # a piece takes minutes: keep the clock going
                for future in sorted(ended, key=lambda future: future.exception() is not None):
                    piece = running.pop(future)
                    done[piece.key] = future.result() | {"session": len(results["sessions"]) - 1}
                    write_results(args.out, results)
                    bar.update(counted(preset, done) - bar.n)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():  # otherwise, workers would finish their pieces
                child.terminate()
            said = f"\nStopped after {so_far(preset, done)} pieces. Give the same command to go on."
            print(said, file=sys.stderr)
            sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
