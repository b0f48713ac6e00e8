"""The index file's format, as numbered steps from an empty file.

Each step is SQL that brings a file from format n to n + 1; a released step is never edited.
"""

from __future__ import annotations

import sqlite3
from functools import cache

APPLICATION_ID = 0x4B656E31
"""Marks a SQLite file as ours (`Ken1`)."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE state (name TEXT PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID",
        "CREATE TABLE spaces (number INTEGER PRIMARY KEY, space_id TEXT NOT NULL UNIQUE,"
        " fingerprint TEXT NOT NULL, calibration TEXT)",
        "CREATE TABLE items (number INTEGER PRIMARY KEY AUTOINCREMENT, key NOT NULL UNIQUE,"
        " label NOT NULL)",
        "CREATE TABLE reference (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " item INTEGER NOT NULL REFERENCES items (number), path NOT NULL, view NOT NULL,"
        " label NOT NULL, variant NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,"
        " mtime_ns INTEGER NOT NULL, origin TEXT NOT NULL,"
        " metadata TEXT NOT NULL, change INTEGER NOT NULL,"
        " UNIQUE (path, view))",
        "CREATE INDEX reference_by_item ON reference (item)",
        "CREATE INDEX reference_by_change ON reference (change)",
        "CREATE TABLE vectors (reference INTEGER NOT NULL REFERENCES reference (id),"
        " space INTEGER NOT NULL REFERENCES spaces (number), row BLOB NOT NULL,"
        " PRIMARY KEY (reference, space))",
        "CREATE TABLE thumbnails (reference INTEGER PRIMARY KEY REFERENCES reference (id),"
        " picture BLOB NOT NULL)",
        "CREATE TABLE removals (change INTEGER NOT NULL, reference INTEGER NOT NULL,"
        " PRIMARY KEY (change, reference)) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE features (reference INTEGER NOT NULL REFERENCES reference (id),"
        " kind NOT NULL, data BLOB NOT NULL, PRIMARY KEY (reference, kind))",
        "CREATE TABLE feedback (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
        " key NOT NULL, name NOT NULL, sha256 TEXT NOT NULL, date TEXT NOT NULL,"
        " regions TEXT NOT NULL, space INTEGER NOT NULL REFERENCES spaces (number),"
        " rows BLOB NOT NULL)",
    ),
    ("CREATE INDEX reference_by_sha256 ON reference (sha256)",),
)

FORMAT = len(STEPS)
"""The format this release writes."""


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """Bring a file of format `found` to `FORMAT`, inside the caller's transaction."""
    for step in STEPS[found:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def schema(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str, str]]:
    """Every table, index, view and trigger of a file, with the SQL that made it."""
    rows = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return frozenset(tuple(map(str, row)) for row in rows)  # type: ignore[misc]


@cache
def expected_schema(version: int) -> frozenset[tuple[str, str, str, str]]:
    """The schema that a file of format `version` has, made by the steps themselves."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for step in STEPS[:version]:
            for statement in step:
                connection.execute(statement)
        return schema(connection)
    finally:
        connection.close()
