"""What pre-training tells a person at its end: a sentence, a table, a picture and the next command."""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from equicon.hands import Hand
from equicon.hands.recipes._dataset_table import is_rendered, source_of
from equicon.hands.recipes._drawing import draw_bones
from equicon.hands.recipes._finetune_options import parse_finetune_args
from equicon.hands.recipes._probing import SHOWN, Probed, plain_views
from equicon.hands.recipes._run_data import PretrainData
from equicon.probes import ProbeResult, format_probes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explain_probes(args: argparse.Namespace, before: Probed, after: Probed) -> str:
    """Show what probes found before and after, and say how to read it.

    Args:
        args: The options of ``pretrain_freihand.py``.
        before: Before pre-training.
        after: After it.
    """
    mlp = ", and 'mlp', a small network, falls back to it on few labels" if args.mlp_probe else ""
    return (
        f"\nHow far probes on frozen features miss the joints of hands they never saw: 2D [pixels of\n"
        f"{args.size}], 3D from the wrist [mm] and the same aligned (PA), by labels. 'mean' looks at no\n"
        f"image{mlp}.\n"
        f"Before: weights '{args.weights}'. After: {args.method} pre-training.\n\n"
        + format_probes({"before": before.rows, "after": after.rows})
    )


def conclude_probes(args: argparse.Namespace, minutes: float, before: Probed, after: Probed) -> str:
    """Say in a sentence what pre-training was good for.

    Args:
        args: The options of ``pretrain_freihand.py``.
        minutes: That it took.
        before: What the probes found before it.
        after: What they found after it.
    """
    first, last, mean = _linear(before), _linear(after), _best(after, "mean")
    return (
        f"After {minutes:.1f} minutes of looking at hands without a label, a linear probe on the network's features, "
        f"fitted to {last.labels:,} labelled hands, misses the joints of hands that it never saw by {last.px:.1f} "
        f"pixels of {args.size} and by {last.mm:.0f} mm, where it missed by {first.px:.1f} pixels and {first.mm:.0f} "
        f"mm before, and the mean pose, which looks at no hand, misses by {mean.px:.1f} pixels and {mean.mm:.0f} mm."
    )


def _linear(found: Probed) -> ProbeResult:
    return _best(found, "linear")


def _best(found: Probed, kind: str) -> ProbeResult:
    return max((row for row in found.rows if row.kind == kind), key=lambda row: row.labels)


def draw_probes(data: PretrainData, args: argparse.Namespace, before: Probed, after: Probed) -> "Figure":
    """Draw the first hands of the test, and where the linear probe saw their joints before and after.

    Args:
        data: With labelled hands.
        args: The options of ``pretrain_freihand.py``.
        before: What the probes found before pre-training.
        after: What they found after it.

    Returns:
        The figure; close it when it is written.
    """
    from matplotlib import pyplot as plt

    hands = data.labelled[1]  # type: ignore[index]  # it is not None where there are probes
    first = [hands[i] for i in range(len(after.shown))]
    views, true = plain_views(Hand(*map(torch.stack, zip(*first, strict=True))), args)
    rows = {
        "weights to begin with": before,
        "after pre-training": after,
    }
    figure, axes = plt.subplots(len(rows), SHOWN, figsize=(2.1 * SHOWN, 2.25 * len(rows) + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, (name, found) in zip(axes, rows.items(), strict=True):
        error = _linear(found)
        line[0].set_title(f"{name}: {error.px:.1f} px, {error.mm:.0f} mm", fontsize=10, loc="left")
        for axis, view, xy, joints in zip(line, views.cpu(), true, found.shown, strict=False):
            axis.imshow(view.permute(1, 2, 0).float().clamp(0, 1).numpy())
            draw_bones(axis, xy, color="white", linestyle=":")
            draw_bones(axis, joints)
            axis.set(xlim=(-0.5, args.size - 0.5), ylim=(args.size - 0.5, -0.5))
    figure.suptitle("Hands never seen: what a linear probe reads from the features (colour), and the truth (dotted)")
    figure.tight_layout()
    return figure


def next_command(args: argparse.Namespace, program: Path) -> str:
    """Write the command that fine-tunes the encoder, as it can be typed where this was run; nothing without labels.

    Args:
        args: The options of ``pretrain_freihand.py``.
        program: That of fine-tuning.
    """
    words = ["--weights", str(args.out / "encoder.pt")]
    if not is_rendered(args.data):
        if not (labelled := [data for data in args.data if source_of(data).finetune]):
            return ""
        words += ["--data", labelled[0]]
    usual = parse_finetune_args("", words)
    # On FreiHAND by one seed, so that it is validated on hands that pre-training has not seen either.
    for name in ("arch", "side", "seed", "holdout") if "--data" in words else ("arch", "size", "side"):
        if getattr(args, name) not in (getattr(usual, name), 0.0 if name == "holdout" else None):
            words += [f"--{name}", str(getattr(args, name))]
    return shlex.join([os.path.relpath(sys.executable), os.path.relpath(program), *words])
