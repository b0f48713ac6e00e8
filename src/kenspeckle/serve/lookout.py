"""Whether the index files that are served can be read, looked at whenever somebody asks."""

from __future__ import annotations

import contextlib
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

HELD = 15.0
"""Seconds after which an index that somebody holds is told as one that answers no question."""

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

    Nobody waits for whoever holds an index: they hear what was seen the last time.
    """

    def __init__(
        self, galleries: Mapping[str, Gallery], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._watches = {name: _Watch(one, clock) for name, one in galleries.items()}

    def seen(self) -> dict[str, Seen]:
        """How each gallery is, by its name."""
        return {name: watch.look() for name, watch in self._watches.items()}

    def look(self) -> dict[str, Trouble]:
        """What is the matter now, by gallery; nothing of those that are well."""
        found = self.seen()
        return {name: one.trouble for name, one in found.items() if one.trouble is not None}


class _Watch:
    """One index file."""

    def __init__(self, gallery: Gallery, clock: Callable[[], float]) -> None:
        self._gallery, self._clock = gallery, clock
        self._latest = Latest(self._looked, clock=clock)
        self._trouble: Trouble | None = None
        self._tried: tuple[object, float] = ((), 0.0)

    def look(self) -> Seen:
        """How it is now, or was when somebody could look the last time."""
        seen, held = self._latest.now() or Seen(), self._latest.held
        if held < HELD:
            return seen
        since = datetime.now(UTC) - timedelta(seconds=held)
        sentence = f"{self._gallery.store.path}: in use for {held:.0f} s, nobody could look at it"
        trouble = Trouble(sentence, since.isoformat(timespec="milliseconds"), failing=True)
        return replace(seen, trouble=trouble)

    def _looked(self) -> Seen:
        self._trouble = self._found()
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
