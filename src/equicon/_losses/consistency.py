"""``ConsistencyLoss``: carry a teacher's prediction over to the student's view, then compare."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from equicon._checks import describe, first_bad, readable, type_error, value_error
from equicon._devices import without_autocast
from equicon._groups.element import GroupElement
from equicon._losses.extras import check_tensor
from equicon._plane.matrix import at_least_float32
from equicon._representations.base import Representation, check_representation
from equicon._representations.points import Points

_FUNCTION = 'a function (student, carried, reduction="none") -> tensor'
_FIX = "Pass a function such as torch.nn.functional.l1_loss."


class ConsistencyLoss(nn.Module):
    """The loss of a student that learns from a teacher's predictions, on pictures without labels.

    ``mean of w · distance(student, act(g_student, canonicalize(g_teacher, teacher)))``

    The teacher predicts from a mild view of a picture, the student from a strong view of it. The loss brings the
    teacher's prediction to the canonical frame, and from there to the student's view. There it is the target. For exact
    representations, this is the action of ``g_student @ g_teacher.inverse()``.

    In a *mean teacher*, the teacher's weights are an exponential average of the student's. Let the teacher's view be
    the easier one. Without that, Xie et al. saw heatmaps of poses collapse to the background.

    A mirror moves points, but does not rename them. If the values are those of left and right joints, leave flips out.

    Args:
        representation: How a group element acts on a prediction. The default is ``Points()``: m points in the unit
            frame, not in pixels. If it is a ``torch.nn.Module``, the loss registers its parameters, and these learn.
        distance: A function or module that is called as ``distance(student, carried, reduction="none")`` and gives one
            number for each value, such as ``mse_loss``, ``l1_loss``, ``smooth_l1_loss`` and ``huber_loss`` of torch.

    Raises:
        TypeError: If ``representation`` is not a ``Representation``, or ``distance`` cannot be called like that.

    Examples:
        >>> from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
        >>> mild, strong, images = RandomRotation(10), RandomAffine(45, 0.1, (0.8, 1.2)), torch.rand(8, 3, 32, 32)
        >>> student = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 42))
        >>> teacher = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.999))
        >>> (x1, g1), (x2, g2) = mild(images), strong(images)
        >>> ConsistencyLoss()(student(x2), teacher(x1), g2, g1).backward()

    Source: Tarvainen and Valpola, NeurIPS 2017, arXiv 1703.01780 (mean teacher); Xie et al., ICCV 2021, arXiv
    2011.12498 (the teacher's view is the easier one); Sohn et al., NeurIPS 2020, arXiv 2001.07685 (FixMatch: what does
    not count is in the mean too).
    """

    def __init__(
        self,
        representation: Representation[Any] = Points(),  # noqa: B008 - a frozen value
        *,
        distance: Callable[..., Tensor] = nn.functional.mse_loss,
    ) -> None:
        super().__init__()
        check_representation(representation)
        if isinstance(distance, type) or not callable(distance) or not _takes_reduction(distance):
            raise type_error("distance", _FUNCTION, describe(distance), _FIX)
        self.representation = representation
        self.distance = distance

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        g_student: GroupElement,
        g_teacher: GroupElement,
        *,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            student: (B, ...), predictions for the strong views.
            teacher: (B, ...), predictions for the mild views. They get no gradient.
            g_student: B group elements, which the transform returned for the strong views.
            g_teacher: B group elements, which the transform returned for the mild views.
            weights: How much a prediction (B,), or a part of it (B, K), counts: a confidence of at least 0, or a mask
                of type bool. K divides the number of values of a prediction, and each weight is that of as many
                consecutive values: for ``Points`` and 2K values, weight k is that of point k. Give all values of a
                point the same weight, since they turn into each other. Weights get no gradient. A value of weight 0
                may be NaN or infinite; ``teacher`` then counts as 0 where other values depend on it.

        Returns:
            The loss, a scalar, computed in float32 at least, also under autocast. It is the mean over **all** values,
            also those of weight 0. So if few predictions are confident, the loss is small.

        Raises:
            ValueError: If batches differ in size or device, shapes do not fit, ``distance`` gives another shape, or
                on a CPU, if a weight is negative or not finite.
            TypeError: If a prediction is not a floating tensor, a g is a bare matrix, or weights are whole numbers.
        """
        _check_predictions(student, teacher)
        if weights is not None:
            _check_weights(weights, student)
        with without_autocast(student.device):
            student, teacher = at_least_float32(student), teacher.detach()
            if weights is None:
                return self._compare(student, self._carry(teacher, student, g_student, g_teacher)).mean()
            factors = _spread(weights.detach(), student)
            # Where the weight is 0, nothing is multiplied by it, since 0 · NaN is NaN: in the loss and in the gradient.
            off = factors == 0
            teacher = teacher.masked_fill(off & ~teacher.isfinite(), 0.0)
            carried = self._carry(teacher, student, g_student, g_teacher)
            far = self._compare(student.masked_fill(off, 0.0), carried.masked_fill(off, 0.0))
            return (far.masked_fill(off, 0.0) * factors).mean()

    def _carry(self, teacher: Tensor, student: Tensor, g_student: GroupElement, g_teacher: GroupElement) -> Tensor:
        """Bring the teacher's prediction to the student's view."""
        moves = self.representation
        home = moves._bring_back(g_teacher, teacher, "g_teacher", "teacher")
        carried = moves._run(moves._act, "_act", g_student, home, "g_student", "teacher").to(student.dtype)
        if carried.shape != student.shape:
            raise value_error("representation", f"one that keeps the shape {tuple(student.shape)}", carried)
        return carried

    def _compare(self, student: Tensor, carried: Tensor) -> Tensor:
        far = self.distance(student, carried, reduction="none")
        if not isinstance(far, Tensor):
            raise type_error("distance", _FUNCTION, f"{describe(far)} in return", _FIX)
        if far.shape != student.shape:
            wanted = f"a tensor of shape {tuple(student.shape)} in return, one number for each value"
            raise value_error("distance", wanted, far, _FIX)
        return far

    def extra_repr(self) -> str:
        """Show the representation and the distance, unless they are modules: modules show themselves."""
        name = getattr(self.distance, "__name__", repr(self.distance))
        shown = {"representation": (self.representation, repr(self.representation)), "distance": (self.distance, name)}
        return ", ".join(f"{key}={text}" for key, (part, text) in shown.items() if not isinstance(part, nn.Module))


