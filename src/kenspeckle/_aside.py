"""Files written beside their place and renamed, so that there is never half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FORGOTTEN = 24 * 3600.0
"""Seconds after which a file left beside its place by a killed process is erased."""


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of `path` when the block ends, all at once.

    A link is followed, and a file that is replaced hands on its permissions and, where the system
    lets it, its owner. When the block fails, `path` is as it was. Raises OSError where it cannot
    be written.
    """
    place = Path(os.path.realpath(path))
    beside, former = aside(place), _former(place)
    mode = 0o666 if former is None else stat.S_IMODE(former.st_mode)
    try:
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if former is not None and os.name == "posix":
                _hand_on(former, file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
        sync_folder(place.parent)
    finally:
        beside.unlink(missing_ok=True)


def _former(place: Path) -> os.stat_result | None:
    try:
        return place.stat()
    except OSError:
        return None


def _hand_on(former: os.stat_result, handle: int) -> None:
    """Owner first, as a change of owner may take permissions away."""
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (former.st_uid, former.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(handle, former.st_uid, former.st_gid)
    with contextlib.suppress(OSError):  # a file system without permissions
        os.fchmod(handle, stat.S_IMODE(former.st_mode))


def aside(path: Path) -> Path:
    """A name beside `path` that nobody uses. What killed processes left there is erased."""
    for left in path.parent.glob(f".{_literal(path.name)}.*.new*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN:
                left.unlink()
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")


def _literal(name: str) -> str:
    """A name in which `glob` sees no pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlive a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders; its rename is written through
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
