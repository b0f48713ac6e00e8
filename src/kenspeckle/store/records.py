"""Rows of the index file to values and back: every SQL statement of the store.

Names come from file systems, and a file name need not be valid Unicode: text that UTF-8 cannot
hold is stored as a blob (`surrogatepass`), everything else as text that any SQLite tool shows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle.errors import IndexCorrupt
from kenspeckle.store.base import Enrolled, Manifest
from kenspeckle.store.checks import off_unit
from kenspeckle.types import NO_METADATA, Calibration, Float32, Int64, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT_REMOVALS = 10_000
"""Commits whose removals are remembered for running readers; one further behind loads anew."""

_REFERENCES = (
    "SELECT id, path, view, reference.label, variant, sha256, size, mtime_ns, origin,"
    " metadata, key FROM reference JOIN items ON number = item"
)
_COUNT = "SELECT count(*) FROM vectors WHERE space = ?"
_AT_ONCE = 1024


def encode(text: str) -> str | bytes:
    r"""Text as it is stored.

    >>> encode("a.jpg"), encode("a\udcff.jpg")
    ('a.jpg', b'a\xed\xb3\xbf.jpg')
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def decode(value: object) -> str:
    """Stored text as it was. Raises TypeError or ValueError on foreign data."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogatepass")
    raise TypeError(f"a {type(value).__name__} where text belongs")


def corrupt(path: Path, found: str) -> IndexCorrupt:
    """The error for content that no release writes."""
    return IndexCorrupt(
        path, found, expected="what kenspeckle writes", do="Index the references anew"
    )


def _json(path: Path, text: object, what: str) -> Any:
    try:
        return json.loads(decode(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise corrupt(path, f"its {what} cannot be read ({error})") from error


def state(connection: sqlite3.Connection, name: str) -> Any:
    """One named value of the file, or None."""
    row = connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    return row and row[0]


def number(connection: sqlite3.Connection, path: Path, name: str) -> int:
    """One named whole number, 0 when it was never set. Raises IndexCorrupt."""
    value = state(connection, name)
    if not isinstance(value, int | None):
        raise corrupt(path, f"'{name}' is not a number")
    return value or 0


def set_state(connection: sqlite3.Connection, name: str, value: str | int) -> None:
    """Set one named value."""
    connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))


def write_manifest(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Store the manifest, and its space as the one in use."""
    fingerprint = manifest.fingerprint
    text = json.dumps(fingerprint.to_dict())
    connection.execute(
        "INSERT INTO spaces (space_id, fingerprint) VALUES (?, ?)"
        " ON CONFLICT (space_id) DO UPDATE SET fingerprint = excluded.fingerprint",
        (fingerprint.space_id, text),
    )
    find = "SELECT number FROM spaces WHERE space_id = ?"
    (space,) = connection.execute(find, (fingerprint.space_id,)).fetchone()
    set_state(connection, "space", space)
    rest = {name: value for name, value in manifest.to_dict().items() if name != "fingerprint"}
    set_state(connection, "manifest", json.dumps(rest))


