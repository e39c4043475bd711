"""Assertions that check your own transforms, representations, encoders and pipelines against the library's laws."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_int, describe, is_several, plain, value_error
from equicon._groups.affine import Affine
from equicon._groups.element import GroupElement, check_element
from equicon._public import claim
from equicon._representations.base import Representation
from equicon._transforms.action import Action
from equicon._transforms.appearance import Wrapped
from equicon._transforms.base import Compose, EquivariantTransform, RandomApply
from equicon._transforms.geometric import RandomAffine, RandomHorizontalFlip
from equicon._transforms.leaks import Leak, Leaks, find_leaks
from equicon._transforms.pipeline import check_pipeline
from equicon._views.warp import PaddingMode

__all__ = [
    "Leak",
    "Leaks",
    "assert_equivariant",
    "assert_representation",
    "assert_transform",
    "check_pipeline",
    "find_leaks",
]

claim(["Leak", "Leaks", "check_pipeline", "find_leaks"], globals())

_SIMILARITY = Compose([RandomAffine(180, 0.2, (0.7, 1.4)), RandomHorizontalFlip(0.5)])
_AFFINE = Compose([RandomAffine(180, 0.2, (0.7, 1.4), 20), RandomHorizontalFlip(0.5)])


def assert_transform(
    transform: EquivariantTransform,
    *,
    source: tuple[int, int] = (96, 128),
    view: tuple[int, int] | None = None,
    batch_size: int = 8,
    filters: bool = True,
    tolerance: float = 0.05,
    generator: torch.Generator | None = None,
) -> None:
    """Assert that a transform keeps its laws, above all that points move where the pixels under them move.

    It draws a blob in each image, makes the view, and finds the blob by its centre of mass. The blob must be where the
    returned matrix says. It also checks these: an action replays exactly, the same generator gives the same parameters,
    the input does not change, views are finite and have the right shape and type, the matrix is invertible, each image
    has a draw of its own, and ``RandomApply`` leaves images that it skips unchanged. The images have three channels.

    Args:
        transform: The transform to test.
        source: (H, W) of the images.
        view: (h, w) of the views; the images' by default.
        batch_size: How many images to draw, each with its own parameters.
        filters: Whether the blob goes through the filters (blur, noise, ``Appearance``) too. Pass False for a transform
            that may cover a part of the blob, as ``RandomErasing`` does.
        tolerance: Largest distance between the blob and the point, in pixels of the view.
        generator: Source of randomness; None takes a new one with seed 0.

    Raises:
        AssertionError: If a law is broken. The message says which.

    Examples:
        >>> assert_transform(RandomRotation(45))
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    state = generator.get_state()
    try:
        action = transform.sample(batch_size, generator=generator)
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"{transform!r}.sample({batch_size}) must give an Action of that batch size: {error}"
        ) from error
    generator.set_state(state)
    again = transform.sample(batch_size, generator=generator)
    _assert_close(
        again.affine.matrix, action.affine.matrix, 0, f"{transform!r}: the same generator gave another matrix"
    )

    matrix = action.affine.matrix
    if not bool(matrix.isfinite().all()) or not bool((torch.linalg.det(matrix).abs() > 1e-6).all()):
        raise AssertionError(f"{transform!r} drew a matrix that is not finite and invertible: {matrix}.")
    _assert_close(
        matrix[:, 2],
        matrix.new_tensor([0.0, 0.0, 1.0]).expand(batch_size, 3),
        0,
        f"{transform!r}: the last row is not (0, 0, 1)",
    )

    images = torch.rand(batch_size, 3, *source, generator=generator, dtype=torch.float32, device=matrix.device)
    kept = images.clone()
    views = action(images, size=view)
    _assert_close(images, kept, 0, f"{transform!r} changed its input in place")
    _assert_close(action(images, size=view), views, 0, f"{transform!r}: the replay of an Action gave other pixels")
    _assert_close(again(images, size=view), views, 0, f"{transform!r}: the same generator gave other pixels")
    out = source if view is None else view
    if views.shape != (batch_size, 3, *out) or views.dtype != images.dtype or not bool(views.isfinite().all()):
        raise AssertionError(
            f"{transform!r}: expected finite {images.dtype} views {(batch_size, 3, *out)}, "
            f"got {views.dtype} {tuple(views.shape)}."
        )
    _assert_parts(transform, action, images, views, out)
    if not filters:
        action = Action(action.affine, action.color)
    _assert_points_follow(transform, action, source, out, tolerance, generator)


