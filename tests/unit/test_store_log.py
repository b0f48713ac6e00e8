"""Exchanging an index whose log holds commits: those never become a part of the new file."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import MANIFEST, enrolled

from kenspeckle.errors import IndexBusy, IndexCorrupt
from kenspeckle.store import connection, create_store, open_store, peek
from kenspeckle.store.lock import log_waits, noted
from kenspeckle.store.written import Written

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files in use are exchanged")
MANY = 400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(tmp_path / "index.ken", MANY, "first/")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return made(tmp_path / "other.ken", 3, "second/")


def made(path: Path, count: int, prefix: str) -> Path:
    with create_store(path, MANIFEST) as store:
        store.add(enrolled(count, prefix=prefix))
    return path


def sound(path: Path, count: int, prefix: str) -> None:
    """It holds so many references of that prefix and no other, and is not damaged."""
    with open_store(path, wait=0) as store:
        assert store.check() == []
        assert {one.path.split("/")[0] + "/" for _, one in store.references()} == {prefix}
        assert len(store) == count


@pytest.mark.parametrize("lent", [False, True])
def test_a_commit_before_the_exchange_stays_with_the_former_file(
    path: Path, other: Path, lent: bool
) -> None:
    with open_store(path, write=not lent) as store:
        with store.writing():
            store.add(enrolled(5, seed=1, prefix="more/"))
            assert log_waits(path)
            other.replace(path)
        if lent:
            assert not log_waits(path)
            assert store.refresh() is False  # it was followed as writing ended
            assert len(store) == 3
    sound(path, 3, "second/")


def test_who_writes_goes_on_with_the_new_file(path: Path, other: Path) -> None:
    with open_store(path, write=True) as store:
        store.add(enrolled(5, seed=1, prefix="second/more/"))
        other.replace(path)
        store.add(enrolled(2, seed=2, prefix="second/more/"))
        assert noted(path).number == path.stat().st_ino
        assert len(store) == 5
    sound(path, 5, "second/")


def test_nobody_opens_the_new_file_before_the_log_is_folded(path: Path, other: Path) -> None:
    with open_store(path) as reader, open_store(path, write=True) as writer:
        writer.add(enrolled(5, seed=1, prefix="first/more/"))
        other.replace(path)
        with pytest.raises(IndexBusy, match=r"this process .* is writing to it"):
            open_store(path, wait=0.1)
        assert reader.refresh() is True  # by what was committed to the file it has open
        assert len(reader) == MANY + 5
        writer.refresh()
        assert reader.refresh() is True
        assert len(reader) == 3
    sound(path, 3, "second/")


def test_commits_to_the_new_file_are_no_concern_of_who_has_the_former_one(
    path: Path, other: Path
) -> None:
    with open_store(path) as reader:
        other.replace(path)
        with open_store(path, write=True) as writer:
            writer.add(enrolled(2, seed=1, prefix="second/more/"))
            assert reader.refresh() is True
            assert len(reader) == 5
            assert log_waits(path)
    sound(path, 5, "second/")


KILLED = """
import os, signal, sys
sys.path[:0] = {paths}
from stored import enrolled
from kenspeckle.store import open_store
store = open_store({path!r}, write=True)
store.add(enrolled(2, seed=1, prefix="first/more/"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path) -> None:
    """Leave beside an index the log of a process that was killed after a commit."""
    words = KILLED.format(paths=[str(Path(__file__).parents[1])], path=str(path))
    done = subprocess.run([sys.executable, "-c", words], check=False)
    assert done.returncode == -signal.SIGKILL
    assert log_waits(path)


def test_what_a_killed_process_left_is_not_taken_for_pages_of_another_file(
    path: Path, other: Path
) -> None:
    kept = path.with_name("kept")
    killed(path)
    path.rename(kept)
    other.replace(path)
    for write in (False, True):
        with pytest.raises(IndexCorrupt, match=r"written for another file.*Move index\.ken-wal"):
            open_store(path, write=write, wait=0)
    with pytest.raises(IndexCorrupt, match="written for another file"):
        peek(path)
    for suffix in ("-wal", "-shm"):
        shutil.move(f"{path}{suffix}", f"{kept}{suffix}")
    sound(path, 3, "second/")
    kept.rename(path)
    for suffix in ("-wal", "-shm"):
        shutil.move(f"{kept}{suffix}", f"{path}{suffix}")
    sound(path, MANY + 2, "first/")


@pytest.mark.skipif(sys.platform != "linux", reason="files have no attributes here")
@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2], ids=["plain", "with attributes"])
def test_nor_for_pages_of_a_backup_that_is_put_back(
    path: Path, copy: Callable[[Path, Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is often that of the file that was deleted."""
    with open_store(path, write=True) as store:
        store.add(enrolled(1, seed=3, prefix="first/"))
    backup = path.with_name("backup")
    copy(path, backup)
    killed(path)
    path.unlink()
    copy(backup, path)
    said = noted(path)
    assert said.mark
    assert Written(path.stat().st_ino, said.mark).is_other(path)
    # On another machine one without a mark may have lost it on its way there.
    for node in (platform.node(), "another")[: 1 if copy is shutil.copy else 2]:
        monkeypatch.setattr(platform, "node", lambda name=node: name)
        with pytest.raises(IndexCorrupt, match=r"written for another file.*Move index\.ken-wal"):
            open_store(path, wait=0)


@pytest.mark.parametrize("copied", [False, True])
def test_the_log_of_a_killed_process_is_taken_on_another_machine(
    path: Path, copied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(path)
    if copied:  # without attributes, as most programs do
        for place in path.parent.glob(f"{path.name}*"):
            shutil.copy(place, place.with_name(f"of-{place.name}"))
        path = path.with_name(f"of-{path.name}")
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert noted(path).number is None
    with open_store(path, write=True) as store:
        store.add(enrolled(1, seed=2, prefix="first/last/"))
    sound(path, MANY + 3, "first/")


def test_where_nothing_was_exchanged_the_log_of_a_killed_process_is_taken(path: Path) -> None:
    killed(path)
    assert noted(path).number == path.stat().st_ino
    sound(path, MANY + 2, "first/")
    with open_store(path, write=True) as store:
        store.add(enrolled(1, seed=2, prefix="first/last/"))
    assert noted(path) == Written()
    sound(path, MANY + 3, "first/")


def test_a_log_that_comes_while_a_file_is_opened_is_not_written_into_another_one(
    path: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer commits to the former file, which is exchanged then, between the look at the log
    and the opening."""
    kept, open_file = path.with_name("kept"), connection.open_file

    def overtaken(place: Path, **asked: Any) -> Any:
        monkeypatch.setattr(connection, "open_file", open_file)
        killed(path)
        path.rename(kept)
        other.rename(path)
        return open_file(place, **asked)

    monkeypatch.setattr(connection, "open_file", overtaken)
    with pytest.raises(IndexCorrupt, match="written for another file"):
        open_store(path, wait=0)
    for suffix in ("-wal", "-shm"):
        shutil.move(f"{path}{suffix}", f"{kept}{suffix}")
    sound(path, 3, "second/")
    sound(kept, MANY + 2, "first/")