def _takes_reduction(distance: Callable[..., Tensor]) -> bool:
    try:
        found = inspect.signature(distance.forward if isinstance(distance, nn.Module) else distance).parameters
    except ValueError:  # a function written in C, which raises its own error for a wrong keyword
        return True
    return "reduction" in found or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found.values())


def _check_predictions(student: Any, teacher: Any) -> None:
    """Check the student's predictions, and that the teacher's are like them. The representation checks the rest."""
    for name, value in (("student", student), ("teacher", teacher)):
        if not isinstance(value, Tensor):
            raise type_error(name, "predictions (B, ...)", describe(value))
        if not value.is_floating_point():
            raise type_error(name, "predictions of a floating type", value)
    if student.ndim == 0 or 0 in student.shape:
        raise value_error("student", "predictions of shape (B, ...) without a dimension of 0", student)
    if teacher.shape != student.shape:
        fix = "Row i of both must be a prediction for image i."
        raise value_error("teacher", f"the shape of student, {tuple(student.shape)}", teacher, fix)
    if teacher.device != student.device:
        came = f"one on {teacher.device}"
        raise value_error("teacher", f"a tensor on {student.device}, where student is", came, "Move it with .to().")


def _check_weights(weights: Any, student: Tensor) -> None:
    check_tensor("weights", weights)
    count, width = student.shape[0], math.prod(student.shape[1:])
    whole = weights.ndim == 1 and weights.shape[0] == count
    parts = weights.ndim == 2 and weights.shape[0] == count and weights.shape[1] > 0 and width % weights.shape[1] == 0
    if not (whole or parts):
        wanted = f"one for each prediction, of shape ({count},), or ({count}, K) where K divides its {width} values"
        raise value_error("weights", wanted, weights)
    if not weights.is_floating_point() and weights.dtype != torch.bool:
        fix = "For flags of visibility, write visible > 0. Convert numbers with .float()."
        raise type_error("weights", "a floating type or bool", weights, fix)
    if weights.device != student.device:
        came = f"one on {weights.device}"
        raise value_error("weights", f"a tensor on {student.device}, where student is", came, "Move it with .to().")
    if readable(weights):
        flat = weights.detach().flatten()
        if (bad := first_bad((flat >= 0) & flat.isfinite())) is not None:
            fix = "For a confidence, give probabilities and not logits."
            raise value_error("weights", "finite numbers of at least 0", f"{float(flat[bad]):g}", fix)


def _spread(weights: Tensor, student: Tensor) -> Tensor:
    """Give each value its weight: (B,) or (B, K) becomes (B, ...) in the shape and type of ``student``."""
    parts = weights.to(student.dtype).reshape(student.shape[0], -1, 1)
    return parts.expand(-1, -1, math.prod(student.shape[1:]) // parts.shape[1]).reshape(student.shape)
