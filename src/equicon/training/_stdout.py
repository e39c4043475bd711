"""What a programme prints, whatever the encoding of where it goes."""

import io
import os
import sys


def escape_stdout() -> None:
    r"""Let ``print`` show what the encoding of the standard output lacks as escapes, in place of ending the programme.

    A name of a file that is no UTF-8 is printed as ``caf\udce9.jpg``, and a terminal of ASCII shows ``\xd7`` for ×.
    Where a programme was started without standard output or error (``>&-``), what goes there is dropped: ``print`` does
    so by itself, and tqdm ends the programme.

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
