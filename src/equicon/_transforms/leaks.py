"""``find_leaks``: whether views reveal how they were made, whatever they show."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from equicon._checks import (
    Size,
    check_batch,
    check_images,
    check_int,
    check_progress,
    check_size,
    describe,
    type_error,
    value_error,
)
from equicon._devices import fast_type, seeded, without_autocast
from equicon._exact import exact_products
from equicon._groups.affine import Affine, check_affine
from equicon._plane.matrix import determinant, polar_angle
from equicon._transforms.leak_network import build_network, random_pictures

Progress: TypeAlias = Callable[[list[Any]], Iterable[Any]]

_HELD_OUT, _FIRST = 2048, 256
"""How many views R² is measured on, and how many are made before training to see which quantities vary."""

_LEAST = 0.05
"""R² above which a quantity counts as a leak."""

_LEARNING_RATE, _WARM_UP = 2e-3, 0.05

_SMALLEST = 16
"""Largest side of a view in pixels that gives the network's last stage a single pixel."""

_COLUMNS = {"angle": slice(0, 2), "log_scale": slice(2, 3), "shift": slice(3, 5)}
"""The columns of each quantity in the network's output. An angle is a point on the circle, so that it has no jump."""


class Leak(NamedTuple):
    """How well a network predicts one quantity from views that it never saw.

    Args:
        r2: The share of the quantity's variance that the network explains: 1 if it reads the quantity off exactly,
            about 0 if it knows nothing about it.
        low: Lower end of the 95 % interval of ``r2`` over views. Another network may be further off.
        high: Upper end of this interval.

    Examples:
        >>> print(Leak(0.94, 0.93, 0.95))
        0.94 (0.93 to 0.95)
    """

    r2: float
    low: float
    high: float

    def __str__(self) -> str:
        return "{:.2f} ({:.2f} to {:.2f})".format(*(round(value, 2) + 0.0 for value in self))


class Leaks(NamedTuple):
    """What views reveal about the transform that made them. A quantity that does not vary is None.

    Args:
        angle: The angle by which the picture is turned.
        log_scale: The logarithm of its magnification.
        shift: The place of its centre, x and y together.

    Examples:
        >>> leaks = Leaks(Leak(0.94, 0.93, 0.95), None, Leak(0.01, -0.01, 0.03))
        >>> leaks.found
        ('angle',)
        >>> print(leaks)
        quantity        R² (95 % interval)
        angle           0.94 (0.93 to 0.95)  a leak
        log scale       does not vary
        shift           0.01 (-0.01 to 0.03)
    """

    angle: Leak | None
    log_scale: Leak | None
    shift: Leak | None

    @property
    def found(self) -> tuple[str, ...]:
        """The names of the quantities that leak, whose ``low`` is above 0.05."""
        return tuple(name for name, leak in self._asdict().items() if leak is not None and leak.low > _LEAST)

    def __str__(self) -> str:
        lines = [f"{'quantity':<16}R² (95 % interval)"]
        for name, leak in self._asdict().items():
            said = "does not vary" if leak is None else str(leak)
            lines.append(f"{name.replace('_', ' '):<16}{said}{'  a leak' if name in self.found else ''}")
        return "\n".join(lines)


