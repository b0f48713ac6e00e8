"""What stands before which camera: frames go in, `appeared` and `gone` come out.

A client that sends the frames of one camera names the stream in each request. The answers of a
stream are joined to tracks (`match/track.py`), so that one frame says nothing yet and a flicker
ends nothing. An item appears once, when a track takes its name, and is gone when no frame has shown
it for `patience` seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Condition, Lock, Thread

from kenspeckle.errors import InputError, ServiceBusy
from kenspeckle.match.sighting import Rect, Rules
from kenspeckle.match.track import Scene, Track, advance
from kenspeckle.serve.access import TRUSTED, Principal
from kenspeckle.serve.events import Bus, Event
from kenspeckle.serve.glances import Glance
from kenspeckle.serve.shares import room

LONGEST_NAME = 100
IDLE = 60.0
"""Seconds without a frame after which a stream is forgotten, with its tracks."""
TICK = 1e-6
"""Seconds by which a frame without a time is later than the last one, at least."""
LATEST = 253_402_300_799.0
"""The largest time of a frame, seconds before or after 0: the year 9999, counted from 1970."""
FAR = 60.0
"""Seconds, or ten times the patience if that is more, that no frame is late because others were
answered first: one that goes back farther begins a new count."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """An item before a camera, from when to when, in the time of its frames and on the clock."""

    key: str
    label: str
    first: float
    last: float
    since: str
    frames: int = 1
    confidence: float | None = None
    box: Rect = (0.0, 0.0, 1.0, 1.0)


@dataclass(slots=True)
class _Watch:
    """One stream: whose it is, who sent its first frame, its tracks, what is before it now, and
    when its last frame came and the last one that was counted."""

    gallery: str
    name: str
    by: Principal
    asker: str
    came: float
    counted: float
    scene: Scene = field(default_factory=Scene)
    present: dict[str, Appearance] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str, str]:
        """What tells it from all others; see `_place`."""
        return _place(self.gallery, self.name, self.by)


class Streams:
    """The streams of all clients, at most `most`; those that fall silent are ended by themselves.

    `patience` is how many seconds an item may be unseen before it is gone. A stream is that of the
    key whose frames began it: frames of another key make one of their own, whatever its name. No
    asker has more streams than are left for others; the silent ones of an asker make room for its
    new ones.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        patience: float = 3.0,
        most: int = 512,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus, self._most, self._clock = bus, most, clock
        self._patience, self._rules = patience, replace(Rules(), patience=patience)
        self._watches: dict[tuple[str, str, str], _Watch] = {}
        self._lock, self._closed = Lock(), False
        self._change = Condition(self._lock)
        self._thread: Thread | None = None

    def __len__(self) -> int:
        return len(self._watches)

    def see(
        self,
        gallery: str,
        stream: str,
        frame: Sequence[Glance],
        at: float | None = None,
        *,
        asker: str = "",
        by: Principal = TRUSTED,
    ) -> list[Event]:
        """Take in a frame of a stream; the events that it led to, published already.

        `at` is its time in seconds in the stream's own count, now unless given. A frame that is
        not later than the last one changes nothing, unless the count begins anew with it: it lies
        `FAR` back, or no frame has been counted for as long as the patience. Raises as `admit`.
        """
        check(stream, at)
        sightings = [one.sighting for one in frame]
        with self._lock:
            now, known = self._clock(), self._watches.get(_place(gallery, stream, by))
            watch = known or self._opened(_Watch(gallery, stream, by, asker, now, now))
            watch.came = now
            own, events = self._time(watch, at), []
            if not own > watch.scene.at:
                if not self._anew(watch, own):
                    return []
                events, watch.scene = self._leave(watch, math.inf), Scene()
            watch.scene, watch.counted = (
                advance(watch.scene, own, sightings, self._rules),
                watch.came,
            )
            return events + self._appear(watch, frame, own) + self._leave(watch, own)

    def _time(self, watch: _Watch, at: float | None) -> float:
        """The time of a frame, in the count of its stream."""
        last = watch.scene.at
        if at is not None or not last - self._patience <= watch.came <= last:
            return watch.came if at is None else at
        return last + max(TICK, math.ulp(last))

    def _anew(self, watch: _Watch, own: float) -> bool:
        """Whether a frame that is not later than the last one begins a new count."""
        far = max(FAR, 10 * self._patience)
        return watch.scene.at - own > far or watch.came - watch.counted > self._patience

    def admit(
        self,
        gallery: str,
        stream: str,
        at: float | None = None,
        *,
        asker: str = "",
        by: Principal = TRUSTED,
    ) -> None:
        """Refuse, before its picture is looked at, a frame that could not be taken in.

        It takes no place: only a frame that was answered does. Raises InputError for a name or a
        time that no stream has, ServiceBusy when there are too many streams, or too many of the
        `asker`.
        """
        check(stream, at)
        with self._lock:
            if _place(gallery, stream, by) not in self._watches:
                self._room(asker)

    def age(self) -> list[Event]:
        """End what was before streams that have fallen silent; the events, published already."""
        events: list[Event] = []
        with self._lock:
            now = self._clock()
            for key, watch in list(self._watches.items()):
                silent = now - watch.came
                if silent > self._patience:
                    events += self._leave(watch, math.inf)
                if silent > max(IDLE, self._patience):
                    del self._watches[key]
        return events

    def close(self) -> None:
        """Forget all streams, without a word about what is before them, and end the clock."""
        with self._lock:
            self._closed = True
            self._watches.clear()
            self._change.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _opened(self, watch: _Watch) -> _Watch:
        """A new stream, in the place of a silent one if need be; called with the lock held."""
        ended = self._room(watch.asker)
        if self._thread is None:
            thread = Thread(target=self._tick, name="streams", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise ServiceBusy("streams", "no thread can be started") from error
            self._thread = thread
        if ended is not None:
            self._leave(ended, math.inf)
            del self._watches[ended.place]
        self._watches[watch.place] = watch
        return watch

    def _room(self, asker: str) -> _Watch | None:
        """The stream that has to make room for a new one of this asker, None where there is room;
        called with the lock held. ServiceBusy."""
        taken = len(self._watches)
        own = [watch for watch in self._watches.values() if watch.asker == asker]
        if self._closed:
            raise ServiceBusy("streams", "stopping")
        if room(len(own) if asker else 0, taken, self._most):
            return None
        stalest = min(own, key=lambda watch: watch.came, default=None)
        if stalest is not None and self._clock() - stalest.came > self._patience:
            return stalest
        found = f"{taken} are open" if taken >= self._most else f"{len(own)} of yours are open"
        raise ServiceBusy("streams", found, do=f"One is forgotten {IDLE:g} s after its last frame")

    def _tick(self) -> None:
        """The clock of silent streams; ends when there are none."""
        while True:
            with self._lock:
                if not self._watches or self._closed:
                    self._thread = None
                    return
                self._change.wait(min(self._patience / 4, 1.0))
            self.age()

    def _appear(self, watch: _Watch, frame: Sequence[Glance], at: float) -> list[Event]:
        """Note what is named in this frame, and tell of what was not there before."""
        tracks = {track.id: track for track in watch.scene.tracks}
        events = []
        for glance, number in zip(frame, watch.scene.seen, strict=True):
            track, sure = tracks[number], glance.decision.confidence
            if not track.key or track.key != glance.decision.key:
                continue  # no name yet, or one that outlives a frame which does not give it
            known = watch.present.get(track.key)
            if known is None:
                watch.present[track.key] = known = _first(track, at, sure)
                events.append(self._publish(watch, "appeared", known, at))
                continue
            watch.present[track.key] = replace(
                known, last=at, box=track.box, frames=known.frames + 1, confidence=sure
            )
        return events

    def _leave(self, watch: _Watch, at: float) -> list[Event]:
        """Tell of what has not been seen for longer than the patience."""
        gone = [one for one in watch.present.values() if at - one.last > self._patience]
        for one in gone:
            del watch.present[one.key]
        return [self._publish(watch, "gone", one, one.last) for one in gone]

    def _publish(self, watch: _Watch, kind: str, one: Appearance, at: float) -> Event:
        data = {
            "stream": watch.name,
            "item": one.key,
            "label": one.label,
            "confidence": one.confidence,
            "box": list(one.box),
            "time": _now(),
            "at": at,
        }
        if watch.by.id:
            data["key"] = watch.by.name
        if kind == "gone":
            data |= {"since": one.since, "seconds": one.last - one.first, "frames": one.frames}
        subject = "\n".join((*watch.place, one.key))
        return self._bus.publish(
            Event(kind, data, watch.gallery, subject, lasting=kind == "appeared")
        )


def check(stream: str, at: float | None = None) -> None:
    """Refuse a name or a time that no stream has. InputError."""
    if not 0 < len(stream) <= LONGEST_NAME or not stream.isprintable():
        raise InputError(
            "stream",
            f"a name of {len(stream)} characters",
            expected=f"1 to {LONGEST_NAME} that can be printed",
        )
    if at is not None and not abs(at) <= LATEST:
        wanted = f"seconds, {-LATEST:.0f} to {LATEST:.0f}"
        raise InputError("at", f"{at:g}", expected=wanted)


def _place(gallery: str, stream: str, by: Principal) -> tuple[str, str, str]:
    """What tells a stream from all others: the key that sends its frames, too."""
    return gallery, stream, by.id


def _first(track: Track, at: float, confidence: float | None) -> Appearance:
    """An appearance that begins: its first frame is the track's, not the one that gave the name."""
    return Appearance(
        key=track.key,
        label=track.label or track.key,
        first=track.first,
        last=at,
        since=_now(),
        frames=track.seen,
        confidence=confidence,
        box=track.box,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
