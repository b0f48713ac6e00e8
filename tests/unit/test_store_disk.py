"""The index file: damaged, hostile, locked, read-only and full."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kenspeckle.errors import (
    GalleryError,
    IndexBusy,
    IndexCorrupt,
    IndexMissing,
    IndexReadOnly,
    IndexVersion,
    SpaceMismatch,
)
from kenspeckle.store import (
    Enrolled,
    Manifest,
    create_store,
    disk_file,
    npz,
    open_store,
    peek,
    records,
)
from kenspeckle.store.connection import MAX_VALUE
from kenspeckle.store.disk import DiskStore
from kenspeckle.types import Fingerprint, Recipe, Reference

WIDTH = 16
MANIFEST = Manifest(Fingerprint("m", "ab", Recipe(32), WIDTH), created="2026-01-31")


def enrolled(count: int, seed: int = 0) -> list[Enrolled]:
    rows = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Enrolled(
            Reference(f"k{n}", f"K {n}", f"{seed}/{n}.jpg", metadata={"n": str(n)}),
            row,
            f"small picture {seed} {n}".encode() * 20,
        )
        for n, row in enumerate(rows)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "gallery.ken"
    with create_store(place, MANIFEST) as store:
        store.add(enrolled(20))
    return place


def sql(path: Path, *statements: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, values)


def test_one_file_is_left_behind(path: Path) -> None:
    assert [one.name for one in path.parent.iterdir()] == ["gallery.ken"]
    before = path.read_bytes()
    with open_store(path) as first, open_store(path) as second:
        assert len(first) == len(second) == 20
    peek(path)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["gallery.ken"]


@pytest.mark.parametrize("way", ["lent", "another handle"])
def test_what_was_written_is_not_taken_for_pages_of_a_file_put_in_its_place(
    way: str, path: Path
) -> None:
    """SQLite's log lies beside an index by its name: what waits there would overlay the new one."""
    other = path.with_name("other.ken")
    made_by = Fingerprint("other", "cd", Recipe(32), WIDTH)
    with create_store(other, replace(MANIFEST, fingerprint=made_by)) as store:
        store.add(enrolled(5, seed=7))
    with open_store(path) as reader:
        if way == "lent":
            with reader.writing():
                reader.add(enrolled(3, seed=1))
        else:
            with open_store(path, write=True) as writer:
                writer.add(enrolled(3, seed=1))
        other.replace(path)
        assert peek(path).manifest.fingerprint == made_by
        with open_store(path) as new:
            assert [one.path for _, one in new.references()] == [f"7/{n}.jpg" for n in range(5)]
        with pytest.raises(SpaceMismatch):
            reader.refresh()


def test_nothing_is_there(tmp_path: Path) -> None:
    for call in (open_store, peek):
        with pytest.raises(IndexMissing, match="kenspeckle index"):
            call(tmp_path / "none.ken")
        with pytest.raises(IndexCorrupt, match="a folder"):
            call(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"hello, world. " * 100, "neither"),
        (b"SQLite format 3\x00" + b"\x00" * 4000, "damaged|another program"),
        (b"SQLite format 3\x00" + bytes(range(256)) * 40, "damaged|another program"),
        (b"PK\x03\x04 and no more", "npz"),
    ],
)
def test_what_is_no_index_is_said_to_be_none(tmp_path: Path, content: bytes, found: str) -> None:
    place = tmp_path / "x.ken"
    place.write_bytes(content)
    for call in (open_store, peek, lambda p: open_store(p, write=True)):
        with pytest.raises(IndexCorrupt, match=found):
            call(place)
    assert place.read_bytes() == content


