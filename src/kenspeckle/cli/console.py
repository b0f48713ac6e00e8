"""What people see: text made safe for a terminal, tables, progress.

Results go to stdout, everything else to stderr. On a terminal tables and progress are drawn by
rich; in a pipe they are plain lines, one a row, and rich is not loaded.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import Any, Protocol

WIDEST = 48
"""The widest cell in a pipe that others are padded to."""
LONG_WORD = 24
"""A longer word may be cut, so that one path does not push a table out of a terminal."""
PLAIN_SECONDS = 2.0
"""Seconds between two progress lines in a pipe."""

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that could move the cursor, change colours or reorder text."""


def safe(text: object, *, keep: frozenset[str] = frozenset()) -> str:
    r"""Text that cannot disturb a terminal: hidden characters are written as escapes.

    File names may hold terminal sequences, line breaks, direction marks and bytes that are no
    UTF-8. `keep` lists characters that stay.

    >>> safe("a\x1b[31mb\n")
    'a\\x1b[31mb\\x0a'
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(
        _escape(letter)
        if letter not in keep and unicodedata.category(letter) in _HIDDEN
        else letter
        for letter in plain
    )


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that the file system could not decode
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def line(text: str = "") -> None:
    """One result on stdout, flushed, so that a reader of the pipe sees it at once."""
    sys.stdout.write(safe(text) + "\n")
    sys.stdout.flush()


def prose(text: str) -> None:
    """A sentence on stdout: in a terminal wrapped between words, below its own indentation."""
    if not sys.stdout.isatty():
        line(text)
        return
    shown = safe(text)
    indent = " " * (len(shown) - len(shown.lstrip()))
    room = max(20, shutil.get_terminal_size().columns)
    for part in wrap(
        shown, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ):
        line(part)


def note(text: str) -> None:
    """One remark on stderr; line breaks in it are kept."""
    sys.stderr.write(safe(text, keep=frozenset("\n")) + "\n")
    sys.stderr.flush()


def json_line(data: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout, ASCII only, so that any name passes."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows below a head on stdout: drawn on a terminal, aligned text in a pipe.

    In a pipe a cell longer than `WIDEST` pushes the rest of its own row, not every row.
    """
    cells = [[safe(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    lines = [list(columns), *cells]
    widths = [
        max((width for width in map(_width, column) if width <= WIDEST), default=WIDEST)
        for column in zip(*lines, strict=True)
    ]
    for row in lines:
        padded = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
    sys.stdout.flush()


def _width(text: str) -> int:
    """Columns that a text takes: two for each wide letter, none for a combining mark."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """A table as wide as the terminal; below each other where words would have to be cut."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = _fitted([list(columns), *cells], console.width)
    if not widths:
        _stack(columns, cells, console.width)
        return
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        drawn.add_column(column, overflow="fold", width=width)
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)


def _fitted(lines: Sequence[Sequence[str]], room: int) -> list[int]:
    """Widths of the columns of a table in a terminal; none where not even the words find room.

    The columns that need least get all they need, the others share what is left.
    """
    columns = list(zip(*lines, strict=True))
    whole = [max(map(_width, column)) for column in columns]
    widths = [
        min(LONG_WORD, max(_width(word) for cell in column for word in [*cell.split(), ""]))
        for column in columns
    ]
    spare = room - sum(widths) - 3 * len(columns) + 1  # the gaps
    if spare < 0:
        return []
    order = sorted(range(len(columns)), key=lambda place: whole[place] - widths[place])
    for done, place in enumerate(order):
        more = min(whole[place] - widths[place], spare // (len(order) - done))
        widths[place] += more
        spare -= more
    return widths


def _stack(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> None:
    """Each row as lines of their own, a blank line after it."""
    start = max(map(len, columns)) + 2
    for row in cells:
        for column, cell in zip(columns, row, strict=True):
            first, *rest = wrap(cell, max(20, room - start), break_on_hyphens=False) or [""]
            for head, text in [(column, first), *(("", part) for part in rest)]:
                sys.stdout.write(f"{head:{start}}{text}".rstrip() + "\n")
        sys.stdout.write("\n")
    sys.stdout.flush()


class Progress(Protocol):
    """What a command tells about a long job."""

    def __call__(self, done: int, total: int, name: str) -> None:
        """`done` of `total` are finished; `name` is the latest."""


class _PlainProgress:
    """A line on stderr every few seconds, and one at the end."""

    def __init__(self, verb: str) -> None:
        self._verb, self._next, self._last = verb, time.monotonic() + PLAIN_SECONDS, -1

    def __call__(self, done: int, total: int, name: str) -> None:  # noqa: ARG002
        now = time.monotonic()
        if (done == total or now >= self._next) and done != self._last:
            self._next, self._last = now + PLAIN_SECONDS, done
            note(f"{self._verb} {done} of {total}")


@contextmanager
def progress(verb: str) -> Iterator[Progress]:
    """A bar on a terminal, plain lines in a pipe; both on stderr.

    >>> with progress("indexed") as tell:  # doctest: +SKIP
    ...     tell(1, 2, "a.jpg")
    """
    if not sys.stderr.isatty():
        yield _PlainProgress(verb)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    room = max(10, shutil.get_terminal_size().columns - 70)
    bar = Bar(
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(verb, total=None, name="")

        def tell(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=tail(safe(name), room))

        yield tell


def tail(text: str, room: int) -> str:
    """The end of a text that is too long, marked as one.

    >>> tail("spread/one.png", 10), tail("one.png", 10)
    ('…d/one.png', 'one.png')
    """
    return text if len(text) <= room else "…" + text[len(text) - room + 1 :]


def size(count: float) -> str:
    """Bytes for people.

    >>> size(1536)
    '1.5 KB'
    """
    for unit in ("bytes", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "item"), counted(2, "item"), counted(0, "entry", "entries")
    ('1 item', '2 items', '0 entries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
