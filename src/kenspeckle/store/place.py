"""What lies under the name of an index, told without disturbing who uses it.

An index that SQLite has open must not be opened and closed by anything else in the same process:
on POSIX systems any close drops all locks that the process holds on the file, and another process
would fold in and erase the log that is being written (sqlite.org/howtocorrupt.html, section 2.2).
So SQLite itself is asked first, and only what it refuses is read here.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Literal

from kenspeckle.errors import IndexCorrupt, IndexMissing, IndexReadOnly

MAGIC = b"SQLite format 3\x00"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def check_file(path: Path) -> None:
    """Refuse what cannot be an index before it is opened; a pipe would never end.

    Raises IndexMissing, IndexCorrupt, IndexReadOnly.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise missing(path) from None
    except OSError as error:
        raise IndexReadOnly(
            path, f"it may not be looked at ({error.strerror})", do="Change its permissions"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        what, do = "a pipe, socket or device", "Name a file"
        if stat.S_ISDIR(found.st_mode):
            what, do = "a folder", f"To make one of its pictures: {_making('FILE', path)}"
        raise IndexCorrupt(path, what, expected="an index file", do=do)
    if not found.st_size:
        raise IndexCorrupt(path, "an empty file", expected="an index file", do=_anew(path))
    if not os.access(path, os.R_OK):
        raise IndexReadOnly(path, "it may not be read", do="Change its permissions")


def missing(path: str | os.PathLike[str], found: str = "no such file") -> IndexMissing:
    """The error for an index that is not there; it says how to make it under that name."""
    return IndexMissing(path, found, do=f"Make it with: {_making(path)}")


def _making(out: str | os.PathLike[str], folder: str | os.PathLike[str] = "FOLDER") -> str:
    folder, out = shlex.quote(os.fspath(folder)), shlex.quote(os.fspath(out))
    return f"kenspeckle index {folder} --out {out}"


def _anew(path: Path) -> str:
    return f"Name another file, or delete this one and make it anew: {_making(path)}"


def kind_of(path: Path) -> Literal["disk", "npz"]:
    """Whether an index file or an `.npz` lies there.

    Raises IndexMissing, IndexCorrupt, IndexReadOnly.
    """
    check_file(path)
    if _is_database(path):
        return "disk"
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start[:4] in ZIP:
        return "npz"
    found = "damaged" if start == MAGIC else "neither an index nor an .npz"
    raise IndexCorrupt(path, found, expected="an index file", do=_anew(path))


def _is_database(path: Path) -> bool:
    """Whether SQLite takes the first page for its own. Nothing beside the file is looked at."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_NOTADB
    return True
