"""Find which keypoints trade places when a picture is mirrored, by their names."""

import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^A-Za-z]+")
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def flip_by_names(names: Sequence[str]) -> Tensor:
    """Return the permutation (K,) int64 that swaps left and right, with the point itself where no partner is named.

    A side is a word (``left_eye``, ``EyeRight``, ``l_eye``, ``eyeL``, ``Left Eye``), the start or end of a word
    (``leftear``, ``earleft``), or its first letter (``lear``, ``LHip``, ``LF_paw``). Two points are partners only if
    each name is the other's with its sides swapped, and both are there. So ``lip`` without ``rip`` has no side.

    Examples:
        >>> flip_by_names(["nose", "left_eye", "right_eye"]).tolist()
        [0, 2, 1]
    """
    place = {name: i for i, name in enumerate(names)}
    partner = [next((place[other] for other in _mirrored(name) if other in place), i) for i, name in enumerate(names)]
    mutual = [other if partner[other] == i else i for i, other in enumerate(partner)]
    return torch.tensor(mutual, dtype=torch.int64, device="cpu")


def _mirrored(name: str) -> Iterator[str]:
    """Yield what a name may be on the other side: with all sides swapped, and then with one of them, surest first."""
    words = _WORDS.findall(name)
    for swap in (_whole, _ends, _initial):
        swapped = [swap(word) for word in words]
        yield from _replaced(words, swapped)


def _replaced(words: list[str], swapped: list[str]) -> Iterator[str]:
    sides = [i for i, (word, other) in enumerate(zip(words, swapped, strict=True)) if word != other]
    for chosen in (sides, *([side] for side in sides)):
        if chosen:
            yield "".join(swapped[i] if i in chosen else word for i, word in enumerate(words))


def _whole(word: str) -> str:
    return _like(word, _OTHER.get(word.lower(), word))


def _ends(word: str) -> str:
    for side in ("left", "right"):
        if word.lower().startswith(side):
            return _like(word[: len(side)], _OTHER[side]) + word[len(side) :]
        if word.lower().endswith(side):
            return word[: -len(side)] + _like(word[-len(side) :], _OTHER[side])
    return word


def _initial(word: str) -> str:
    return _whole(word[0]) + word[1:]


def _like(word: str, other: str) -> str:
    """Write ``other`` in the case of a word."""
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[:1].isupper() else other