def _assert_parts(
    transform: EquivariantTransform, action: Action, images: Tensor, views: Tensor, out: tuple[int, int]
) -> None:
    """Assert that each image has its own draw, and that an image which is left out does not change."""
    last = len(images) - 1
    if not any(isinstance(drawn, Wrapped) for drawn in action.filters):  # which draws for the whole batch
        chosen = [last, 0, last]
        message = f"{transform!r}: action[{chosen}] of these images gave other pixels than the whole action"
        _assert_close(action[chosen](images[chosen], size=out), views[chosen], 1e-5, message)
    if action.normalization is None:
        left = RandomApply(transform, 0.0).sample(len(images))(images, size=out)
        message = f"{transform!r} changed images that it was not applied to: a filter must not edit its views in place"
        _assert_close(left, Affine.identity(len(images), device=images.device).warp(images, out), 1e-5, message)


def _assert_points_follow(
    transform: EquivariantTransform,
    action: Action,
    size: tuple[int, int],
    out: tuple[int, int],
    tolerance: float,
    generator: torch.Generator,
) -> None:
    """Render a blob that is round in the view, warp it, and find it where the matrix says."""
    sigma = min(out) / 20
    g = action.affine.to(dtype=torch.float64)
    # Drawn in the middle of the view and carried back, so that the blob is not cut off.
    inside = torch.rand(len(action), 2, generator=generator, dtype=torch.float64, device=g.device) / 2 + 0.25
    target = inside * inside.new_tensor([out[1] - 1, out[0] - 1])
    source = g.inverse().points(target, out, size)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64, device=g.device) for n in size), indexing="ij")
    seen = g.points(torch.stack([x, y], -1).flatten(0, 1).expand(len(action), -1, 2), size, out)
    blob = torch.exp(-(seen - target[:, None]).square().sum(-1) / (2 * sigma**2)).reshape(-1, 1, *size)

    plain = torch.full((len(action), 3, *size), 0.25, dtype=torch.float64, device=g.device)
    # Noise and offsets are in both and cancel. A global change, as by contrast, stays below the threshold.
    difference = (action(plain + blob / 2, size=out) - action(plain, size=out)).abs().sum(1)
    mass = (difference - 0.2 * difference.amax((1, 2), keepdim=True)).clamp(min=0)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64, device=g.device) for n in out), indexing="ij")
    found = torch.stack([(mass * x).sum((1, 2)), (mass * y).sum((1, 2))], -1) / mass.sum((1, 2))[:, None]

    margin = 2.5 * sigma * g.inverse().pixels(out, size)[:, :2, :2].norm(dim=(1, 2))[:, None]
    last = inside.new_tensor([size[1] - 1, size[0] - 1])
    visible = ((source >= margin) & (source <= last - margin)).all(-1)
    if not bool(visible.any()):
        raise AssertionError(f"{transform!r}: no blob stayed in view; take a larger batch_size or a milder transform.")
    distance = torch.where(visible, (found - target).norm(dim=-1), 0.0)
    worst = int(distance.nan_to_num(torch.inf).argmax())
    if not bool((distance <= tolerance).all()):
        raise AssertionError(
            f"{transform!r}: points do not move where pixels move: the blob of image {worst} is at "
            f"{found[worst].tolist()}, and its matrix says {target[worst].tolist()} "
            f"({distance[worst]:.3f} px away, tolerance {tolerance} px)."
        )


