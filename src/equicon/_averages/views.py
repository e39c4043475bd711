"""``average_views``: predict on several views of each picture, bring the predictions home, and average them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equicon._averages.evaluation import evaluating
from equicon._averages.moments import Moments
from equicon._checks import check_images, check_int, check_progress, describe, type_error, value_error
from equicon._groups.affine import Affine
from equicon._labels.sides import swap_sides
from equicon._representations.base import Representation, check_representation
from equicon._representations.heatmaps import Heatmaps
from equicon._representations.points import Points
from equicon._transforms.base import EquivariantTransform, check_transform
from equicon._views.warp import PaddingMode

_LEAST = 1e-3  # of a pixel of a map; less than that was not seen, since rounding would be magnified


class ViewAverage(NamedTuple):
    """Predictions that were averaged over views.

    Args:
        mean: (B, ...), as one prediction, in the frame of the source.
        spread: (B, ...), the standard deviation over the views, in the same units. It is that of the population, so it
            is 0 for one view.

    Examples:
        >>> ViewAverage(torch.rand(2, 42), torch.zeros(2, 42)).mean.shape
        torch.Size([2, 42])
    """

    mean: Tensor
    spread: Tensor


def average_views(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    augment: EquivariantTransform,
    n: int,
    representation: Representation[Any] = Points(),  # noqa: B008 - a frozen value
    *,
    size: tuple[int, int] | None = None,
    frame: Affine | None = None,
    padding_mode: PaddingMode = "zeros",
    pairs: str | Sequence[tuple[int, int]] | Tensor | None = None,
    generator: torch.Generator | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> ViewAverage:
    """Predict on n views of each picture, bring each prediction home, and average them (test-time augmentation).

    ``mean`` and ``spread`` are the mean and the standard deviation of ``canonicalize(g, model(view))`` over the views.

    The views are those that ``augment`` draws, so the plain picture is not among them. To count it too for points,
    write ``(n * mean + model(plain)) / (n + 1)``. Maps of ``Heatmaps`` are averaged over the views that saw a pixel.
    Where none saw it, the mean is 0 and the spread NaN.

    If the model is a module, it is in evaluation mode meanwhile, and then each of its modules is back in its own mode.
    A function is called as it is. No gradients are computed. The views are predicted one after the other, so the memory
    does not depend on n.

    Laws: if the model is equivariant, the spread is 0, and the mean is its prediction for the picture. With one view,
    the mean is the prediction of that view.

    Convention: the mean is in the frame of the source, or in ``frame`` if there is one. For points, it is the unit
    frame. Maps cover what a view shows that nothing moved, as those of ``Heatmaps`` do.

    Args:
        model: Maps views (B, C, h, w) to predictions (B, ...), a floating tensor. If yours returns more, wrap it:
            ``lambda views: model(views)[0]``.
        images: (B, C, H, W), uint8 or floating in [0, 1], on the device of the model.
        augment: The transform that draws the views. Give mild ones: what the model saw in training, or less.
        n: The number of views of each picture, at least 1.
        representation: How a group element acts on a prediction. The default is ``Points()``: m points in the unit
            frame, not in pixels.
        size: (h, w) of the views; the images' by default.
        frame: Applied before the transform, such as a crop around the hand.
        padding_mode: What lies outside the images: ``zeros``, ``border`` or ``reflection``.
        pairs: Left and right, which change places in mirrored views, as ``swap_sides`` takes them. The points of
            ``Points`` or the maps of ``Heatmaps`` are then swapped back. None if no view is mirrored, or names have no
            sides.
        generator: Source of randomness; None takes torch's global CPU generator.
        progress: Wraps the loop over the views, for example ``tqdm``.

    Returns:
        The mean and the spread, each of the shape of a prediction, float32 at least. A prediction that is NaN in one
        view is NaN in both.

    Raises:
        ValueError: If a shape, batch size or device does not fit, n is below 1, or pairs are given with a
            representation other than these two.
        TypeError: If an argument is of the wrong type, or the model does not return a floating tensor.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 42))
        >>> found = average_views(model, torch.rand(8, 3, 32, 32), RandomAffine(15, 0.05, (0.9, 1.1)), n=4)
        >>> found.mean.shape, found.spread.shape
        (torch.Size([8, 42]), torch.Size([8, 42]))
    """
    check_images(images)
    check_transform("augment", augment)
    n = check_int("n", n, low=1)
    check_representation(representation)
    check_progress(progress)
    if isinstance(model, type) or not callable(model):
        raise type_error("model", "a torch.nn.Module or a function (views) -> predictions", describe(model))
    if pairs is not None and not isinstance(representation, Points | Heatmaps):
        came = type(representation).__name__
        raise value_error("pairs", "None, since the representation is neither Points nor Heatmaps", f"some with {came}")
    found: Moments | None = None
    with evaluating(model, representation), torch.no_grad():
        for _ in range(n) if progress is None else progress(range(n)):
            views, g = augment(images, size=size, frame=frame, padding_mode=padding_mode, generator=generator)
            home = representation._bring_back(g, _predict(model, views), "g", "model(views)")
            if found is None:
                found = Moments(home)
            elif home.shape != found.mean.shape:
                wanted = f"the shape {tuple(found.mean.shape)}, as for the first view"
                raise value_error("model(views)", wanted, home)
            weights = None
            if isinstance(representation, Heatmaps):
                home, weights = _seen(home, g)
            if pairs is not None:
                home = _swap_back(home, pairs, g)
            found.add(home, weights)
    if found is None:
        raise value_error("progress", "a callable that yields each of the views", "none of them")
    return ViewAverage(found.mean, found.spread)


def _predict(model: Callable[[Tensor], Tensor], views: Tensor) -> Tensor:
    found = model(views)
    wanted = "a floating tensor (B, ...) of predictions"
    if not isinstance(found, Tensor):
        fix = "Wrap the model in a function that picks it, such as lambda views: model(views)[0]."
        raise type_error("model(views)", wanted, describe(found), fix)
    if not found.is_floating_point():
        raise type_error("model(views)", wanted, found)
    if found.ndim == 0 or found.shape[0] != views.shape[0]:
        raise value_error("model(views)", f"{views.shape[0]} predictions, one for each view", found)
    return found


def _seen(home: Tensor, g: Affine) -> tuple[Tensor, Tensor]:
    """Take the zeros outside the views out of maps (B, K, h, w) again, and give the share (B, 1, h, w) of the rest."""
    share = g.inverse().coverage((home.shape[-2], home.shape[-1])).to(home.dtype)
    share = torch.where(share < _LEAST, 0.0, share)
    return home / share.clamp(min=_LEAST), share


def _swap_back(home: Tensor, pairs: str | Sequence[tuple[int, int]] | Tensor, g: Affine) -> Tensor:
    """Swap left and right of mirrored views in points (B, 2K) or maps (B, K, h, w)."""
    if home.ndim > 2:
        return swap_sides(home, pairs, where=g.reflects)
    return swap_sides(home.unflatten(1, (-1, 2)), pairs, where=g.reflects).flatten(1)
