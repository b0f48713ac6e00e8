"""The SQLite file under an index: made, opened, checked, locked, and its errors translated.

A file comes from outside and is not trusted: its schema must be exactly the one the migrations
make, so it has no trigger, view or virtual table that could act, and functions in a schema are
switched off before it is read.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType

from kenspeckle._aside import aside, sync_folder
from kenspeckle.errors import (
    GalleryError,
    IndexBusy,
    IndexCorrupt,
    IndexReadOnly,
    IndexVersion,
)
from kenspeckle.store import migrations
from kenspeckle.store.lock import process_name
from kenspeckle.store.place import kind_of

MAX_VALUE = 16 * 1024 * 1024
"""Largest single value read from an index file, bytes."""


def _connect(
    path: Path, mode: str, wait: float, sure: Callable[[], None] = lambda: None
) -> sqlite3.Connection:
    """`sure` is called when the file is open, and before the log beside it is."""
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False
    )
    with _closed_on_failure(connection):
        sure()
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _closed_on_failure(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection whose opening fails: the error holds it until it is collected."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def make(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make a new index file; `fill` writes what it must hold from the start.

    It is made beside its place and renamed, so there is never half a file under the name.
    Raises GalleryError if there is a file already, IndexReadOnly if none can be made.
    """
    check_free(path)
    beside = aside(path)
    with translated(path):
        try:
            connection = _connect(beside, "mode=rwc", 10.0)
            try:
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute("BEGIN IMMEDIATE")
                migrations.migrate(connection, 0)
                fill(connection)
                connection.execute("COMMIT")
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()
            put(beside, path)
        finally:
            forget(beside)


def check_free(path: Path) -> None:
    """Refuse a name that is taken. GalleryError."""
    if path.is_symlink() and not path.exists():
        raise GalleryError(
            path,
            f"a link to '{path.readlink()}', where there is no file",
            expected="a new name",
            do="Delete the link, or name another file",
        )
    if path.exists():
        raise GalleryError(path, "there is a file already", do="Open it, or name another")


def forget(path: Path) -> None:
    """Erase a file with SQLite's helper files, as far as they are there."""
    path.unlink(missing_ok=True)
    _forget_helpers(path)


