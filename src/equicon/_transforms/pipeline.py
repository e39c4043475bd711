"""``check_pipeline``: find faults of images and augmentation that raise no error."""

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
"""How often to draw, to see whether a draw is one for the whole batch. With p = 0.1, this shows in 97 of 100 cases."""

_SEEN_THERE = {"zeros": "", "border": ", and show the border there", "reflection": ", and show reflections there"}

_COPIES, _FEW, _LARGE = 8, 2, 64 * 64
"""How many copies of one image are drawn for; and how many, if an image has more pixels than the last number."""


def check_pipeline(
    images: Tensor,
    augment: EquivariantTransform,
    *,
    size: tuple[int, int] | None = None,
    frame: Affine | None = None,
    padding_mode: PaddingMode = "zeros",
    generator: torch.Generator | None = None,
) -> None:
    """Check for faults that make contrastive learning fail without an error, and describe each.

    It finds these faults:

    - Images that are channels last, already normalised, floats of 0 to 255, fractions converted to bytes, NaN or
      infinite, or alone in their batch.
    - A normalisation by numbers for 0 to 255.
    - Draws that are the same for the whole batch, or that never change.
    - Views that lie mostly outside their source.

    Call it once before training. It waits for the device.

    Args:
        images: (B, C, H, W), a batch as in training.
        augment: The transform that makes the views.
        size: (h, w) of the views, as in training.
        frame: Applied before the transform, as in training.
        padding_mode: What lies outside the source, as in training. Views that lie mostly outside are a fault in any
            mode.
        generator: Source of randomness; None takes a new one with seed 0.

    Raises:
        AssertionError: If there are faults. The message has a line for each.
        ValueError: If images are not a batch (B, C, H, W), size or frame do not fit, or padding_mode is not known.
        TypeError: If images are neither uint8 nor floating, or augment is not an ``EquivariantTransform``.

    Examples:
        >>> check_pipeline(torch.rand(8, 3, 64, 64), Compose([RandomRotation(45), RandomGrayscale(0.2)]))
    """
    check_images(images)
    check_transform("augment", augment)
    check_choice("padding_mode", padding_mode, get_args(PaddingMode))
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    action = augment.sample(len(images), generator=generator, device=images.device)
    faults = [*_faults_of_images(images), *_faults_of_values(images, action)]
    if not faults:  # else the next checks would report the same fault again
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
        yield "images: expected different images, got the same one many times. The loss must tell them apart."


def _faults_of_values(images: Tensor, action: Action) -> Iterator[str]:
    # Geometry alone also serves images whose values are not colours, such as depth.
    if action.color is not None or action.normalization is not None:
        for fault in faults_of_values(images, action.color, action.normalization):
            yield f"images: {fault}"
    elif images.is_floating_point() and not bool(images.isfinite().all()):
        yield "images: expected finite values, got NaN or infinity."


def _faults_of_draws(
    images: Tensor, augment: EquivariantTransform, generator: torch.Generator, size: Size | None = None
) -> Iterator[str]:
    """Draw many times for copies of one image, to see whether each copy has its own draw, and whether draws change.

    The copies have the size and the type of the views, since a user's own operation may expect these.
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
                f"augment: expected a draw for each image, got one for the whole batch from {name}. Use equicon's or "
                "Kornia's own. For another library's operation, RandomApply(Appearance(operation), p) draws for each."
            )


def _results(action: Action, copies: Tensor) -> dict[str, Tensor]:
    """Compute for each image what geometry, colour and each filter of an action give, by a name for each."""
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
