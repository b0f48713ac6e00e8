"""Looking one thing up costs the same in a large gallery as in a small one, in either store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stored import MANIFEST, WIDTH, enrolled

from kenspeckle.store import Store, disk, memory_store
from kenspeckle.store.contents import Contents
from kenspeckle.store.disk import DiskStore
from kenspeckle.store.memory_store import MemoryStore

SMALL, LARGE = 200, 4000
LOOKUPS: dict[str, Callable[[Store, int], object]] = {
    "path": lambda store, n: store.select({"path": f"{n // 2}/{n:04}.jpg"}).tolist(),
    "path and view": lambda store, n: store.select({"path": f"{n}", "view": ""}).tolist(),
    "hash": lambda store, n: store.select({"sha256": f"{n:064x}"}).tolist(),
    "no such hash": lambda store, n: store.select({"sha256": "ff"}).tolist(),
    "key": lambda store, n: store.select({"key": f"item{n // 2}"}).tolist(),
    "page": lambda store, n: store.page(after=n, most=2),
    "page of an item": lambda store, n: store.page(key=f"item{n // 2}", most=9),
    "items": lambda store, n: store.items(after=f"item{n // 2}", most=2),
    "paths": lambda store, n: store.paths(after=n, most=2),
}


def steps(store: DiskStore, look: Callable[[], object]) -> int:
    """How many instructions SQLite runs for a look-up, by hundreds."""
    count = 0

    def one() -> int:
        nonlocal count
        count += 1
        return 0

    store._connection.set_progress_handler(one, 100)
    look()
    store._connection.set_progress_handler(None, 100)
    return count


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_file_is_searched_by_its_indexes(name: str, tmp_path: Path) -> None:
    took = []
    for count in (SMALL, LARGE):
        with DiskStore.create(tmp_path / f"{count}.ken", MANIFEST) as store:
            store.add(enrolled(count))
            store.refresh()
            took.append(steps(store, lambda: LOOKUPS[name](store, SMALL // 2)))
    assert took[1] <= took[0] + 3


@pytest.mark.parametrize("where", ["path", "path and view", "hash", "no such hash", "key"])
def test_few_references_are_compared(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (disk, memory_store):
        seen = []
        real = module.matches
        monkeypatch.setattr(
            module,
            "matches",
            lambda one, asked, seen=seen, real=real: seen.append(one) or real(one, asked),
        )
        made: Store = MemoryStore(Contents(MANIFEST, np.empty((0, WIDTH), np.float32)))
        if module is disk:
            made = DiskStore.create(tmp_path / "g.ken", MANIFEST)
        with made:
            made.add(enrolled(SMALL))
            LOOKUPS[where](made, SMALL // 2)
        assert len(seen) <= 2


def test_a_file_is_counted_once_after_a_change(tmp_path: Path) -> None:
    with DiskStore.create(tmp_path / "g.ken", MANIFEST) as store:
        store.add(enrolled(LARGE))
        first, again = steps(store, store.counts), steps(store, store.counts)
        assert again <= 2 < first
        store.add(enrolled(1, prefix="new"))
        assert steps(store, store.counts) > again
        assert store.counts() == (LARGE // 2 + 1, LARGE + 1)
