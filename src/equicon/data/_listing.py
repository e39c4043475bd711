"""Which images lie under a folder, and nothing left out without a word."""

import os
from pathlib import Path

from equicon._checks import value_error
from equicon.data._names import other_spelling

_ENDINGS = (".jpg", ".jpeg", ".png")
_APPLE_DOUBLE = "._"  # what macOS knows of a file beyond its content, under its name, where a disk has no room for that


def list_images(root: Path) -> list[str]:
    """List the images' paths in a folder, with ``/`` between, sorted.

    Linked folders are looked into, and each folder once: under its own path if that lies in ``root``, else under that
    with the fewest links, the first of these in order.

    Raises:
        ValueError: If it is no folder, holds no images, or has a link that leads nowhere and may have led to images.
        OSError: If a subfolder cannot be read: its images would be missing without a word.
    """
    if not root.is_dir():
        raise value_error("root", "a folder of images", f"{root}, which is no folder", other_spelling(root))
    names: list[str] = []
    others = 0
    seen: set[str] = set()
    level = [""]
    while level:
        links: list[str] = []
        pending = sorted(level, reverse=True)
        while pending:
            inside = pending.pop()
            real = os.path.realpath(root / inside)
            if real in seen:
                continue
            seen.add(real)
            with os.scandir(root / inside) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    if _is_folder(entry):
                        (links if entry.is_symlink() else pending).append(name)
                    elif entry.name.lower().endswith(_ENDINGS) and not entry.name.startswith(_APPLE_DOUBLE):
                        names.append(name)
                    else:
                        _check_link(entry)
                        others += 1
        level = links
    if not names:
        wanted = "a folder with .jpg, .jpeg or .png images"
        raise value_error("root", wanted, f"{root}, which holds none of them, but {others} other files")
    return sorted(names)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:
        raise
    except OSError:  # a link to itself
        return False


def _check_link(entry: os.DirEntry[str]) -> None:
    # Editors leave hidden links that lead nowhere, as locks.
    if entry.is_symlink() and not entry.name.startswith(".") and not os.path.exists(entry.path):  # noqa: PTH110
        got = f"{entry.path}, which leads to {os.readlink(entry.path)}"  # noqa: PTH115
        raise value_error("root", "links that lead somewhere", got, "Mend it or remove it: it may have led to images.")
