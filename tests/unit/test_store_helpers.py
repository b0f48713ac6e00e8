"""Who opens a file that was exchanged shares nothing with those who still use the former one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stored import MANIFEST, enrolled

from kenspeckle.errors import IndexBusy
from kenspeckle.store import create_store, helpers, open_store
from kenspeckle.store.lock import WriterLock, log_waits, noted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files have no attributes here")

OTHER = """
import sys
from pathlib import Path
from kenspeckle.store import open_store
with open_store(Path(sys.argv[1])) as store:
    print(len(store), flush=True)
    for _ in sys.stdin:
        store.refresh()
        print(len(list(store.references())), flush=True)
"""


class Reader:
    """Another process that has an index open for reading."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def sees(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.told()

    def told(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        reader = Reader(process)
        reader.told()
        yield reader
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def made(path: Path, count: int) -> Path:
    with create_store(path, MANIFEST) as store:
        store.add(enrolled(count))
    return path


def table(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")


@pytest.mark.parametrize(("former", "new"), [(400, 3), (3, 400)], ids=["smaller", "larger"])
def test_a_new_file_is_whole_while_others_use_the_former_one(
    tmp_path: Path, former: int, new: int
) -> None:
    path, other = made(tmp_path / "index.ken", former), made(tmp_path / "other.ken", new)
    with reading(path) as first, reading(path) as second:
        with open_store(path, write=True) as writer:
            writer.add(enrolled(1, seed=1, prefix="more/"))
        assert first.sees() == former + 1
        other.replace(path)
        with open_store(path, write=True) as writer:
            assert len(writer) == new
            writer.add(enrolled(1, seed=2, prefix="new/"))
            assert second.sees() == new + 1
        assert first.sees() == new + 1
    with open_store(path) as store:
        assert store.check() == []
        assert len(store) == new + 1
    assert not table(path).exists()


def locks_on(path: Path) -> int:
    """How many locks this process has on a file."""
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    mine = [line for line in lines if line.split()[-4] == str(os.getpid())]
    return sum(line.split()[-3].endswith(f":{path.stat().st_ino}") for line in mine)


def test_who_follows_keeps_the_lock_that_says_that_the_table_is_in_use(tmp_path: Path) -> None:
    path, other = made(tmp_path / "index.ken", 3), made(tmp_path / "other.ken", 5)
    with open_store(path) as store:
        assert locks_on(table(path)) == 1
        other.replace(path)
        assert store.refresh()
        assert len(store) == 5
        assert locks_on(table(path)) == 1


def test_a_table_with_commits_in_its_log_keeps_its_name(tmp_path: Path) -> None:
    path, other = made(tmp_path / "index.ken", 3), made(tmp_path / "other.ken", 5)
    with open_store(path, write=True) as writer:
        writer.add(enrolled(1, seed=1, prefix="more/"))
        other.replace(path)
        before = table(path).stat().st_ino
        with pytest.raises(IndexBusy):
            open_store(path, wait=0)
        helpers.part(path)
        assert table(path).stat().st_ino == before


def test_a_table_of_the_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = made(tmp_path / "index.ken", 3)
    with open_store(path):
        before = table(path).stat().st_ino
        helpers.part(path)
        helpers.claim(path, 1)  # another file than the one that is there
        with open_store(path):
            assert table(path).stat().st_ino == before


def test_a_table_that_was_copied_with_its_index_is_the_copys(tmp_path: Path) -> None:
    path, copy = made(tmp_path / "index.ken", 3), tmp_path / "copy.ken"
    with open_store(path, write=True) as writer:
        writer.add(enrolled(1, seed=1, prefix="more/"))
        for end in ("", "-wal", "-shm"):  # with attributes, and by another process
            subprocess.run(["cp", "-a", f"{path}{end}", f"{copy}{end}"], check=True)
    with open_store(copy, write=True) as writer:
        assert len(writer) == 4
        assert writer.remove([1]) == 1
        assert not log_waits(copy)  # what is erased leaves the log at once
        before = table(copy).stat().st_ino
        with open_store(copy) as reader:
            assert table(copy).stat().st_ino == before
            writer.add(enrolled(1, seed=2, prefix="last/"))
            assert reader.refresh()
            assert len(reader) == len(writer) == 4


def test_where_nothing_is_there_nothing_is_done(tmp_path: Path) -> None:
    helpers.claim(tmp_path / "none.ken", 1)
    helpers.part(tmp_path / "none.ken")
    assert list(tmp_path.iterdir()) == []


def test_a_log_with_a_head_and_no_commit_is_none(tmp_path: Path) -> None:
    path = made(tmp_path / "index.ken", 3)
    log = tmp_path / "index.ken-wal"
    log.write_bytes(bytes(32))
    assert not log_waits(path)
    log.write_bytes(bytes(33))
    assert log_waits(path)


def test_whose_a_log_is_stays_noted_until_it_is_folded(tmp_path: Path) -> None:
    path = made(tmp_path / "index.ken", 3)
    lock = WriterLock(path)
    lock.take(0)
    lock.note(7)
    lock.note(8)
    assert noted(path).number == 8
    (tmp_path / "index.ken-wal").write_bytes(bytes(99))
    lock.note(9)
    assert noted(path).number == 8
    (tmp_path / "index.ken-wal").unlink()
    lock.note(9)
    assert noted(path).number == 9
    lock.release()
