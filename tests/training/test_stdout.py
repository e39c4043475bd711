import io
import os
import sys
from pathlib import Path

import pytest

from equicon.training import escape_stdout, write_text

ODD = os.fsdecode(b"caf\xe9 \xff.jpg")


@pytest.mark.parametrize(("encoding", "rest"), [("utf-8", "é ×".encode()), ("ascii", rb"\xe9 \xd7")])
def test_what_the_encoding_lacks_is_printed_as_escapes(
    encoding: str, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", stdout)
        escape_stdout()
        print(ODD, "é ×", "plain", flush=True)  # noqa: T201
    assert stdout.buffer.getvalue() == rb"caf\udce9 \udcff.jpg " + rest + b" plain\n"


def test_a_programme_without_standard_output_and_error_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", None)
        context.setattr(sys, "stderr", None)
        escape_stdout()
        for stream in (sys.stdout, sys.stderr):
            stream.write("é ×")
            stream.close()


def test_another_standard_output_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", other := io.StringIO())
        escape_stdout()
        print("é", end="")  # noqa: T201
    assert other.getvalue() == "é"


def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    write_text(tmp_path / ODD, f"é {ODD}")
    assert (tmp_path / ODD).read_bytes() == "é caf\\udce9 \\udcff.jpg".encode()
