"""What a service asks of every store: pages, one commit for an exchange, the lock for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored import MANIFEST, ODD, enrolled

from kenspeckle.errors import IndexBusy, IndexReadOnly
from kenspeckle.store import Enrolled, Store, create_store, open_store


@pytest.fixture
def reader(kind: str, path: Path) -> Iterator[Store]:
    """A store of eight references of four items, opened for reading."""
    if kind == "memory":
        pytest.skip("a store in memory has no file to share")
    with create_store(path, MANIFEST) as made:
        made.add(enrolled(8))
    with open_store(path) as opened:
        yield opened


def test_pages_of_items_go_on_where_the_last_one_ended(store: Store) -> None:
    store.add(enrolled(20))
    seen: list[str] = []
    after = None
    while some := store.items(after=after, most=3):
        assert len(some) <= 3
        seen += [item.key for item in some]
        after = some[-1].key
    assert seen == [item.key for item in store.items()]
    assert store.items(after="item3", most=1)[0] == store.items()[4]


def test_pages_of_references_survive_what_comes_and_goes(store: Store) -> None:
    ids = store.add(enrolled(12))
    first = store.page(most=5)
    assert [number for number, _ in first] == ids[:5]
    store.remove([ids[5], ids[0]])
    new = store.add(enrolled(1, prefix="late"))
    rest = store.page(after=first[-1][0], most=100)
    assert [number for number, _ in rest] == [*ids[6:], *new]
    own = store.page(key="item1", most=100)
    assert {reference.key for _, reference in own} == {"item1"}
    assert len(own) == 2


def test_an_exchange_is_one_commit(store: Store) -> None:
    ids = store.add(enrolled(6))
    before = store.standing().change
    made = store.add(enrolled(1, prefix="new"), instead_of=[*ids[:2], 999])
    assert store.standing().change == before + 1
    assert sorted(store.ids().tolist()) == sorted([*ids[2:], *made])


def test_an_exchange_may_name_what_its_paths_replace_anyway(store: Store) -> None:
    ids = store.add(enrolled(2))
    made = store.add(enrolled(2), instead_of=ids)
    assert store.ids().tolist() == made
    assert len(store.rows()) == 2


def test_an_exchange_for_nothing_is_a_removal(store: Store) -> None:
    ids = store.add(enrolled(3))
    assert store.add([], instead_of=ids[:1]) == []
    assert store.ids().tolist() == ids[1:]


def test_a_reader_writes_inside_a_block_only(reader: Store, path: Path) -> None:
    with pytest.raises(IndexReadOnly):
        reader.remove([1])
    with reader.writing():
        made = reader.add(enrolled(1, seed=5, prefix="more"))
    with open_store(path) as other:
        assert made[0] in other.ids()
    assert np.allclose(reader.rows(made), enrolled(1, seed=5)[0].vector, atol=1e-2)
    with pytest.raises(IndexReadOnly):
        reader.remove(made)


def test_another_writer_is_named_and_may_write_afterwards(reader: Store, path: Path) -> None:
    with (
        open_store(path, write=True),
        pytest.raises(IndexBusy, match="this process"),
        reader.writing(wait=0.05),
    ):
        raise AssertionError("it was let in")
    with reader.writing():
        pass
    with open_store(path, write=True, wait=0.0) as other:
        other.remove([1])
    with reader.writing():
        assert reader.refresh() or 1 not in reader.ids()
        reader.remove([2])
    assert {1, 2}.isdisjoint(reader.ids().tolist())


def test_several_threads_share_the_lock_and_readers_go_on(reader: Store, path: Path) -> None:
    failed: list[BaseException] = []
    together = threading.Barrier(4)

    def write(number: int) -> None:
        try:
            together.wait(60)
            for turn in range(3):
                with reader.writing():
                    reader.add(enrolled(1, seed=number, prefix=f"{number}-{turn}-"))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    together.wait(60)
    while any(thread.is_alive() for thread in threads):
        found = reader.search(reader.rows()[:1], 1)
        assert found.ids[0, 0] > 0
    assert not failed
    with open_store(path, write=True, wait=0.0) as other:
        assert len(other) == 8 + 9


def test_a_block_follows_a_file_that_was_exchanged(reader: Store, path: Path) -> None:
    aside = path.with_name("other" + path.suffix)
    with create_store(aside, MANIFEST) as other:
        other.add(enrolled(2, prefix="other"))
    aside.replace(path)
    with reader.writing():
        reader.add(enrolled(1, prefix="new"))
    with open_store(path) as now:
        assert {one.key for _, one in now.references()} == {"otheritem0", "newitem0"}


def test_one_who_may_write_at_any_time_needs_no_block(store: Store) -> None:
    with store.writing():
        store.add(enrolled(1))
    store.add(enrolled(2))
    assert len(store) == 2


def test_others_wait_while_a_block_reads(store: Store) -> None:
    ids = store.add(enrolled(4))
    gone = threading.Event()

    def erase() -> None:
        store.remove(ids[:1])
        gone.set()

    thread = threading.Thread(target=erase)
    with store.still():
        thread.start()
        assert not gone.wait(0.1)
        found = store.search(store.rows(ids[:1]), 4)
        assert len(store.get(found.ids[0].tolist())) == 4
    thread.join()
    assert ids[0] not in store.ids()


def test_paths_are_told_by_id_without_views(store: Store) -> None:
    given = enrolled(7)
    view = replace(given[2].reference, view="1")
    odd = replace(given[3].reference, path=ODD)
    ids = store.add([*given[:3], Enrolled(view, given[2].vector), Enrolled(odd, given[3].vector)])
    told = [(ids[0], "0/0000.jpg"), (ids[1], "0/0001.jpg"), (ids[2], "1/0002.jpg"), (ids[4], ODD)]
    assert store.paths() == told
    assert store.paths(after=ids[0], most=2) == told[1:3]
    store.remove(ids[:2])
    assert store.paths(most=1) == told[2:3]
    (late,) = store.add(enrolled(1))
    assert store.paths(after=ids[4]) == [(late, "0/0000.jpg")]
    assert store.paths(after=late) == []


def test_a_file_is_found_by_its_hash_as_long_as_it_is_enrolled(store: Store) -> None:
    given = enrolled(5)
    ids = store.add(given)
    twin = replace(given[1].reference, path="twin.jpg")
    (other,) = store.add([Enrolled(twin, given[1].vector)])
    assert store.select({"sha256": twin.sha256}).tolist() == [ids[1], other]
    assert store.select({"sha256": twin.sha256, "path": "twin.jpg"}).tolist() == [other]
    store.remove([ids[1]])
    assert store.select({"sha256": twin.sha256, "key": twin.key}).tolist() == [other]
    store.remove([other])
    assert store.select({"sha256": twin.sha256}).tolist() == []
    bare = replace(twin, sha256="", path="bare.jpg")
    (unknown,) = store.add([Enrolled(bare, given[1].vector)])
    assert store.select({"sha256": ""}).tolist() == [unknown]


def test_items_are_listed_anew_when_they_come_and_go(store: Store) -> None:
    ids = store.add(enrolled(6))
    assert [one.key for one in store.items(most=2)] == ["item0", "item1"]
    store.remove(ids[:2])
    assert [one.key for one in store.items(most=2)] == ["item1", "item2"]
    store.add(enrolled(1, prefix="a"))
    assert [one.key for one in store.items()] == ["aitem0", "item1", "item2"]
    assert [one.key for one in store.items(after="aitem0", most=5)] == ["item1", "item2"]


def test_items_and_pictures_are_counted_as_of_the_last_change(store: Store) -> None:
    assert store.counts() == (0, 0)
    given = enrolled(5)
    view = Enrolled(replace(given[2].reference, view="1"), given[2].vector)
    ids = store.add([*given, view])
    assert store.counts() == store.counts() == (3, 5)
    store.remove(ids[:2])
    assert store.counts() == (2, 3)


def test_another_process_changes_the_counts(reader: Store) -> None:
    assert reader.counts() == (4, 8)
    with open_store(reader.path, write=True) as writer:
        writer.add(enrolled(2, prefix="new"))
    assert reader.counts() == (5, 10)
