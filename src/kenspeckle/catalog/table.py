"""Tables handed in that name pictures and items.

Such a table is its user's own word: its paths may lead anywhere on the machine.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from stat import S_ISREG

from kenspeckle.catalog.entry import Entry, Listing, settle, shown
from kenspeckle.catalog.naming import Name, key_of
from kenspeckle.catalog.override import PATH_COLUMNS, check_columns, override_of
from kenspeckle.catalog.rows import Row, read_rows
from kenspeckle.catalog.walk import check_place, place
from kenspeckle.errors import CatalogError
from kenspeckle.types import Reference

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


class _Unread(Exception):
    """A file that may be there but cannot be looked at: its path as stored, and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why


def tabled(table: Path, base: Path, naming: str) -> Listing:
    """The listing that a table gives; relative paths start at `base`.

    Columns: `path` (or `filename`) or `url`, and `key` or `label`; `variant` and any others,
    which become metadata. Without a key the label makes it, without a label the key is it.

    Raises CatalogError, with the line, for a table that cannot be read, that lacks a column, or
    that gives one picture to two items, and when no row can be used. A row that names no picture
    or no item is skipped and counted; so is one whose file cannot be looked at, which is told as
    `unread` besides, since what a gallery knows of that file is not to go.
    """
    name, root = shown(str(table)), os.path.abspath(base)  # noqa: PTH100  resolves no link
    before = place(root)
    entries: dict[str, tuple[Entry, int]] = {}
    skipped: list[tuple[str, str]] = []
    unread: list[str] = []
    for row in read_rows(table):
        check_columns(row, name)
        try:
            entry = _entry(row, root)
        except ValueError as error:
            skipped.append((f"{name}, line {row.line}", str(error)))
            continue
        except _Unread as error:
            skipped.append((f"{name}, line {row.line}", error.why))
            unread.append(error.path)
            continue
        path, key = entry.reference.path, entry.reference.key
        former = entries.get(path)
        if former is None:
            entries[path] = (entry, row.line)
        elif former[0].reference.key == key:
            skipped.append((f"{name}, line {row.line}", f"names '{path}' again"))
        else:
            raise CatalogError(
                f"{name}, line {row.line}",
                f"gives '{path}' to '{key}'",
                expected=f"'{former[0].reference.key}', as in line {former[1]}",
            )
    check_place(root, before)
    if not entries:
        found = (
            f"no row that can be used ({skipped[0][0]}: {skipped[0][1]})" if skipped else "no rows"
        )
        raise CatalogError(name, found, expected="columns path or url, and key or label")
    settled, notes = settle(_labelled([entry for entry, _ in entries.values()]))
    by_path = tuple(sorted(settled, key=lambda entry: entry.reference.path))
    scheme = "cards" if naming == "cards" else "plain"
    return Listing(by_path, tuple(skipped), scheme, tuple(notes), tuple(unread))


def _labelled(entries: list[Entry]) -> list[Entry]:
    """Rows without a label get that of the first row of their key that has one, else the key."""
    labels: dict[str, str] = {}
    for entry in entries:
        if entry.reference.label:
            labels.setdefault(entry.reference.key, entry.reference.label)
    return [
        entry
        if entry.reference.label
        else Entry(
            replace(entry.reference, label=labels.get(entry.reference.key, entry.reference.key)),
            entry.source,
        )
        for entry in entries
    ]


def _entry(row: Row, root: str) -> Entry:
    """The entry of a row. ValueError or _Unread says why there is none."""
    said = override_of(row.cells)
    label = said.label or ""
    if not (label or said.key):
        raise ValueError("no key and no label")
    named = Name(said.key or key_of(label), label, said.variant or "", said.metadata)
    where = next((row.cells[c] for c in PATH_COLUMNS if row.cells.get(c)), "")
    address = row.cells.get("url", "")
    if where and not _ADDRESS.match(where):
        if address:
            named = Name(named.key, named.label, named.variant, {**named.metadata, "url": address})
        return _file_entry(where, root, named)
    address = where or address
    if not address:
        raise ValueError("no path and no url")
    if not _ADDRESS.match(address):
        raise ValueError(f"'{shown(address)[:80]}' is not an http address")
    return Entry(_reference(named, shown(address)), address)


def _file_entry(where: str, root: str, named: Name) -> Entry:
    file = os.path.normpath(os.path.join(root, where))  # noqa: PTH118  must not resolve links
    inside = file.startswith(root.rstrip(os.sep) + os.sep)
    path = shown((os.path.relpath(file, root) if inside else file).replace(os.sep, "/"))
    said = shown(where)[:80]
    try:
        stat = os.stat(file)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise ValueError(f"no such file '{said}'") from error
    except OSError as error:
        raise _Unread(path, f"'{said}' cannot be looked at: {error.strerror}") from error
    if not S_ISREG(stat.st_mode):
        raise ValueError(f"'{said}' is not a regular file")
    return Entry(_reference(named, path, stat.st_size, stat.st_mtime_ns), Path(file))


def _reference(named: Name, path: str, size: int = -1, mtime_ns: int = -1) -> Reference:
    return Reference(
        key=named.key,
        label=named.label,
        path=path,
        variant=named.variant,
        size=size,
        mtime_ns=mtime_ns,
        metadata=named.metadata,
    )
