"""Open, make and peek into an index, whatever kind of file it is."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

from kenspeckle.errors import GalleryError
from kenspeckle.store import connection, disk, npz
from kenspeckle.store.base import Enrolled, Manifest, Store, Summary
from kenspeckle.store.memory_store import Contents, MemoryStore

BATCH = 512
"""References copied in one commit."""


def open_store(
    path: str | os.PathLike[str],
    *,
    write: bool = False,
    wait: float = disk.WAIT,
    named: npz.Namer | None = None,
) -> Store:
    """Open an index: an index file or an `.npz`, told apart by their content.

    `wait` is how many seconds a locked index file is waited for. `named` makes references from
    stored name and file name where an `.npz` of the former system holds nothing else.
    An `.npz` is read as a whole, and with `write` rewritten as a whole when it is closed.
    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexBusy, IndexReadOnly or UnsafeFile.
    """
    place = Path(path)
    if not _is_zip(place):
        return disk.DiskStore.open(place, write=write, wait=wait)
    home = npz.NpzHome(place, named)
    return MemoryStore(home.read(), home, write=write)


def create_store(path: str | os.PathLike[str], manifest: Manifest) -> Store:
    """Make a new index: `.npz` by that suffix, an index file by any other name.

    Missing folders are made. Raises GalleryError if there is a file already, IndexReadOnly.
    """
    place = Path(path)
    with connection.translated(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix.lower() != ".npz":
        return disk.DiskStore.create(place, manifest)
    if place.exists():
        raise GalleryError(str(place), "there is a file already", do="Open it, or name another")
    contents = Contents(manifest, np.empty((0, manifest.fingerprint.width), np.float32))
    return MemoryStore(contents, npz.NpzHome(place), new=True)


def peek(path: str | os.PathLike[str]) -> Summary:
    """What an index says of itself, without loading its vectors.

    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexBusy or UnsafeFile.
    """
    place = Path(path)
    return npz.peek(place) if _is_zip(place) else disk.peek(place)


def copy_store(source: Store, path: str | os.PathLike[str]) -> int:
    """Copy a gallery into a new index of either kind, by the suffix of `path`; how many references.

    Vectors, calibration and, except into `.npz`, thumbnails go along; ids are given anew. A
    calibration that was fresh stays fresh. A copy that fails leaves no file behind. Raises
    GalleryError if there is a file already, IndexReadOnly.
    """
    target = create_store(path, source.manifest)
    try:
        with target:
            _copy(source, target)
            return len(target)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def _copy(source: Store, target: Store) -> None:
    rows = list(source.references())
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        vectors = source.rows([identifier for identifier, _ in some])
        target.add(
            [
                Enrolled(reference, vector, source.thumbnail(identifier))
                for (identifier, reference), vector in zip(some, vectors, strict=True)
            ]
        )
    calibration = source.calibration()
    if calibration is not None:
        change = target.change() if calibration.change == source.change() else -1
        target.set_calibration(dataclasses.replace(calibration, change=change))


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False
