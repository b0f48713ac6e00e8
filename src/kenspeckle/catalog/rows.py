"""Tables as rows of text: CSV with any usual delimiter, JSON lines, or a JSON list of objects."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError

MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 1_000_000
MAX_FIELD = 128 * 1024
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on, as an editor counts, and its cells by lower-case column."""

    line: int
    cells: dict[str, str]


def read_text(path: Path) -> str:
    """The text of a table or manifest: UTF-8, or UTF-16 with its mark; at most `MAX_BYTES`."""
    name = shown(str(path))
    try:
        if not path.is_file():
            raise CatalogError(name, "no such file", expected="a table (.csv, .jsonl)")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CatalogError(name, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CatalogError(name, "too large", expected=f"at most {MAX_BYTES >> 20} MiB")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CatalogError(
            f"{name}, line {line}",
            "text that is not UTF-8",
            do="Save the table as 'CSV UTF-8'",
        ) from error


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a table, one after another; empty ones are passed over.

    A file that starts with `{` is read as JSON lines, with `[` as a JSON list, else as CSV with
    one line of column names.

    Raises CatalogError with the line for what cannot be read.
    """
    text = read_text(path)
    name, start = shown(str(path)), text.lstrip()[:1]
    rows = {"{": _json_lines, "[": _json_list}.get(start, _csv)(text, name)
    for count, row in enumerate(rows):
        if count >= MAX_ROWS:
            raise CatalogError(name, "too many rows", expected=f"at most {MAX_ROWS:,}")
        yield row


def load_json(text: str, name: str) -> Any:
    """Parse JSON; too deep or broken JSON is a CatalogError."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise CatalogError(name, "JSON nested too deeply") from error
    except ValueError as error:
        raise CatalogError(name, f"not JSON ({error})") from error


def _csv(text: str, name: str) -> Iterator[Row]:
    lines = text.splitlines(keepends=True)
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    columns: list[str] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if columns:
                    yield _row(columns, cells, name, line)
                else:
                    columns = _columns(cells, name)
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogError(f"{name}, line {line}", f"not CSV ({error})") from error


def _columns(cells: list[str], name: str) -> list[str]:
    columns = [" ".join(cell.split()).lower() for cell in cells]
    twice = next((c for c in columns if c and columns.count(c) > 1), "")
    if twice:
        raise CatalogError(f"{name}, line 1", f"two columns named '{shown(twice)}'")
    return columns


def _row(columns: list[str], cells: list[str], name: str, line: int) -> Row:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        raise CatalogError(
            f"{name}, line {line}",
            f"{len(cells)} cells",
            expected=f"{len(columns)}, as in the first line",
            do='Put a cell that holds the delimiter into "quotes"',
        )
    return Row(line, {c: cell.strip() for c, cell in zip(columns, cells, strict=False) if c})


def _json_lines(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{name}, line {number}"
            yield _object(load_json(line, where), where, number)


def _json_list(text: str, name: str) -> Iterator[Row]:
    for number, value in enumerate(load_json(text, name), 1):
        yield _object(value, f"{name}, entry {number}", number)


def _object(value: Any, where: str, line: int) -> Row:
    if not isinstance(value, dict):
        raise CatalogError(where, f"a {type(value).__name__}", expected="a JSON object")
    cells = {" ".join(str(k).split()).lower(): _cell(v) for k, v in value.items()}
    longest = max(map(len, cells.values()), default=0)
    if longest > MAX_FIELD:
        raise CatalogError(where, "a value too long", expected=f"at most {MAX_FIELD} characters")
    return Row(line, cells)


def _cell(value: Any) -> str:
    """A JSON value as a cell: text as it is, nothing as nothing, anything else as JSON."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