def read_manifest(connection: sqlite3.Connection, path: Path) -> tuple[int, Manifest]:
    """The number of the space in use, and the manifest. Raises IndexCorrupt."""
    space = number(connection, path, "space")
    find = "SELECT fingerprint FROM spaces WHERE number = ?"
    row = connection.execute(find, (space,)).fetchone()
    if row is None:
        raise corrupt(path, "it names no fingerprint")
    fingerprint = _json(path, row[0], "fingerprint")
    rest = _json(path, state(connection, "manifest"), "manifest")
    try:
        manifest = Manifest.from_dict({**rest, "fingerprint": fingerprint})
        width = manifest.fingerprint.width
        if type(width) is not int or not 0 < width <= 65_536:
            raise ValueError(f"width {width!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise corrupt(path, f"its manifest is incomplete ({error!r})") from error
    return space, manifest


def read_calibration(connection: sqlite3.Connection, path: Path, space: int) -> Calibration | None:
    """The calibration of a space. Raises IndexCorrupt."""
    find = "SELECT calibration FROM spaces WHERE number = ?"
    row = connection.execute(find, (space,)).fetchone()
    if row is None or row[0] is None:
        return None
    try:
        return Calibration.from_dict(_json(path, row[0], "calibration"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise corrupt(path, f"its calibration is incomplete ({error!r})") from error


def write_calibration(
    connection: sqlite3.Connection, space: int, calibration: Calibration | None
) -> None:
    """Store the calibration of a space, or erase it."""
    text = None if calibration is None else json.dumps(calibration.to_dict())
    connection.execute("UPDATE spaces SET calibration = ? WHERE number = ?", (text, space))


def put(
    connection: sqlite3.Connection,
    enrolled: Sequence[Enrolled],
    rows: Float32,
    space: int,
    instead_of: Iterable[int] = (),
) -> list[int]:
    """Insert references under the next change, replacing all that is stored of their paths, and
    the references of those ids."""
    change = next_change(connection)
    find = "SELECT id FROM reference WHERE path = ?"
    replaced: set[int] = set()
    for old in instead_of:
        replaced |= _erase(connection, old, change)
    for path in dict.fromkeys(encode(one.reference.path) for one in enrolled):
        for (old,) in connection.execute(find, (path,)).fetchall():
            replaced |= _erase(connection, old, change)
    ids: list[int] = []
    for one, row in zip(enrolled, rows.astype("<f2"), strict=True):
        reference = one.reference
        made = connection.execute(
            "INSERT INTO reference (item, path, view, label, variant, sha256, size, mtime_ns,"
            " origin, metadata, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                _item_number(connection, reference),
                encode(reference.path),
                encode(reference.view),
                encode(reference.label),
                encode(reference.variant),
                reference.sha256,
                reference.size,
                reference.mtime_ns,
                reference.origin,
                json.dumps(dict(reference.metadata)) if reference.metadata else "",
                change,
            ),
        )
        identifier = int(made.lastrowid or 0)
        connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (identifier, space, row.data))
        if one.thumbnail:
            connection.execute("INSERT INTO thumbnails VALUES (?, ?)", (identifier, one.thumbnail))
        ids.append(identifier)
    _drop_orphans(connection, replaced)
    return ids


def erase(connection: sqlite3.Connection, ids: Iterable[int]) -> int:
    """Erase references with vectors and thumbnails under the next change; how many there were.

    Where there were none there is no change either.
    """
    find = "SELECT 1 FROM reference WHERE id = ?"
    known = [one for one in dict.fromkeys(ids) if connection.execute(find, (one,)).fetchone()]
    if not known:
        return 0
    change = next_change(connection)
    owners: set[int] = set()
    for identifier in known:
        owners |= _erase(connection, identifier, change)
    _drop_orphans(connection, owners)
    return len(known)


def next_change(connection: sqlite3.Connection) -> int:
    """The number of this commit; removals that are too old to be asked for are forgotten."""
    change = int(state(connection, "change") or 0) + 1
    set_state(connection, "change", change)
    oldest = change - KEPT_REMOVALS
    if oldest > 0:
        connection.execute("DELETE FROM removals WHERE change <= ?", (oldest,))
        set_state(connection, "removals_from", oldest)
    return change


def _item_number(connection: sqlite3.Connection, reference: Reference) -> int:
    key, label = encode(reference.key), encode(reference.label)
    find = "SELECT number, label FROM items WHERE key = ?"
    found = connection.execute(find, (key,)).fetchone()
    if found is None:
        made = connection.execute("INSERT INTO items (key, label) VALUES (?, ?)", (key, label))
        return int(made.lastrowid or 0)
    if found[1] != label:
        connection.execute("UPDATE items SET label = ? WHERE number = ?", (label, found[0]))
    return int(found[0])


def _erase(connection: sqlite3.Connection, identifier: int, change: int) -> set[int]:
    """Erase one reference; the number of its item, nothing when there was none."""
    find = "SELECT item FROM reference WHERE id = ?"
    owner = connection.execute(find, (identifier,)).fetchone()
    if owner is None:
        return set()
    connection.execute("DELETE FROM vectors WHERE reference = ?", (identifier,))
    connection.execute("DELETE FROM thumbnails WHERE reference = ?", (identifier,))
    connection.execute("DELETE FROM features WHERE reference = ?", (identifier,))
    connection.execute("DELETE FROM reference WHERE id = ?", (identifier,))
    connection.execute("INSERT INTO removals VALUES (?, ?)", (change, identifier))
    return {owner[0]}


def _drop_orphans(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    connection.executemany(
        "DELETE FROM items WHERE number = ?1"
        " AND NOT EXISTS (SELECT 1 FROM reference WHERE item = ?1)",
        [(number,) for number in numbers],
    )


class _NotUnit(Exception):
    """A row that is not of length 1: its reference's id, and its length."""


def _off(connection: sqlite3.Connection, identifier: int, length: float) -> str:
    row = connection.execute("SELECT path FROM reference WHERE id = ?", (identifier,)).fetchone()
    whose = f"'{decode(row[0])}'" if row else f"reference {identifier}"
    found = f"{length:.4g}" if length < 65_536 else "no finite number"
    return f"damaged: the length of the vector of {whose} is {found}, and has to be 1"


def vectors(
    connection: sqlite3.Connection, path: Path, space: int, width: int, since: int
) -> tuple[Int64, Int64, NDArray[np.float16]]:
    """Ids, item numbers and rows `(n, D)` added after change `since`, by ascending id.

    Raises IndexCorrupt when a row is not `width` finite numbers of length 1, with its reference.
    """
    if since < 0:
        (count,) = connection.execute(_COUNT, (space,)).fetchone()
        cursor = connection.execute("SELECT reference, row FROM vectors WHERE space = ?", (space,))
        known = connection.execute("SELECT id, item FROM reference ORDER BY id")
    else:
        # Said in full, as SQLite would rather read all vectors than sort the few new ones.
        new = "FROM reference INDEXED BY reference_by_change"
        some = f"{new} CROSS JOIN vectors ON reference = id AND space = ? WHERE change > ?"
        (count,) = connection.execute(f"SELECT count(*) {some}", (space, since)).fetchone()
        cursor = connection.execute(f"SELECT id, row {some}", (space, since))
        known = connection.execute(f"SELECT id, item {new} WHERE change > ? ORDER BY id", (since,))
    try:
        ids, rows = _rows(cursor, count, width)
        owners = np.fromiter(known, np.dtype((np.int64, 2))).reshape(-1, 2)
    except _NotUnit as error:
        identifier, length = error.args
        raise corrupt(path, _off(connection, identifier, length)) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise corrupt(path, f"its vectors cannot be read ({error})") from error
    if not np.all(ids[1:] > ids[:-1]):
        order = np.argsort(ids, kind="stable")
        ids, rows = ids[order], rows[order]
    places = np.searchsorted(owners[:, 0], ids)
    if (places >= len(owners)).any() or not np.array_equal(owners[places, 0], ids):
        raise corrupt(path, "a vector without a reference")
    return ids, owners[places, 1], rows


def _rows(cursor: sqlite3.Cursor, count: int, width: int) -> tuple[Int64, NDArray[np.float16]]:
    """Ids and rows, some at a time: whole, the lists would outweigh the vectors."""
    ids, rows = np.empty(count, np.int64), np.empty((count, width), "<f2")
    start = 0
    while found := cursor.fetchmany(_AT_ONCE):
        part = slice(start, start + len(found))
        if {len(row) for _, row in found} != {2 * width}:
            raise ValueError(f"not {width} numbers each")
        ids[part] = [identifier for identifier, _ in found]
        rows[part] = np.frombuffer(b"".join([row for _, row in found]), "<f2").reshape(-1, width)
        for place, length in off_unit(rows[part]):
            raise _NotUnit(int(ids[part][place]), length)
        start += len(found)
    if start != count:
        raise ValueError(f"{start} rows of {count}")
    return ids, rows


def removed(connection: sqlite3.Connection, since: int) -> Int64:
    """Ids removed after change `since`."""
    query = "SELECT reference FROM removals WHERE change > ?"
    return np.array([row[0] for row in connection.execute(query, (since,))], np.int64)


def references(
    connection: sqlite3.Connection, path: Path, where: str = "", values: Sequence[Any] = ()
) -> list[tuple[int, Reference]]:
    """References with their ids that meet the condition `where` (our own SQL, never a user's)."""
    found = connection.execute(f"{_REFERENCES} {where}", tuple(values)).fetchall()
    try:
        return [_reference(path, row) for row in found]
    except (TypeError, ValueError) as error:
        raise corrupt(path, f"a reference cannot be read ({error})") from error


def _reference(path: Path, row: tuple[Any, ...]) -> tuple[int, Reference]:
    identifier, file, view, label, variant, sha256, size, mtime_ns, origin, metadata, key = row
    extra: Mapping[str, str] = NO_METADATA
    if metadata:
        loaded = _json(path, metadata, "metadata")
        if not isinstance(loaded, dict):
            raise TypeError("metadata that is not a table")
        extra = {name: str(value) for name, value in loaded.items()}
    if not isinstance(size, int) or not isinstance(mtime_ns, int):
        raise TypeError("a size or time that is not a number")
    reference = Reference(
        key=decode(key),
        label=decode(label),
        path=decode(file),
        variant=decode(variant),
        sha256=decode(sha256),
        size=size,
        mtime_ns=mtime_ns,
        view=decode(view),
        origin=decode(origin),
        metadata=extra,
    )
    return identifier, reference


def prints(connection: sqlite3.Connection, item: int) -> int:
    """How many prints of an item there are."""
    query = "SELECT count(DISTINCT variant) FROM reference WHERE item = ?"
    return int(connection.execute(query, (item,)).fetchone()[0])


def counts(connection: sqlite3.Connection, space: int) -> tuple[int, int, int]:
    """Items, references (views left out) and vectors."""
    queries = (
        ("SELECT count(*) FROM items", ()),
        ("SELECT count(*) FROM reference WHERE view = ''", ()),
        (_COUNT, (space,)),
    )
    first, second, third = (connection.execute(*query).fetchone()[0] for query in queries)
    return first, second, third


def touch(connection: sqlite3.Connection, stats: Iterable[tuple[int, int, int]]) -> None:
    """Note new `(id, size, mtime_ns)`."""
    connection.executemany(
        "UPDATE reference SET size = ?, mtime_ns = ? WHERE id = ?",
        [(size, mtime_ns, identifier) for identifier, size, mtime_ns in stats],
    )


def thumbnail(connection: sqlite3.Connection, identifier: int) -> bytes:
    """The small JPEG of a reference, empty if none is stored."""
    find = "SELECT picture FROM thumbnails WHERE reference = ?"
    row = connection.execute(find, (identifier,)).fetchone()
    return bytes(row[0]) if row and isinstance(row[0], bytes) else b""
