"""Open, make and peek into an index, whatever kind of file it is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from kenspeckle._aside import aside
from kenspeckle.errors import IndexReadOnly
from kenspeckle.store import connection, disk, npz, reading
from kenspeckle.store.base import Enrolled, Manifest, Store, Summary
from kenspeckle.store.contents import Contents
from kenspeckle.store.lock import WriterLock
from kenspeckle.store.memory_store import MemoryStore
from kenspeckle.store.place import kind_of
from kenspeckle.types import Reference

BATCH = 512
"""References copied in one commit."""


def open_store(
    path: str | os.PathLike[str],
    *,
    write: bool = False,
    wait: float = reading.WAIT,
    named: npz.Namer | None = None,
) -> Store:
    """Open an index: an index file or an `.npz`, told apart by their content.

    `wait` is how many seconds a writer is waited for. `named` makes references from
    stored name and file name where an `.npz` of the former system holds nothing else.
    An `.npz` is read as a whole, and with `write` rewritten as a whole when it is closed.
    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexBusy, IndexReadOnly or UnsafeFile.
    """
    place = Path(path)
    if kind_of(place) == "disk":
        return disk.DiskStore.open(place, write=write, wait=wait)
    writer = _locked(place, wait) if write else None
    try:
        home = npz.NpzHome(place, named)
        stamp = home.stamp()  # before it is read: a file put there meanwhile is noticed later
        return MemoryStore(home.read(), home, stamp=stamp, writer=writer)
    except BaseException:
        if writer is not None:
            writer.release()
        raise


def create_store(
    path: str | os.PathLike[str], manifest: Manifest, *, wait: float = reading.WAIT
) -> Store:
    """Make a new index: `.npz` by that suffix, an index file by any other name.

    Missing folders are made. Raises GalleryError if there is a file already, IndexBusy if another
    process is about to make one, IndexReadOnly.
    """
    place = Path(path)
    _make_folder(place)
    connection.check_free(place)
    if not _is_npz(place):
        return disk.DiskStore.create(place, manifest, wait=wait)
    writer = _locked(place, wait)
    try:
        connection.check_free(place)
    except BaseException:
        writer.release()
        raise
    return MemoryStore(_nothing(manifest), npz.NpzHome(place), writer=writer, new=True)


def peek(path: str | os.PathLike[str]) -> Summary:
    """What an index says of itself, without loading its vectors.

    Raises IndexMissing, IndexCorrupt, IndexVersion, IndexBusy or UnsafeFile.
    """
    place = Path(path)
    return npz.peek(place) if kind_of(place) == "npz" else reading.peek(place)


def copy_store(source: Store, path: str | os.PathLike[str], *, wait: float = reading.WAIT) -> int:
    """Copy a gallery into a new index of either kind, by the suffix of `path`; how many references.

    It is one commit that is copied: vectors, calibration, feedback and, except into `.npz`,
    thumbnails and local features; ids are given anew. A calibration that was fresh stays fresh.
    The copy is made beside its place and named when it is whole, so one that fails leaves nothing.
    Raises GalleryError if there is a file already, IndexBusy, IndexReadOnly.
    """
    place = Path(path)
    _make_folder(place)
    connection.check_free(place)
    beside = aside(place)
    try:
        try:
            count = _copy_npz(source, beside) if _is_npz(place) else _copy_disk(source, beside)
        except IndexReadOnly as error:
            if beside.name not in error.thing:
                raise
            raise _not_copied(place, error) from error
        writer = _locked(place, wait)
        try:
            with connection.translated(place):
                connection.put(beside, place)
        finally:
            writer.release()
    finally:
        connection.forget(beside)
    return count


def _not_copied(place: Path, error: IndexReadOnly) -> IndexReadOnly:
    """The error of a file beside its place, told of the file that was asked for."""
    cause = error.__cause__
    why = cause.strerror if isinstance(cause, OSError) else cause
    return IndexReadOnly(
        place,
        f"the copy cannot be written ({why or error.found}); nothing of it was left",
        do="Make room, or name a place that can be written",
    )


def _copy_npz(source: Store, beside: Path) -> int:
    with MemoryStore(_nothing(source.manifest)) as target:
        _copy(source, target)
        npz.write(beside, target.contents())
        return len(target)


def _copy_disk(source: Store, beside: Path) -> int:
    with disk.DiskStore.create(beside, source.manifest) as target:
        _copy(source, target)
        return len(target)


def _copy(source: Store, target: Store) -> None:
    taken, kinds = source.snapshot(), source.feature_kinds()
    for some in _batches(taken.references()):
        numbers = [identifier for identifier, _ in some]
        vectors = taken.rows(numbers)
        ids = target.add(
            [
                Enrolled(reference, vector, source.thumbnail(identifier))
                for (identifier, reference), vector in zip(some, vectors, strict=True)
            ]
        )
        new = dict(zip(numbers, ids, strict=True))
        for kind in kinds:
            kept = source.features(numbers, kind)
            target.set_features(kind, {new[old]: data for old, data in kept.items()})
    for one in taken.feedback():
        target.add_feedback(dataclasses.replace(one, id=0))
    was, now = taken.standing(), target.standing()
    calibration = was.calibration
    if calibration is not None:
        change = now.change if calibration.change == was.change else -1
        feedback = now.feedback if calibration.feedback == was.feedback else -1
        target.set_calibration(dataclasses.replace(calibration, change=change, feedback=feedback))


def _batches(rows: Iterable[tuple[int, Reference]]) -> Iterator[list[tuple[int, Reference]]]:
    """Group for commits; rows of one path, which follow each other, stay together."""
    batch: list[tuple[int, Reference]] = []
    for row in rows:
        if len(batch) >= BATCH and row[1].path != batch[-1][1].path:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _nothing(manifest: Manifest) -> Contents:
    return Contents(manifest, np.empty((0, manifest.fingerprint.width), np.float32))


def _locked(place: Path, wait: float) -> WriterLock:
    writer = WriterLock(place)
    writer.take(wait)
    return writer


def _make_folder(place: Path) -> None:
    with connection.translated(place):
        place.parent.mkdir(parents=True, exist_ok=True)


def _is_npz(place: Path) -> bool:
    return place.suffix.lower() == ".npz"
