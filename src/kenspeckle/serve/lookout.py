"""Whether the index files that are served can be read, looked at whenever somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kenspeckle.errors import KenspeckleError
from kenspeckle.gallery import Gallery

AGAIN = 1.0
"""Seconds after which a file that could not be read, and has not changed, is tried again: reading
it may take long, and anybody may ask."""

GONE = (
    "deleted or moved since it was opened; questions are answered from memory, changes are "
    "refused; put it back"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is the matter with an index, and since when (UTC). One that is `failing` answers no
    question; of another only changes are refused."""

    sentence: str
    since: str
    failing: bool


class Lookout:
    """Looks after the index files of some galleries; `clock` counts seconds."""

    def __init__(
        self, galleries: Mapping[str, Gallery], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._watches = {name: _Watch(one, clock) for name, one in galleries.items()}

    def look(self) -> dict[str, Trouble]:
        """What is the matter now, by gallery; nothing of those that are well."""
        found = {name: watch.look() for name, watch in self._watches.items()}
        return {name: trouble for name, trouble in found.items() if trouble is not None}


class _Watch:
    """One index file. Who asks while another looks hears what was found the last time."""

    def __init__(self, gallery: Gallery, clock: Callable[[], float]) -> None:
        self._gallery, self._clock = gallery, clock
        self._lock = threading.Lock()
        self._trouble: Trouble | None = None
        self._tried: tuple[object, float] = ((), 0.0)

    def look(self) -> Trouble | None:
        if self._lock.acquire(blocking=False):
            try:
                self._trouble = self._found()
            finally:
                self._lock.release()
        return self._trouble

    def _found(self) -> Trouble | None:
        path, now = self._gallery.store.path, self._clock()
        stamp = _stamp(path)
        if stamp is None:
            return self._said(f"{path}: {GONE}", failing=False)
        tried, when = self._tried
        if self._trouble is not None and tried == stamp and now - when < AGAIN:
            return self._trouble
        try:
            self._gallery.opened  # noqa: B018  what every question does first
        except KenspeckleError as error:
            self._tried = stamp, now
            return self._said(str(error), failing=True)
        return None

    def _said(self, sentence: str, *, failing: bool) -> Trouble:
        if self._trouble is not None:
            return replace(self._trouble, sentence=sentence, failing=failing)
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Trouble(sentence, since, failing)


def _stamp(path: str) -> tuple[int, ...] | None:
    """What tells a file from another, and from itself before it was changed; None if none lies
    there."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
