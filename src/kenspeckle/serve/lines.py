"""The connections of all ports: so many altogether, and no more than a share of them for one
address, so that whoever opens many shuts out nobody else."""

from __future__ import annotations

from typing import Protocol


class Line(Protocol):
    """One connection."""

    def give_way(self) -> None:
        """End at once: a newer one takes its place."""


class Lines:
    """At most `most` connections, `each` of one address; used from one event loop.

    An address that has its share, or comes when all are taken, gets another one in the place of
    that of its own which has waited longest: which has not begun to ask, or was answered. One that
    is being answered never gives way.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._whose: dict[Line, str] = {}
        self._own: dict[str, int] = {}
        self._waiting: dict[str, dict[Line, None]] = {}

    def __len__(self) -> int:
        return len(self._whose)

    def enter(self, line: Line, who: str) -> bool:
        """Take a connection of an address, which waits for its first request; False for no room."""
        if len(self._whose) >= self._most or self._own.get(who, 0) >= self._each:
            other = next(iter(self._waiting.get(who, ())), None)
            if other is None:
                return False
            self.leave(other)
            other.give_way()
        self._whose[line] = who
        self._own[who] = self._own.get(who, 0) + 1
        self.rest(line)
        return True

    def ask(self, line: Line) -> None:
        """A request has begun on it."""
        who = self._whose.get(line)
        waiting = self._waiting.get(who, {}) if who is not None else {}
        waiting.pop(line, None)
        if who is not None and not waiting:
            self._waiting.pop(who, None)

    def rest(self, line: Line) -> None:
        """It waits for a request; nothing happens to one that has left."""
        who = self._whose.get(line)
        if who is not None:
            self._waiting.setdefault(who, {})[line] = None

    def leave(self, line: Line) -> None:
        """Forget it; what is forgotten already stays so."""
        self.ask(line)
        who = self._whose.pop(line, None)
        if who is not None:
            self._own[who] -= 1
            if not self._own[who]:
                del self._own[who]
