"""Many names in little memory, which the workers of a ``DataLoader`` share."""

import os
from collections.abc import Sequence

import torch


class Names:
    """One text and where each name ends: workers that look at a list of a million names would copy it.

    Args:
        names: Of files, as the file system gives them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._text = torch.frombuffer(bytearray().join(encoded), dtype=torch.uint8)
        self._ends = torch.tensor([0, *map(len, encoded)], device="cpu").cumsum(0)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, position: int) -> str:
        start, end = self._ends[position : position + 2].tolist()
        return os.fsdecode(self._text[start:end].numpy().tobytes())
