"""Hold many names in little memory that the workers of a ``DataLoader`` share, and find names that only look alike."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

import torch


class Names:
    """A list of names, held as one text and the end of each name. Workers that read a list of strings would copy it.

    Args:
        names: Names of files, as the file system gives them.
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


def number_folders(names: Iterable[str]) -> torch.Tensor:
    """Number the folders of files by their first occurrence, from 0: (n,), int32. Paths have ``/`` between."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(name.rpartition("/")[0], len(known)) for name in names]
    return torch.tensor(numbers, dtype=torch.int32, device="cpu")


def look_alike(wanted: Iterable[str], there: Iterable[str]) -> str:
    """Say which of the wanted names exists in another Unicode normalisation, and how the two differ; "" if none does.

    Source: Unicode Standard Annex 15, "Unicode Normalization Forms".
    """
    wanted = [name for name in wanted if not name.isascii()]  # ASCII has one form
    known = {normalize("NFC", name): name for name in there} if wanted else {}
    for name in wanted:
        found = known.get(normalize("NFC", name), name)
        if found != name:
            form = next((form for form in ("NFC", "NFD") if normalize(form, name) == found), "")
            fix = f": unicodedata.normalize('{form}', name)" if form else ""
            return (
                f"{found!r} is there, which differs in its Unicode normalisation alone: it is written {found!a}, but "
                f"you asked for {name!a}. Write names as the folder has them{fix}."
            )
    return ""


def other_spelling(path: Path) -> str:
    """Say how a missing path is written on disk, as ``look_alike`` does; "" if it is not there in any form."""
    if str(path).isascii():
        return ""
    while not path.parent.exists() and path.parent != path:
        path = path.parent
    try:
        return look_alike([path.name], os.listdir(path.parent))  # noqa: PTH208
    except OSError:
        return ""
