"""Printing that works in every encoding of the standard output."""

import io
import os
import sys


def escape_stdout() -> None:
    r"""Let ``print`` write characters that the standard output cannot encode as escapes, so that the program goes on.

    A file name that is not UTF-8 is printed as ``caf\udce9.jpg``, and an ASCII terminal shows ``\xd7`` for ×. If the
    program was started without standard output or standard error (``>&-``), what goes there is dropped. ``print`` does
    this by itself, but tqdm would end the program.

    Examples:
        >>> escape_stdout()
        >>> print("2 x 2")
        2 x 2
    """
    sys.stdout, sys.stderr = (
        open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: SIM115, PTH123
        for stream in (sys.stdout, sys.stderr)
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
