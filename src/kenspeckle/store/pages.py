"""Items and references of an index file as lists: whole, or a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from kenspeckle.store import records
from kenspeckle.types import Item, Reference

_ITEMS = (
    "SELECT number, key, items.label, variant, sum(view = '') FROM items"
    " JOIN reference ON item = number GROUP BY number, variant ORDER BY number, variant"
)
_SOME_ITEMS = _ITEMS.replace(
    "FROM items", "FROM (SELECT * FROM items WHERE key > ? ORDER BY key LIMIT ?) AS items"
)
_PATHS = "SELECT id, path FROM reference WHERE id > ? AND view = '' ORDER BY id LIMIT ?"
_PAGE = "WHERE reference.id > ? AND view = '' {} ORDER BY reference.id LIMIT ?"


def items(
    connection: sqlite3.Connection, path: Path, after: str | None = None, most: int | None = None
) -> list[Item]:
    """All items, or at most so many of those whose key comes after `after`."""
    found: dict[int, Item] = {}
    try:
        if after is None and most is None:
            rows = connection.execute(_ITEMS)
        else:
            limit = -1 if most is None else most
            rows = connection.execute(_SOME_ITEMS, (records.encode(after or ""), limit))
        for place, key, label, variant, count in rows:
            old = found.get(place) or Item(records.decode(key), records.decode(label))
            variants = (*old.variants, records.decode(variant)) if variant else old.variants
            found[place] = Item(old.key, old.label, variants, old.references + int(count))
    except (TypeError, ValueError) as error:
        raise records.corrupt(path, f"an item cannot be read ({error})") from error
    return list(found.values())


def references(
    connection: sqlite3.Connection, path: Path, after: int, most: int, key: str
) -> list[tuple[int, Reference]]:
    """At most so many references after an id, of one item or all; enrolled views left out."""
    own = (records.encode(key),) if key else ()
    where = _PAGE.format("AND key = ?" if key else "")
    return records.references(connection, path, where, (after, *own, most))


def paths(
    connection: sqlite3.Connection, path: Path, after: int, most: int | None
) -> list[tuple[int, str]]:
    """The path of each reference after an id, at most so many; enrolled views left out."""
    found = connection.execute(_PATHS, (after, -1 if most is None else most)).fetchall()
    try:
        return [(identifier, records.decode(name)) for identifier, name in found]
    except (TypeError, ValueError) as error:
        raise records.corrupt(path, f"a path cannot be read ({error})") from error


def all_sorted(found: list[tuple[int, Reference]]) -> Iterator[tuple[int, Reference]]:
    """By path, then view, in code-point order whatever way the names are stored."""
    return iter(sorted(found, key=lambda pair: (pair[1].path, pair[1].view)))
