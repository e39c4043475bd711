"""List the images under a folder, and leave nothing out silently."""

import os
from pathlib import Path

from equicon._checks import value_error
from equicon.data._names import other_spelling

_ENDINGS = (".jpg", ".jpeg", ".png")
_APPLE_DOUBLE = "._"  # macOS stores extra data of "a.jpg" as "._a.jpg" on disks that cannot hold them otherwise


def list_images(root: Path) -> list[str]:
    """List the paths of the images in a folder, with ``/`` between, sorted.

    Linked folders are searched too. Each folder is listed once: under its own path if that lies in ``root``, else under
    the path with the fewest links. If several have the fewest, the first in order is taken.

    Raises:
        ValueError: If ``root`` is not a folder, holds no images, or has a link that leads nowhere. Such a link may have
            led to images.
        OSError: If a subfolder cannot be read. Its images would be missing silently.
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
