"""What an index file keeps beside references and vectors: local features, and feedback.

A file of format 1 has tables for neither; read as it is, it holds none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kenspeckle.errors import InputError
from kenspeckle.store import records
from kenspeckle.store.checks import check_feedback
from kenspeckle.types import Feedback, Float32

COUNTER = "feedback"
"""Name of the number of commits that have changed feedback, among the file's named values."""


_FEEDBACK = "SELECT kind, key, name, sha256, date, regions, id, space, rows FROM feedback"


def features(connection: sqlite3.Connection, ids: Iterable[int], kind: str) -> dict[int, bytes]:
    """The features of that kind of each reference that has some."""
    if not _there(connection):
        return {}
    find, stored = (
        "SELECT data FROM features WHERE reference = ? AND kind = ?",
        records.encode(kind),
    )
    found = {}
    for identifier in ids:
        row = connection.execute(find, (identifier, stored)).fetchone()
        if row and isinstance(row[0], bytes):
            found[identifier] = row[0]
    return found


def feature_kinds(connection: sqlite3.Connection, path: Path) -> list[str]:
    """The kinds of features of which there are some. Raises IndexCorrupt."""
    if not _there(connection):
        return []
    rows = connection.execute("SELECT DISTINCT kind FROM features").fetchall()
    try:
        return sorted(records.decode(row[0]) for row in rows)
    except (TypeError, ValueError) as error:
        raise records.corrupt(path, f"a kind of features cannot be read ({error})") from error


def put_features(connection: sqlite3.Connection, kind: str, given: Mapping[int, bytes]) -> None:
    """Store features of references; ids that are not stored are passed over."""
    stored = records.encode(kind)
    connection.executemany(
        "INSERT OR REPLACE INTO features SELECT id, ?2, ?3 FROM reference WHERE id = ?1",
        [(int(identifier), stored, data) for identifier, data in given.items()],
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which feedback: equal to every value of `where`, `after` an id, at most so many."""

    where: Mapping[str, str]
    after: int = 0
    most: int | None = None


def feedback(
    connection: sqlite3.Connection, path: Path, space: int, width: int, wanted: Wanted
) -> list[Feedback]:
    """Feedback by id; rows of another space come as none, `(0, D)`. Raises IndexCorrupt."""
    if not _there(connection):
        return []
    names = {"kind": "kind", "key": "key", "name": "name", "sha256": "sha256"}
    equal = "".join(f" AND {names[name]} = ?" for name in wanted.where)
    most = -1 if wanted.most is None else wanted.most
    found = connection.execute(
        f"{_FEEDBACK} WHERE id > ?{equal} ORDER BY id LIMIT ?",
        (wanted.after, *map(records.encode, wanted.where.values()), most),
    ).fetchall()
    try:
        return [_feedback(row, space, width) for row in found]
    except (TypeError, ValueError, InputError) as error:
        raise records.corrupt(path, f"feedback cannot be read ({error})") from error


def _feedback(row: tuple[object, ...], space: int, width: int) -> Feedback:
    *texts, identifier, own, data = row
    kind, key, name, sha256, date, regions = map(records.decode, texts)
    if kind not in ("confirmed", "rejected"):
        raise ValueError(f"of kind {kind!r}")
    if not isinstance(identifier, int) or not isinstance(data, bytes):
        raise TypeError("an id or rows of another type")
    rows: Float32 = np.empty((0, width), np.float32)
    if own == space:
        rows = np.frombuffer(data, "<f4").reshape(-1, width).astype(np.float32)
    made = Feedback(kind, key, name, sha256, date, regions, rows, identifier)  # type: ignore[arg-type]
    check_feedback(made, width)
    return made


def put_feedback(connection: sqlite3.Connection, given: Feedback, space: int) -> int:
    """Store feedback, in place of the one of its id if there is one; its id."""
    made = connection.execute(
        "INSERT OR REPLACE INTO feedback VALUES"
        " ((SELECT id FROM feedback WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            given.id,
            given.kind,
            records.encode(given.key),
            records.encode(given.name),
            given.sha256,
            given.date,
            given.regions,
            space,
            np.ascontiguousarray(given.rows, "<f4").tobytes(),
        ),
    )
    _count(connection)
    return int(made.lastrowid or 0)


def erase_feedback(connection: sqlite3.Connection, identifier: int) -> bool:
    """Erase one; whether it was there."""
    gone = connection.execute("DELETE FROM feedback WHERE id = ?", (identifier,)).rowcount > 0
    if gone:
        _count(connection)
    return gone


def _count(connection: sqlite3.Connection) -> None:
    records.set_state(connection, COUNTER, int(records.state(connection, COUNTER) or 0) + 1)


def _there(connection: sqlite3.Connection) -> bool:
    """Whether the file, as it is now, has these tables: another process may just have made them."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version) >= 2