def assert_representation(
    representation: Representation[Any],
    width: int | Sequence[int],
    *,
    homomorphism: bool = True,
    transform: EquivariantTransform | None = None,
    elements: tuple[GroupElement, GroupElement] | None = None,
    batch_size: int = 8,
    generator: torch.Generator | None = None,
) -> None:
    """Assert the laws of a representation, in float64. Call ``.double()`` on a representation that learns.

    ``act(e, z) = z``; ``canonicalize(g, act(g, z)) = canonicalize(e, z)``; ``act(g @ h, z) = act(g, act(h, z))``.

    Args:
        representation: The representation to test.
        width: D, for embeddings (B, D). For other embeddings, the shape of one, without the batch dimension.
        homomorphism: Whether to check the third law too, which ``PeCLRPoints`` does not keep.
        transform: Draws the group elements. The default draws rotation, translation, scale and flips, and also shear if
            ``homomorphism`` is True.
        elements: (g, h), two batches of group elements of one length, in float64. Give them instead of ``transform``
            and ``batch_size`` to test a group other than ``Affine``.
        batch_size: How many elements to draw.
        generator: Source of randomness; None takes a new one with seed 0.

    Raises:
        AssertionError: If a law is broken. The message says which.
        ValueError: If both ``transform`` and ``elements`` are given.

    Examples:
        >>> assert_representation(Points(), 128)
        >>> assert_representation(PeCLRPoints(), 128, homomorphism=False)
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    if elements is None:
        transform = (_AFFINE if homomorphism else _SIMILARITY) if transform is None else transform
        g, h = (transform.sample(batch_size, generator=generator).affine.to(dtype=torch.float64) for _ in "gh")
        elements = g, h
    elif transform is not None:
        raise value_error("transform", "None where elements are given", describe(transform))
    shape = tuple(plain(width)) if is_several(width) else (check_int("width", width, low=1),)
    _assert_laws(representation, shape, homomorphism, elements, generator)


def _assert_laws(
    representation: Representation[Any],
    shape: tuple[int, ...],
    homomorphism: bool,
    elements: tuple[GroupElement, GroupElement],
    generator: torch.Generator,
) -> None:
    g, h = (check_element(f"elements[{i}]", element) for i, element in enumerate(elements))
    e = g.inverse() @ g  # has the elements' own type, which identity() does not know
    z = torch.randn(len(g), *shape, generator=generator, dtype=torch.float64, device=generator.device).to(g.device)
    name = repr(representation)
    _assert_close(representation.act(e, z), z, 1e-9, f"{name}: act(e, z) is not z")
    _assert_close(
        representation.canonicalize(g, representation.act(g, z)),
        representation.canonicalize(e, z),
        1e-9,
        f"{name}: canonicalize(g, act(g, z)) is not canonicalize(e, z)",
    )
    if homomorphism:
        _assert_close(
            representation.act(g @ h, z),
            representation.act(g, representation.act(h, z)),
            1e-9,
            f"{name}: act(g @ h, z) is not act(g, act(h, z))",
        )


def assert_equivariant(
    encoder: Callable[[Tensor], Tensor],
    images: Tensor,
    transform: EquivariantTransform,
    representation: Representation[Any],
    *,
    size: tuple[int, int] | None = None,
    padding_mode: PaddingMode = "zeros",
    tolerance: float = 0.05,
    generator: torch.Generator | None = None,
) -> None:
    """Assert that an encoder is equivariant: canonicalising the embedding of a view gives the embedding of the image.

    That is ``canonicalize(g, encoder(view)) ≈ canonicalize(e, encoder(image))`` for the identity e. The error is the
    distance between the two over the norm of the second, as the median over the batch. Train with ``PeCLRLoss``, and
    then measure here how equivariant the encoder has become.

    Args:
        encoder: Maps images (B, C, H, W) to embeddings (B, D). Call ``.eval()`` on a module first.
        images: (B, C, H, W).
        transform: Draws the views.
        representation: How the embeddings should move.
        size: (h, w) of what the encoder gets; the images' own by default.
        padding_mode: What lies outside the images: ``zeros``, ``border`` or ``reflection``. Give the mode of training.
        tolerance: Largest median relative distance.
        generator: Source of randomness; None takes a new one with seed 0.

    Raises:
        AssertionError: If the median relative distance is above ``tolerance``.

    Examples:
        >>> y, x = torch.meshgrid(*[(2 * torch.arange(64) - 63) / 64] * 2, indexing="ij")
        >>> disc = ((x - 0.4) ** 2 + y**2 < 0.05).float().expand(8, 3, -1, -1)
        >>> center = lambda v: torch.stack([(v[:, 0] * u).sum((1, 2)) / v[:, 0].sum((1, 2)) for u in (x, y)], -1)
        >>> assert_equivariant(center, disc, RandomRotation(180), Points())
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with torch.no_grad():
        views, g = transform(images, size=size, padding_mode=padding_mode, generator=generator)
        e = Affine.identity(len(images), device=g.device)
        plain = representation.canonicalize(e, encoder(e.warp(images, size, padding_mode=padding_mode)))
        home = representation.canonicalize(g, encoder(views))
    scale = plain.norm(dim=1).clamp(min=torch.finfo(plain.dtype).eps)
    distance = float(((home - plain).norm(dim=1) / scale).median())
    if not distance <= tolerance:
        raise AssertionError(
            f"encoder: canonicalize(g, encoder(view)) is {distance:.3g} away from canonicalize(e, encoder(image)), "
            f"relative to its norm (median of {len(images)}); tolerance {tolerance:g}."
        )


def _assert_close(actual: Tensor, expected: Tensor, tolerance: float, message: str) -> None:
    torch.testing.assert_close(
        actual,
        expected.to(actual.dtype),
        rtol=tolerance,
        atol=tolerance,
        equal_nan=True,
        msg=lambda details: f"{message}.\n{details}",
    )
