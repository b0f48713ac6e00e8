"""Items most like one of the gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from stored import MANIFEST, WIDTH

from kenspeckle.errors import GalleryError, NotEnrolled
from kenspeckle.flows.like import like
from kenspeckle.store.base import Enrolled, Store
from kenspeckle.store.contents import Contents
from kenspeckle.store.memory_store import MemoryStore
from kenspeckle.types import Float32, Reference


def unit(*values: float) -> Float32:
    row = np.zeros(WIDTH, np.float32)
    row[: len(values)] = values
    return row / np.float32(np.linalg.norm(row))


def row(key: str, vector: Float32, *, path: str = "", view: str = "") -> Enrolled:
    return Enrolled(Reference(key, key.title(), path or f"{key}.jpg", view=view), vector)


@pytest.fixture
def store() -> Iterator[Store]:
    made = MemoryStore(Contents(replace(MANIFEST), np.empty((0, WIDTH), np.float32)))
    with made:
        made.add([row("mug", unit(1)), row("mug", unit(1, 0.9), path="mug-2.jpg")])
        made.add([row("cup", unit(1, 0.5)), row("jar", unit(0, 1)), row("pot", unit(-1))])
        yield made


def test_others_by_their_nearest_two_references(store: Store) -> None:
    found = like(store, "Mug")
    assert [one.key for one in found] == ["cup", "jar", "pot"]
    own = [unit(1), unit(1, 0.9)]
    for one, vector in zip(found, (unit(1, 0.5), unit(0, 1), unit(-1)), strict=True):
        assert one.similarity == pytest.approx(max(float(a @ vector) for a in own), abs=1e-5)
    assert [one.key for one in like(store, "mug", 1)] == ["cup"]


def test_an_item_without_others_and_one_that_is_not_there(store: Store) -> None:
    with pytest.raises(NotEnrolled, match="Did you mean 'mug'"):
        like(store, "muf")
    store.remove([number for number, one in store.references() if one.key != "mug"])
    assert like(store, "mug") == []


def test_a_label_of_two_items_names_none(store: Store) -> None:
    store.add([Enrolled(Reference("other mug", "Mug", "x.jpg"), unit(0, 0, 1))])
    with pytest.raises(GalleryError, match="2 items"):
        like(store, "Mug")
