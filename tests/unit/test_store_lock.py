"""The writer's lock: its file, who holds it, and how it is let go."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from stored import MANIFEST, enrolled

from kenspeckle.errors import GalleryError, IndexBusy, IndexCorrupt, IndexMissing, IndexReadOnly
from kenspeckle.store import create_store, open_store
from kenspeckle.store.lock import WriterLock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "gallery.ken"
    with create_store(place, MANIFEST) as store:
        store.add(enrolled(20))
    return place


def test_a_file_of_that_name_which_is_no_lock_stays(path: Path) -> None:
    lock = Path(f"{path}.lock")
    lock.write_text("my own notes\n")
    with pytest.raises(GalleryError, match="no lock of ours"):
        open_store(path, write=True)
    with open_store(path) as reader:
        assert len(reader) == 20
    assert lock.read_text() == "my own notes\n"
    lock.unlink()
    lock.touch()  # killed between making it and naming itself
    with open_store(path, write=True) as writer:
        assert lock.read_text().splitlines()[1] == str(os.getpid())
        writer.add(enrolled(1, 1))
    assert not lock.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_leads_to_one_lock(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.ken"
    link.symlink_to(path)
    with open_store(path, write=True), pytest.raises(IndexBusy, match="this process"):
        open_store(link, write=True, wait=0)
    bad = tmp_path / "bad.ken"
    shutil.copy(path, bad)
    Path(f"{bad}.lock").symlink_to(path)
    before = path.read_bytes()
    with pytest.raises(IndexReadOnly, match="lock"):
        open_store(bad, write=True)
    assert path.read_bytes() == before


def test_opening_that_fails_holds_no_lock(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE thumbnails")
    for _ in range(2):
        with pytest.raises(IndexCorrupt):
            open_store(path, write=True, wait=0)
    with pytest.raises(IndexMissing):
        open_store(path.with_name("none.ken"), write=True, wait=0)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_store_that_is_forgotten_lets_go(path: Path) -> None:
    lock = WriterLock(path)
    lock.take(0)
    del lock
    gc.collect()
    open_store(path, write=True, wait=0).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_let_go_for_its_parent(path: Path) -> None:
    lock = WriterLock(path)
    lock.take(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads beside a fork
        child = os.fork()
    if not child:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(IndexBusy):
        open_store(path, write=True, wait=0)
    lock.release()
    open_store(path, write=True, wait=0).close()


def test_many_writers_never_hold_it_together(path: Path) -> None:
    """They make, take and erase one lock file as fast as they can."""
    inside: list[int] = []

    def one(number: int) -> None:
        for _ in range(40):
            lock = WriterLock(path)
            lock.take(30)
            inside.append(number)
            assert inside == [number]
            inside.pop()
            lock.release()

    with pytest.MonkeyPatch.context() as hurry, ThreadPoolExecutor(4) as pool:
        hurry.setattr("kenspeckle.store.lock.PAUSE", 0.0005)
        for job in [pool.submit(one, number) for number in range(4)]:
            job.result()
    assert [one.name for one in path.parent.iterdir()] == [path.name]
