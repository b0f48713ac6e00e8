"""What a second look reads of references: from the index, else from the originals, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.config import ImageSettings
from kenspeckle.engines.features import Extractor, Features
from kenspeckle.errors import IndexBusy, IndexMissing, IndexReadOnly, InputError, PictureError
from kenspeckle.image.decode import decode
from kenspeckle.store.snapshot import Readable
from kenspeckle.types import Reference

if TYPE_CHECKING:
    from PIL import Image

Found = TypeVar("Found")

ROOM = 64 * 1024 * 1024
"""Bytes that are kept in memory where the index may not be written."""


@dataclass(slots=True)
class Looks:
    """What was worked out while a gallery is open, the least used ones forgotten.

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


class Reader(Protocol[Found]):
    """Works something out of a picture, and turns it into bytes and back."""

    @property
    def kind(self) -> str:
        """The kind under which an index keeps it."""

    def extract(self, image: Image.Image) -> Found:
        """What is found in an RGB picture."""

    def pack(self, found: Found) -> bytes:
        """As it is kept; never empty."""

    def unpack(self, data: bytes) -> Found:
        """Read back what `pack` wrote. Raises InputError on anything else."""


@dataclass(frozen=True, slots=True)
class _ByFeatures:
    """Local features as one of the things that are read of references."""

    extractor: Extractor

    @property
    def kind(self) -> str:
        return self.extractor.kind

    def extract(self, image: Image.Image) -> Features:
        return self.extractor.extract(image)

    def pack(self, found: Features) -> bytes:
        return found.to_bytes()

    def unpack(self, data: bytes) -> Features:
        return Features.from_bytes(data)


def features_of(
    store: Readable,
    looks: Looks,
    extractor: Extractor,
    references: Sequence[tuple[int, Reference]],
    limits: ImageSettings,
) -> dict[int, Features]:
    """Local features of references by id; see `read_of`."""
    return read_of(store, looks, _ByFeatures(extractor), references, limits)


def read_of(
    store: Readable,
    looks: Looks,
    reader: Reader[Found],
    references: Sequence[tuple[int, Reference]],
    limits: ImageSettings,
) -> dict[int, Found]:
    """What a reader finds in references, by id. Absent are those whose original is gone, was
    changed since it was enrolled, cannot be read, or lies behind an address: there a second look
    abstains.

    What is new is put into the index where this handle may write it, else into `looks`.
    """
    stored = store.features([number for number, _ in references], reader.kind)
    found: dict[int, Found] = {}
    fresh: dict[int, bytes] = {}
    for number, reference in references:
        data = stored.get(number)
        one = _read(reader, data) if data is not None else None
        if one is None:
            key = (reader.kind, reference.sha256 or reference.path)
            data = looks.get(key)
            if data is None:
                image = _original(store, reference, limits)
                data = reader.pack(reader.extract(image)) if image else b""
                looks.put(key, data)
                if data:
                    fresh[number] = data
            one = _read(reader, data) if data else None
        if one is not None:
            found[number] = one
    if fresh:
        _keep(store, reader.kind, fresh)
    return found


def _read(reader: Reader[Found], data: bytes) -> Found | None:
    """What is cached, None for that of another release, which is worked out anew."""
    try:
        return reader.unpack(data)
    except InputError:
        return None


def _original(store: Readable, reference: Reference, limits: ImageSettings) -> Image.Image | None:
    """The original, None where it is not there as it was enrolled."""
    path = on_disk(base_of(store.manifest.refs), reference.path)
    if "://" in reference.path or not path.is_file():
        return None
    try:
        picture = decode(path, limits=limits)
    except PictureError:
        return None
    if reference.sha256 and picture.sha256 != reference.sha256:
        return None
    return picture.image


def _keep(store: Readable, kind: str, fresh: dict[int, bytes]) -> None:
    """Into the index, where this handle may write it."""
    try:
        store.set_features(kind, fresh)
    except (IndexReadOnly, IndexBusy, IndexMissing):
        return
