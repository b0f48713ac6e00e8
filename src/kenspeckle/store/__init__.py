"""Vectors to disk, and search."""

from kenspeckle.store.base import Enrolled, Hits, Manifest, Store, Summary
from kenspeckle.store.open import copy_store, create_store, open_store, peek
from kenspeckle.store.snapshot import Snapshot

__all__ = [
    "Enrolled",
    "Hits",
    "Manifest",
    "Snapshot",
    "Store",
    "Summary",
    "copy_store",
    "create_store",
    "open_store",
    "peek",
]
