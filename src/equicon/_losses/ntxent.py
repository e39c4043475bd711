"""NT-Xent, the contrastive loss of SimCLR."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from equicon._checks import check_int, describe, type_error, value_error
from equicon._devices import without_autocast
from equicon._losses.extras import check_rows, check_temperature, check_tensor
from equicon._losses.levels import LossLevels, nt_xent_levels
from equicon._losses.negatives import block_size, blockwise_negatives, dense_negatives, gradient_is_enough
from equicon._losses.ranks import Batch, exchange, gather_others, many_ranks, refuse_together
from equicon._plane.matrix import at_least_float32, normalize

_ALONE = (
    "z1: expected a batch of several images, got one, which has no negatives: the loss is 0, and so is its gradient. "
    "Take larger batches, or leave out a last batch of one image (drop_last=True)."
)


def nt_xent(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 0.5,
    *,
    more_views: Sequence[Tensor] = (),
    weights: Tensor | None = None,
    labels: Tensor | None = None,
    negatives: Tensor | None = None,
    gather_distributed: bool = False,
    chunk_size: int | None = None,
) -> Tensor:
    """Compute NT-Xent, the normalised temperature-scaled cross-entropy of each embedding's partner among all others.

    ``ℓ(i, j) = −log( exp(s(i, j) / τ) / (exp(s(i, j) / τ) + Σ_{k ∈ N(i)} exp(s(i, k) / τ)) )``

    averaged over all ordered pairs (i, j) of views of one image. Here s is the cosine similarity, and N(i) are the
    embeddings of the other images. A batch of one image has no negatives, so its loss is 0; a ``UserWarning`` says so.

    The result is exact for batches of any size. Above ``chunk_size`` embeddings, scores are computed in blocks, and
    again for the gradient. So memory grows with the number of embeddings and not with its square.

    Args:
        z1: (B, D), embeddings of the first view of each image.
        z2: (B, D), embeddings of the second view.
        temperature: τ, at least 1e-6: a number, or a tensor of shape () that gets a gradient. The value of a tensor is
            checked on a CPU only, since elsewhere the check would wait. Keep it above 0: learn its logarithm, or clamp
            it after each step.
        more_views: Embeddings of further views, each (B, D). Each pair of views of an image counts. Views of one image
            are not each other's negatives.
        weights: (B,), a factor for the pairs of each image. The loss is the mean of ℓ times its weight.
        labels: (B,), whole numbers. Images with equal labels are not each other's negatives.
        negatives: (K, D), more negatives for every row, such as a queue of earlier embeddings. They get no gradient.
        gather_distributed: Whether the images of other ranks are negatives too. Then every rank gets the value for all
            ranks' batches as one batch. The mean of the gradients over the ranks, which ``DistributedDataParallel``
            takes, is the gradient of that value. B may differ between ranks; ``negatives`` are each rank's own.
        chunk_size: How many embeddings are compared with how many at a time; None lets the device decide. If all
            embeddings fit in one block, the path is dense, and can be differentiated twice. Across ranks it is never
            dense; for ``torch.func`` and forward-mode derivatives it always is. An exported program is dense if this
            is None, else it works in blocks.

    Returns:
        The loss, a scalar, computed in float32 at least. Neither autocast, nor TF32, nor
        ``torch.set_float32_matmul_precision`` rounds it. A low temperature would magnify such rounding.

    Raises:
        ValueError: If shapes do not fit, the temperature is below 1e-6, or ``negatives`` require a gradient. On every
            rank also if the batches of the ranks differ in more than B.
        TypeError: If an embedding is not floating, or labels are not whole numbers.
        RuntimeError: If another rank had an error with its batch. From ``backward``, if blocks are differentiated
            twice.

    Examples:
        >>> z = torch.eye(4)
        >>> nt_xent(z, z, temperature=0.5)
        tensor(0.5944)
        >>> nt_xent(z, z, labels=torch.tensor([0, 0, 1, 1]))
        tensor(0.4327)

    Source: Chen et al. 2020, arXiv 2002.05709, equation 1.
    """
    gather = gather_distributed and many_ranks()
    with refuse_together(gather):
        temperature = check_temperature(temperature)
        views = _name_views(z1, z2, more_views)
        _check_views(views)
        _check_extras(z1, weights, labels, negatives, temperature)
        if chunk_size is not None:
            chunk_size = check_int("chunk_size", chunk_size, low=1)
    with without_autocast(z1.device):  # autocast would make torch.stack convert types
        z = normalize(torch.stack([at_least_float32(view) for view in views.values()], 1))
    (count, number, width), keys = z.shape, z.flatten(0, 1)  # views of an image are neighbours
    rows, total = count * number, count
    counts: tuple[int, ...] = ()
    if labels is not None:
        labels = labels.long().repeat_interleave(number)  # one type on all ranks
    if gather:
        batches = exchange(Batch(count, number, width, str(z.dtype), labels is not None))
        counts, total = tuple(number * batch.images for batch in batches), sum(batch.images for batch in batches)
        keys = torch.cat([keys, gather_others(keys, counts)])
        if labels is not None:
            labels = torch.cat([labels, gather_others(labels, counts)])
    if negatives is not None:
        keys = torch.cat([keys, normalize(negatives.to(z.dtype))])
    if not torch.compiler.is_compiling() and len(keys) == number:
        warnings.warn(_ALONE, UserWarning, stacklevel=2)
    block = block_size(z.device) if chunk_size is None else chunk_size
    with without_autocast(z.device):
        # An exported program takes one path for batches of any size.
        fits = chunk_size is None if torch.compiler.is_exporting() else keys.shape[0] <= block
        if not gather and (fits or not gradient_is_enough(keys, temperature)):
            sums = dense_negatives(keys, rows, number, labels, temperature)
        else:
            block = -(-block // number) * number  # all views of an image in one block
            sums = blockwise_negatives(keys, rows, number, labels, temperature, block, counts)
    sums, terms = sums.view(count, number), []
    for u, v in [(first, second) for second in range(number) for first in range(second)]:
        scores = (z[:, u] / temperature * z[:, v]).sum(1, keepdim=True)
        terms.append(nn.functional.logsigmoid(scores - sums[:, u : v + 1 : v - u]).sum(1))  # of rows u and v
    losses = -functools.reduce(torch.add, terms)
    losses = losses if weights is None else losses * weights.to(z.dtype)
    mean = losses.sum() / (total * number * (number - 1))
    return _mean_of_ranks(mean) if gather else mean


def _mean_of_ranks(share: Tensor) -> Tensor:
    """Add up the ranks' shares of the loss. The mean of its gradients over the ranks is the gradient of the sum."""
    whole = share.detach().clone()
    dist.all_reduce(whole)
    local = share * dist.get_world_size()
    return whole + (local - local.detach())


