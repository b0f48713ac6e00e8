"""The file behind a store in memory: read as a whole, followed, written as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from kenspeckle.errors import IndexReadOnly, SpaceMismatch
from kenspeckle.store.base import Manifest
from kenspeckle.store.contents import Contents, Held
from kenspeckle.store.lock import WriterLock
from kenspeckle.types import Calibration

WAIT = 10.0
"""Seconds that another writer is waited for."""


class Home(Protocol):
    """A file that is read and written as a whole."""

    path: str

    def stamp(self) -> tuple[int, ...]:
        """Tells one file under this name from another; empty when there is none."""

    def read(self) -> Contents:
        """What the file holds."""

    def write(self, contents: Contents, stamp: tuple[int, ...]) -> None:
        """Replace the file of that stamp, at once or not at all."""


class Homed:
    """What a store in memory holds, and the file it is read from and written to.

    With a home, what was changed is written when it is closed, or when a block of `writing` ends.
    `writer` is the lock of the home, held; without one a home is only read. `new` says that the
    home is still to be written.
    """

    def __init__(
        self,
        contents: Contents,
        home: Home | None = None,
        *,
        stamp: tuple[int, ...] = (),
        writer: WriterLock | None = None,
        new: bool = False,
    ) -> None:
        self._home, self._stamp, self._writer = home, stamp, writer
        self._write = home is None or writer is not None
        self._lock = threading.RLock()
        self._always = self._write
        self._turn, self._lent, self._undone = threading.Lock(), 0, 0
        self._dirty = new
        self._held = Held.of(contents)
        self._assumed: Calibration | None = None
        self._edition = 0

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._held.manifest

    @property
    def edition(self) -> int:
        """How often its home was replaced and read anew."""
        return self._edition

    @property
    def path(self) -> str:
        """Where its home lies, empty when it has none."""
        return self._home.path if self._home else ""

    def refresh(self) -> bool:
        """Read the home anew if another process has replaced it; whether it had.

        SpaceMismatch, now and at every later call, if that one holds vectors of another model.
        """
        with self._lock:
            if self._home is None or self._dirty:
                return False
            stamp = self._home.stamp()
            if stamp in (self._stamp, ()):
                return False
            held, fingerprint = Held.of(self._home.read()), self.manifest.fingerprint
            if held.manifest.fingerprint.space_id != fingerprint.space_id:
                raise SpaceMismatch(
                    Path(self.path),
                    f"replaced by an index of {held.manifest.fingerprint}",
                    expected=str(fingerprint),
                    do="Open it anew",
                )
            self._held, self._stamp = held, stamp
            self._edition += 1
            return True

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let no other thread change the index meanwhile; see `Store.still`."""
        with self._lock:
            self.refresh()
            yield

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        """Let nobody in between the changes of a block; see `Store.one_commit`."""
        self._check_write()
        with self._lock:
            self.refresh()
            yield

    @contextmanager
    def writing(self, wait: float = WAIT) -> Iterator[None]:
        """Let this handle change its home for as long as a block runs; see `Store.writing`."""
        if self._always:
            yield
            return
        with self._turn:
            if not self._lent:
                self._borrow(wait)
            self._lent += 1
            undone = self._undone
        try:
            yield
        finally:
            with self._turn:
                self._lent -= 1
                self._give_back()
        if undone != self._undone:  # another thread could not write, and took this one's along
            raise IndexReadOnly(
                Path(self.path), "the change could not be written", do="Make room and try again"
            )

    def _borrow(self, wait: float) -> None:
        assert self._home is not None  # noqa: S101  without a home it may write at any time
        writer = WriterLock(Path(self._home.path))
        writer.take(wait)
        try:
            self.refresh()
        except BaseException:
            writer.release()
            raise
        self._writer, self._write = writer, True

    def _give_back(self) -> None:
        """Write what was changed; what cannot be written did not happen here either."""
        assert self._home is not None  # noqa: S101
        try:
            with self._lock:
                try:
                    if self._dirty:
                        self._home.write(self.contents(), self._stamp)
                        self._stamp = self._home.stamp()
                except BaseException:
                    self._undone += 1
                    self._held, self._stamp = Held.of(self._home.read()), self._home.stamp()
                    raise
                finally:
                    self._dirty = False
        finally:
            if not self._lent and self._writer is not None:
                self._write = False
                self._writer.release()
                self._writer = None

    def close(self, *, drop_empty: bool = False) -> None:
        """Write what was changed to the home, if there is one; see `Store.close`.

        Raises IndexMissing, IndexBusy or IndexReadOnly where it cannot be written; what was
        changed is then still here, and closing can be tried again.
        """
        with self._lock:
            if self._home is None or self._writer is None:
                return
            try:
                if self._dirty and not (drop_empty and not len(self) and not self._stamp):
                    self._writer.take(0.0)  # held, unless closing is tried again
                    self._home.write(self.contents(), self._stamp)
                    self._stamp = self._home.stamp()
                self._dirty = False
            finally:
                self._writer.release()

    def contents(self) -> Contents:
        """Everything it holds, references by path, then view."""
        with self._lock:
            held = self._held
            found = sorted(held.references.items(), key=lambda pair: (pair[1].path, pair[1].view))
            ids = [identifier for identifier, _ in found]
            references = [reference for _, reference in found]
            return Contents(
                held.manifest,
                held.vectors.rows(np.array(ids, np.int64)),
                ids,
                references,
                held.calibration,
                held.change,
                held.next_id,
                held.said,
            )

    def __len__(self) -> int:
        return len(self._held.vectors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_write(self) -> None:
        if not self._write:
            raise IndexReadOnly(
                Path(self.path), "it was opened for reading", do="Open it with write=True"
            )

    @contextmanager
    def _changing(self) -> Iterator[Held]:
        self._check_write()
        with self._lock:
            yield self._held
            self._dirty = True
