"""What a programme prints, whatever the encoding of where it goes."""

import io
import sys


def escape_stdout() -> None:
    r"""Let ``print`` show what the encoding of the standard output lacks as escapes, in place of ending the programme.

    A name of a file that is no UTF-8 is printed as ``caf\udce9.jpg``, and a terminal of ASCII shows ``\xd7`` for ×.

    Examples:
        >>> escape_stdout()
        >>> print("2 x 2")
        2 x 2
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
