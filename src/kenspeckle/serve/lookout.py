"""Whether the index files that are served can be read, looked at whenever somebody asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kenspeckle.errors import KenspeckleError
from kenspeckle.gallery import Gallery
from kenspeckle.serve.latest import Latest

AGAIN = 1.0
"""Seconds after which a file that could not be read, and has not changed, is tried again: reading
it may take long, and anybody may ask."""

BEAT = 2.0
"""Seconds after which it is looked where nobody asks, so that the log tells of trouble."""

HELD = 15.0
"""Seconds after which an index that somebody holds is told as one that answers no question."""

_LOG = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class Seen:
    """What is the matter with an index, if anything is; whether it is calibrated, `None` where that
    is not known; and why that no longer fits."""

    trouble: Trouble | None = None
    calibrated: bool | None = None
    stale: str = ""


class Lookout:
    """Looks after the index files of some galleries; `clock` counts seconds.

    Nobody waits for whoever holds an index: they hear what was seen the last time. The log has a
    line when trouble begins or changes, and another when it ends.
    """

    def __init__(
        self, galleries: Mapping[str, Gallery], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._watches = {name: _Watch(name, one, clock) for name, one in galleries.items()}

    def seen(self) -> dict[str, Seen]:
        """How each gallery is, by its name."""
        return {name: watch.look() for name, watch in self._watches.items()}

    def look(self) -> dict[str, Trouble]:
        """What is the matter now, by gallery; nothing of those that are well."""
        found = self.seen()
        return {name: one.trouble for name, one in found.items() if one.trouble is not None}

    async def keep(self, pause: float = BEAT) -> None:
        """Look every now and then, for as long as this is awaited; less often where it takes
        long."""
        while self._watches:
            begun = self._clock()
            with contextlib.suppress(Exception):  # whoever asks hears of it
                await asyncio.to_thread(self.seen)
            await asyncio.sleep(max(pause, 10 * (self._clock() - begun)))

    def end(self) -> None:
        """Tell the log no more: that an index is closed is no trouble."""
        for watch in self._watches.values():
            watch.ended = True


class _Watch:
    """One index file."""

    def __init__(self, name: str, gallery: Gallery, clock: Callable[[], float]) -> None:
        self._name, self._gallery, self._clock = name, gallery, clock
        self._latest = Latest(self._looked, clock=clock)
        self._trouble: Trouble | None = None
        self._tried: tuple[object, float] = ((), 0.0)
        self._telling, self._told, self.ended = threading.Lock(), "", False

    def look(self) -> Seen:
        """How it is now, or was when somebody could look the last time."""
        seen, held = self._latest.now() or Seen(), self._latest.held
        if held < HELD:
            return seen
        self._tell(f"{self._gallery.store.path}: in use for long, nobody could look at it")
        since = datetime.now(UTC) - timedelta(seconds=held)
        sentence = f"{self._gallery.store.path}: in use for {held:.0f} s, nobody could look at it"
        trouble = Trouble(sentence, since.isoformat(timespec="milliseconds"), failing=True)
        return replace(seen, trouble=trouble)

    def _tell(self, sentence: str) -> None:
        """Tell the log what is the matter, empty for nothing, unless it was told."""
        with self._telling:
            if sentence == self._told or self.ended:
                return
            self._told = sentence
            if sentence:
                _LOG.error("gallery %s: %s", self._name, sentence)
            else:
                _LOG.warning("gallery %s: its index can be used again", self._name)

    def _looked(self) -> Seen:
        self._trouble = self._found()
        self._tell(self._trouble.sentence if self._trouble else "")
        calibrated, stale = None, ""
        with contextlib.suppress(KenspeckleError):
            calibrated, stale = self._gallery.calibration is not None, self._gallery.stale
        return Seen(self._trouble, calibrated, stale)

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
