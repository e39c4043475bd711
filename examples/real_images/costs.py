"""How long pieces take: an estimate from measurements on one core of a CPU with bfloat16."""

from real_images.pieces import FineTune, Piece, Pretrain
from real_images.sets import RENDERED, SETS
from real_images.sizes import Preset

MEASURED = "quarter_resnet18"
"""The encoder that was measured."""

PROGRAM = 4.0
"""Seconds that a program takes to start, draw its figures and end."""

PRETRAIN = {"lspet": 3.4, "mirror_mouse video": 1.8}
"""Milliseconds of pre-training for a picture of 64 × 64 pixels, in two views, where they are not ``USUAL``."""

USUAL = 2.1
"""Milliseconds of pre-training for any other picture."""

TUNE = {"ti1k": 2.7, "real_joints": 1.7, "mirror_mouse": 2.6, "lspet": 3.0}
"""Milliseconds of fine-tuning for a picture of 64 × 64 pixels."""

VALIDATION = 0.7
"""Seconds of a validation, with its picture."""

CONSISTENT = 2.5
"""How much longer fine-tuning takes if it learns from pictures without labels too."""

RENDER = 6.0
"""Milliseconds to render a hand."""


def minutes_of(piece: Piece, preset: Preset) -> float | None:
    """Estimate the minutes that a piece takes on one core; None for another encoder than the one that was measured.

    Args:
        piece: The piece.
        preset: The sizes of the study.
    """
    if preset.arch != MEASURED:
        return None
    rendered = preset.hands * RENDER / 1000
    if isinstance(piece, Pretrain):
        each = sum(PRETRAIN.get(name, USUAL) for name in piece.data) / len(piece.data)
        work = preset.steps * preset.batch * each * (piece.size / 64) ** 2 / 1000
        return (PROGRAM + work + (rendered if piece.data == (RENDERED,) else 0)) / 60
    if isinstance(piece, FineTune):
        task = SETS[piece.on]
        each = TUNE[piece.on] * (CONSISTENT if piece.unlabelled else 1)
        work = piece.steps * preset.tune_batch * each * (task.size(preset) / 64) ** 2 / 1000
        return (2 * PROGRAM + work + preset.validations * VALIDATION) / 60
    work = preset.supervised_steps * preset.tune_batch * TUNE["real_joints"] * (piece.size / 64) ** 2 / 1000
    return (PROGRAM + work + rendered + preset.validations * VALIDATION) / 60
