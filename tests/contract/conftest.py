"""Stores of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stored import MANIFEST, WIDTH

from kenspeckle.store import Store, create_store
from kenspeckle.store.contents import Contents
from kenspeckle.store.memory_store import MemoryStore


@pytest.fixture(params=["memory", "disk", "npz"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(kind: str, tmp_path: Path) -> Path:
    return tmp_path / f"made/gallery.{'npz' if kind == 'npz' else 'ken'}"


@pytest.fixture
def store(kind: str, path: Path) -> Iterator[Store]:
    if kind == "memory":
        made: Store = MemoryStore(Contents(MANIFEST, np.empty((0, WIDTH), np.float32)))
    else:
        made = create_store(path, MANIFEST)
    with made:
        yield made
