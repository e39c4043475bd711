"""``Representation``: how a group element acts on an embedding, and how to undo it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, final

import torch
from torch import Tensor
from typing_extensions import TypeVar

from equicon._checks import check_batch, describe, type_error, value_error
from equicon._devices import without_autocast
from equicon._groups.affine import Affine
from equicon._groups.element import GroupElement, check_element
from equicon._plane.matrix import at_least_float32

G = TypeVar("G", bound=GroupElement, default=Affine)


def check_representation(representation: object) -> None:
    """Raise a ``TypeError`` if something is no representation."""
    if not isinstance(representation, Representation):
        fix = "Call the class: Points()." if isinstance(representation, type) else ""
        raise type_error("representation", "an equicon.Representation", describe(representation), fix)


class Representation(ABC, Generic[G]):
    """How a group element acts on embeddings (B, ...), and how to bring them back to the canonical frame.

    To write your own, derive from this class and implement ``_act`` and ``_canonicalize``. Their input is checked
    before: g and z have one length and one device, z is float32 or float64, and autocast is off. Override
    ``_check_shape`` to refuse embeddings of a wrong shape. Derive from ``Representation`` for ``Affine``, from
    ``Representation[MyElement]`` for another group. A representation that learns also derives from ``torch.nn.Module``;
    ``PeCLRLoss`` registers its parameters. Test yours with ``equicon.testing.assert_representation``.

    Laws: ``canonicalize(g, act(g, z)) = canonicalize(e, z)`` and ``act(e, z) = z`` for the identity e. ``act(g @ h,
    z) = act(g, act(h, z))`` holds for all but ``PeCLRPoints``. So ``canonicalize`` is not derived from ``inverse()``.

    Examples:
        >>> representation: Representation = Points()
        >>> representation.canonicalize(RandomRotation(45).sample(4).affine, torch.rand(4, 128)).shape
        torch.Size([4, 128])
    """

    @abstractmethod
    def _act(self, g: G, z: Tensor) -> Tensor:
        """Act on embeddings (B, ...) of float32 or float64."""

    @abstractmethod
    def _canonicalize(self, g: G, z: Tensor) -> Tensor:
        """Undo the action on embeddings (B, ...) of float32 or float64."""

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise a ``ValueError`` if the shape of one embedding, z without its batch dimension, does not fit.

        Let the message begin with ``z:``. Callers see their own name of the argument there, such as ``z2:``.
        """

    @final
    def act(self, g: G, z: Tensor) -> Tensor:
        """Move embeddings as ``g`` moved the pictures.

        Args:
            g: B group elements.
            z: (B, ...), floating.

        Returns:
            (B, ...), float32 at least, also under autocast.

        Raises:
            TypeError: If g is not a group element, or z not a floating tensor.
            ValueError: If the batches differ in length or device, or z does not fit the representation.

        Examples:
            >>> Points().act(Affine.from_linear(2 * torch.eye(2)[None]), torch.tensor([[0.1, 0.2]]))
            tensor([[0.2000, 0.4000]])
        """
        return self._run(self._act, "_act", g, z, "g", "z")

    @final
    def canonicalize(self, g: G, z: Tensor) -> Tensor:
        """Undo on embeddings what ``g`` did to the pictures.

        Args:
            g: B group elements.
            z: (B, ...), floating.

        Returns:
            (B, ...), float32 at least, also under autocast.

        Raises:
            TypeError: If g is not a group element, or z not a floating tensor.
            ValueError: If the batches differ in length or device, or z does not fit the representation.

        Examples:
            >>> Points().canonicalize(Affine.from_linear(2 * torch.eye(2)[None]), torch.tensor([[0.2, 0.4]]))
            tensor([[0.1000, 0.2000]])
        """
        return self._bring_back(g, z, "g", "z")

    @final
    def _bring_back(self, g: G, z: Tensor, g_name: str, z_name: str) -> Tensor:
        """Canonicalise; errors call the arguments by the names that the caller uses."""
        return self._run(self._canonicalize, "_canonicalize", g, z, g_name, z_name)

    def _run(self, hook: Callable[[G, Tensor], Tensor], name: str, g: G, z: Tensor, g_name: str, z_name: str) -> Tensor:
        check_element(g_name, g)
        if not isinstance(z, Tensor):
            raise type_error(z_name, "embeddings (B, ...)", describe(z))
        if z.ndim == 0 or 0 in z.shape:
            raise value_error(z_name, "embeddings of shape (B, ...) without a dimension of 0", z)
        if not z.is_floating_point():
            raise type_error(z_name, "embeddings of a floating type", z)
        fix = "Pass the group elements of the views that were embedded, one for each row of their embeddings."
        check_batch(g_name, g, z, z_name, fix)
        if g.device != z.device:
            came = f"one on {g.device}"
            raise value_error(g_name, f"an element on {z.device}, where {z_name} is", came, "Move it with .to(device).")
        with without_autocast(z.device):
            found = self._call(hook, name, g, at_least_float32(z), g_name, z_name)
        if not isinstance(found, Tensor) or found.ndim == 0 or found.shape[0] != z.shape[0]:
            wanted = f"a tensor of {z.shape[0]} embeddings in return"
            raise type_error(f"{type(self).__name__}.{name}", wanted, describe(found))
        return found

    def _call(
        self, hook: Callable[[G, Tensor], Tensor], name: str, g: G, z: Tensor, g_name: str, z_name: str
    ) -> Tensor:
        shape = tuple(z.shape[1:])
        if torch.compiler.is_compiling():
            self._check_shape(shape)
            return hook(g, z)
        try:
            self._check_shape(shape)
            return hook(g, z)
        except (TypeError, ValueError) as error:
            _rename(error, {"g": g_name, "z": z_name})
            raise
        except RuntimeError as error:
            # For a shape that does not fit, torch raises a plain RuntimeError. Subclasses such as LinAlgError explain
            # themselves, and errors of a device or of memory have nothing to do with the embeddings.
            if type(error) is not RuntimeError or any(word in str(error) for word in ("CUDA", "HIP", "memory")):
                raise
            where = f"{z_name}: {type(self).__name__}.{name} failed on embeddings of shape {tuple(z.shape)}"
            fix = "If the shape does not fit, a method _check_shape(shape) may say so."
            raise ValueError(f"{where} and type {z.dtype} on {z.device}: {error}. {fix}") from error


def _rename(error: Exception, names: dict[str, str]) -> None:
    """Put the caller's name of an argument into an error: ``z: ...`` becomes ``z2: ...``."""
    argument, colon, rest = str(error).partition(":")
    if colon and argument in names:
        error.args = (f"{names[argument]}:{rest}",)
