"""What a flow needs of a gallery."""

from __future__ import annotations

from dataclasses import dataclass

from kenspeckle.config import Settings
from kenspeckle.store.base import Store
from kenspeckle.vectors.base import Embedder


@dataclass(frozen=True, slots=True)
class Opened:
    """A store, the embedder whose space it holds, and the settings in force."""

    store: Store
    embedder: Embedder
    settings: Settings
