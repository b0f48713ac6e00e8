"""Find, in a database whose tables have unknown names, which column says what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError

NAMES, REFERENCES = "logo_names", "reference_logos"
DECLARED, BY_NAME, BY_VALUES = 3, 2, 1
"""How sure it is that a column refers to another: a foreign key, its name, its values alone."""
MAX_VALUE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns in order, its key, and where its foreign keys lead."""

    name: str
    columns: tuple[str, ...]
    key: str
    leads: dict[str, str]

    def __str__(self) -> str:
        return f"{shown(self.name)}({', '.join(map(shown, self.columns))})"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read which picture shows which logo: `(file name, logo id)` pairs."""

    told: str
    sure: int
    pairs: frozenset[tuple[str, int]]


def opened(path: Path) -> sqlite3.Connection:
    """A database that nothing can be written to and that runs no code of its own."""
    name = shown(str(path))
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        raise CatalogError(name, f"not a readable SQLite file ({error})") from error
    return connection


def tables(connection: sqlite3.Connection) -> dict[str, Table]:
    """The ordinary tables by name."""
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {
        name: _table(connection, name)
        for name, sql in rows
        if not name.startswith("sqlite_") and "virtual" not in str(sql).lower().split()[:2]
    }


def schema(known: dict[str, Table]) -> str:
    """The tables as one line."""
    return "; ".join(str(known[name]) for name in sorted(known)) or "no tables"


def named_tables(known: dict[str, Table], name: str) -> None:
    """Raise CatalogError with the schema unless the two named tables are there."""
    needed = ((NAMES, {"id", "name"}), (REFERENCES, {"filename", "logo_name_id"}))
    for table, columns in needed:
        if table not in known or not columns <= set(known[table].columns):
            raise CatalogError(
                name,
                f"tables {schema(known)}",
                expected=f"{table}({', '.join(sorted(columns))})",
            )


def readings(
    connection: sqlite3.Connection, known: dict[str, Table], files: frozenset[str]
) -> list[Reading]:
    """Every reading of which file shows which logo, the surest only; equal ones count once."""
    ids = frozenset(_values(connection, NAMES, "id"))
    found: list[Reading] = []
    for table in known.values():
        if table.name in (NAMES, REFERENCES):
            continue
        for column in table.columns:
            if _holds_files(connection, table.name, column, files):
                found += _direct(connection, table, column, ids)
                found += _linked(connection, known, table, column, ids)
    surest = max((reading.sure for reading in found), default=0)
    different: dict[frozenset[tuple[str, int]], Reading] = {}
    for reading in found:
        if reading.sure == surest:
            different.setdefault(reading.pairs, reading)
    return list(different.values())


def base_name(value: object) -> str:
    """The last part of a path, however it is written."""
    return str(value).replace("\\", "/").rsplit("/", 1)[-1]


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = connection.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
    keys = connection.execute(
        'SELECT "from", "table" FROM pragma_foreign_key_list(?)', (name,)
    ).fetchall()
    primary = [column for column, pk in columns if pk]
    key = primary[0] if len(primary) == 1 else ""
    return Table(name, tuple(column for column, _ in columns), key, dict(keys))


def _values(connection: sqlite3.Connection, table: str, column: str) -> list[object]:
    sql = f"SELECT DISTINCT {_quoted(column)} FROM {_quoted(table)}"  # noqa: S608  quoted
    return [value for (value,) in connection.execute(sql) if value is not None]


def _holds_files(
    connection: sqlite3.Connection, table: str, column: str, files: frozenset[str]
) -> bool:
    """Whether at least half of the values of a column are names of these files."""
    values = [v for v in _values(connection, table, column) if isinstance(v, str)]
    return bool(values) and 2 * sum(base_name(v) in files for v in values) >= len(values)


def _direct(
    connection: sqlite3.Connection, table: Table, column: str, ids: frozenset[object]
) -> Iterator[Reading]:
    """Readings of a table that holds both file and logo."""
    for logo, sure in _logo_columns(connection, table, ids):
        sql = f"SELECT {_quoted(column)}, {_quoted(logo)} FROM {_quoted(table.name)}"  # noqa: S608
        yield Reading(
            f"pictures from {table.name}.{column}, logos from {table.name}.{logo}",
            sure,
            _pairs(connection.execute(sql)),
        )


def _linked(
    connection: sqlite3.Connection,
    known: dict[str, Table],
    table: Table,
    column: str,
    ids: frozenset[object],
) -> Iterator[Reading]:
    """Readings by another table that links the key of this one with logos."""
    if not table.key:
        return
    keys = frozenset(_values(connection, table.name, table.key))
    for link in known.values():
        if link.name in (NAMES, REFERENCES, table.name):
            continue
        for logo, sure in _logo_columns(connection, link, ids):
            for picture in link.columns:
                how = _refers(connection, link, picture, table.name, keys)
                if picture == logo or not how:
                    continue
                sql = (
                    f"SELECT p.{_quoted(column)}, l.{_quoted(logo)} FROM {_quoted(table.name)} p "  # noqa: S608
                    f"JOIN {_quoted(link.name)} l ON l.{_quoted(picture)} = p.{_quoted(table.key)}"
                )
                yield Reading(
                    f"pictures from {table.name}.{column}, logos from {link.name}.{logo} "
                    f"by {link.name}.{picture}",
                    min(sure, how),
                    _pairs(connection.execute(sql)),
                )


def _logo_columns(
    connection: sqlite3.Connection, table: Table, ids: frozenset[object]
) -> list[tuple[str, int]]:
    """The columns that refer to logos, and how sure that is."""
    sure = [(column, _refers(connection, table, column, NAMES, ids)) for column in table.columns]
    return [(column, how) for column, how in sure if how]


def _refers(
    connection: sqlite3.Connection,
    table: Table,
    column: str,
    target: str,
    keys: frozenset[object],
) -> int:
    """How sure it is that a column refers to the key of `target`; 0 when it does not."""
    if table.leads.get(column) == target:
        return DECLARED
    if column in table.leads or column == table.key:
        return 0
    values = _values(connection, table.name, column)
    if not values or not keys.issuperset(values):
        return 0
    stem = target.lower().removesuffix("s")
    words = {stem, stem.removesuffix("_name"), stem.removeprefix("test_")}
    name = column.lower()
    return BY_NAME if name.endswith("id") and any(word in name for word in words) else BY_VALUES


def _pairs(rows: sqlite3.Cursor) -> frozenset[tuple[str, int]]:
    return frozenset(
        (base_name(file), logo)
        for file, logo in rows
        if isinstance(file, str) and isinstance(logo, int)
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
