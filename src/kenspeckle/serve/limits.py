"""How much anybody may ask: requests at once, a second, and bytes that are held meanwhile."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from kenspeckle.config import ServeSettings
from kenspeckle.serve.lines import Lines

MOST_HEADERS = 100
LARGEST_HEAD = 32 * 1024
"""Bytes of the first line and all headers together."""
LONGEST_PATH = 4 * 1024
LONGEST_QUERY = 8 * 1024
HEAD_TIMEOUT = 10.0
"""Seconds in which the first line and the headers have to arrive."""

LINGER = 1.0
"""Seconds in which the rest of a refused request is read and thrown away, so that its sender gets
to read why; and in which a body may still arrive when the service begins to stop."""

_HELD_BODIES = 8
_LEAST_HELD = 256 * 1024 * 1024
_MOST_BUCKETS = 10_000
_SHARES = 2
"""Into how many parts what may be held is cut; nobody has more than one of them."""
_LEAST_LINES = 2
"""Connections that an address may always have where no share is set."""
_BURST = 2.0
"""Requests that may come at once, in seconds of the rate."""


class Room:
    """`most` bytes that may be held at once, `each` of them for one who asks; `held` are."""

    def __init__(self, most: int) -> None:
        self.most, self.each, self.held = most, most // _SHARES, 0
        self._own: dict[str, int] = {}

    def free(self, count: int, who: str = "") -> bool:
        """Whether there is room for so many bytes, in the share of `who` too where that is told."""
        own = self._own.get(who, 0)
        if self.held and self.held + count > self.most:
            return False
        return not (who and own and own + count > self.each)

    def hold(self, count: int, who: str = "") -> bool:
        """Take room for so many bytes, if there is; `release` gives it back."""
        if not self.free(count, who):
            return False
        self.held += count
        if who and count:
            self._own[who] = self._own.get(who, 0) + count
        return True

    def release(self, count: int, who: str = "") -> None:
        """Give room back."""
        self.held -= count
        left = self._own.pop(who, 0) - count
        if left > 0:
            self._own[who] = left


class Limits:
    """What is going on against what may; used from one event loop.

    `running` requests are being answered now; `working` of them, and `entered` since the start, use
    memory that is worth giving back, as probes and listeners do not. What is held meanwhile is in
    `bodies` and, so that nobody who takes slowly keeps others from asking, apart in `answers`.
    `lines` are the connections of all ports. `stopping` is set when the service takes no more
    requests.
    """

    def __init__(
        self, settings: ServeSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_body, self.body_timeout = settings.max_body, settings.body_timeout
        self.timeout, self.connections = settings.timeout, settings.connections
        self.running, self.working, self.entered = 0, 0, 0
        most = max(_HELD_BODIES * settings.max_body, _LEAST_HELD)
        self.bodies, self.answers = Room(most), Room(most)
        share = settings.per_address or max(_LEAST_LINES, self.connections * 3 // 4)
        self.lines = Lines(self.sockets, min(share, self.sockets))
        self.stopping = False
        self._arriving: set[asyncio.Timeout] = set()
        self.rate, self._clock = settings.rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def sockets(self) -> int:
        """Connections at once, those that ask nothing included."""
        return 2 * self.connections

    def stop(self) -> None:
        """Take no more requests; what has not arrived whole within `LINGER` is none."""
        self.stopping = True
        for clock in self._arriving:
            self._hurry(clock)

    def arrives(self, clock: asyncio.Timeout) -> None:
        """A body has until then to arrive; less once the service stops."""
        self._arriving.add(clock)
        if self.stopping:
            self._hurry(clock)

    def arrived(self, clock: asyncio.Timeout) -> None:
        """It has arrived, or will not."""
        self._arriving.discard(clock)

    def _hurry(self, clock: asyncio.Timeout) -> None:
        soon = asyncio.get_running_loop().time() + LINGER
        if not clock.expired():
            clock.reschedule(min(soon, clock.when() or soon))

    def wait(self, who: str) -> float:
        """Seconds that `who` has to wait before the next request; 0 takes one.

        The right to ask grows by the rate, up to what two seconds of it give. The one that asked
        longest ago is forgotten when there are too many.
        """
        if not self.rate:
            return 0.0
        now, most = self._clock(), max(1.0, self.rate * _BURST)
        left, seen = self._buckets.pop(who, (most, now))
        left = min(most, left + (now - seen) * self.rate)
        wait = 0.0 if left >= 1 else (1 - left) / self.rate
        self._buckets[who] = (left if wait else left - 1, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return wait


@functools.lru_cache(1024)
def neighbourhood(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 that one customer has in IPv6.

    >>> neighbourhood("192.0.2.7"), neighbourhood("2001:db8::1:2")
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