def _check_embeddings(argument: str, z: Any) -> None:
    """Check for embeddings (B, D), floating and not empty."""
    if not isinstance(z, Tensor):
        raise type_error(argument, "embeddings (B, D)", describe(z))
    if z.ndim != 2 or 0 in z.shape:
        maps = " For Heatmaps, do so in a function, and pass it as base_loss." if z.ndim == 4 else ""
        fix = f"Flatten each with z.flatten(1).{maps}"
        raise value_error(argument, "embeddings of shape (B, D), both above 0", z, fix)
    if not z.is_floating_point():
        raise type_error(argument, "embeddings of a floating type", z)


def _check_views(views: dict[str, Tensor]) -> None:
    """Check for batches of embeddings of one shape, by the names of the arguments."""
    for name, z in views.items():
        _check_embeddings(name, z)
        if z.shape != views["z1"].shape:
            fix = "Row i of both must be a view of image i."
            raise value_error(name, f"the shape of z1, {tuple(views['z1'].shape)}", z, fix)


def _name_views(z1: Tensor, z2: Tensor, more_views: Any) -> dict[str, Tensor]:
    if not isinstance(more_views, Sequence):
        fix = "Leave it out where there are none." if more_views is None else "Put it in a list: [z3]."
        raise type_error("more_views", "a list of embeddings (B, D)", describe(more_views), fix)
    return {"z1": z1, "z2": z2} | {f"more_views[{i}]": z for i, z in enumerate(more_views)}


