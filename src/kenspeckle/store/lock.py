"""One writer at a time: a lock beside an index, held by whoever has it open for writing.

The lock is the system's, on a small file of its own (`gallery.ken.lock`) that names the holder. It
ends with the process that holds it, however that ends; a file that a killed process left behind
holds nothing. The index itself is never opened for it, so SQLite's own locks stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import sys
import time
from pathlib import Path

from kenspeckle.errors import GalleryError, IndexBusy, IndexReadOnly
from kenspeckle.store.written import Written

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PAUSE = 0.05
"""Seconds between two looks at a lock that another holds."""

_MARK = "kenspeckle writer"
_LONGEST = 1024
_HEAD = 32
"""Bytes at the beginning of a log of SQLite, before the first page."""
_FAR = 2**30  # Windows locks bytes; one past the end leaves the text readable


class WriterLock:
    """The right to change the index at `path`, for one handle of one process."""

    def __init__(self, path: Path) -> None:
        self._index = path
        self._place = _beside(path)
        self._handle: int | None = None
        self._process = 0
        self._said, self._marked = Written(), False

    @property
    def held(self) -> bool:
        """Whether this handle has it."""
        return self._handle is not None

    def take(self, wait: float) -> None:
        """Have it within `wait` seconds. Raises IndexBusy, which names the holder; IndexReadOnly.

        GalleryError if a file of somebody else has its name.
        """
        until = time.monotonic() + wait
        try:
            while self._handle is None:
                self._handle = self._try()
                if self._handle is None:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise self._busy()
                    time.sleep(min(PAUSE, left))
        except OSError as error:
            raise IndexReadOnly(
                self._index,
                f"it cannot be written here, no lock can be made ({error.strerror or error})",
                do="Change the permissions of its folder",
            ) from error
        self._process = os.getpid()

    def release(self) -> None:
        """Let go of it, and take the file along."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        if self._process != os.getpid():  # a fork: the lock is still the parent's
            os.close(handle)
            return
        keep = log_waits(self._index)  # and so does what is noted of it
        if not keep and sys.platform != "win32" and _is_at(handle, self._place):
            # Before it is let go of: who waits for this file will see that it has lost its name.
            with contextlib.suppress(OSError):
                self._place.unlink()
        _unlock(handle)
        os.close(handle)
        if not keep and sys.platform == "win32":  # where one that another has open cannot be erased
            with contextlib.suppress(OSError):
                self._place.unlink()

    def note(self, number: int) -> None:
        """Say which file is written to, by its number (inode): the log beside it is of no other.

        While a log waits it stays what was said before, if anything was.
        """
        if self._handle is None or (self._said.number == number and self._marked):
            return
        if not log_waits(self._index):
            self._marked = self._write(self._handle, Written.marked(self._index, number))
        elif self._said == Written():
            self._write(self._handle, Written(number))

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.release()

    def _try(self) -> int | None:
        """The locked file, marked as ours; None while another holds it."""
        handle, writable = _opened(self._place)
        kept = False
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise self._foreign()
            if not _lock(handle) or not _is_at(handle, self._place):
                return None
            text = os.read(handle, _LONGEST)
            if text and not text.startswith(_MARK.encode()):
                raise self._foreign()
            if not writable:  # left behind by a killed process of another user
                self._place.unlink()
                return None
            self._write(handle, _written(text.decode("utf-8", "replace")))
            self._marked = False
            kept = True
            return handle
        finally:
            if not kept:
                os.close(handle)

    def _write(self, handle: int, said: Written) -> bool:
        """Whether it could be written."""
        text = f"{_MARK}\n{os.getpid()}\n{platform.node()}\n{said.line()}\n"
        with contextlib.suppress(OSError):  # a full disk: held, but without a name
            os.lseek(handle, 0, os.SEEK_SET)
            os.ftruncate(handle, os.write(handle, text.encode()))  # never empty, for who reads it
            self._said = said
            return True
        return False

    def _foreign(self) -> GalleryError:
        return GalleryError(
            self._place,
            "a file that is no lock of ours",
            expected=f"nothing, or the lock of {self._index.name}",
            do="Move it away",
        )

    def _busy(self) -> IndexBusy:
        holder = self._holder()
        return IndexBusy(
            self._index,
            f"{holder or 'another process'} is writing to it",
            do="Wait until it has finished, or end it",
        )

    def _holder(self) -> str:
        """Who says to hold it, empty when nobody does."""
        try:
            mark, process, node = _read(self._place).splitlines()[:3]
            number = int(process)
        except (OSError, ValueError):
            return ""
        if mark != _MARK:
            return ""
        if node != platform.node():
            return f"process {number} on {node}"
        if number == os.getpid():
            return f"this process ({number})"
        return process_name(number)


def noted(index: Path) -> Written:
    """The file that whoever writes to an index, or wrote to it last and left a log behind, says to
    write to, as far as it is known."""
    try:
        return _written(_read(_beside(index)))
    except (OSError, ValueError):
        return Written()


def log_waits(index: Path) -> bool:
    """Whether commits wait in a log of SQLite beside an index (`-wal`): more than its head does."""
    try:
        return Path(f"{os.path.realpath(index)}-wal").stat().st_size > _HEAD
    except OSError:
        return False


def process_name(number: int) -> str:
    """A process as people know it: its number and, where the system tells, what it runs."""
    try:
        name = Path(f"/proc/{number}/comm").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return f"process {number}"
    return f"process {number} ({name})"


def _beside(index: Path) -> Path:
    return Path(f"{os.path.realpath(index)}.lock")  # one index, whatever link leads there


def _read(place: Path) -> str:
    with place.open("r", encoding="utf-8") as file:
        return file.read(_LONGEST)


def _written(text: str) -> Written:
    """Which file a lock says that it is written to."""
    lines = text.splitlines()
    if len(lines) < 4 or lines[0] != _MARK:
        return Written()
    return Written.told(lines[3], here=lines[2] == platform.node())


def _opened(place: Path) -> tuple[int, bool]:
    """The lock file, made if there is none, and whether it may be written."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(place, os.O_RDWR | os.O_CREAT | flags, 0o666), True
    except PermissionError as error:
        try:
            return os.open(place, os.O_RDONLY | flags), False
        except FileNotFoundError:
            raise error from None


def _is_at(handle: int, place: Path) -> bool:
    """Whether an open file still has its name, which a holder takes away as it lets go."""
    try:
        return os.path.samestat(os.fstat(handle), place.lstat())
    except FileNotFoundError:
        return False


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(handle: int) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_UN)
