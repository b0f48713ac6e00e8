"""A gallery that is open: its store, its model, and the pictures it is given."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from kenspeckle.catalog.entry import base_of
from kenspeckle.catalog.naming import named_by_file
from kenspeckle.config import Settings
from kenspeckle.errors import (
    GalleryError,
    IndexBusy,
    IndexMissing,
    IndexReadOnly,
    InputError,
    KenspeckleError,
    SpaceMismatch,
)
from kenspeckle.flows import given
from kenspeckle.flows.looks import Looks
from kenspeckle.flows.opened import (
    Opened,
    absolute,
    default_path,
    matching_embedder,
    new_manifest,
    stale,
    with_views,
)
from kenspeckle.image.decode import decode, read
from kenspeckle.image.fetch import fetch
from kenspeckle.image.in_memory import in_memory
from kenspeckle.store.base import Store
from kenspeckle.store.open import create_store, open_store
from kenspeckle.types import Calibration, Picture
from kenspeckle.vectors.base import Embedder, Opener
from kenspeckle.vectors.embed import open_embedder

T = TypeVar("T")
Source = str | os.PathLike[str] | bytes | BinaryIO | Picture | Image | NDArray[np.uint8]


class Handle:
    """An index file with its model, which is loaded when the first picture is asked about.

    `opener` opens that model; one that several galleries share is not closed with this one. A
    gallery that is `following` opens an index of another model anew that is put in the place of its
    own. `trouble` says why the index could not be read the last time, empty when it could.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        opener: Opener = open_embedder,
        *,
        following: bool = False,
    ) -> None:
        self._held, self._settings, self._closed = store, with_views(store, settings), False
        self._opener, self._following = opener, following
        self._embedder: Embedder | None = None
        self._looks = Looks()
        self.trouble = ""
        self._lock, self._entering = Lock(), Lock()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        settings: Settings | None = None,
        exist_ok: bool = False,
    ) -> Self:
        """Make an index file; with `exist_ok` open the one that is there, for writing.

        Raises GalleryError if it is there already, ModelError, IndexReadOnly.
        """
        given.places(path=path)
        settings = settings or Settings()
        if exist_ok and Path(path).exists():
            return cls.open(path, settings=settings, write=True)
        if Path(path).exists():
            raise GalleryError(
                str(path), "it exists", expected="a new file", do="Open it, or name another"
            )
        embedder = open_embedder(settings.models)
        manifest = new_manifest(embedder, settings)
        gallery = cls(create_store(path, manifest), settings)
        gallery._embedder = embedder
        return gallery

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = "",
        *,
        settings: Settings | None = None,
        write: bool = False,
    ) -> Self:
        """Open an index file; without a path `gallery.ken`, else `card_index.npz`.

        Raises IndexMissing, IndexCorrupt, IndexVersion, and with `write` IndexReadOnly.
        """
        given.places(path=path or None)
        settings = settings or Settings()
        return cls(
            open_store(path or default_path(settings), write=write, named=named_by_file), settings
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and the model; whatever is asked afterwards is a GalleryError."""
        self._held.close()
        self._closed = True
        if self._embedder is not None:
            self._embedder.close()

    def __len__(self) -> int:
        return len(self._store)

    def picture(self, source: Source, *, hashed: bool = True) -> Picture:
        """Read a picture within the limits of the settings; `hashed` as for `decode`.

        A Pillow image and an array `(height, width, 3)` uint8, RGB, are taken as they are. Raises
        PictureError, FetchError.
        """
        if isinstance(source, Picture):
            return source
        if isinstance(source, (Image, np.ndarray)):
            return in_memory(source)
        limits = self._settings.image
        if isinstance(source, str) and _is_address(source):
            return decode(fetch(source, limits), name=source, limits=limits, hashed=hashed)
        _check_source(source)
        return decode(source, limits=limits, hashed=hashed)

    @property
    def _store(self) -> Store:
        if self._closed:
            raise GalleryError(
                Path(self._held.path) if self._held.path else "gallery",
                "this gallery was closed",
                expected="an open one",
                do="Open it again, or ask inside its `with` block",
            )
        return self._held

    @property
    def folder(self) -> Path:
        """Where the paths of listed references start: the folder indexed, else the setting's."""
        return base_of(self._store.manifest.refs or self._settings.index.refs)

    @property
    def calibration(self) -> Calibration | None:
        """The rule in force, or None."""
        return self._store.calibration()

    @property
    def stale(self) -> str:
        """Why the calibration no longer fits the gallery; empty when it does or there is none."""
        return stale(self._store.standing(), self._store.manifest, self._settings.identify)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    @contextmanager
    def writing(self, wait: float = 2.0) -> Iterator[None]:
        """Let a gallery that was opened for reading be changed while a block runs.

        `wait` is how many seconds another writer is waited for, by whichever thread; see
        `Store.writing`. Raises IndexBusy, which names who else is writing; IndexReadOnly;
        IndexMissing.
        """
        until = time.monotonic() + wait
        if self._following:
            self._opened()  # another index may have been put in the place of the one opened
        store, path = self._store, self._store.path
        try:
            with ExitStack() as lent:
                with self._entering:  # whoever was first has waited for the others, too
                    lent.enter_context(store.writing(max(until - time.monotonic(), 0.0)))
                yield
        except IndexReadOnly as error:
            if self._store is store:
                raise
            found = "an index of another model was put in its place just now"
            raise IndexBusy(Path(path), found, do="Do it again") from error
        except IndexMissing as error:
            if Path(path).exists():  # it is another index that is missing
                raise
            found = "deleted or moved since it was opened, nothing can be changed"
            raise IndexMissing(Path(path), found, do="Put it back") from error

    @property
    def store(self) -> Store:
        """The store behind it, for exports and measurements."""
        return self._store

    @property
    def opened(self) -> Opened:
        """What a flow needs of it, as it is at this moment. Raises SpaceMismatch, ModelError."""
        return self._opened()

    @property
    def embedder(self) -> Embedder:
        """The model behind it. Raises SpaceMismatch when it is not the one of the index."""
        return self._opened().embedder

    @property
    def model(self) -> Embedder:
        """The model as it was last opened. Unlike `embedder` it reads nothing of the index."""
        return self._embedder or self.embedder

    def steady(self, work: Callable[[Opened], T]) -> T:
        """The value of `work`, all of it on one index file.

        Where another file was put in the place of the index meanwhile, the value may be of both
        (vectors of one, names of the other), so the work is done again. Raises what it raises.
        """
        while True:
            opened = self._opened()
            edition = opened.store.edition
            try:
                value = work(opened)
            except KeyError:  # an id that the other file does not have
                if opened.store.edition == edition:
                    raise
                continue
            if opened.store.edition == edition:
                return value

    def _opened(self) -> Opened:
        with self._lock:
            if self._embedder is None:
                self._embedder = self._matching(self._store)
            store, embedder = self._store, self._embedder
        try:
            store, embedder = self._current(store, embedder)
        except KenspeckleError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""
        return Opened(store, embedder, self._settings, self._looks)

    def _current(self, store: Store, embedder: Embedder) -> tuple[Store, Embedder]:
        """The index as it is now, with its model."""
        try:
            store.refresh()
        except SpaceMismatch:
            if not self._following:
                raise
            return self._anew(store)
        return store, embedder

    def _matching(self, store: Store) -> Embedder:
        return matching_embedder(store.path, store.manifest, self._settings, self._opener)

    def _anew(self, old: Store) -> tuple[Store, Embedder]:
        """Open the index that lies there now, with its model; what is going on ends on the old one.

        Raises as `open`, SpaceMismatch and ModelError; the old one then stays.
        """
        with self._lock:
            if self._store is old or self._embedder is None:
                store = open_store(old.path, named=named_by_file)
                try:
                    embedder = self._matching(store)
                except BaseException:
                    store.close()
                    raise
                self._held, self._embedder, self._looks = store, embedder, Looks()
            return self._store, self._embedder

    def _bytes(self, source: Source, room: str = "added") -> tuple[str, bytes]:
        """What a picture is called, `room` before the hash of one without a name, and its bytes."""
        limits = self._settings.image
        if isinstance(source, (Picture, Image, np.ndarray)):
            raise InputError("picture", "decoded pixels", expected="a file, bytes or an address")
        if isinstance(source, str) and _is_address(source):
            return source, fetch(source, limits)
        _check_source(source)
        if isinstance(source, (str, os.PathLike)):
            return absolute(os.fspath(source)), read(source, limits)
        data = source if isinstance(source, bytes) else source.read(limits.max_bytes + 1)
        if not isinstance(data, bytes):
            raise InputError("picture", "a file opened as text", expected="one opened as bytes")
        return f"{room}/{hashlib.sha256(data).hexdigest()[:16]}", data


def _check_source(source: object) -> None:
    if not isinstance(source, (str, os.PathLike, bytes)) and not hasattr(source, "read"):
        found = f"a {type(source).__name__}"
        raise InputError("picture", found, expected="a path, bytes, a file or pixels")


def _is_address(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))
