"""Local features of references: from the index, else from the originals, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.config import ImageSettings
from kenspeckle.engines.features import Extractor, Features
from kenspeckle.errors import IndexBusy, IndexMissing, IndexReadOnly, InputError, PictureError
from kenspeckle.image.decode import decode
from kenspeckle.store.base import Store
from kenspeckle.types import Reference

ROOM = 64 * 1024 * 1024
"""Bytes of features that are kept in memory where the index may not be written."""


@dataclass(slots=True)
class Looks:
    """Features that were worked out while a gallery is open, the least used ones forgotten.

    May be asked from many threads at once.
    """

    _kept: OrderedDict[tuple[str, str], bytes] = field(default_factory=OrderedDict)
    _size: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[str, str]) -> bytes | None:
        """What is kept for a kind and a file's hash; None for nothing, empty for a lost original.

        A lost original is remembered as well, or every photo would look for it again.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, str], data: bytes) -> None:
        """Keep it, in place of what is oldest when the room is full."""
        with self._lock:
            self._size += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._size > ROOM:
                self._size -= len(self._kept.popitem(last=False)[1])


def features_of(
    store: Store,
    looks: Looks,
    extractor: Extractor,
    references: Sequence[tuple[int, Reference]],
    limits: ImageSettings,
) -> dict[int, Features]:
    """Features of references by id. Absent are those whose original is gone, was changed since it
    was enrolled, cannot be read, or lies behind an address: there a second look abstains.

    New ones are put into the index where this handle may write it, else into `looks`.
    """
    kind = extractor.kind
    stored = store.features([number for number, _ in references], kind)
    found: dict[int, Features] = {}
    fresh: dict[int, bytes] = {}
    for number, reference in references:
        data = stored.get(number)
        features = _read(data) if data is not None else None
        if features is None:
            key = (kind, reference.sha256 or reference.path)
            data = looks.get(key)
            if data is None:
                features = _worked_out(store, extractor, reference, limits)
                data = features.to_bytes() if features else b""
                looks.put(key, data)
                if data:
                    fresh[number] = data
            features = _read(data) if data else None
        if features is not None:
            found[number] = features
    if fresh:
        _keep(store, kind, fresh)
    return found


def _read(data: bytes) -> Features | None:
    """Features as cached, None for those of another release, which are worked out anew."""
    try:
        return Features.from_bytes(data)
    except InputError:
        return None


def _worked_out(
    store: Store, extractor: Extractor, reference: Reference, limits: ImageSettings
) -> Features | None:
    """Features of the original, None where it is not there as it was enrolled."""
    path = on_disk(base_of(store.manifest.refs), reference.path)
    if "://" in reference.path or not path.is_file():
        return None
    try:
        picture = decode(path, limits=limits)
    except PictureError:
        return None
    if reference.sha256 and picture.sha256 != reference.sha256:
        return None
    return extractor.extract(picture.image)


def _keep(store: Store, kind: str, fresh: dict[int, bytes]) -> None:
    """Into the index, where this handle may write it."""
    try:
        store.set_features(kind, fresh)
    except (IndexReadOnly, IndexBusy, IndexMissing):
        return