def _check_extras(z1: Tensor, weights: Any, labels: Any, negatives: Any, temperature: float | Tensor) -> None:
    count, width = z1.shape
    check_rows(count, weights, labels)
    if negatives is not None:
        check_tensor("negatives", negatives)
    for name, value in (("weights", weights), ("labels", labels), ("negatives", negatives)):
        if value is not None:
            _check_device(name, value, z1)
    if isinstance(temperature, Tensor):
        _check_device("temperature", temperature, z1)
    if negatives is not None:
        if negatives.ndim != 2 or negatives.shape[1] != width or not negatives.is_floating_point():
            raise value_error("negatives", f"embeddings of shape (K, {width}) and a floating type", negatives)
        if negatives.requires_grad:
            fix = "Detach them before they are put in the queue."
            raise value_error("negatives", "embeddings without a gradient", "some that require one", fix)


def _check_device(name: str, value: Tensor, z1: Tensor) -> None:
    if value.device != z1.device:
        fix = "Move it, or the loss that holds it, with .to(device)."
        raise value_error(name, f"a tensor on {z1.device}, where z1 is", f"one on {value.device}", fix)


class NTXentLoss(nn.Module):
    """NT-Xent as a module; see ``nt_xent``.

    Args:
        temperature: τ, at least 1e-6: a number, or a ``torch.nn.Parameter`` of shape () to learn it.
        gather_distributed: Whether the images of other ranks are negatives too.
        chunk_size: How many embeddings are compared with how many at a time; None lets the device decide.

    Raises:
        ValueError: If the temperature is below 1e-6 or a parameter of another shape, or ``chunk_size`` is below 1.
        TypeError: If the temperature is neither a number nor a parameter.

    Examples:
        >>> loss = NTXentLoss(0.5)(torch.rand(8, 128), torch.rand(8, 128))
        >>> len([*NTXentLoss(torch.nn.Parameter(torch.tensor(0.5))).parameters()])
        1
    """

    def __init__(
        self,
        temperature: float | nn.Parameter = 0.5,
        *,
        gather_distributed: bool = False,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(temperature, Tensor) and not isinstance(temperature, nn.Parameter):
            fix = "Write torch.nn.Parameter(temperature), or pass the tensor to equicon.nt_xent."
            raise type_error("temperature", "a number or a torch.nn.Parameter", temperature, fix)
        self.temperature: float | nn.Parameter = check_temperature(temperature)
        self.gather_distributed = gather_distributed
        self.chunk_size = None if chunk_size is None else check_int("chunk_size", chunk_size, low=1)

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        *,
        more_views: Sequence[Tensor] = (),
        weights: Tensor | None = None,
        labels: Tensor | None = None,
        negatives: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of two or more views (B, D); the arguments are those of ``nt_xent``."""
        return nt_xent(
            z1,
            z2,
            self.temperature,
            more_views=more_views,
            weights=weights,
            labels=labels,
            negatives=negatives,
            gather_distributed=self.gather_distributed,
            chunk_size=self.chunk_size,
        )

    def levels(
        self,
        images: int,
        *,
        views: int = 2,
        weights: Tensor | None = None,
        labels: Tensor | None = None,
        negatives: int = 0,
    ) -> LossLevels:
        """Compute the loss of such a batch by chance and at its floor; see ``nt_xent_levels``."""
        return nt_xent_levels(
            images,
            self.temperature,
            views=views,
            weights=weights,
            labels=labels,
            negatives=negatives,
            gather_distributed=self.gather_distributed,
        )

    def extra_repr(self) -> str:
        """Show the temperature, and what differs from the defaults."""
        gather = ", gather_distributed=True" if self.gather_distributed else ""
        chunks = "" if self.chunk_size is None else f", chunk_size={self.chunk_size}"
        learned = isinstance(self.temperature, Tensor)  # to read its value would wait for the device
        return f"temperature={'Parameter' if learned else f'{self.temperature:g}'}{gather}{chunks}"
