"""The learning rate as a function of the step."""

import math


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """Rise linearly, then fall as half a cosine; a function of the step, so that a resumed run goes on along it.

    With w = round(warmup · steps), it is peak · (step + 1) / w before step w, and then
    peak · (1 + cos(π (step − w) / (steps − w))) / 2.

    Args:
        step: The step that it is for, from 0 to ``steps`` − 1.
        steps: Steps in all.
        peak: The highest rate.
        warmup: Share of the steps in which it rises, in [0, 1].

    Returns:
        The rate, above 0.

    Examples:
        >>> [round(learning_rate(step, 6, peak=1.0, warmup=1 / 3), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    warm = min(steps, round(steps * warmup))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
