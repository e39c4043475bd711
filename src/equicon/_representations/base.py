"""``Representation``: how a group element acts on an embedding, and how to undo it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, final

import torch
from torch import Tensor
from typing_extensions import TypeVar

from equicon._checks import check_batch, type_error, value_error
from equicon._devices import without_autocast
from equicon._groups.affine import Affine
from equicon._groups.element import GroupElement, check_element
from equicon._plane.matrix import at_least_float32

G = TypeVar("G", bound=GroupElement, default=Affine)


class Representation(ABC, Generic[G]):
    """How a group element acts on embeddings (B, ...), and the way back to the canonical frame.

    To write your own, derive from it and implement ``_act`` and ``_canonicalize``. They may trust their input: batches
    of one length on one device, z in float32 or float64, autocast switched off. ``_check_shape`` refuses what does not
    fit. ``Representation`` alone is one of ``Affine``, ``Representation[MyElement]`` one of another group. One that
    learns derives from ``torch.nn.Module`` too; ``PeCLRLoss`` registers its parameters. Hold yours against
    ``equicon.testing.assert_representation``.

    Laws: ``canonicalize(g, act(g, z)) = canonicalize(e, z)`` and ``act(e, z) = z`` for the identity e. ``act(g @ h,
    z) = act(g, act(h, z))`` holds for all but ``PeCLRPoints``, so ``canonicalize`` is not derived from ``inverse()``.

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
        """Refuse the shape of one embedding, that of z without its first dimension, by a ``ValueError``."""

    @final
    def act(self, g: G, z: Tensor) -> Tensor:
        """Move embeddings as ``g`` moved the pictures.

        Args:
            g: B elements.
            z: (B, ...), floating.

        Returns:
            (B, ...), float32 at least, also under autocast.

        Raises:
            TypeError: if g is no group element, or z no floating tensor.
            ValueError: if the batches differ in length or device, or z does not fit the representation.

        Examples:
            >>> Points().act(Affine.from_linear(2 * torch.eye(2)[None]), torch.tensor([[0.1, 0.2]]))
            tensor([[0.2000, 0.4000]])
        """
        return self._run(self._act, "_act", g, z, "g", "z")

    @final
    def canonicalize(self, g: G, z: Tensor) -> Tensor:
        """Undo on embeddings what ``g`` did to the pictures.

        Args:
            g: B elements.
            z: (B, ...), floating.

        Returns:
            (B, ...), float32 at least, also under autocast.

        Raises:
            TypeError: if g is no group element, or z no floating tensor.
            ValueError: if the batches differ in length or device, or z does not fit the representation.

        Examples:
            >>> Points().canonicalize(Affine.from_linear(2 * torch.eye(2)[None]), torch.tensor([[0.2, 0.4]]))
            tensor([[0.1000, 0.2000]])
        """
        return self._bring_back(g, z, "g", "z")

    @final
    def _bring_back(self, g: G, z: Tensor, g_name: str, z_name: str) -> Tensor:
        """Canonicalise what an error calls by the names that its caller knows."""
        return self._run(self._canonicalize, "_canonicalize", g, z, g_name, z_name)

    def _run(self, hook: Callable[[G, Tensor], Tensor], name: str, g: G, z: Tensor, g_name: str, z_name: str) -> Tensor:
        check_element(g_name, g)
        if not isinstance(z, Tensor):
            raise type_error(z_name, "embeddings (B, ...)", z)
        if z.ndim == 0 or 0 in z.shape:
            raise value_error(z_name, "embeddings of shape (B, ...), none of them 0", z)
        if not z.is_floating_point():
            raise type_error(z_name, "embeddings of a floating type", z)
        fix = "Pass the element of the views that were embedded, one for each row of their embeddings."
        check_batch(g_name, len(g), len(z), z_name, fix)
        if g.device != z.device:
            came = f"one on {g.device}"
            raise value_error(g_name, f"an element on {z.device}, where {z_name} is", came, "Move it with .to(device).")
        self._check_shape(tuple(z.shape[1:]))
        with without_autocast(z.device):
            found = self._call(hook, name, g, at_least_float32(z), z_name)
        if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != len(z):
            raise type_error(f"{type(self).__name__}.{name}", f"a tensor of {len(z)} embeddings in return", found)
        return found

    def _call(self, hook: Callable[[G, Tensor], Tensor], name: str, g: G, z: Tensor, z_name: str) -> Tensor:
        if torch.compiler.is_compiling():
            return hook(g, z)
        try:
            return hook(g, z)
        except RuntimeError as error:
            # Torch refuses a shape by a RuntimeError. What derives from it, such as LinAlgError, says what it is; and
            # what went wrong on a device or with memory is no matter of the embeddings.
            if type(error) is not RuntimeError or any(word in str(error) for word in ("CUDA", "HIP", "memory")):
                raise
            where = f"{z_name}: {type(self).__name__}.{name} failed on embeddings of shape {tuple(z.shape)}"
            fix = "If the shape does not fit, a method _check_shape(shape) may say so."
            raise ValueError(f"{where} and type {z.dtype} on {z.device}: {error}. {fix}") from error
