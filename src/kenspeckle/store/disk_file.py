"""The file behind a store on disk: opened, followed when it is exchanged, committed to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from kenspeckle.errors import (
    IndexMissing,
    IndexReadOnly,
    KenspeckleError,
    SpaceMismatch,
)
from kenspeckle.store import connection as file
from kenspeckle.store import log, reading, records
from kenspeckle.store.base import Manifest
from kenspeckle.store.lock import WriterLock
from kenspeckle.store.memory import VectorIndex
from kenspeckle.store.place import kind_of
from kenspeckle.store.recent import Recent
from kenspeckle.types import Calibration

WAIT = reading.WAIT
SETTLING, PAUSE = 1.0, 0.02
"""Seconds for which a writer that ends waits for readers to fold its log, and between two tries."""


class DiskFile:
    """One index file, open, with its vectors in memory; what is in it is `DiskStore`'s subject.

    One connection serves all threads, one at a time; searches run beside it on the vectors in
    memory. What a process commits it reads back as any other process does.
    """

    def __init__(self, path: Path, *, writer: WriterLock | None, wait: float) -> None:
        self._path, self._writer, self._wait = path, writer, wait
        self._lock = threading.RLock()
        self._always = writer is not None
        self._turn, self._lent = threading.Lock(), 0
        self._one = False
        self._assumed: Calibration | None = None
        self._edition = 0
        self._reading = file.translated(path, self._lock)
        self._use(self._open())

    def _open(self) -> reading.Opened:
        """What is there now."""
        write = self._writer is not None  # noted before an older format is brought up
        return reading.opened(self._path, write=write, wait=self._wait, about=self._note)

    def _note(self, place: tuple[int, int] | None) -> None:
        """Say in the lock which file is written to."""
        if self._writer is not None and place is not None:
            self._writer.note(place[1])

    def _use(self, opened: reading.Opened) -> None:
        self._connection, self._place = opened.connection, opened.place
        self._space, self._manifest = opened.space, opened.manifest
        self._index, self._seen = opened.index, opened.seen
        self._read: Recent | None = None
        self._unfolded = False
        self._note(self._place)

    def _follow(self) -> bool:
        """Open the file anew if another has been put in its place; whether one had.

        The former one stays in use as long as it is written to, or somebody reads of its log.
        SpaceMismatch, now and at every later call, if that one holds vectors of another model.
        """
        connection, place, fingerprint = self._connection, self._place, self._manifest.fingerprint
        if reading.place(self._path) in (place, None) or connection.in_transaction:
            return False
        if place and not log.leave(connection, self._path, place[1], self._writer):
            return False
        opened = self._open()
        if opened.manifest.fingerprint.space_id != fingerprint.space_id:
            opened.connection.close()
            raise SpaceMismatch(
                Path(self.path),
                f"replaced by an index of {opened.manifest.fingerprint}",
                expected=str(fingerprint),
                do="Open it anew",
            )
        self._use(opened)
        self._edition += 1
        connection.close()
        return True

    @classmethod
    def create(cls, path: Path, manifest: Manifest, *, wait: float = WAIT) -> Self:
        """Make a new file. Raises GalleryError, IndexBusy, IndexReadOnly."""
        file.check_free(path)
        writer = WriterLock(path)
        writer.take(wait)
        try:
            file.make(path, lambda new: records.write_manifest(new, manifest))
            return cls(path, writer=writer, wait=wait)
        except BaseException:
            writer.release()
            raise

    @classmethod
    def open(cls, path: Path, *, write: bool = False, wait: float = WAIT) -> Self:
        """Open a file; `wait` is how many seconds a lock is waited for.

        Raises IndexMissing, IndexCorrupt, IndexVersion, IndexReadOnly or IndexBusy.
        """
        if not write:
            return cls(path, writer=None, wait=wait)
        kind_of(path)
        file.check_writable(path)
        writer = WriterLock(path)
        writer.take(wait)
        try:
            return cls(path, writer=writer, wait=wait)
        except BaseException:
            writer.release()
            raise

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._manifest

    @property
    def path(self) -> str:
        """Where it lies."""
        return str(self._path)

    @property
    def edition(self) -> int:
        """How often another file has taken the place of the one opened."""
        return self._edition

    def refresh(self) -> bool:
        """Take in what has been committed since, or a new file; whether there was anything."""
        with self._reading:
            if self._one:
                return False
            if self._follow():
                return True
            if self._unfolded and reading.place(self._path) == self._place:
                with contextlib.suppress(KenspeckleError):
                    self._fold()
            return self._take_in()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let no other thread change the index meanwhile; see `Store.still`."""
        with self._reading:
            self.refresh()
            yield

    @contextmanager
    def writing(self, wait: float = WAIT) -> Iterator[None]:
        """Let this handle change the file for as long as a block runs; see `Store.writing`."""
        if self._always:
            yield
            return
        with self._turn:
            if not self._lent:
                self._borrow(wait)
            self._lent += 1
        try:
            yield
        finally:
            with self._turn:
                self._lent -= 1
                if not self._lent:
                    self._give_back()

    def _borrow(self, wait: float) -> None:
        """Take the lock, and a connection that may write; readers go on meanwhile."""
        kind_of(self._path)
        file.check_writable(self._path)
        writer = WriterLock(self._path)
        writer.take(wait)
        try:
            self._connect(writer, wait)
            with self._reading:
                self.refresh()
                self._writer = writer
                self._note(self._place)
        except BaseException:
            writer.release()
            raise

    def _give_back(self) -> None:
        writer, self._writer = self._writer, None
        try:
            self._settle()
            # What was committed stays so: where no file can be opened, this connection goes on.
            with contextlib.suppress(KenspeckleError):
                self._connect(None, self._wait)
        finally:
            if writer is not None:
                writer.release()

    def _connect(self, writer: WriterLock | None, wait: float) -> None:
        """Go on with another connection, to the file that the vectors in memory are of.

        Questions do not wait while a program that asks for no lock of ours is waited for.
        """
        taken = False
        while not taken:
            with self._reading:
                self._follow()
            there = reading.place(self._path)
            if there not in (self._place, None):
                raise file.exchanged(self._path)
            if writer is not None and there is not None:
                writer.note(there[1])
            new = reading.connected(self._path, there, write=writer is not None, wait=wait)
            try:
                if writer is not None:
                    with file.transaction(new, self._path):
                        pass
                with self._reading:
                    taken = there == self._place == reading.place(self._path)
                    if taken:
                        self._connection, new = new, self._connection
                        self._read = None
            finally:
                new.close()  # the former one; this one, where another file was put there just now

    def close(self, *, drop_empty: bool = False) -> None:
        """Let go of the file; see `Store.close`."""
        try:
            with self._reading:
                drop = drop_empty and self._is_empty()
            if self._writer is not None and not drop:
                self._settle()
            with self._reading:
                self._connection.close()
                if drop and reading.place(self._path) == self._place:
                    file.forget(self._path)
        finally:
            if self._writer is not None:
                self._writer.release()

    def __del__(self) -> None:
        """Give the file back as soon as nobody uses this: alone, a connection of SQLite keeps its
        files open until the garbage collector comes by."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def _is_empty(self) -> bool:
        """Whether this handle may write and the file, as it is now, holds no reference."""
        if self._writer is None or not self._writer.held:
            return False
        return not any(records.counts(self._connection, self._space))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _fold(self) -> None:
        """Fold the log, which still holds the pages that were erased, into the file.

        Where another process reads of it, as far as that one lets it; the rest with a later
        question or change. Whoever asks here waits for nobody there.
        """
        with self._reading:
            self._unfolded = True
            if not self._one:  # there is nothing to fold before it is committed
                self._unfolded = not file.fold(self._connection)

    def _settle(self) -> None:
        """Leave no log behind when writing ends, as far as others let it be folded soon.

        SQLite would take its pages for those of a file that is put in the place of this one. What
        was committed is safe either way. Questions go on while others are waited for.
        """
        until = time.monotonic() + SETTLING
        with contextlib.suppress(KenspeckleError):
            self._fold()
            while self._unfolded and time.monotonic() < until:
                time.sleep(PAUSE)
                self._fold()

    def _recent(self) -> Recent:
        """What was read since the last commit of whichever process."""
        version = reading.data_version(self._connection)
        if self._read is None or self._read.version != version:
            self._read = Recent(version)
        return self._read

    @contextmanager
    def _commit(self) -> Iterator[None]:
        if self._writer is None:
            raise IndexReadOnly(
                Path(self.path), "it was opened for reading", do="Open it with write=True"
            )
        with self._lock:
            if self._one:
                yield
                self._read = None
                return
            self._follow()
            try:
                with file.transaction(self._connection, self._path):
                    self._check_place()
                    self._take_in()
                    yield
                    self._check_place()
            finally:
                self._read = None  # SQLite counts the commits of other connections only

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        """Make all changes of a block one commit, or none; see `Store.one_commit`."""
        with self._reading:
            if self._one:
                yield
                return
            before: tuple[int, Manifest, VectorIndex] | None = None
            try:
                with self._commit():
                    before = self._space, self._manifest, self._index
                    self._one = True
                    try:
                        yield
                    finally:
                        self._one = False
            except BaseException:
                if before is not None:
                    self._space, self._manifest, self._index = before
                raise
            self.refresh()

    def _check_place(self) -> None:
        """Refuse to commit to a file that nobody will find again."""
        place = reading.place(self._path)
        if place is None:
            raise IndexMissing(
                Path(self.path),
                "deleted or moved since it was opened",
                do="Put it back, or index anew",
            )
        if place != self._place:
            raise file.exchanged(self._path)

    @contextmanager
    def _current(self) -> Iterator[None]:
        """One read of the last commit, to which the vectors in memory are brought first."""
        with self._reading:
            if self._one:
                yield
                return
            self._follow()
            with reading.one_read(self._connection):
                self._take_in()
                yield

    def _take_in(self) -> bool:
        """Bring what is in memory to the last commit, or to the one that is being read; whether
        it was behind. A manifest may change without a change of references."""
        recent, connection, path = self._recent(), self._connection, self._path
        if recent.current:
            return False
        with reading.one_read(connection):
            space, manifest = records.read_manifest(connection, path)
            if space != self._space:
                found = "another process has set another model"
                raise SpaceMismatch(path, found, do="Open it anew")
            behind = records.number(connection, path, "change") != self._seen
            if behind:
                self._load(manifest.fingerprint.width)
        behind = behind or manifest != self._manifest
        self._manifest, recent.current = manifest, True
        return behind

    def _load(self, width: int) -> None:
        """Bring the vectors in memory to the commit that is being read."""
        connection, path = self._connection, self._path
        behind = self._seen < records.number(connection, path, "removals_from")
        index = VectorIndex(width) if behind else self._index
        seen = -1 if behind else self._seen
        self._seen = reading.bring_up(index, seen, connection, path, self._space)
        self._index = index
