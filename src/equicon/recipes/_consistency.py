"""What fine-tuning learns from pictures without labels: to agree with an averaged copy of the model (a mean teacher).

The teacher is an exponential average of the model (Tarvainen and Valpola, NeurIPS 2017). It predicts on two mild views
of each picture, and the model on a strong one. If the teacher's views were as hard, both would come to predict nothing
but background (Xie et al., ICCV 2021). A point is taught where the two predictions of the teacher, brought back to the
picture, lie close together.
"""

import argparse
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import equicon as eq
from equicon.data import CorruptImage
from equicon.hands import Hand, pose_crop
from equicon.recipes._dataset_table import find_unlabelled
from equicon.recipes._opening import same_path
from equicon.recipes._pretrain_data import Batch, mixed
from equicon.recipes._run_data import PretrainData, Repeated
from equicon.training import ALONE, PRECISIONS, Batches, Ranks, Stopwatch, loading, seed_of

Reader: TypeAlias = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
"""Gives the predictions (B, D) of a model, which begin with K points in the unit frame, and the confidence (B, K)."""

MILD = 0.3
"""The width of the ranges of a mild view, as a share of those of a strong one."""

# What the data sources ask for, apart from the options of fine-tuning. Few hands are rendered for probes.
_OPTIONS = {
    "boxes": None,
    "context": 2.0,
    "hands": 8192,
    "inside": True,
    "labelled": 8,
    "mirror_left": False,
    "padding_mode": "zeros",
    "scenes": 32,
    "side": "right",
}


def check_unlabelled(args: argparse.Namespace) -> None:
    """Check what ``--unlabelled`` names, before anything is read.

    Args:
        args: The options of a program that fine-tunes.

    Raises:
        ValueError: If a data set is of no known kind, is named twice, or cannot be mixed. The message begins with
            ``unlabelled:``.
    """
    for i, data in enumerate(args.unlabelled):
        try:
            source = find_unlabelled(data)
        except ValueError as error:
            raise ValueError(f"unlabelled: {error}") from error
        if source.name == "stream":
            raise ValueError("unlabelled: expected pictures that can be counted, got stream. Give: synthetic.")
        if source.rendered and len(args.unlabelled) > 1:
            raise ValueError(f"unlabelled: {source.name} cannot be mixed with other data, got {args.unlabelled}.")
        if any(same_path(data, other) for other in args.unlabelled[:i]):
            raise ValueError(f"unlabelled: expected each data set once, got {data} twice.")


def load_unlabelled(args: argparse.Namespace, *, quiet: bool) -> PretrainData | None:
    """Open the pictures that ``--unlabelled`` names; None if it names none.

    From the data set of ``--data``, those that validate the model are left out.

    Args:
        args: The options of a program that fine-tunes.
        quiet: Whether to hide progress bars.

    Raises:
        ValueError: If a data set cannot be opened. The message begins with ``unlabelled:``.
    """
    if not args.unlabelled:
        return None
    found = []
    for data in args.unlabelled:
        holdout = args.holdout if same_path(data, args.data) else 0.0
        options = argparse.Namespace(**(_OPTIONS | vars(args) | {"data": [data], "holdout": holdout}))
        try:
            found.append(find_unlabelled(data).pretrain(options, data, quiet))
        except CorruptImage:  # it is a ValueError too, but has a better message
            raise
        except ValueError as error:
            raise ValueError(f"unlabelled: {error}") from error
    return mixed(found, enlarge=False)


@dataclass(frozen=True)
class Taught:
    """Strong views of pictures without labels, and what the teacher says of them.

    Args:
        images: (B, 3, h, w) the views.
        g: B maps from the frames around what the pictures show to the views.
        z: (B, D) predictions of the teacher in these frames.
        weights: (B, K) how much each point counts, at least 0.
        criterion: The loss that compares predictions.
    """

    images: Tensor
    g: eq.Affine
    z: Tensor
    weights: Tensor
    criterion: eq.ConsistencyLoss

    def loss(self, z: Tensor, scales: Tensor | None = None) -> Tensor:
        """Compute how far predictions are from what the teacher says.

        Args:
            z: (B, D) predictions of the model for these views: K points, then further values of each point.
            scales: (D,) how much each value counts; None if all count alike.
        """
        further = z.shape[1] // self.weights.shape[1] - 2
        weights = torch.cat([self.weights.repeat_interleave(2, 1), *further * [self.weights]], 1)
        here = eq.Affine.identity(len(z), device=z.device)
        found: Tensor = self.criterion(z, self.z, self.g, here, weights=weights if scales is None else weights * scales)
        return found


