"""What every store does when threads, handles and processes share it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored import CALIBRATION, FINGERPRINT, MANIFEST, WIDTH, enrolled, vectors

from kenspeckle.errors import (
    GalleryError,
    IndexBusy,
    IndexMissing,
    SpaceMismatch,
)
from kenspeckle.store import Store, copy_store, create_store, open_store, peek


def test_a_second_handle_sees_commits(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    ids = store.add(enrolled(10))
    store.close()
    with open_store(path) as reader:
        assert not reader.refresh()
        with open_store(path, write=True) as writer:
            new = writer.add(enrolled(3, seed=5, prefix="new"))
            writer.remove(ids[:2])
            writer.add(enrolled(4)[2:3])
        assert reader.refresh()
        assert not reader.refresh()
        assert len(reader) == 11
        assert reader.search(vectors(1, 5), 1).ids[0, 0] == new[0]
        with open_store(path) as fresh:
            assert reader.ids().tolist() == fresh.ids().tolist()
            assert reader.rows().tolist() == fresh.rows().tolist()
            assert reader.owners().tolist() == fresh.owners().tolist() or kind == "npz"


def test_a_manifest_of_another_writer_is_seen_and_kept(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    store.add(enrolled(3))
    store.close()

    def elsewhere(refs: str) -> None:
        with open_store(path, write=True) as writer:
            writer.set_manifest(replace(writer.manifest, refs=refs))

    with open_store(path) as reader:
        elsewhere("moved")
        assert reader.refresh()
        assert not reader.refresh()
        assert reader.manifest.refs == reader.snapshot().manifest.refs == "moved"
        elsewhere("moved again")
        assert reader.snapshot().manifest.refs == "moved again" or kind == "npz"
        elsewhere("and again")
        with reader.writing():
            reader.set_manifest(replace(reader.manifest, naming="cards"))
    manifest = peek(path).manifest
    assert (manifest.refs, manifest.naming) == ("and again", "cards")


def test_a_file_of_another_model_is_never_taken(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    store.add(enrolled(5))
    store.close()
    other = replace(MANIFEST, fingerprint=replace(FINGERPRINT, weights="cd" * 32))
    aside = path.with_name(f"other{path.suffix}")
    with create_store(aside, other) as made:
        made.add(enrolled(7, 3))
    writer = open_store(path, write=True)
    with open_store(path) as reader:
        rows = reader.rows()
        aside.replace(path)
        for _ in range(3):
            for call in (reader.refresh, writer.refresh):
                with pytest.raises(SpaceMismatch, match="replaced by an index of"):
                    call()
            assert reader.manifest == MANIFEST
            assert reader.rows().tolist() == rows.tolist()
            found = reader.search(rows[:1], 1).ids[0].tolist()
            assert reader.get(found)[0].path == "0/0000.jpg"
    if kind == "disk":
        for _ in range(2):
            with pytest.raises(SpaceMismatch, match="replaced by an index of"):
                writer.add(enrolled(1, 4))
        writer.close()
    else:
        writer.add(enrolled(1, 4))
        with pytest.raises(IndexBusy, match="replaced it"):
            writer.close()
    assert (peek(path).vectors, peek(path).manifest) == (7, other)


def test_nothing_is_written_to_a_deleted_file(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    ids = store.add(enrolled(5))
    store.close()
    with open_store(path) as reader:
        writer = open_store(path, write=True)
        path.unlink()

        def written(change: Callable[[], object]) -> None:
            change()
            writer.close()  # an .npz is written here

        for change in (
            lambda: writer.add(enrolled(1, 4)),
            lambda: writer.remove(ids[:1]),
            lambda: writer.touch([(ids[0], 1, 2)]),
            lambda: writer.set_calibration(CALIBRATION),
        ):
            with pytest.raises(IndexMissing, match="deleted"):
                written(change)
        if kind == "disk":
            writer.close()
        assert not path.exists()
        assert not reader.refresh()
        assert len(reader) == 5
    assert not Path(f"{path}.lock").exists()


def test_one_handle_writes_at_a_time(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    store.add(enrolled(2))
    named = f"this process .{os.getpid()}. is writing"
    if kind == "disk":
        with pytest.raises(IndexBusy, match=named):
            open_store(path, write=True, wait=0.1)
    store.close()
    with open_store(path, write=True) as writer:
        with pytest.raises(IndexBusy, match=named):
            open_store(path, write=True, wait=0.1)
        with open_store(path) as reader:
            assert len(reader) == 2
        writer.add(enrolled(2, 1, "b"))
    with open_store(path, write=True) as writer:
        assert len(writer) == 4
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_writer_waits_for_its_turn(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    store.close()
    writer = open_store(path, write=True)
    with ThreadPoolExecutor(4) as pool:

        def one(n: int) -> None:
            with open_store(path, write=True) as next_writer:
                next_writer.add(enrolled(1, n, f"{n}-"))

        jobs = [pool.submit(one, n) for n in range(4)]
        writer.add(enrolled(2))
        writer.close()
        for job in jobs:
            job.result()
    assert peek(path).vectors == 6


_HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from kenspeckle.store import open_store
store = open_store(sys.argv[2], write=True)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_blocks_nobody(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    store.close()
    arguments = [sys.executable, "-c", _HOLDER, str(Path(__file__).parent.parent), str(path)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(IndexBusy, match=f"process {holder.pid}"):
            open_store(path, write=True, wait=0.1)
        holder.kill()
    assert Path(f"{path}.lock").exists()
    with open_store(path, write=True, wait=0.1) as writer:
        writer.add(enrolled(2))
    assert peek(path).vectors == 2
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("count", [0, 2])
def test_an_empty_file_can_be_dropped(kind: str, path: Path, store: Store, count: int) -> None:
    store.add(enrolled(count))
    store.close(drop_empty=True)
    store.close(drop_empty=True)
    if kind != "memory":
        assert path.exists() == bool(count)
        assert [one.name for one in path.parent.iterdir()] == [path.name] * bool(count)


def test_what_another_put_in_its_place_is_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "gallery.ken"
    for name in ("other.ken", "third.ken"):
        create_store(tmp_path / name, MANIFEST).close()
    store = create_store(path, MANIFEST)
    (tmp_path / "other.ken").replace(path)
    store.close(drop_empty=True)
    assert path.exists()
    with open_store(path) as reader:
        reader.close(drop_empty=True)
    assert path.exists()


def test_references_have_rows_beside_another_writer(
    kind: str, path: Path, store: Store, tmp_path: Path
) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    ids = store.add(enrolled(10))
    store.close()
    with open_store(path) as reader:
        with open_store(path, write=True) as writer:
            writer.remove(ids[:3])
            writer.add(enrolled(5, 6, "new"))
        if kind == "npz":
            reader.refresh()
        found = reader.select({"key": "newitem1"})
        assert len(reader.rows(found)) == 2
        numbers = [number for number, _ in reader.references()]
        assert reader.rows(numbers).shape == (12, WIDTH)
        assert (reader.owners(numbers) > 0).all()
        with open_store(path, write=True) as writer:
            writer.add(enrolled(4, 7, "more"))
        if kind == "npz":
            reader.refresh()
        assert copy_store(reader, tmp_path / "copy.ken") == 16


def test_a_copy_is_of_one_commit(store: Store, tmp_path: Path) -> None:
    """Others add and remove while it is made."""
    store.add(enrolled(1500))
    stop = threading.Event()

    def churn() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            store.remove(store.add(enrolled(64, turn, f"turn{turn}-")))

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(churn)
        try:
            for n in range(6):
                copy_store(store, tmp_path / f"{n}.ken")
        finally:
            stop.set()
        job.result()
    for n in range(6):
        summary = peek(tmp_path / f"{n}.ken")
        assert summary.vectors in (1500, 1564)


def test_a_copy_never_touches_a_file_of_somebody_else(store: Store, tmp_path: Path) -> None:
    store.add(enrolled(30))
    for name in ("copy.ken", "copy.npz"):
        place = tmp_path / name

        class Late:
            """A store beside whose copy somebody makes a file of the same name."""

            def __init__(self, place: Path) -> None:
                self._place = place

            def __getattr__(self, name: str) -> object:
                return getattr(store, name)

            def snapshot(self) -> object:
                with create_store(self._place, MANIFEST) as made:
                    made.add(enrolled(6))
                return store.snapshot()

        with pytest.raises(GalleryError, match="just made"):
            copy_store(Late(place), place)  # type: ignore[arg-type]
        assert peek(place).vectors == 6
        place.unlink()
        with (
            create_store(place, MANIFEST),
            pytest.raises(IndexBusy if name.endswith("npz") else GalleryError),
        ):
            copy_store(store, place, wait=0.1)
        place.unlink()
    assert [one for one in tmp_path.iterdir() if one.suffix not in ("",)] == []


@pytest.fixture
def hurry() -> Iterator[None]:
    """Threads take turns as often as they can, so that a moment between two steps is seen."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("what", ["exchange", "replace"])