def _forget_helpers(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def put(beside: Path, path: Path) -> None:
    """Give a finished file its name; the caller holds the writer lock of that name.

    GalleryError if there is a file meanwhile.
    """
    taken = GalleryError(path, "another process has just made it", do="Open it, or name another")
    if os.path.lexists(path):
        raise taken
    _forget_helpers(path)  # what a deleted index has left would be taken for this one's
    try:
        os.link(beside, path)
    except FileExistsError:
        raise taken from None
    except OSError:  # a file system without links
        beside.replace(path)
    sync_folder(path.parent)


def open_file(
    path: Path, *, write: bool, wait: float = 10.0, sure: Callable[[], None] = lambda: None
) -> sqlite3.Connection:
    """Open an index file, checked. `wait` is how many seconds a locked file is waited for.

    What `sure` raises ends it before anything beside the file is touched.
    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexReadOnly or IndexBusy.
    """
    if kind_of(path) != "disk":
        raise IndexCorrupt(path, "not an index file", expected="an index file")
    with translated(path):
        opener = _open_for_writing if write else _open_for_reading
        connection = opener(path, wait, sure)
        with _closed_on_failure(connection):
            _check(connection, path, write=write)
    return connection


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be changed where it lies. Raises IndexReadOnly."""
    if not _may_write(path):
        raise IndexReadOnly(
            path, "the file or its folder cannot be written", do="Change its permissions"
        )


def _open_for_writing(path: Path, wait: float, sure: Callable[[], None]) -> sqlite3.Connection:
    check_writable(path)
    connection = _connect(path, "mode=rw", wait, sure)
    with _closed_on_failure(connection):
        for pragma in ("synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
    return connection


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _open_for_reading(path: Path, wait: float, sure: Callable[[], None]) -> sqlite3.Connection:
    """Open for reading; where nothing may be written at all, as a file that does not change.

    Where something may be, the connection could write, so that the last one to close takes
    SQLite's helper files along, but is told not to change anything.
    """
    connection = _connect(path, "mode=rw" if _may_write(path) else "mode=ro", wait, sure)
    try:
        with _closed_on_failure(connection):
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if os.access(path.parent, os.W_OK) or "locked" in str(error):
            raise
        pending = Path(f"{path}-wal")
        if pending.exists() and pending.stat().st_size:
            raise IndexReadOnly(
                path,
                "commits wait beside it and cannot be folded in, as the folder is read-only",
                do=f"Copy it together with {pending.name} to a folder that can be written",
            ) from error
        return _connect(path, "immutable=1", wait)
    return connection


def _check(connection: sqlite3.Connection, path: Path, *, write: bool) -> None:
    """Quick sanity: ours, of a version we know, with exactly the schema of that version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != migrations.APPLICATION_ID:
        raise IndexCorrupt(path, "a database of another program", expected="an index file")
    if version > migrations.FORMAT:
        raise IndexVersion(
            path,
            f"format {version}",
            expected=f"at most {migrations.FORMAT}",
            do="Update kenspeckle",
        )
    if version < 1 or migrations.schema(connection) != migrations.expected_schema(version):
        raise IndexCorrupt(
            path,
            "tables that do not belong there, or that are missing",
            expected=f"those of format {version}",
            do="Do not use this file; index the references anew",
        )
    if write and version < migrations.FORMAT:
        with transaction(connection, path):
            migrations.migrate(connection, version)


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One atomic commit, by one writer at a time over all processes; undone on any error."""
    with translated(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def fold(connection: sqlite3.Connection) -> bool:
    """Fold the log into the file and empty it, as far as nobody reads of it or writes at this
    moment: nobody is waited for. Whether it is empty."""
    (wait,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {wait}")
    return not busy


class translated:  # noqa: N801  it reads as a verb: with translated(path)
    """Turn SQLite's errors, and the system's, into ours; under a lock where one is given.

    A class, not a generator: every call of a store passes here. May be used again, and nested.
    """

    __slots__ = ("_lock", "_path")

    def __init__(self, path: Path, lock: AbstractContextManager[object] | None = None) -> None:
        self._path, self._lock = path, lock or nullcontext()

    def __enter__(self) -> None:
        self._lock.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, trace)
        if isinstance(error, sqlite3.Error):
            raise _translate(self._path, error) from error
        if isinstance(error, UnicodeDecodeError):  # SQLite quotes a damaged file in its message
            raise _damaged(self._path, str(error)) from error
        if isinstance(error, OSError):
            raise IndexReadOnly(
                self._path, error.strerror or str(error), do="Nothing was changed"
            ) from error


def _translate(path: Path, error: sqlite3.Error) -> GalleryError:
    if isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error):
        return GalleryError(path, "this index was closed", do="Open it again")
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return exchanged(path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        who = writers(path)
        return IndexBusy(
            path,
            f"another process is writing to it{who and f': {who}'}",
            do="Wait until it has finished, or end it",
        )
    if code == sqlite3.SQLITE_FULL:
        return IndexReadOnly(
            path,
            "the disk is full; what was committed before is kept",
            do="Make room and start again",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return IndexReadOnly(
            path, f"it cannot be written here ({error})", do="Change its permissions"
        )
    if code == sqlite3.SQLITE_IOERR:
        return IndexReadOnly(
            path,
            f"the disk failed ({error}); what was committed before is kept",
            do="Check the disk and start again",
        )
    return _damaged(path, str(error))


def exchanged(path: Path) -> IndexBusy:
    """What a change is refused with whose file has lost its name meanwhile."""
    return IndexBusy(path, "another file was put in its place just now", do="Run it again")


def _damaged(path: Path, found: str) -> IndexCorrupt:
    return IndexCorrupt(path, f"damaged ({found})", expected="a whole index file", do="Index anew")


def writers(path: Path) -> str:
    """Which processes hold a lock beside the file, where the system tells (Linux); else empty."""
    try:
        inode = Path(f"{path}-shm").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    found = set()
    for line in locks:
        parts = line.split()
        if "WRITE" in parts and any(part.endswith(f":{inode}") for part in parts):
            found.add(int(parts[parts.index("WRITE") + 1]))
    return ", ".join(process_name(process) for process in sorted(found - {os.getpid()}))
