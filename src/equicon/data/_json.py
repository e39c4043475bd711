"""Read large JSON files item by item, so that memory never holds the whole."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from equicon._checks import describe, value_error

_WINDOW = 2**20  # characters that are looked at together; a record of 778 vertices has about 46,000
_TOKEN = 4096  # longer than any number or word; a string may have any length
# Byte-order marks, with which Windows programmes begin a file. "utf-8-sig" reads UTF-8 with and without a mark. The
# mark of UTF-32 begins with that of UTF-16, so it comes first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SPACES = re.compile(r"[ \t\n\r]*")
_AFTER_KEY = re.compile(r"[ \t\n\r]*(:)")
_AFTER_ITEM = re.compile(r"[ \t\n\r]*([,\]])")
_AFTER_VALUE = re.compile(r"[ \t\n\r]*([,}])")


def stream_list(path: Path) -> Iterator[Any]:
    """Yield the items of a JSON list one after another."""
    with _open(path) as file:
        window = _Window(file)
        if not window.enter("["):
            whole = json.loads(window.text + file.read())
            raise value_error(str(path), "a list of records", describe(whole))
        yield from window.items()
        window.finish()


def stream_lists(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Yield the items of all lists of a JSON object: the list's name, the item's place in it, and the item.

    Values that are not lists are skipped.

    Raises:
        ValueError: If the file is damaged, or does not hold an object. The message names the place.
    """
    name, index = "", 0
    try:
        with _open(path) as file:
            window = _Window(file)
            if not window.enter("{"):
                begins = f"something that begins with {window.text[:20]!r}"
                raise value_error(str(path), "an object with lists of records", begins)
            mark = window.step() if window.peek() == "}" else ","
            while mark != "}":
                name, index = window.key(), 0
                if window.enter("["):
                    for item in window.items():
                        yield name, index, item
                        index += 1
                    mark = window.mark(_AFTER_VALUE)
                else:
                    _, mark = window.take(_AFTER_VALUE)
            window.finish()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        where = f"{name} {index}: " if name else ""
        raise value_error(str(path), "JSON", f"this: {where}{error}", remedy(error)) from error


def _open(path: Path) -> TextIO:
    """Open a text in the encoding of its byte-order mark, or in UTF-8 if it has none."""
    with path.open("rb") as file:
        start = file.read(4)
    return path.open(encoding=next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8-sig"))


def remedy(error: ValueError) -> str:
    """Suggest what may be wrong with a file that is not JSON."""
    if isinstance(error, UnicodeDecodeError) and not error.reason.endswith("data"):  # "... data": it ends too early
        return "It is in another encoding than UTF-8: save it in UTF-8."
    return "It may be cut short: unpack it again."


class _Window:
    """A window on a JSON text that moves along it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.text, self.at = file.read(_WINDOW), 0

    def peek(self) -> str:
        """Move to the next token and return its first character; "" at the end."""
        while True:
            spaces = _SPACES.match(self.text, self.at)
            self.at = self.at if spaces is None else spaces.end()
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def step(self) -> str:
        """Move past one character."""
        self.at += 1
        return self.text[self.at - 1]

    def enter(self, bracket: str) -> bool:
        """Move past an opening bracket, if it comes next."""
        found = self.peek() == bracket
        self.at += found
        return found

    def items(self) -> Iterator[Any]:
        """Yield the items of a list whose opening bracket was passed, and move past its end."""
        mark = self.step() if self.peek() == "]" else ","
        while mark != "]":
            item, mark = self.take(_AFTER_ITEM)
            yield item

    def key(self) -> str:
        """Return the name of an object's next value, and move to the value."""
        if self.peek() != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self.text[self.at :], 0)
        name: str = self.take(_AFTER_KEY)[0]
        return name

    def take(self, after: re.Pattern[str]) -> tuple[Any, str]:
        """Return the next value and the mark after it, and move past both."""
        self.peek()
        while True:
            try:
                value, end = _decode(self.text, self.at)
                # A number at the end of the window may go on beyond it, so the mark after it must be seen too.
                following = after.match(self.text, end)
                if following is None:
                    raise json.JSONDecodeError(_missing(after), self.text, end)
            except json.JSONDecodeError as error:
                # An error at the end of the window may only mean that the text goes on; an error before it is damage.
                # The error for a string without an end gives the place where the string begins.
                seen, start = self.text, self.at
                breaks_off = error.pos > len(seen) - _TOKEN or error.msg.startswith("Unterminated string")
                if breaks_off and self._more():
                    continue
                raise json.JSONDecodeError(error.msg, seen[start:], error.pos - start) from None
            self.at = following.end()
            return value, following[1]

    def mark(self, after: re.Pattern[str]) -> str:
        """Move past a mark, which must come next."""
        self.peek()
        following = after.match(self.text, self.at)
        if following is None:
            raise json.JSONDecodeError(_missing(after), self.text[self.at :], 0)
        self.at = following.end()
        return following[1]

    def finish(self) -> None:
        """Check that nothing follows."""
        if self.peek():
            raise json.JSONDecodeError("Extra data", self.text[self.at :], 0)

    def _more(self) -> bool:
        more = self._file.read(_WINDOW)
        self.text, self.at = self.text[self.at :] + more, 0
        return bool(more)


_decode = json.JSONDecoder().raw_decode


def _missing(after: re.Pattern[str]) -> str:
    return f"Expecting '{':' if after is _AFTER_KEY else ','}' delimiter"