def test_threads_never_see_less_than_is_there(
    kind: str, path: Path, store: Store, tmp_path: Path, what: str, hurry: None
) -> None:
    """The file is exchanged, or every reference stored again, while others look."""
    given = enrolled(400)
    store.add(given)
    if what == "exchange":
        if kind == "memory":
            pytest.skip("has no file")
        store.close()
        store = open_store(path)
    rows, stop = vectors(2, 5), threading.Event()

    def look() -> int:
        looks = 0
        while not stop.is_set():
            assert (store.search(rows, 400).ids >= 0).all()
            assert len(store) == len(store.ids()) == len(store.rows()) == 400
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(look) for _ in range(2)]
        try:
            for n in range(12):
                if what == "replace":
                    store.add(given)
                    continue
                fresh = tmp_path / f"{n}{path.suffix}"
                with create_store(fresh, MANIFEST) as made:
                    made.add(enrolled(400, n))
                fresh.replace(path)
                assert store.refresh()
        finally:
            stop.set()
        assert all(one.result() > 0 for one in looks)
    store.close()


def test_threads_search_while_others_add_and_remove(store: Store) -> None:
    first = enrolled(3000)
    kept = set(store.add(first))
    rows, stop = np.stack([one.vector for one in first[:7]]), threading.Event()

    def look() -> int:
        looks = 0
        while not stop.is_set():
            hits = store.search(rows, 5, threads=2)
            assert (np.diff(hits.scores, axis=1) <= 0).all()
            assert set(hits.ids[:, 0].tolist()) <= kept
            store.prints(hits.items[0, 0])
            store.get(hits.ids[:, 0].tolist())
            looks += 1
        return looks

    with ThreadPoolExecutor(3) as pool:
        looks = [pool.submit(look) for _ in range(3)]
        try:
            for n in range(25):
                store.remove(store.add(enrolled(300, seed=n + 1, prefix=f"{n}-")))
        finally:
            stop.set()
        assert all(one.result() > 0 for one in looks)
    assert set(store.ids().tolist()) == kept


