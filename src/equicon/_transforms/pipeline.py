"""``check_pipeline``: what is wrong with images and augmentation although they run."""

from collections.abc import Iterator
from typing import get_args

import torch
from torch import Tensor

from equicon._checks import Size, check_choice, check_images
from equicon._groups.affine import Affine
from equicon._transforms.action import Action
from equicon._transforms.appearance import Wrapped
from equicon._transforms.base import EquivariantTransform, check_transform
from equicon._transforms.looks import fault_of_shape, faults_of_values
from equicon._views.warp import PaddingMode

_DRAWS = 32
"""How often a draw is repeated to see whether it is one for the whole batch; one with p = 0.1 shows in 97 of 100."""

_SEEN_THERE = {"zeros": "", "border": ", and show the border there", "reflection": ", and show reflections there"}

_COPIES, _FEW, _LARGE = 8, 2, 64 * 64
"""How many copies of one image tell whether each has a draw of its own, and how many above so many pixels."""


def check_pipeline(
    images: Tensor,
    augment: EquivariantTransform,
    *,
    size: tuple[int, int] | None = None,
    frame: Affine | None = None,
    padding_mode: PaddingMode = "zeros",
    generator: torch.Generator | None = None,
) -> None:
    """Look for what makes contrastive learning fail without an error, and say it in words.

    Images that are channels last, normalised already, floats of 0 to 255, bytes that were fractions, not numbers, or
    alone in their batch; a normalisation by figures for 0 to 255; draws that are one for the whole batch, or never
    change; views that lie mostly outside their source. Call it once before training; it waits for the device.

    Args:
        images: (B, C, H, W), a batch as training sees it.
        augment: what makes its views.
        size: (h, w) of the views, as training gives it.
        frame: applied first, as training gives it.
        padding_mode: what lies outside, as training gives it. Views mostly of that are at fault whatever it is.
        generator: the source of randomness; seeded with 0 where None.

    Raises:
        AssertionError: if anything is wrong: one line for each.
        ValueError: if images are no batch (B, C, H, W), size or frame do not fit, or padding_mode is another one.
        TypeError: if images are neither uint8 nor floating, or augment is no ``EquivariantTransform``.

    Examples:
        >>> check_pipeline(torch.rand(8, 3, 64, 64), Compose([RandomRotation(45), RandomGrayscale(0.2)]))
    """
    check_images(images)
    check_transform("augment", augment)
    check_choice("padding_mode", padding_mode, get_args(PaddingMode))
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    action = augment.sample(len(images), generator=generator, device=images.device)
    faults = [*_faults_of_images(images), *_faults_of_values(images, action)]
    if not faults:  # else what follows would say it again
        faults = [*_faults_of_draws(images, augment, generator, size)]
        faults += _faults_of_views(images, action, size, frame, padding_mode)
    if faults:
        raise AssertionError("\n".join(faults))


def _faults_of_images(images: Tensor) -> Iterator[str]:
    shape = fault_of_shape(images)
    if shape:
        yield f"images: {shape}"
    if len(images) < 2:
        alone = "Alone in its batch, an image has no negatives, and the loss is 0."
        yield f"images: expected several, got {len(images)}. {alone}"
    elif bool((images == images[:1]).all()):
        yield "images: expected several, got one many times. Each is to be told from the others."


def _faults_of_values(images: Tensor, action: Action) -> Iterator[str]:
    # Geometry alone takes other values than those of pictures, such as depth.
    if action.color is not None or action.normalization is not None:
        for fault in faults_of_values(images, action.color, action.normalization):
            yield f"images: {fault}"
    elif images.is_floating_point() and not bool(images.isfinite().all()):
        yield "images: expected finite values, got NaN or infinity."


def _faults_of_draws(
    images: Tensor, augment: EquivariantTransform, generator: torch.Generator, size: Size | None = None
) -> Iterator[str]:
    """Draw many times for copies of one image: does each have its own draw, and does it change?

    The copies have the size and the type of the views, which an operation of one's own may ask for.
    """
    share = 255 if images.dtype == torch.uint8 else 1
    one = images[:1].to(torch.promote_types(images.dtype, torch.float32)) / share
    one = Affine.identity(1, device=images.device).warp(one, size)
    count = _COPIES if one[0, 0].numel() <= _LARGE else _FEW
    copies = one.expand(count, -1, -1, -1)
    first: dict[str, Tensor] = {}
    shared: dict[str, bool] = {}  # whether all copies had the same, each time
    steady: dict[str, bool] = {}  # whether it was the same as the first time
    for _ in range(_DRAWS):
        action = augment.sample(count, generator=generator, device=images.device)
        for name, part in _results(action, copies).items():
            begun = first.setdefault(name, part)
            shared[name] = shared.get(name, True) and bool((part == part[:1]).all())
            steady[name] = steady.get(name, True) and bool((part == begun).all())
    if all(shared.values()) and all(steady.values()):
        yield f"augment: expected draws that differ, got the same {_DRAWS} times. Widen its ranges."
        return
    for name in first:
        if shared[name] and not steady[name]:
            yield (
                f"augment: expected a draw for each image, got one for the whole batch from {name}. Take equicon's or "
                "Kornia's own; of another library, RandomApply(Appearance(what it does), p) decides for each."
            )


def _results(action: Action, copies: Tensor) -> dict[str, Tensor]:
    """Tell apart what geometry, colour and each filter of an action are for each image."""
    results = {"its geometry": action.affine.matrix}
    if action.color is not None:
        results["its colour"] = action.color.matrix
    for i, drawn in enumerate(action.filters):
        name = repr(drawn.module) if isinstance(drawn, Wrapped) else type(drawn).__name__
        results[f"filter {i}, {name}"] = drawn._run(copies, None)
    return results


def _faults_of_views(
    images: Tensor, action: Action, size: Size | None, frame: Affine | None, padding_mode: PaddingMode
) -> Iterator[str]:
    inside = Action(action.affine)(torch.ones_like(images[:, :1], dtype=torch.float32), size=size, frame=frame)
    share = float(inside.mean())
    if share < 0.2:
        what = "its frame and augment's shifts and scales" if frame is not None else "its shifts and scales"
        seen = f"{1 - share:.0%} outside" + _SEEN_THERE[padding_mode]
        yield f"augment: expected views of the images, got views that lie {seen}. Look at {what}."
