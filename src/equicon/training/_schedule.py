"""The learning rate as a function of the step."""

import math


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """Give the learning rate of a step: it rises linearly, and then falls along half a cosine.

    With w = round(warmup · steps), the rate is peak · (step + 1) / w before step w. From there on it is peak · (1 +
    cos(π (step − w) / (steps − w))) / 2. It depends on the step alone, so a resumed run continues the same curve.

    Args:
        step: The number of the step, from 0 to ``steps`` − 1.
        steps: The number of steps of the run.
        peak: The highest rate.
        warmup: The share of the steps in which the rate rises, in [0, 1].

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
