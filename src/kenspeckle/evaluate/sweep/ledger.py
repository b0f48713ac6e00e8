"""The rows of a sweep in a file that grows by one line a row, so that a killed sweep goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from errno import EISDIR
from pathlib import Path
from types import TracebackType
from typing import Any

from kenspeckle import __version__
from kenspeckle.errors import GalleryError, InputError
from kenspeckle.store.lock import WriterLock

Row = dict[str, Any]
FORMAT = 1
"""Part of every key, with the release: rows that another one made are not taken for the same."""
_KEPT = ("key", "settings", "ours", "legacy")


def key_of(what: Mapping[str, Any]) -> str:
    """Sixteen hex digits that stand for everything a row depends on."""
    text = json.dumps([FORMAT, __version__, what], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Ledger:
    """Rows by key, in a file of JSON lines (`path` None: nowhere).

    What a kill left of a line is cut off. One process has the file at a time. Raises InputError for
    a file with other content, IndexBusy while another process has it, GalleryError when it cannot
    be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        self._file = -1
        self._lock: WriterLock | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(EISDIR, "a folder")
            self._lock = WriterLock(path)
            self._lock.take(0)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(path, flags, 0o666)
            self._read(path)
        except OSError as error:
            self.close()
            raise _unwritable(path, error) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lock is not None:
            self._lock.release()

    def add(self, row: Row) -> None:
        """Append a row; it is on the disk when this returns."""
        self.rows[row["key"]] = row
        if self.path is None:
            return
        line = json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n"
        try:
            os.write(self._file, line.encode())
            os.fsync(self._file)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            row = _row(line)
            if row is None:
                raise InputError(
                    f"{path}, line {number}",
                    "no row of a sweep",
                    expected="a file that a sweep has begun",
                    do="Name another file with --out",
                )
            self.rows[row["key"]] = row
        if whole < len(data):
            if not whole and not data.startswith(b'{"key":'):
                raise InputError(str(path), "no rows of a sweep", do="Name another file with --out")
            os.ftruncate(self._file, whole)


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if isinstance(row, dict) and all(name in row for name in _KEPT):
        return row
    return None


def _unwritable(path: Path, error: OSError) -> GalleryError:
    return GalleryError(
        str(path),
        f"rows cannot be kept there ({error.strerror})",
        do="Name another file with --out",
    )