def find_leaks(
    make_views: Callable[[Tensor], tuple[Tensor, Affine]],
    *,
    source: tuple[int, int] = (64, 64),
    steps: int = 800,
    batch_size: int = 64,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Leaks:
    """Find out whether views give away how they were turned, magnified and shifted.

    A small network learns to predict angle, scale and shift from views of random pictures. The pictures themselves say
    nothing about these. So whatever the network finds is a trace of how the views are made, such as a visible border,
    or sharpness. An encoder can read that trace too. Then it makes a contrastive loss small and learns nothing about
    what the images show. Run this on the pipeline of your training, with small pictures: 64 × 64 pixels take about a
    minute of one core.

    Args:
        make_views: Maps images (B, 3, H, W), floating in [0, 1], to views (B, C, h, w) and the ``Affine`` that made
            them. It is an ``EquivariantTransform``, or a function that calls one with the size, the frame and the
            padding of your training.
        source: (H, W) of the pictures that ``make_views`` gets.
        steps: For how many steps the network learns. A longer run may find a leak that a shorter one misses. Some
            tens of steps find nothing: they only show that the call works.
        batch_size: How many views the network sees in a step, at least 2.
        seed: Seed of the pictures, of the network, and of all that draws from torch's global generators. These are
            restored afterwards.
        device: Device of the pictures and the network; the CPU by default.
        progress: Wraps the list of batches, for example ``tqdm``.

    Returns:
        For each quantity, R² on 2,048 or more views that the network never saw, with its interval. It is None for a
        quantity that does not vary: its standard deviation in the first 256 views is at most 1e-4 (in radians, in
        units, or of the logarithm).

    Raises:
        ValueError: If a number or a size is out of range, the number of views or matrices is not that of the images,
            or views are not finite.
        TypeError: If make_views or progress cannot be called, or views come without their ``Affine``.

    Examples:
        >>> augment = Compose([RandomRotation(45), RandomScale((0.7, 1.1)), RandomTranslate(0.1)])
        >>> leaks = find_leaks(lambda images: augment(images, size=(32, 32)), source=(64, 64), steps=2)
        >>> leaks.found
        ()
    """
    if not callable(make_views):
        raise type_error("make_views", "something to call with a batch of images", describe(make_views))
    source = check_size("source", source)
    steps, seed = check_int("steps", steps, low=1), check_int("seed", seed, low=0)
    batch_size = check_int("batch_size", batch_size, low=2)
    check_progress(progress)
    place = torch.device("cpu" if device is None else device)
    first, last = -(-_FIRST // batch_size), -(-_HELD_OUT // batch_size)
    jobs = list(range(first + steps + last))
    with _settled(place), seeded(place, seed):
        ticks = iter(jobs if progress is None else progress(jobs))
        batches = (_batch(make_views, batch_size, source, place) for _ in ticks)
        scales = _Scales.of([next(batches) for _ in range(first)])
        if not scales.varying:
            return Leaks(None, None, None)
        network = _train(batches, steps, scales, place)
        found = _measure(batches, last, scales, network)
        next(ticks, None)  # so that the bar ends
    return Leaks(**{name: found.get(name) for name in _COLUMNS})


@contextmanager
def _settled(device: torch.device) -> Iterator[None]:
    """Train the same way whatever inference mode, gradients, autocast or precision the caller has set."""
    with torch.inference_mode(False), torch.enable_grad(), without_autocast(device), exact_products():
        yield


def _batch(
    make_views: Callable[[Tensor], tuple[Tensor, Affine]], count: int, source: Size, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make views (B, C, h, w) and the targets (B, 5) that the network is to predict."""
    with torch.no_grad():
        made = make_views(random_pictures(count, source).to(device))
        if not isinstance(made, tuple | list) or len(made) != 2:
            raise type_error("make_views", "something that returns (views, g)", f"{describe(made)} from it")
        views, g = check_images(made[0]), check_affine("g of make_views", made[1])
        check_batch("views", views, count, "the images")
        check_batch("g of make_views", g, count, "the images")
        angle, log_scale = polar_angle(g.linear)[0], determinant(g.linear).abs().log() / 2
        targets = torch.stack([angle.cos(), angle.sin(), log_scale, *g.translation.unbind(1)], 1)
        return views.float(), targets.to(device).float()


class _Scales(NamedTuple):
    """Means and standard deviations, by which views and targets are standardised.

    Args:
        views: Mean and deviation of each channel, (2, C).
        targets: Mean and deviation of each column, (2, 5). The columns of one quantity share one deviation.
        varying: The quantities that vary.
    """

    views: Tensor
    targets: Tensor
    varying: list[str]

    @classmethod
    def of(cls, batches: list[tuple[Tensor, Tensor]]) -> "_Scales":
        views, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
        if not bool(views.isfinite().all()) or not bool(targets.isfinite().all()):
            raise value_error("make_views", "finite views and matrices", "NaN or infinity")
        pixels = views.transpose(0, 1).flatten(1)
        spread = targets.var(0, correction=0)
        scale = torch.cat([spread[at].mean().sqrt().expand(at.stop - at.start) for at in _COLUMNS.values()])
        return cls(
            torch.stack([pixels.mean(1), pixels.std(1, correction=0).clamp(min=1e-6)]),
            torch.stack([targets.mean(0), scale]),
            [name for name, at in _COLUMNS.items() if float(scale[at.start]) > 1e-4],
        )

    def standard(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Standardise views and targets to mean 0 and deviation 1. Only targets of quantities that vary are kept."""
        views, targets = batch
        mean, std = self.views[:, :, None, None]
        wanted = ((targets - self.targets[0]) / self.targets[1])[:, self._columns()]
        return ((views - mean) / std).contiguous(memory_format=torch.channels_last), wanted

    def _columns(self) -> list[int]:
        return [i for name in self.varying for i in range(_COLUMNS[name].start, _COLUMNS[name].stop)]


def _train(
    batches: Iterator[tuple[Tensor, Tensor]], steps: int, scales: _Scales, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Train a network for ``steps`` batches, and return the function that predicts with it."""
    network = build_network(len(scales.views[0]), len(scales._columns()), device)
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE)
    for step in range(steps):
        views, wanted = scales.standard(next(batches))
        with _half(views):
            found = network(views)
        loss = (found.float() - wanted).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / (1 + _WARM_UP * steps))
            group["lr"] = _LEARNING_RATE * warm * (1 + math.cos(math.pi * step / steps)) / 2
        with torch.device("cpu"):  # the optimizer counts its steps on the default device, which may be any
            optimizer.step()
    network.eval()

    def predict(views: Tensor) -> Tensor:
        with torch.no_grad(), _half(views):
            found: Tensor = network(views)
        return found.float()

    return predict


def _half(views: Tensor) -> torch.autocast:
    """Switch to bfloat16 where it is fast. float16 would need scaled gradients.

    Views that the network reduces to a single pixel stay in float32: for a convolution that halves a single pixel,
    oneDNN (of torch 2.14) does not write all of the gradient. Autocast's cache is off, since inside another autocast it
    would keep the weights of the first step.
    """
    quick = fast_type(views.device) == torch.bfloat16 and min(views.shape[-2:]) > _SMALLEST
    return torch.autocast(views.device.type, torch.bfloat16, enabled=quick, cache_enabled=False)


def _measure(
    batches: Iterator[tuple[Tensor, Tensor]], count: int, scales: _Scales, predict: Callable[[Tensor], Tensor]
) -> dict[str, Leak]:
    found, wanted = [], []
    for _ in range(count):
        views, targets = scales.standard(next(batches))
        found.append(predict(views).double().cpu())
        wanted.append(targets.double().cpu())
    widths = [_COLUMNS[name].stop - _COLUMNS[name].start for name in scales.varying]
    parts = zip(torch.cat(found).split(widths, 1), torch.cat(wanted).split(widths, 1), strict=True)
    return {name: _told(p, y) for name, (p, y) in zip(scales.varying, parts, strict=True)}


def _told(found: Tensor, wanted: Tensor) -> Leak:
    """Compute R² of predictions (n, d) over all columns, and its interval by linearising a ratio of two means."""
    error = (found - wanted).square().sum(1)
    spread = (wanted - wanted.mean(0)).square().sum(1)
    left = error.mean() / spread.mean()
    half = 1.96 * (error - left * spread).std() / (math.sqrt(len(error)) * spread.mean())
    return Leak(float(1 - left), float(1 - left - half), float(1 - left + half))
