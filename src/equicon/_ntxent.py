"""NT-Xent, the contrastive loss of SimCLR."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equicon._checks import check_positive, value_error
from equicon._matrix import at_least_float32, normalize
from equicon._representation import check_embeddings


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor:
    """Compare each embedding with its partner against all others: normalised, temperature-scaled cross-entropy.

    ``ℓᵢ = −log( exp(s(i, j) / τ) / Σ_{k ≠ i} exp(s(i, k) / τ) )``

    averaged over the 2B rows, where s is the cosine similarity and j the partner of i. A batch of one pair has no
    negatives, and a loss of 0.

    Args:
        z1: (B, D), the first view of each image.
        z2: (B, D), the second.
        temperature: τ, above 0.

    Returns:
        The loss, a scalar, computed in float32 at least, also under autocast. The product of embeddings follows
        ``torch.set_float32_matmul_precision``: below ``highest`` it is rounded, which a low temperature magnifies.

    Raises:
        ValueError: if shapes differ or are not (B, D), or the temperature is not above 0.
        TypeError: if an embedding is not floating.

    Examples:
        >>> z = torch.eye(4)
        >>> nt_xent(z, z, temperature=0.5)
        tensor(0.5944)

    Source: Chen et al. 2020, arXiv 2002.05709, equation 1.
    """
    check_positive("temperature", temperature)
    check_pair(z1, z2)
    with torch.autocast(z1.device.type, enabled=False):
        z = normalize(at_least_float32(torch.cat([z1, z2])))
        rows = torch.arange(len(z), device=z.device)
        logits = (z @ z.T / temperature).masked_fill(rows[:, None] == rows, -torch.inf)
        return F.cross_entropy(logits, rows.roll(len(z1)))


def check_pair(z1: Tensor, z2: Tensor) -> None:
    """Check for two batches of embeddings of one shape."""
    check_embeddings("z1", z1)
    check_embeddings("z2", z2)
    if z1.shape != z2.shape:
        fix = "Row i of both must be a view of image i."
        raise value_error("z2", f"the shape of z1, {tuple(z1.shape)}", z2, fix)


class NTXentLoss(nn.Module):
    """NT-Xent as a module; see ``nt_xent``.

    Args:
        temperature: τ, above 0.

    Examples:
        >>> loss = NTXentLoss(0.5)(torch.rand(8, 128), torch.rand(8, 128))
    """

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        self.temperature = check_positive("temperature", temperature)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """Compute the loss of two views (B, D)."""
        return nt_xent(z1, z2, self.temperature)

    def extra_repr(self) -> str:
        """Show the temperature."""
        return f"temperature={self.temperature:g}"
