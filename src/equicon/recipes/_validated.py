"""A run that is validated as it learns, and keeps its best model."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from torch import nn

from equicon.recipes._consistency import Teacher
from equicon.recipes._run_data import FinetuneData, PretrainData
from equicon.training import Training
from equicon.training._checkpoints import size_of

F = TypeVar("F", bound=FinetuneData)


class Validated(Training[F]):
    """A run that is measured on other data every so often, beside other predictions.

    Attributes:
        errors: The class of the errors, a ``NamedTuple`` of numbers.
        kept: The name of the prediction whose model is kept.
        least: The field of the errors that is least for the best model.
        found: The errors, by step and by what is measured.
        teacher: The average of the student, if it learns from pictures without labels; else None.
    """

    errors: ClassVar[Callable[..., Any]]
    kept: ClassVar[str]
    least: ClassVar[str]

    def start(self, data: F, saved: Mapping[str, Any] | None) -> None:
        """Begin without any measurement; ``restore`` brings back those of a run that is resumed."""
        self.found: dict[int, dict[str, Any]] = {}
        super().start(data, saved)
        self.teacher = self.make_teacher(data.unlabelled) if data.unlabelled else None
        if self.teacher:
            self.ranks.of_first(self._check_room)
            if saved:
                self.teacher.model.load_state_dict(saved["teacher"])

    def _check_room(self) -> None:
        """Check that the disk has room for checkpoints, which hold the teacher beside the model and its moments."""
        self.checkpoints.check_room(sum(size_of(model.state_dict()) for model in (*3 * [self.model], self.tested)))

    @abstractmethod
    def make_teacher(self, unlabelled: PretrainData) -> Teacher:
        """Make the teacher, which teaches on these pictures."""

    @property
    def student(self) -> nn.Module:
        """The model that learns, and is validated and kept if there is no teacher."""
        return self.model

    @property
    def tested(self) -> nn.Module:
        """The model that is validated and kept."""
        return self.teacher.model if self.teacher else self.student

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        super().restore(saved)
        self.found = {step: {k: self.errors(*v) for k, v in row.items()} for step, row in saved["found"].items()}

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint holds."""
        found = {step: {k: tuple(v) for k, v in row.items()} for step, row in self.found.items()}
        taught = {"teacher": self.teacher.model.state_dict()} if self.teacher else {}
        return super().state() | {"found": found} | taught

    @property
    def best(self) -> int:
        """The first step with the least error."""
        return min(self.found, key=lambda step: (getattr(self.found[step][self.kept], self.least), step))

    @property
    def unmeasured(self) -> bool:
        """Whether the run was stopped within a validation, or just before it."""
        within = 0 < self.step < self.steps
        return within and (self.step in self.found or self.due(self.args.validate_every))

    def results(self) -> dict[str, Any]:
        """Give the entries for ``result.json``."""
        found = {step: {k: v._asdict() for k, v in row.items()} for step, row in self.found.items()}
        return {"validation": found, "best": self.best}
