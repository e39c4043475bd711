"""Reproducible randomness: a seed of its own for each purpose, and permutations."""

import numpy as np
import torch
from torch import Tensor


def seed_of(seed: int, *key: int) -> int:
    """Make a seed of its own for each key.

    Args:
        seed: Seed of the run, at least 0.
        *key: What the seed is for: an epoch, or a step and a rank. These are whole numbers of at least 0.

    Returns:
        A number in [0, 2⁶³).

    Examples:
        >>> seed_of(0, 1) == seed_of(0, 1), seed_of(0, 1) == seed_of(0, 1, 0)
        (True, False)
    """
    # A spawn key, because entropy itself is padded with zeros: (s, i) and (s, i, 0) would be one.
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def permutation(count: int, seed: int) -> Tensor:
    """Return a permutation of the numbers 0 to ``count`` − 1."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed), device="cpu")
