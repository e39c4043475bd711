"""What pre-training reports at its end: a short text, a table, a picture and the next command."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from equicon.hands import Hand
from equicon.probes import ProbeResult, format_probes
from equicon.recipes._dataset_table import is_rendered, source_of
from equicon.recipes._drawing import draw_bones
from equicon.recipes._finetune_options import parse_finetune_args
from equicon.recipes._opening import unwrapped
from equicon.recipes._probing import SHOWN, Probed, margin_of, plain_views
from equicon.recipes._run_data import PretrainData
from equicon.recipes._sheets import draw_keypoints, draw_true

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explain_probes(args: argparse.Namespace, before: Probed, after: Probed) -> str:
    """Show what probes found before and after pre-training, and explain how to read it.

    Args:
        args: The options of ``pretrain_freihand.py``.
        before: What the probes found before pre-training.
        after: What they found after it.
    """
    mlp = "'mlp' is a small network. With few labels it predicts the mean pose too.\n" if args.mlp_probe else ""
    return (
        f"\nProbes predict keypoints from frozen features. The table has their mean errors on images that they\n"
        f"never saw: 2D in pixels (views have {args.size}), 3D in mm from the root, PA in mm after alignment.\n"
        f"'mean' is the mean pose, which looks at no image. 'linear' is ridge regression.\n{mlp}"
        f"Before: weights '{args.weights}'. After: {args.method} pre-training.\n\n"
        + format_probes({"before": before.rows, "after": after.rows})
    )


def conclude_probes(args: argparse.Namespace, minutes: float, before: Probed, after: Probed) -> str:
    """Say in a few sentences what pre-training was worth.

    Args:
        args: The options of ``pretrain_freihand.py``.
        minutes: The time that pre-training took.
        before: What the probes found before pre-training.
        after: What they found after it.
    """
    first, last, mean = (_said(row) for row in (_linear(before), _linear(after), _best(after, "mean")))
    return (
        f"Pre-training took {minutes:.1f} minutes and used no labels. Then a linear probe was fitted to the features "
        f"of {_linear(after).labels:,} labelled images. It misses the keypoints of images that it never saw by {last}, "
        f"with views of {args.size} pixels. Before pre-training, such a probe missed them by {first}. The mean pose, "
        f"which looks at no image, misses them by {mean}."
    )


def _said(row: ProbeResult) -> str:
    return f"{row.px:.1f} pixels" + ("" if row.mm is None else f" and {row.mm:.0f} mm")


def _linear(found: Probed) -> ProbeResult:
    return _best(found, "linear")


def _best(found: Probed, kind: str) -> ProbeResult:
    return max((row for row in found.rows if row.kind == kind), key=lambda row: row.labels)


def draw_probes(data: PretrainData, args: argparse.Namespace, before: Probed, after: Probed) -> "Figure":
    """Draw the first test hands, and the joints that the linear probe predicted before and after pre-training.

    Args:
        data: The data, with labelled hands.
        args: The options of ``pretrain_freihand.py``.
        before: What the probes found before pre-training.
        after: What they found after it.

    Returns:
        The figure. Close it after you have written it.
    """
    from matplotlib import pyplot as plt

    tested: Any = data.labelled[1]  # type: ignore[index]  # there are probes, so it is not None
    first = [tested[i] for i in range(len(after.shown))]
    batch = type(first[0])(*map(torch.stack, zip(*first, strict=True)))
    views, true = plain_views(batch, args, margin_of(tested))
    rows = {
        "before pre-training": before,
        "after pre-training": after,
    }
    figure, axes = plt.subplots(len(rows), SHOWN, figsize=(2.1 * SHOWN, 2.25 * len(rows) + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, (name, found) in zip(axes, rows.items(), strict=True):
        line[0].set_title(f"{name}: {_said(_linear(found))}", fontsize=10, loc="left")
        for i, axis in enumerate(line[: len(true)]):
            axis.imshow(views[i].cpu().permute(1, 2, 0).float().clamp(0, 1).numpy())
            if isinstance(batch, Hand):
                draw_bones(axis, true[i], color="white", linestyle=":")
                draw_bones(axis, found.shown[i])
            else:
                draw_true(axis, found.shown[i], true[i], batch.visible[i])
                draw_keypoints(axis, found.shown[i], unwrapped(tested).skeleton)
            axis.set(xlim=(-0.5, args.size - 0.5), ylim=(args.size - 0.5, -0.5))
    figure.suptitle("Test images: keypoints that a linear probe predicts from the features (colour), true ones (white)")
    figure.tight_layout()
    return figure


def next_command(args: argparse.Namespace, program: Path) -> str:
    """Write the command that fine-tunes the encoder. It can be typed in the folder in which this program was started.

    Without labels there is no such command, and the text is empty.

    Args:
        args: The options of ``pretrain_freihand.py``.
        program: The path of the fine-tuning program.
    """
    words = ["--weights", str(args.out / "encoder.pt")]
    if not is_rendered(args.data):
        if keypoints := [data for data in args.data if source_of(data).keypoints]:
            return _command(program.with_name("finetune_keypoints.py"), [*words, "--data", keypoints[0]])
        if not (labelled := [data for data in args.data if source_of(data).finetune]):
            return ""
        words += ["--data", labelled[0]]
    usual = parse_finetune_args("", words)
    # On FreiHAND, the same seed and share hold out the same hands. So pre-training has not seen them either.
    for name in ("arch", "side", "seed", "holdout") if "--data" in words else ("arch", "size", "side"):
        if getattr(args, name) not in (getattr(usual, name), 0.0 if name == "holdout" else None):
            words += [f"--{name}", str(getattr(args, name))]
    return _command(program, words)


def _command(program: Path, words: Sequence[str]) -> str:
    return shlex.join([os.path.relpath(sys.executable), os.path.relpath(program), *words])
