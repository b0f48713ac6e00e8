"""What a process of its own does in a test: another process has to be able to import it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kenspeckle.config import ModelSettings
from kenspeckle.evaluate.cache import VectorCache, Wanted, cached_vectors
from kenspeckle.vectors.embed import open_embedder

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event


def fill(folder: str, paths: list[str], ready: Event) -> None:
    """Embed the pictures again and again under ever new boxes, until killed."""
    embedder = open_embedder(ModelSettings(name="dummy"))
    side = 1
    while True:
        with VectorCache(Path(folder)) as cache:
            wanted = [Wanted(Path(path), ((0, 0, 20 + side % 90, 60),)) for path in paths]
            for done in cached_vectors(embedder, wanted, cache, callers=2):
                assert done.error is None
        side += 1
        ready.set()
