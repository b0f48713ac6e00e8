"""What a file has told is remembered until the next commit, of whichever process, and no longer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from stored import MANIFEST, enrolled

from kenspeckle.store import disk, recent
from kenspeckle.store.disk import DiskStore


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[DiskStore, DiskStore]]:
    """One that writes, and one that reads the same file."""
    with DiskStore.create(tmp_path / "things.ken", MANIFEST) as writer:
        writer.add(enrolled(20))
        with DiskStore.open(tmp_path / "things.ken") as reader:
            yield writer, reader


def moved(store: DiskStore, refs: str) -> None:
    """What another program does that changes what the index says of its folder."""
    with closing(sqlite3.connect(store.path)) as other, other:
        text = json.dumps({**MANIFEST.to_dict(), "refs": refs})
        other.execute("UPDATE state SET value = ? WHERE name = 'manifest'", (text,))


def statements(store: DiskStore) -> list[str]:
    told: list[str] = []
    store._connection.set_trace_callback(told.append)
    return told


def test_what_was_read_is_not_read_again(stores: tuple[DiskStore, DiskStore]) -> None:
    _, reader = stores
    ids = reader.ids()[:5].tolist()
    before = reader.get(ids)
    item = int(reader.owners(ids)[0])
    reader.prints(item)
    reader.refresh()
    told = statements(reader)
    assert reader.get([*reversed(ids), ids[0]]) == [*reversed(before), before[0]]
    reader.prints(item)
    reader.standing()
    reader.refresh()
    reader.standing()
    assert [one for one in told if "FROM reference" in one] == []


def test_a_commit_of_another_is_seen_at_once(stores: tuple[DiskStore, DiskStore]) -> None:
    writer, reader = stores
    first, second = reader.ids()[:2].tolist()
    old = reader.get([first])[0]
    assert writer.get([first]) == [old]
    writer.touch([(first, old.size + 1, old.mtime_ns)])
    for store in stores:
        assert store.get([first]) == [replace(old, size=old.size + 1)]
    item = int(reader.owners([second])[0])
    assert reader.prints(item) >= 1
    writer.remove(writer.ids().tolist())
    for store in stores:
        with pytest.raises(KeyError):
            store.get([second])
        with pytest.raises(KeyError):
            store.prints(item)


def test_a_commit_begins_with_the_manifest_that_is_there(
    stores: tuple[DiskStore, DiskStore],
) -> None:
    writer, _ = stores
    moved(writer, "moved")
    with writer.one_commit():
        assert writer.manifest.refs == "moved"
    moved(writer, "moved again")
    writer.touch([(int(writer.ids()[0]), 1, 2)])
    assert writer.manifest.refs == "moved again"


def test_while_nothing_is_committed_that_is_all_that_is_asked(
    stores: tuple[DiskStore, DiskStore],
) -> None:
    _, reader = stores
    reader.refresh()
    told = statements(reader)
    assert not reader.refresh()
    assert told == ["PRAGMA data_version"]
    moved(reader, "moved")
    assert reader.refresh()
    told.clear()
    assert not reader.refresh()
    assert told == ["PRAGMA data_version"]


def test_what_a_failed_commit_would_have_made_is_not_remembered(
    stores: tuple[DiskStore, DiskStore],
) -> None:
    writer, _ = stores
    first = int(writer.ids()[0])
    old = writer.get([first])

    def fail() -> None:
        with writer._commit():
            writer._connection.execute("UPDATE reference SET size = 77 WHERE id = ?", (first,))
            writer._read = None
            assert writer.get([first])[0].size == 77
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert writer.get([first]) == old


def test_no_more_is_remembered_than_is_said(
    stores: tuple[DiskStore, DiskStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reader = stores
    monkeypatch.setattr(recent, "MOST", 6)
    ids = reader.ids().tolist()
    for one in ids:
        reader.get([one])
        assert len(reader._recent().references) <= 6
    monkeypatch.setattr(disk, "FEW", 10)
    kept = dict(reader._recent().references)
    assert len(reader.get(ids)) == 20
    assert reader._recent().references == kept
