"""Files written beside their place and renamed, so that there is never half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
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

    When the block fails, `path` is as it was. Raises OSError where it cannot be written.
    """
    beside = aside(path)
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


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
