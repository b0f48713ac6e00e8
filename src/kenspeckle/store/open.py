"""Open, make and peek into an index, whatever kind of file it is."""

from __future__ import annotations

import os
from pathlib import Path

from kenspeckle.store import disk
from kenspeckle.store.base import Manifest, Store, Summary


def open_store(
    path: str | os.PathLike[str], *, write: bool = False, wait: float = disk.WAIT
) -> Store:
    """Open an index: an index file or an `.npz`, told apart by their content.

    `wait` is how many seconds a locked file is waited for.
    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexBusy, IndexReadOnly or UnsafeFile.
    """
    return disk.DiskStore.open(Path(path), write=write, wait=wait)


def create_store(path: str | os.PathLike[str], manifest: Manifest) -> Store:
    """Make a new index: `.npz` by that suffix, an index file by any other name.

    Missing folders are made. Raises GalleryError if there is a file already, IndexReadOnly.
    """
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    return disk.DiskStore.create(place, manifest)


def peek(path: str | os.PathLike[str]) -> Summary:
    """What an index says of itself, without loading its vectors.

    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexBusy or UnsafeFile.
    """
    return disk.peek(Path(path))
