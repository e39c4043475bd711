"""``PeCLRLoss``: undo each view's transform on its embedding, then compare."""

from collections.abc import Callable

from torch import Tensor, nn

from equicon._affine import Affine, check_affine
from equicon._checks import type_error, value_error
from equicon._ntxent import NTXentLoss, check_pair
from equicon._representation import PeCLRPoints, Representation

_TEMPERATURE = 0.5


class PeCLRLoss(nn.Module):
    """The equivariant contrastive loss: bring both embeddings back to the canonical frame, then compare them.

    Args:
        temperature: of NT-Xent, above 0; 0.5 where None, the paper's.
        representation: how a transform acts on an embedding; the paper's ``PeCLRPoints()`` by default, ``Points()``
            for the exact
            action.
        base_loss: any ``(z1, z2) -> scalar`` to compare with; NT-Xent by default.

    Raises:
        ValueError: if ``base_loss`` is given together with a temperature, which configures the default loss.
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
        representation: Representation = PeCLRPoints(),  # noqa: B008 - a frozen value
        base_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(representation, Representation):
            fix = "Call the class: Points()." if isinstance(representation, type) else ""
            raise type_error("representation", "an equicon.Representation", representation, fix)
        if base_loss is not None and (isinstance(base_loss, type) or not callable(base_loss)):
            fix = f"Make one: {base_loss.__name__}()." if isinstance(base_loss, type) else ""
            raise type_error("base_loss", "a function (z1, z2) -> scalar", base_loss, fix)
        if base_loss is not None and temperature is not None:
            fix = "It configures the default loss: give it to base_loss instead."
            raise value_error("temperature", "None where base_loss is given", temperature, fix)
        self.representation = representation
        self.base_loss = (
            NTXentLoss(_TEMPERATURE if temperature is None else temperature) if base_loss is None else base_loss
        )

    def forward(self, z1: Tensor, z2: Tensor, g1: Affine, g2: Affine) -> Tensor:
        """Compute the loss.

        Args:
            z1: (B, D), embeddings of the first views.
            z2: (B, D), embeddings of the second views.
            g1: what the first views' transform returned, B elements.
            g2: that of the second.

        Returns:
            What ``base_loss`` returns: a scalar.

        Raises:
            ValueError: if batch sizes differ, or the representation does not take embeddings of this width.
            TypeError: if g1 or g2 is a bare matrix.
        """
        check_pair(z1, z2)
        for name, g in (("g1", g1), ("g2", g2)):
            if len(check_affine(name, g)) != len(z1):
                fix = "Pass the Affine of the views that were embedded, one element for each row of z1 and z2."
                raise value_error(name, f"a batch of {len(z1)}, that of z1", f"a batch of {len(g)}", fix)
        return self.base_loss(self.representation.canonicalize(g1, z1), self.representation.canonicalize(g2, z2))

    def extra_repr(self) -> str:
        """Show the representation; the base loss shows itself where it is a module."""
        return f"representation={self.representation!r}"