def test_a_truncated_file_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(100, len(whole), len(whole) // 13):
        path.write_bytes(whole[:size])
        with pytest.raises(IndexCorrupt):
            open_store(path).close()


def held_open(path: Path) -> list[str]:
    """The files of an index that this process holds open."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # one that listing them opened
            found.append(str(handle.readlink()))
    return [one for one in found if one.startswith(str(path))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not say")
def test_a_file_that_cannot_be_opened_is_let_go_of_at_once(path: Path) -> None:
    whole, errors = path.read_bytes(), []
    for size in range(100, len(whole), len(whole) // 13):
        path.write_bytes(whole[:size])
        for call in (open_store, peek, lambda p: open_store(p, write=True)):
            with pytest.raises(IndexCorrupt) as caught:
                call(path)
            errors.append(caught.value)  # an error that is kept keeps what its frames held
    assert len(errors) > 30
    assert held_open(path) == []


def test_any_damage_is_an_error_of_ours_or_harmless(path: Path) -> None:
    whole, draw = path.read_bytes(), np.random.default_rng(3)
    for _ in range(150):
        bad = bytearray(whole)
        for place in draw.integers(0, len(bad), 12):
            bad[place] = draw.integers(256)
        path.write_bytes(bytes(bad))
        try:
            with open_store(path) as store:
                for identifier, _ in store.references():
                    store.thumbnail(identifier)
                store.items()
                store.calibration()
                store.search(store.rows()[:1], 3)
        except (GalleryError, KeyError):
            pass


@pytest.mark.parametrize("bits", [0x4000, 0x0800, 0x7C00], ids=["7.6", "a little", "infinite"])
def test_a_damaged_vector_is_refused_and_its_reference_named(path: Path, bits: int) -> None:
    with open_store(path) as store:
        (number,) = store.select({"path": "0/3.jpg"}).tolist()
        row = store.rows([number])[0].astype("<f2")
    with closing(sqlite3.connect(path)) as connection:
        (stored,) = connection.execute(
            "SELECT row FROM vectors WHERE reference = ?", (number,)
        ).fetchone()
    assert stored == row.tobytes()
    row.view("<u2")[np.abs(row).argmax()] ^= bits
    bad = path.read_bytes().replace(stored, row.tobytes())
    path.write_bytes(bad)
    with pytest.raises(IndexCorrupt, match=r"the vector of '0/3\.jpg' is .*Index the references"):
        open_store(path).close()
    peek(path)  # reads no vector


def test_rows_of_every_length_that_is_stored_are_read(tmp_path: Path) -> None:
    for length in (0.9991, 1.0009):
        row = (np.eye(1, WIDTH) * length).astype(np.float32)[0]
        place = tmp_path / f"{length}.ken"
        with create_store(place, MANIFEST) as store:
            store.add([Enrolled(Reference("a", "A", "a.jpg"), row)])
        with open_store(place) as store:
            assert len(store) == 1


def test_damage_is_found_when_looked_for(path: Path) -> None:
    with DiskStore.open(path) as store:
        assert store.check() == []
    bad = bytearray(path.read_bytes())
    page = 4096
    for number in range(2, len(bad) // page):
        bad[number * page + 8 : number * page + 12] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(bad))
    with pytest.raises(IndexCorrupt):
        DiskStore.open(path).check()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON reference BEGIN DELETE FROM reference; END",
        "CREATE VIEW v AS SELECT * FROM reference",
        "CREATE TABLE extra (a)",
        "CREATE VIRTUAL TABLE f USING fts5 (a)",
        "CREATE INDEX i ON reference (substr(path, 1))",
        "ALTER TABLE reference ADD COLUMN bad GENERATED ALWAYS AS (zeroblob(1000000000))",
        "DROP TABLE thumbnails",
        "DROP INDEX reference_by_item",
    ],
)
def test_a_schema_that_is_not_ours_is_refused(path: Path, statement: str) -> None:
    sql(path, statement)
    for call in (open_store, peek, lambda p: open_store(p, write=True)):
        with pytest.raises(IndexCorrupt, match="do not belong"):
            call(path)


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE vectors SET row = zeroblob(2) WHERE reference = 3",),
        ("UPDATE vectors SET row = x'007c' || zeroblob(30) WHERE reference = 3",),
        ("UPDATE vectors SET row = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' WHERE reference = 3",),
        ("UPDATE vectors SET row = 7 WHERE reference = 3",),
        ("DELETE FROM reference WHERE id = 3",),
        ("UPDATE state SET value = 'many' WHERE name = 'change'",),
        ("UPDATE state SET value = 99 WHERE name = 'space'",),
        ("UPDATE state SET value = '{' WHERE name = 'manifest'",),
        ("DELETE FROM state WHERE name = 'manifest'",),
        ("UPDATE spaces SET fingerprint = '{\"model\": 1}'",),
        ("UPDATE spaces SET fingerprint = replace(fingerprint, '\"width\": 16', '\"width\": -1')",),
    ],
)
def test_content_that_no_release_writes_is_refused(path: Path, statements: tuple[str]) -> None:
    sql(path, "PRAGMA foreign_keys = OFF", *statements)
    with pytest.raises(IndexCorrupt):
        open_store(path).close()


@pytest.mark.parametrize(
    "value",
    ["{", "[1]", "7", "[" * 100_000, json.dumps({"n": "x" * MAX_VALUE}), b"\xff\xfe", 3.5],
)
def test_metadata_that_cannot_be_read_is_refused(path: Path, value: object) -> None:
    sql(path, "UPDATE reference SET metadata = ? WHERE id = 3", values=(value,))
    with open_store(path) as store, pytest.raises(GalleryError):
        list(store.references())


@pytest.mark.parametrize("value", ["{", "{}", "[]", "null", '{"promises": 3}', "[" * 100_000])
def test_a_calibration_that_cannot_be_read_is_refused(path: Path, value: str) -> None:
    sql(path, "UPDATE spaces SET calibration = ?", values=(value,))
    with open_store(path) as store, pytest.raises(IndexCorrupt, match="calibration"):
        store.calibration()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "other.db"
    sql(place, "CREATE TABLE a (b)")
    before = place.read_bytes()
    with pytest.raises(IndexCorrupt, match="another program"):
        open_store(place, write=True)
    assert place.read_bytes() == before


def test_a_newer_format_is_refused(path: Path) -> None:
    sql(path, "PRAGMA user_version = 99")
    for call in (open_store, peek, lambda p: open_store(p, write=True)):
        with pytest.raises(IndexVersion, match=r"format 99.*Update kenspeckle"):
            call(path)


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_writer_waits_then_names_the_first(path: Path) -> None:
    arguments = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with open_store(path, write=True, wait=0.2) as store:
            named = f"process {holder.pid}" if sys.platform == "linux" else "another process"
            with pytest.raises(IndexBusy, match=named):
                store.add(enrolled(1, 5))
            assert len(store) == 20
            assert store.search(store.rows()[:1], 1).ids[0, 0] == 1
            holder.communicate("")
            store.add(enrolled(1, 5))
            assert len(store) == 21


def test_a_full_disk_loses_nothing(path: Path) -> None:
    with DiskStore.open(path, write=True) as store:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(IndexReadOnly, match="disk is full"):
            store.add(enrolled(500, 1))
        assert len(store) == 20
        store._connection.execute("PRAGMA max_page_count = 100000")
        store.add(enrolled(5, 1))
    with DiskStore.open(path) as store:
        assert len(store) == 25
        assert store.check() == []


_READ = """
import os, sys
from kenspeckle.errors import IndexReadOnly
from kenspeckle.store import open_store, peek
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with open_store(sys.argv[1]) as store:
    print(len(store), len(list(store.references())), peek(sys.argv[1]).references)
try:
    open_store(sys.argv[1], write=True)
except IndexReadOnly as error:
    print(error)
"""


def read_as_nobody(path: Path) -> subprocess.CompletedProcess[str]:
    """Run the reader where the folder cannot be written, not even by root."""
    path.chmod(0o444)
    path.parent.chmod(0o555)
    for folder in path.parents[1:]:
        mode = folder.stat().st_mode
        if folder.stat().st_uid == os.getuid() and not mode & 0o001:
            folder.chmod(mode | 0o011)
    arguments = [sys.executable, "-c", _READ, str(path)]
    try:
        return subprocess.run(arguments, capture_output=True, text=True, check=False)
    finally:
        path.parent.chmod(0o755)


@pytest.fixture
def shared(path: Path) -> Path:
    """The index in a folder of its own, below one that every user may enter."""
    folder = path.parent / "shared"
    folder.mkdir()
    return Path(shutil.copy(path, folder))


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_read_only_folder_is_read(shared: Path) -> None:
    done = read_as_nobody(shared)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "20 20 20"
    assert "cannot be written" in lines[1]
    assert [one.name for one in shared.parent.iterdir()] == [shared.name]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_commits_that_wait_beside_a_read_only_file_are_not_passed_over(shared: Path) -> None:
    log = Path(f"{shared}-wal")
    with open_store(shared, write=True) as store:
        store.add(enrolled(3, 1))
        kept, waiting = shared.read_bytes(), log.read_bytes()
    shared.write_bytes(kept)
    log.write_bytes(waiting)
    done = read_as_nobody(shared)
    assert "Copy it together with gallery.ken-wal" in done.stderr
    with open_store(shared, write=True) as store:
        assert len(store) == 23


def test_what_is_removed_is_erased(path: Path) -> None:
    gone, kept = enrolled(1, 7)[0], enrolled(1, 8)[0]
    with open_store(path, write=True) as store:
        first, _ = store.add([gone, kept])
        names = [str(path), f"{path}-wal"]
        before = b"".join(Path(name).read_bytes() for name in names)
        store.remove([first])
        after = b"".join(Path(name).read_bytes() for name in names)
    for trace in (gone.vector.astype("<f2").tobytes(), gone.thumbnail):
        assert trace in before
        assert trace not in after
    for trace in (kept.vector.astype("<f2").tobytes(), kept.thumbnail):
        assert trace in after


def test_a_reader_far_behind_loads_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEPT_REMOVALS", 2)
    with open_store(path) as reader, open_store(path, write=True) as writer:
        for identifier in range(1, 8):
            writer.remove([identifier])
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM removals").fetchone() == (2,)
        assert reader.refresh()
        assert reader.ids().tolist() == writer.ids().tolist() == list(range(8, 21))


def test_a_failed_creation_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "new.ken"
    bad = replace(MANIFEST, options={"a": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        create_store(place, bad)
    assert list(tmp_path.iterdir()) == []


def test_text_tools_can_read_it(path: Path) -> None:
    """Names that are Unicode are stored as text, not as bytes."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT typeof(path), typeof(label) FROM reference LIMIT 1"
        assert connection.execute(query).fetchone() == ("text", "text")
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_put_in_its_place_is_followed(path: Path, tmp_path: Path) -> None:
    with create_store(tmp_path / "new.ken", MANIFEST) as store:
        store.add(enrolled(7, 3))
    with open_store(path) as reader, open_store(path, write=True) as writer:
        (tmp_path / "new.ken").replace(path)
        assert reader.refresh()
        assert not reader.refresh()
        assert len(reader) == 7
        writer.add(enrolled(1, 9))
        assert reader.refresh()
        assert len(reader) == len(writer) == 8
    other = replace(MANIFEST, fingerprint=replace(MANIFEST.fingerprint, weights="cd"))
    with open_store(path) as reader:
        create_store(tmp_path / "other.ken", other).close()
        (tmp_path / "other.ken").replace(path)
        with pytest.raises(SpaceMismatch, match="replaced"):
            reader.refresh()


def test_an_error_undoes_nothing_of_a_file_that_was_put_in_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_name("other.ken")
    with create_store(other, MANIFEST) as made:
        made.add(enrolled(7, 3))
        rows = made.rows()
    with DiskStore.open(path, write=True) as store:
        commit = store._commit

        def late() -> AbstractContextManager[None]:
            other.replace(path)
            return commit()

        monkeypatch.setattr(store, "_commit", late)
        with pytest.raises(KeyError), store.one_commit():
            store.get([10**6])
        assert (store.edition, store.counts()) == (1, (7, 7))
        assert np.array_equal(store.rows(), rows)


def test_a_model_set_by_another_process_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "gallery.ken"
    other = replace(MANIFEST, fingerprint=replace(MANIFEST.fingerprint, weights="cd"))
    create_store(path, MANIFEST).close()
    with open_store(path) as reader:
        with open_store(path, write=True) as writer:
            writer.set_manifest(other)
            writer.add(enrolled(1))
        for _ in range(2):
            with pytest.raises(SpaceMismatch, match="another process"):
                reader.refresh()
            assert len(reader) == 0
        assert reader.standing().change == 1


def test_what_a_deleted_index_left_is_not_taken_for_a_new_ones(path: Path, tmp_path: Path) -> None:
    log = Path(f"{path}-wal")
    with open_store(path, write=True) as store:
        store.add(enrolled(30, 1))
        left = log.read_bytes()
    path.unlink()
    log.write_bytes(left)
    with create_store(path, MANIFEST) as store:
        assert len(store) == 0
        store.add(enrolled(2, 2))
    with DiskStore.open(path) as store:
        assert (len(store), store.check()) == (2, [])


def test_two_that_make_one_index_do_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.ken"
    make = records.write_manifest
    with create_store(tmp_path / "other.ken", MANIFEST) as other:
        other.add(enrolled(3))

    def late(new: sqlite3.Connection, manifest: Manifest) -> None:
        with pytest.raises(IndexBusy, match=f"this process .{os.getpid()}"):
            create_store(path, MANIFEST, wait=0.1)
        (tmp_path / "other.ken").rename(path)  # by somebody who asks for no lock
        make(new, manifest)

    monkeypatch.setattr(records, "write_manifest", late)
    with pytest.raises(GalleryError, match="just made"):
        create_store(path, MANIFEST)
    assert peek(path).vectors == 3
    assert [one.name for one in tmp_path.iterdir()] == ["gallery.ken"]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not Unicode")
@pytest.mark.parametrize("name", ["a #?%41&mode=memory.ken", "na\udcffme.ken", "' \" ;.ken", "-x"])
def test_an_index_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with create_store(path, MANIFEST) as store:
        store.add(enrolled(2))
    with open_store(path) as store:
        assert len(store) == 2
    assert peek(path).references == 2
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    for name in ("pipe.ken", "pipe.npz"):
        os.mkfifo(tmp_path / name)
        calls = (open_store, peek, DiskStore.open, npz.read_table)
        for call in (*calls, lambda place: open_store(place, write=True)):
            with pytest.raises(IndexCorrupt, match="a pipe"):
                call(tmp_path / name)


_PASS_BY = """
import sys
from kenspeckle.store import open_store
with open_store(sys.argv[1]) as store:
    print(len(store))
"""


def test_looking_at_an_open_index_takes_no_lock_from_it(path: Path) -> None:
    """A lock lost, the next process to pass by would erase the log that is being written."""

    def passing_by() -> int:
        command = [sys.executable, "-c", _PASS_BY, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    with open_store(path, write=True) as writer:
        writer.add(enrolled(1, 1))
        for look in (peek, lambda place: open_store(place).close()):
            look(path)
            before = len(writer)
            assert passing_by() == before
            writer.add(enrolled(2, before))
            assert passing_by() == before + 2
        with pytest.raises(IndexBusy):
            open_store(path, write=True, wait=0)
        assert passing_by() == len(writer)


def test_a_path_stored_again_and_again_leaves_no_trail(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT_REMOVALS", 3)
    with open_store(path) as reader, open_store(path, write=True) as writer:
        for _ in range(12):
            writer.add(enrolled(1))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert connection.execute("SELECT count(*) FROM removals").fetchone() == (3,)
        assert reader.refresh()
        assert reader.ids().tolist() == writer.ids().tolist()


def test_whoever_reads_elsewhere_holds_up_no_change_and_no_question(path: Path) -> None:
    """The log is folded as far as the reader lets it, and the rest with a later question."""
    log = Path(f"{path}-wal")
    with open_store(path, write=True, wait=600.0) as store, ThreadPoolExecutor(1) as pool:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reference").fetchone()
            changing = pool.submit(store.remove, store.ids()[:5])
            try:
                assert changing.result(60.0) == 5
                assert not store.refresh()
                assert log.stat().st_size
            finally:
                reader.execute("COMMIT")
        assert log.stat().st_size
        store.refresh()
        assert not log.stat().st_size
        assert len(store) == 15


def test_a_handle_that_wrote_for_a_while_folds_the_log_when_readers_have_left(path: Path) -> None:
    log = Path(f"{path}-wal")
    with open_store(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reference").fetchone()
            with store.writing():
                store.remove(store.ids()[:5])
            assert log.stat().st_size
        store.refresh()
        assert not log.stat().st_size


def test_questions_are_answered_while_a_writer_that_ends_waits_for_readers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_file, "SETTLING", 600.0)
    with open_store(path) as store, ThreadPoolExecutor(2) as pool:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reference").fetchone()
            removed = threading.Event()

            def writes() -> None:
                with store.writing():
                    store.remove(store.ids()[:5])
                    removed.set()

            writing = pool.submit(writes)
            try:
                assert removed.wait(60.0)
                for _ in range(20):
                    assert pool.submit(store.counts).result(60.0) == (15, 15)
                assert not writing.done()
            finally:
                reader.execute("COMMIT")
        writing.result(60.0)
        assert not Path(f"{path}-wal").stat().st_size


def test_a_program_that_asks_for_no_lock_is_waited_for_no_longer_than_a_writer(path: Path) -> None:
    with DiskStore.open(path, wait=600.0) as store, ThreadPoolExecutor(1) as pool:

        def change(wait: float) -> int:
            with store.writing(wait):
                return store.remove([1])

        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            changing = pool.submit(change, 0.1)
            try:
                with pytest.raises(IndexBusy, match="another process"):
                    changing.result(60.0)
            finally:
                other.execute("ROLLBACK")
        assert change(60.0) == 1
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_questions_are_answered_while_such_a_program_is_waited_for(path: Path) -> None:
    lock = Path(f"{path}.lock")
    with DiskStore.open(path) as store, ThreadPoolExecutor(2) as pool:

        def change() -> int:
            with store.writing(600.0):
                return store.remove([1])

        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            changing = pool.submit(change)
            try:
                while not lock.exists():
                    assert not changing.done()
                for _ in range(20):
                    time.sleep(0.02)
                    assert pool.submit(store.counts).result(60.0) == (20, 20)
                assert not changing.done()
            finally:
                other.execute("ROLLBACK")
        assert changing.result(60.0) == 1
        assert store.counts() == (19, 19)
