"""References that get other words and stay what they are: their ids, vectors and all else stay."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from kenspeckle.store import records
from kenspeckle.types import Reference


def relabel(connection: sqlite3.Connection, new: Mapping[int, Reference]) -> None:
    """Exchange the words of references under the next change; see `Store.relabel`.

    Where there are none there is no change either.
    """
    changed = False
    for identifier, one in new.items():
        found = connection.execute(
            "SELECT item FROM reference JOIN items ON number = item"
            " WHERE id = ? AND path = ? AND view = ? AND key = ?",
            (identifier, *map(records.encode, (one.path, one.view, one.key))),
        ).fetchone()
        if found is None:
            continue
        if not changed:
            records.next_change(connection)
            changed = True
        label = records.encode(one.label)
        connection.execute("UPDATE items SET label = ? WHERE number = ?", (label, found[0]))
        connection.execute(
            "UPDATE reference SET label = ?, variant = ?, metadata = ?, origin = ?, size = ?,"
            " mtime_ns = ? WHERE id = ?",
            (
                label,
                records.encode(one.variant),
                json.dumps(dict(one.metadata)) if one.metadata else "",
                one.origin,
                one.size,
                one.mtime_ns,
                identifier,
            ),
        )
