"""``PeCLRLoss``: undo each view's transform on its embedding, then compare."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from equicon._checks import type_error, value_error
from equicon._groups.affine import Affine, check_affine
from equicon._losses.ntxent import NTXentLoss, check_views
from equicon._losses.ranks import many_ranks, refuse_together
from equicon._representations.base import Representation
from equicon._representations.peclr import PeCLRPoints

_TEMPERATURE = 0.5


class PeCLRLoss(nn.Module):
    """The equivariant contrastive loss: bring both embeddings back to the canonical frame, then compare them.

    Args:
        temperature: of NT-Xent, above 0; 0.5 where None, the paper's.
        representation: how a transform acts on an embedding; the paper's ``PeCLRPoints()`` by default, ``Points()``
            for the exact action.
        base_loss: any ``(z1, z2) -> scalar`` to compare with; NT-Xent by default.
        gather_distributed: whether NT-Xent takes the other ranks' images for negatives too; see ``nt_xent``.
        chunk_size: how many embeddings NT-Xent compares with how many at a time; chosen by the device where None.

    Raises:
        ValueError: if ``base_loss`` is given together with something that configures the default loss.
        TypeError: if ``representation`` is not a ``Representation``, or ``base_loss`` cannot be called.

    Examples:
        >>> augment, criterion = RandomRotation(45), PeCLRLoss(temperature=0.5)
        >>> encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 128))
        >>> images = torch.rand(8, 3, 32, 32)
        >>> (x1, g1), (x2, g2) = augment(images), augment(images)
        >>> criterion(encoder(x1), encoder(x2), g1, g2).backward()

    Source: Spurr et al., ICCV 2021, arXiv 2106.05953, equation 4.
    """

    def __init__(
        self,
        temperature: float | None = None,
        *,
        representation: Representation[Any] = PeCLRPoints(),  # noqa: B008 - a frozen value
        base_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        gather_distributed: bool = False,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(representation, Representation):
            fix = "Call the class: Points()." if isinstance(representation, type) else ""
            raise type_error("representation", "an equicon.Representation", representation, fix)
        if base_loss is not None and (isinstance(base_loss, type) or not callable(base_loss)):
            fix = f"Make one: {base_loss.__name__}()." if isinstance(base_loss, type) else ""
            raise type_error("base_loss", "a function (z1, z2) -> scalar", base_loss, fix)
        self.representation = representation
        self.base_loss: Callable[..., Tensor]
        if base_loss is None:
            temperature = _TEMPERATURE if temperature is None else temperature
            self.base_loss = NTXentLoss(temperature, gather_distributed=gather_distributed, chunk_size=chunk_size)
        else:
            _refuse_beside_base_loss(
                temperature=temperature, gather_distributed=gather_distributed or None, chunk_size=chunk_size
            )
            self.base_loss = base_loss

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        g1: Affine,
        g2: Affine,
        *,
        more_views: Sequence[tuple[Tensor, Affine]] = (),
        weights: Tensor | None = None,
        labels: Tensor | None = None,
        negatives: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss. What stands after g2 configures NT-Xent; see ``nt_xent``.

        Args:
            z1: (B, D), embeddings of the first views.
            z2: (B, D), embeddings of the second views.
            g1: what the first views' transform returned, B elements.
            g2: that of the second.
            more_views: further views of the images, as pairs (z, g).
            weights: (B,), a factor for the pairs of each image.
            labels: (B,), whole numbers: images with the same one are not each other's negatives.
            negatives: (K, D), more negatives, **in the canonical frame**: of earlier batches,
                ``representation.canonicalize(g, z).detach()``.

        Returns:
            What ``base_loss`` returns: a scalar.

        Raises:
            ValueError: if batch sizes differ, the representation does not take embeddings of this width, or something
                is given that another ``base_loss`` does not take.
            TypeError: if a g is a bare matrix.
        """
        nt_xent = self.base_loss if isinstance(self.base_loss, NTXentLoss) else None
        with refuse_together(nt_xent is not None and nt_xent.gather_distributed and many_ranks()):
            z, g = {"z1": z1, "z2": z2}, {"g1": g1, "g2": g2}
            for i, pair in enumerate(more_views):
                if not isinstance(pair, Sequence) or len(pair) != 2:
                    raise type_error(f"more_views[{i}]", "a pair (z, g)", pair)
                z[f"z of more_views[{i}]"], g[f"g of more_views[{i}]"] = pair
            canonical = self._bring_back(z, g)
        given = {"more_views": canonical[2:] or None, "weights": weights, "labels": labels, "negatives": negatives}
        given = {name: value for name, value in given.items() if value is not None}
        if nt_xent is None:
            _refuse_beside_base_loss(**given)
        return self.base_loss(*canonical[:2], **given)

    def _bring_back(self, z: dict[str, Tensor], g: dict[str, Affine]) -> list[Tensor]:
        check_views(z)
        for name, affine in g.items():
            if len(check_affine(name, affine)) != len(z["z1"]):
                fix = "Pass the Affine of the views that were embedded, one element for each row of their embeddings."
                raise value_error(name, f"a batch of {len(z['z1'])}, that of z1", f"a batch of {len(affine)}", fix)
        return [self.representation.canonicalize(*pair) for pair in zip(g.values(), z.values(), strict=True)]

    def extra_repr(self) -> str:
        """Show the representation; the base loss shows itself where it is a module."""
        return f"representation={self.representation!r}"


def _refuse_beside_base_loss(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            fix = "It configures NT-Xent: give it to base_loss instead."
            raise value_error(name, "None where another base_loss is given", value, fix)
