"""Write files that appear whole or not at all."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name and rename it, so that it appears whole or not at all.

    Args:
        path: Path of the file. Missing folders are made.
        write: Writes the content into the open file that it gets.

    Raises:
        OSError: If the file cannot be written. An earlier file of this name is still there.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "sub" / "a.bin"
        >>> write_whole(path, lambda file: file.write(b"all of it"))
        >>> path.read_bytes()
        b'all of it'
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError | RuntimeError):  # torch.save turns some write errors into RuntimeError
            raise  # such as Ctrl-C
        raise OSError(f"{path} could not be written: {error}") from error
    with suppress(OSError):  # the rename is on the disk once the folder is; not every file system can sync it
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(path: Path, text: str) -> None:
    r"""Write a text in UTF-8, whole or not at all. File names that are not UTF-8 become escapes, such as ``\udcff``.

    Raises:
        OSError: If the file cannot be written. An earlier file of this name is still there.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "result.json"
        >>> write_text(path, "{}")
        >>> path.read_text()
        '{}'
    """
    write_whole(path, lambda file: file.write(text.encode(errors="backslashreplace")))
