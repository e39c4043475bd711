"""``PeCLRLoss``: undo each view's transform on its embedding, then compare."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from equicon._checks import describe, type_error, value_error
from equicon._groups.element import GroupElement
from equicon._losses.levels import LossLevels
from equicon._losses.ntxent import NTXentLoss
from equicon._losses.ranks import many_ranks, refuse_together
from equicon._representations.base import Representation, check_representation
from equicon._representations.peclr import PeCLRPoints


class _Default(float):
    """A default that can be told from the same number given by a caller."""


class PeCLRLoss(nn.Module):
    """The equivariant contrastive loss: bring all embeddings back to the canonical frame, then compare them.

    Args:
        temperature: Temperature of NT-Xent, at least 1e-6: a number, or a ``torch.nn.Parameter`` to learn it. The
            default is the paper's 0.5.
        representation: How a group element acts on an embedding. The default is the paper's ``PeCLRPoints()``;
            ``Points()`` is the exact action. If it is a ``torch.nn.Module``, the loss registers its parameters.
        base_loss: Any function or module ``(z1, z2, **keywords) -> scalar`` that compares embeddings. The default is
            NT-Xent, which takes ``temperature``, ``gather_distributed`` and ``chunk_size``.
        gather_distributed: Whether the images of other ranks are negatives of NT-Xent too; see ``nt_xent``.
        chunk_size: How many embeddings NT-Xent compares with how many at a time; None lets the device decide.

    Raises:
        ValueError: If ``base_loss`` is given together with an argument that configures the default loss.
        TypeError: If ``representation`` is not a ``Representation``, or ``base_loss`` cannot be called.

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
        temperature: float | nn.Parameter = _Default(0.5),  # noqa: B008 - a number
        *,
        representation: Representation[Any] = PeCLRPoints(),  # noqa: B008 - a frozen value
        base_loss: Callable[..., Tensor] | None = None,
        gather_distributed: bool = False,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        check_representation(representation)
        if base_loss is None:
            base_loss = NTXentLoss(temperature, gather_distributed=gather_distributed, chunk_size=chunk_size)
        elif isinstance(base_loss, type) or not callable(base_loss):
            fix = f"Make one: {base_loss.__name__}()." if isinstance(base_loss, type) else ""
            raise type_error("base_loss", "a function (z1, z2, **keywords) -> scalar", describe(base_loss), fix)
        else:
            _refuse_shorthand(temperature, gather_distributed, chunk_size)
        self.representation = representation
        self.base_loss = base_loss
        self._known = _keywords(base_loss)

    def forward(
        self,
        z1: Tensor,
        z2: Tensor,
        g1: GroupElement,
        g2: GroupElement,
        *,
        more_views: Sequence[tuple[Tensor, GroupElement]] = (),
        **keywords: Any,
    ) -> Tensor:
        """Compute the loss.

        Args:
            z1: (B, ...), embeddings of the first views.
            z2: (B, ...), embeddings of the second views.
            g1: B group elements, which the transform returned for the first views.
            g2: B group elements, which the transform returned for the second views.
            more_views: Further views of the images, as pairs (z, g). The base loss gets a list of their embeddings,
                which are brought back to the canonical frame too.
            **keywords: Further arguments of the base loss. NT-Xent takes ``weights`` (B,), ``labels`` (B,) and
                ``negatives`` (K, D); see ``nt_xent``. A queue must be **in the canonical frame**: put
                ``representation.canonicalize(g, z).detach()`` of earlier batches in it.

        Returns:
            What ``base_loss`` returns: a scalar.

        Raises:
            ValueError: If batches differ in size or device, or the representation does not take such embeddings.
            TypeError: If a g is a bare matrix, or the base loss does not take a keyword.
        """
        gather = isinstance(self.base_loss, NTXentLoss) and self.base_loss.gather_distributed and many_ranks()
        with refuse_together(gather):
            home = [self._bring_back("z1", z1, "g1", g1, z1), self._bring_back("z2", z2, "g2", g2, z1)]
            if not isinstance(more_views, Sequence):
                fix = "Leave it out where there are none."
                raise type_error("more_views", "a list of pairs (z, g)", describe(more_views), fix)
            for i, pair in enumerate(more_views):
                if not isinstance(pair, Sequence) or len(pair) != 2:
                    fix = "Put it in a list: [(z3, g3)]." if isinstance(pair, Tensor) else ""
                    raise type_error(f"more_views[{i}]", "a pair (z, g)", describe(pair), fix)
                z, g = pair
                home.append(self._bring_back(f"z of more_views[{i}]", z, f"g of more_views[{i}]", g, z1))
            if len(home) > 2:
                keywords["more_views"] = home[2:]
            self._check_keywords(keywords)
        return self.base_loss(home[0], home[1], **keywords)

    def levels(self, images: int, **keywords: Any) -> LossLevels:
        """Compute the loss of such a batch by chance and at its floor; see ``nt_xent_levels``.

        Args:
            images: B, the number of images in the batch.
            **keywords: ``views``, ``weights``, ``labels`` and ``negatives``, as for ``nt_xent_levels``.

        Raises:
            TypeError: If ``base_loss`` is not NT-Xent, and has no ``levels`` of its own.
        """
        levels = getattr(self.base_loss, "levels", None)
        if levels is None:
            raise type_error("base_loss", "an equicon.NTXentLoss, whose levels are known", describe(self.base_loss))
        found: LossLevels = levels(images, **keywords)
        return found

    def _bring_back(self, z_name: str, z: Tensor, g_name: str, g: GroupElement, z1: Tensor) -> Tensor:
        if z is not z1 and isinstance(z, Tensor) and z.shape != z1.shape:  # the representation does not see z1
            fix = "Row i of both must be a view of image i."
            raise value_error(z_name, f"the shape of z1, {tuple(z1.shape)}", z, fix)
        return self.representation._bring_back(g, z, g_name, z_name)

    def _check_keywords(self, keywords: dict[str, Any]) -> None:
        for name in keywords:
            if self._known is not None and name not in self._known:
                known = ", ".join(self._known) or "it has none"
                raise type_error(name, f"a keyword of base_loss ({known})", "one that it does not take")

    def extra_repr(self) -> str:
        """Show the representation, unless it is a module: modules show themselves."""
        return "" if isinstance(self.representation, nn.Module) else f"representation={self.representation!r}"


def _refuse_shorthand(temperature: Any, gather_distributed: bool, chunk_size: int | None) -> None:
    for name, value, default in (
        ("temperature", temperature, isinstance(temperature, _Default)),
        ("gather_distributed", gather_distributed, gather_distributed is False),
        ("chunk_size", chunk_size, chunk_size is None),
    ):
        if not default:
            fix = "It configures the default NT-Xent: give it to base_loss."
            raise value_error(name, "nothing where another base_loss is given", describe(value), fix)


def _keywords(base_loss: Callable[..., Tensor]) -> tuple[str, ...] | None:
    """Read which keywords a loss takes beside its two batches of embeddings; None if it takes any."""
    try:
        found = inspect.signature(base_loss.forward if isinstance(base_loss, nn.Module) else base_loss).parameters
    except ValueError:  # a function written in C, which raises its own error for a wrong keyword
        return None
    kinds = [parameter.kind for parameter in found.values()]
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return None
    placed = [name for name, parameter in found.items() if parameter.kind <= inspect.Parameter.VAR_POSITIONAL][:2]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(name for name, parameter in found.items() if parameter.kind in named and name not in placed)
