"""Stores of every kind; and a service that knows cards and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from falcon import CARDS, made, priced, settings
from rephotographed import scenes
from serving import PATIENCE, served
from stored import MANIFEST, WIDTH

from kenspeckle.serve.service import Service
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


@pytest.fixture(scope="session")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards with set codes, and whatever else is there."""
    folder, all_scenes = tmp_path_factory.mktemp("cards"), scenes()
    named = {name: all_scenes.pop(scene) for name, scene in CARDS.items()}
    return made(folder, named | all_scenes)


@pytest.fixture(scope="session")
def price_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return priced(tmp_path_factory.mktemp("prices"))


@pytest.fixture(scope="session")
def running(cards: Path, price_file: Path) -> Iterator[tuple[httpx2.Client, Service]]:
    asked = settings(prices=str(price_file), usd_per_jpy=0.01)
    with served(asked, [cards]) as (base, service), httpx2.Client(base_url=base) as client:
        client.timeout = PATIENCE
        yield client, service


@pytest.fixture(scope="session")
def client(running: tuple[httpx2.Client, Service]) -> httpx2.Client:
    return running[0]
