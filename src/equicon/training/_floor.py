"""A contrastive loss that lies at its floor, where it teaches nothing, and what to do about it."""

from collections.abc import Mapping, Sequence

from equicon._losses.levels import LossLevels

_NEAR = 0.05  # of the way from the floor to chance
_SHARE = 0.1  # of the run's steps
_ADVICE = """\
The loss has been at its floor for {steps:,} steps: {loss:.3f}, where unrelated images give {floor:.3f} and chance is
{chance:.3f}. The network tells the images of a batch apart already, and more steps teach it little. Ask for more:
a lower --temperature, such as 0.1; batches of images that are alike (--groups-per-batch); more images to a batch;
and views without a black border, which gives the transform away (--inside, or --padding-mode reflection)."""


class FloorWatch:
    """Notices, once, that a loss has been near its floor for a tenth of the steps of a run.

    Args:
        steps: Of the run.
        state: What ``state`` gave where the run was saved; None at its beginning.
    """

    def __init__(self, steps: int, state: Mapping[str, int] | None = None) -> None:
        self._steps = steps
        self._near, self._said = (state["near"], bool(state["said"])) if state else (0, False)

    def state(self) -> dict[str, int]:
        """Give what a checkpoint holds."""
        return {"near": self._near, "said": int(self._said)}

    def read(self, losses: Sequence[float], levels: LossLevels) -> str:
        """Look at the losses of some steps in a row and the means of their levels; give a text where one is due."""
        loss, (chance, floor) = sum(losses) / len(losses), map(float, levels)
        near = chance > floor and loss - floor < _NEAR * (chance - floor)
        self._near += len(losses) if near else 0  # not in a row: a reading of few steps is noisy
        if self._said or self._near < _SHARE * self._steps or not near:
            return ""
        self._said = True
        return _ADVICE.format(steps=self._near, loss=loss, chance=chance, floor=floor)
