"""A store in memory that may write for a while: what cannot be written did not happen."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from stored import MANIFEST, enrolled

from kenspeckle.errors import IndexReadOnly
from kenspeckle.store.contents import Contents
from kenspeckle.store.memory_store import MemoryStore


class Disk:
    """A home that has room for so many references."""

    def __init__(self, path: Path, room: int) -> None:
        self.path, self._room, self._stamp = str(path), room, 1
        self._kept = Contents(MANIFEST, np.empty((0, 24), np.float32))

    def stamp(self) -> tuple[int, ...]:
        return (self._stamp,)

    def read(self) -> Contents:
        return self._kept

    def write(self, contents: Contents, stamp: tuple[int, ...]) -> None:
        assert stamp == self.stamp()
        if len(contents.ids) > self._room:
            raise IndexReadOnly(self.path, "the disk is full")
        self._kept, self._stamp = contents, self._stamp + 1


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "small.npz", 4)


def as_reader(disk: Disk) -> MemoryStore:
    """A handle that was opened for reading: it has a home and no lock."""
    return MemoryStore(disk.read(), disk, stamp=disk.stamp())


def test_what_cannot_be_written_is_taken_back(disk: Disk) -> None:
    store = as_reader(disk)
    with store.writing():
        store.add(enrolled(3))
    with pytest.raises(IndexReadOnly, match="full"), store.writing():
        store.add(enrolled(3, prefix="more"))
    assert len(store) == 3
    assert len(disk.read().ids) == 3
    with store.writing():
        store.remove(store.ids()[:2].tolist())
    assert len(disk.read().ids) == 1


def test_nobody_is_told_of_success_when_another_failed_for_both(disk: Disk) -> None:
    store = as_reader(disk)
    inside, leave = threading.Event(), threading.Event()
    told: list[str] = []

    def slow() -> None:
        try:
            with store.writing():
                store.add(enrolled(2, prefix="slow"))
                inside.set()
                assert leave.wait(30)
            told.append("kept")
        except IndexReadOnly as error:
            told.append(error.found)

    thread = threading.Thread(target=slow)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(IndexReadOnly, match="full"), store.writing():
        store.add(enrolled(4, prefix="fast"))
    leave.set()
    thread.join()
    assert told == ["the change could not be written"]
    assert len(store) == len(disk.read().ids) == 0
