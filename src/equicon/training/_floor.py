"""Notice a contrastive loss that stays at its floor, where it teaches nothing, and say what to do about it."""

from collections.abc import Mapping, Sequence

from equicon._losses.levels import LossLevels

_NEAR = 0.05  # a loss is near its floor within this share of the way from the floor to chance
_SHARE = 0.1  # the share of the run's steps after which to say so
_ADVICE = """\
The loss has been at its floor for {steps:,} steps: it is {loss:.3f}. Unrelated images give {floor:.3f} (the floor), and
guessing gives {chance:.3f} (chance). The network already tells the images of a batch apart, so more steps teach it
little. Make the task harder in one of these ways:
- a lower temperature: --temperature, such as 0.1 or 0.05;
- batches of images that are alike: --groups-per-batch;
- more images in a batch: --batch-size;
- views without a black border, because the border gives the transform away: --inside, or --padding-mode reflection."""


class FloorWatch:
    """Notices, once, that a loss was near its floor for a tenth of the steps of a run.

    Args:
        steps: The number of steps of the run.
        state: What ``state`` gave when the run was saved; None at the beginning of a run.
    """

    def __init__(self, steps: int, state: Mapping[str, int] | None = None) -> None:
        self._steps = steps
        self._near, self._said = (state["near"], bool(state["said"])) if state else (0, False)

    def state(self) -> dict[str, int]:
        """Give what a checkpoint keeps of this object."""
        return {"near": self._near, "said": int(self._said)}

    def read(self, losses: Sequence[float], levels: LossLevels) -> str:
        """Read the losses of several steps in a row and the means of their levels.

        Returns:
            The advice, if it is time for it; else an empty text.
        """
        loss, (chance, floor) = sum(losses) / len(losses), map(float, levels)
        near = chance > floor and loss - floor < _NEAR * (chance - floor)
        self._near += len(losses) if near else 0  # they need not be in a row: a reading of few steps is noisy
        if self._said or self._near < _SHARE * self._steps or not near:
            return ""
        self._said = True
        return _ADVICE.format(steps=self._near, loss=loss, chance=chance, floor=floor)