class Teacher:
    """An averaged copy of a model, and the pictures on which the model learns to agree with it.

    Args:
        model: The model that learns.
        data: The pictures.
        representation: How a transform acts on predictions, which begin with K points.
        margin: Side of the views divided by the longer side of the box.
        args: The options of the program.
    """

    def __init__(
        self,
        model: nn.Module,
        data: PretrainData,
        representation: eq.Representation[Any],
        *,
        margin: float,
        args: argparse.Namespace,
    ) -> None:
        self.model = copy.deepcopy(model).eval()
        self.criterion = eq.ConsistencyLoss(representation, distance=F.l1_loss)
        self.data, self.representation, self.margin, self.args = data, representation, margin, args
        self.device, self.dtype = torch.device(args.device), PRECISIONS[args.precision]
        plain = eq.Normalize.imagenet()
        self.mild = eq.Compose([*geometric_views(args, MILD), plain])
        self.strong = eq.Compose([*geometric_views(args), eq.ColorJitter(*args.jitter), eq.RandomErasing(), plain])

    def lessons(
        self, read: Reader, first: int, last: int, ranks: Ranks, watch: Stopwatch | None = None
    ) -> Iterator[Taught]:
        """Teach this rank's parts of the batches from ``first`` up to, but not including, ``last``.

        Args:
            read: How to predict.
            first: The number of the first step.
            last: The number of steps in all.
            ranks: The processes of the run.
            watch: Measures how long a lesson waits for its pictures. What comes before is the making of views.
        """
        args, count = self.args, max(self.data.count, self.args.batch_size)
        sampler = Batches(count, args.batch_size, seed_of(args.seed, 4), first, last, ranks)
        batches = iter(DataLoader(Repeated(self.data.images, count), batch_sampler=sampler, **loading(args)))

        def teach(step: int) -> Taught:
            if watch:
                watch.mark("views")
            batch = next(batches)
            if watch:
                watch.mark("data")
            return self.teach(batch, read, args.consistency * ramp(step, last, args.ramp))

        return map(teach, range(first, last))

    @torch.no_grad()
    def teach(self, batch: Batch, read: Reader, weight: float) -> Taught:
        """Draw the views of a batch, and say where its points are in the strong one.

        Args:
            batch: The pictures.
            read: How to predict.
            weight: The weight of a point of which the teacher is sure.
        """
        batch = type(batch)(*(field.to(self.device, non_blocking=True) for field in batch))
        if isinstance(batch, Hand):
            frame = pose_crop(batch, self.args.size)
        else:
            size = (batch.image.shape[-2], batch.image.shape[-1])
            frame = eq.Affine.from_boxes(within(batch.box, size, self.margin), size, self.margin)
        found, sure = [], []
        for _ in range(2):
            images, g = self._view(self.mild, batch.image, frame)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                z, confidence = read(self.model, images)
            found.append(self.representation.canonicalize(g, z))
            sure.append(confidence)
        images, g = self._view(self.strong, batch.image, frame)
        z, weights = (found[0] + found[1]) / 2, weight * (sure[0] + sure[1]) / 2
        count = weights.shape[1]
        near = points_of(found[0] - found[1], count).norm(dim=-1) <= self.args.agree
        inside = (points_of(self.representation.act(g, z), count).abs() <= 1).all(-1)
        return Taught(images, g, z, weights * near * inside, self.criterion)

    def _view(self, augment: eq.Compose, images: Tensor, frame: eq.Affine) -> tuple[Tensor, eq.Affine]:
        action = augment.sample(len(images), device=self.device)
        size, memory = (self.args.size, self.args.size), torch.channels_last
        views: Tensor = action(images, size=size, frame=frame, dtype=self.dtype, memory_format=memory)
        return views, action.affine

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int, ranks: Ranks = ALONE) -> None:
        """Take the model into the average, after a step.

        Early steps keep less of the average, so that it soon forgets the weights of the start.

        Args:
            model: The model.
            step: The number of the step.
            ranks: The processes of the run. Batch norm may have other statistics on each, whose mean is taken.
        """
        share = 1 - min(self.args.average, (1 + step) / (10 + step))
        for average, parameter in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(parameter, share)
        pairs = [*zip(self.model.buffers(), model.buffers(), strict=True)]
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        for mine, other in (pair for pair in pairs if not pair[0].is_floating_point()):
            mine.copy_(other)  # counts
        if real:
            means = ranks.mean(torch.cat([other.flatten() for _, other in real]))
            for (mine, _), mean in zip(real, means.split([mine.numel() for mine, _ in real]), strict=True):
                mine.lerp_(mean.view_as(mine), share)


def within(boxes: Tensor, size: tuple[int, int], margin: float) -> Tensor:
    """Shrink boxes (B, 4) about their centres until ``margin`` times their longer side is not more than the picture.

    So a picture without a box, whose box is all of it, is seen whole.

    Args:
        boxes: The boxes x1, y1, x2, y2.
        size: Height and width of the pictures.
        margin: Side of the frames divided by the longer side of the box.
    """
    low, high = boxes.chunk(2, 1)
    longer = (high - low).amax(1, keepdim=True)
    half = (high - low) / 2 * (min(size) / (margin * longer)).clamp(max=1)
    return torch.cat([(low + high) / 2 - half, (low + high) / 2 + half], 1)


def points_of(z: Tensor, count: int) -> Tensor:
    """Give the points (B, K, 2) with which predictions (B, D) begin."""
    found: Tensor = z[:, : 2 * count].unflatten(1, (count, 2))
    return found


def geometric_views(args: argparse.Namespace, width: float = 1.0) -> list[eq.EquivariantTransform]:
    """Make the transforms of the views that scale, turn and shift.

    Args:
        args: The options of a program that fine-tunes.
        width: The width of their ranges, as a share of those that the options give.
    """
    low, high = (factor**width for factor in args.scale)
    return [
        eq.RandomScale((low, high)),
        eq.RandomRotation(args.degrees * width),
        eq.RandomTranslate(args.translate * width),
    ]


def ramp(step: int, steps: int, share: float) -> float:
    """Rise from nearly 0 to 1 over a share of the steps, as exp(−5 (1 − t)²) (Laine and Aila, ICLR 2017).

    Args:
        step: The number of the step.
        steps: The number of steps in all.
        share: The share of the steps in which it rises.

    Examples:
        >>> [round(ramp(step, 100, 0.5), 3) for step in (0, 25, 50, 99)]
        [0.007, 0.287, 1.0, 1.0]
    """
    left = 1 - min(1.0, step / (share * steps)) if share else 0.0
    return math.exp(-5 * left * left)
