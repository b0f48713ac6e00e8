"""What lies in a folder: pictures with their size and time, and why anything else is left out."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from typing import NamedTuple

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.override import LABELS, MANIFEST
from kenspeckle.errors import CatalogError
from kenspeckle.image.decode import SUFFIXES

FLAT_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""What `index --refs` reads, as the system it is compatible with does."""

FOLDER = "folder"


class Found(NamedTuple):
    """A picture file: its path below the folder (`/` between parts), where it is, its stat."""

    path: str
    file: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Walk:
    """What lies in a folder. `unread` has the folder itself as an empty path."""

    pictures: list[Found] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    labels: bool = False


def place(folder: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Which folder lies there, by device and number; None where there is none."""
    try:
        found = Path(folder).stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if S_ISDIR(found.st_mode) else None


def check_place(folder: str | os.PathLike[str], before: tuple[int, int] | None) -> None:
    """Refuse what was read of a folder that has gone meanwhile: all of it would seem erased.

    Raises CatalogError.
    """
    if before is not None and place(folder) != before:
        raise CatalogError(
            shown(os.fspath(folder)),
            "it vanished while it was read",
            expected="a folder that stays",
            do="Nothing was changed; put it back and run it again",
        )


def walk_through(folder: str, flat: bool) -> Walk:
    """Go through a folder without following links to folders and without opening anything."""
    walk, todo = Walk(), [("", folder)]
    suffixes = FLAT_SUFFIXES if flat else SUFFIXES
    while todo:
        prefix, here = todo.pop()
        try:
            with os.scandir(here) as listing:
                for entry in listing:
                    path = prefix + entry.name
                    try:
                        why = _sort_in(walk, entry, path, suffixes)
                    except OSError as error:
                        walk.unread.append(shown(path))
                        why = f"cannot be looked at: {error.strerror}"
                    if why == FOLDER and not flat:
                        todo.append((f"{path}/", entry.path))
                    elif why:
                        walk.skipped.append((shown(path), why))
        except OSError as error:
            walk.unread.append(shown(prefix.rstrip("/")))
            walk.skipped.append((shown(prefix) or ".", f"cannot be listed: {error.strerror}"))
    return walk


def _sort_in(walk: Walk, entry: os.DirEntry[str], path: str, suffixes: frozenset[str]) -> str:
    """File one directory entry under pictures, or say why not."""
    name = entry.name
    if name.startswith("."):
        return "hidden file"
    if entry.is_dir(follow_symlinks=False):
        return FOLDER
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  Path costs ten times as much here
    if name == MANIFEST:
        walk.manifests.append(path)
        return ""
    if path == LABELS:
        walk.labels = True
        return ""
    if suffix not in suffixes:
        return "link, not followed" if entry.is_symlink() else "not a picture file"
    if not _regular(entry):
        return "link to no file" if entry.is_symlink() else "not a regular file"
    stat = entry.stat()
    walk.pictures.append(Found(path, entry.path, stat.st_size, stat.st_mtime_ns))
    return ""


def _regular(entry: os.DirEntry[str]) -> bool:
    """Whether a file lies there. OSError when a link leads where nobody may look."""
    try:
        return entry.is_file()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):  # a link that leads round, or nowhere
            return False
        raise