_OTHER_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from stored import enrolled
from kenspeckle.store import open_store
with open_store(sys.argv[2], write=True) as store:
    for n in range(int(sys.argv[4])):
        store.add(enrolled(2, seed=n, prefix=f"{sys.argv[3]}{n}-"))
        print(n, flush=True)
"""


def other_process(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    folder = str(Path(__file__).parent.parent)
    arguments = [sys.executable, "-c", _OTHER_PROCESS, folder, str(path), name, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_and_one_reads(tmp_path: Path) -> None:
    path = tmp_path / "gallery.ken"
    create_store(path, MANIFEST).close()
    writers = [other_process(path, name, 15) for name in "ab"]
    with open_store(path) as reader:
        while any(writer.poll() is None for writer in writers):
            reader.refresh()
            assert len(reader) % 2 == 0
        assert [writer.wait() for writer in writers] == [0, 0]
        reader.refresh()
        assert len(reader) == 60
        assert reader.standing().change == 30
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_killed(tmp_path: Path) -> None:
    path = tmp_path / "gallery.ken"
    create_store(path, MANIFEST).close()
    kept: set[str] = set()
    pauses = np.random.default_rng(7).integers(1, 25, 10)
    for round_, pause in enumerate(pauses):
        writer = other_process(path, f"{round_}-", 10**6)
        assert writer.stdout is not None
        for _ in range(int(pause)):
            kept.add(f"{round_}-{int(writer.stdout.readline())}-")
        writer.kill()
        writer.wait()
        kept |= {f"{round_}-{int(line)}-" for line in writer.stdout if line.endswith("\n")}
        writer.stdout.close()
        with open_store(path, write=True) as store:
            paths = [one.path for _, one in store.references()]
            assert len(paths) == len(store) == len(store.rows())
            committed = {path.rsplit("-", 1)[0] + "-" for path in paths}
            assert kept <= committed
            assert len(paths) == 2 * len(committed)
            assert store.check() == []  # type: ignore[attr-defined]
