"""Colours of skin and of other things, as RGB in [0, 1]."""

import torch
from torch import Tensor

from equicon.hands._rendered.draws import Draws, table

# sRGB, from the lightest human skin to the darkest.
_TONES = table(
    [[246, 214, 192], [234, 190, 160], [214, 160, 124], [181, 124, 88], [134, 86, 58], [92, 58, 42], [62, 40, 32]],
)


def skin_colors(draws: Draws, *shape: int, people: int = 0) -> Tensor:
    """Draw skin colours over the whole human range, or out of ``people`` fixed ones: ``(B, *shape, 3)``."""
    tone, tint = draws.uniform(0.0, 1.0, *shape), draws.uniform(0.96, 1.04, *shape, 3)
    if people:
        tone, tint = ((tone * people).floor() + 0.5) / people, torch.ones_like(tint)
    tone = tone * (len(_TONES) - 1.001)
    below = tone.floor().long()
    t = (tone - below)[..., None]
    color = (1.0 - t) * _TONES[below] + t * _TONES[below + 1]
    return (color / 255.0 * tint).clamp(0.0, 1.0)


def any_colors(draws: Draws, *shape: int) -> Tensor:
    """Draw colours of indoor things, more often dull than vivid: ``(B, *shape, 3)``."""
    grey = draws.uniform(0.06, 0.85, *shape, 1)
    vivid = draws.uniform(0.0, 1.0, *shape, 1) ** 3
    return (grey + vivid * draws.uniform(-0.5, 0.5, *shape, 3)).clamp(0.02, 0.98)
