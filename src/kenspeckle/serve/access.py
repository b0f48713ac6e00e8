"""Who may ask: keys and their scopes, first contact without one, and pages of other origins.

Bound to loopback, and no key made yet: no key is asked, and the surfaces of replaced systems may
be used by pages of this machine. The first key that is made ends both, in a running service too.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import shlex
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import Request  # noqa: TC002  FastAPI reads the annotation of a dependency
from starlette.exceptions import HTTPException

from kenspeckle.config import Settings, check
from kenspeckle.config.origins import read_origin
from kenspeckle.errors import AccessRefused
from kenspeckle.serve import shown
from kenspeckle.serve.keys import SCOPES, Key, match, place, read, read_first

NATIVE = "v1"
"""The surface whose routes say themselves which scope they need."""

_ALLOWS = {
    "read": "ask or look at anything here",
    "write": "change anything here",
    "admin": "administer this service",
}
"""What a scope is for, as whoever lacks it is told."""

UNUSABLE = "the file of keys cannot be used, and no key in it is in force; the log says why"
"""What anybody is told of trouble with the file of keys."""

_LOG = logging.getLogger(__name__)
_LOCAL_ORIGIN = re.compile(r"http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?")
_LOCAL_HOST = re.compile(r"(localhost|127\.[0-9.]{5,11}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the name of the key (empty for none) and what they may do.

    `id` is that of the key itself: another one may be given its name once it is revoked, or have
    the name of the mounted one.
    """

    name: str
    scopes: frozenset[str]
    anonymous: bool
    id: str = ""


def own_id(key: Key) -> str:
    """What tells a key from every other one, of the same name too."""
    return f"{key.name} {key.made} {key.sha256[:16]}"


ANYBODY = Principal("", frozenset(), anonymous=True)
TRUSTED = Principal("", frozenset(SCOPES), anonymous=True)
"""Who asks without a key where none is asked."""


class Access:
    """The rules in force. `refresh` reads the keys anew if their file has changed.

    `open_surfaces` need no key, `make` is the command that makes one. Once a key was seen none is
    unseen: a file that vanishes or is damaged while the service runs closes it, it does not open
    it. `trouble` says what is the matter with the file for as long as that lasts; the log has a
    line when it begins and another when it ends.
    """

    def __init__(
        self,
        path: Path,
        *,
        host: str = "127.0.0.1",
        first: Path | None = None,
        origins: Iterable[str] = (),
        open_surfaces: Iterable[str] = (),
        make: str = "kenspeckle keys create NAME",
    ) -> None:
        self.path, self._first, self._make = path, first, make
        self._loopback = is_loopback(host)
        self._host = host.lower()
        self._origins = frozenset(map(read_origin, origins))
        self.open_surfaces = frozenset(open_surfaces)
        self._keys: tuple[Key, ...] = ()
        self._seen: tuple[object, ...] = ()
        self._closed, self._filled, self._has = False, False, False
        self._reading = threading.Lock()
        self.trouble = ""
        self._load(self._look())

    # What holds

    @property
    def keyless(self) -> bool:
        """Whether no key is asked: bound to loopback, and none was ever made."""
        return self._loopback and not self._closed

    def state(self) -> str:
        """Which state holds, for the line at the start."""
        self.refresh()
        if self.keyless:
            pages = "; pages of other origins need one" if self._origins else ""
            return f"no key is asked (this machine only, and none was made yet){pages}"
        opened = ", ".join(sorted(self.open_surfaces))
        asked = f"a key is asked, except by {opened}" if opened else "a key is asked"
        return f"{asked}; {UNUSABLE}" if self.trouble else asked

    def check(self, surfaces: Iterable[str]) -> None:
        """Refuse to listen beyond this machine while no key exists and a surface would need one.

        AccessRefused says what to do.
        """
        self.refresh()
        needing = sorted(set(surfaces) - self.open_surfaces)
        if self._loopback or any(not one.revoked for one in self._keys):
            return
        if self.open_surfaces and not needing:
            return
        raise AccessRefused(
            f"address {self._host}",
            "others can reach it, and no key was made",
            expected="a key" + (f", or no need of one for {', '.join(needing)}" if needing else ""),
            do=f"Make one with `{self._make}`, mount a secret and name its file in "
            "KENSPECKLE_KEY_FILE, or open a surface with `--surface NAME:open`",
        )

    # Who asks

    def principal(
        self, shown: str | None, surface: str, *, foreign: bool = False
    ) -> Principal | None:
        """Who shows this key at that surface; None for a wrong key, or none where one is asked.

        A page of a `foreign` origin needs one too where the others on this machine need none.
        """
        if self.keyless and not foreign:
            return TRUSTED
        key = match(shown, self._keys) if shown else None
        if key is not None:
            return Principal(key.name, frozenset(key.scopes), anonymous=False, id=own_id(key))
        return TRUSTED if surface in self.open_surfaces else None

    def still(self, principal: Principal, scopes: Collection[str], surface: str = NATIVE) -> bool:
        """Whether somebody who was let in would be let in now, and may do one of `scopes`.

        Whoever listens for long is asked about again: a key may have been revoked since, or the
        first one made.
        """
        self.refresh()
        if self.keyless:
            return True
        if principal.anonymous:
            return surface in self.open_surfaces and not principal.scopes.isdisjoint(scopes)
        return any(
            not key.revoked
            and own_id(key) == principal.id
            and not set(scopes).isdisjoint(key.scopes)
            for key in self._keys
        )

    # Pages and names of hosts

    def origin_allowed(self, origin: str, surface: str, host: str) -> bool:
        """Whether a page of that origin may use that surface, asked for under the name `host`."""
        named = origin in self._origins or "*" in self._origins
        return named or self.at_home(origin, surface, host)

    def at_home(self, origin: str, surface: str, host: str) -> bool:
        """Whether a page of that origin is as trusted as a program that asks from its machine."""
        if host and _name_of(origin) == host.lower():
            return True  # our own page
        return (
            surface not in ("", NATIVE)
            and self.keyless
            and _LOCAL_ORIGIN.fullmatch(origin) is not None
        )

    def embedding(self, surface: str) -> bool:
        """Whether pages of other origins may show pictures of that surface."""
        return surface not in ("", NATIVE) and (bool(self._origins) or self.keyless)

    def host_allowed(self, host: str) -> bool:
        """Whether the name that was asked for is ours.

        Where no key is asked, a page that makes its own name resolve to this machine would be
        let in otherwise.
        """
        if not self._loopback or not (self.keyless or self.open_surfaces):
            return True
        return _LOCAL_HOST.fullmatch(host) is not None or _without_port(host) == self._host

    # Keys

    def _look(self) -> tuple[object, ...]:
        """What changes when a file of keys does."""
        seen: list[object] = []
        for path in (self.path, self._first):
            try:
                state = path.stat() if path else None
            except OSError:
                state = None
            seen.append((state.st_mtime_ns, state.st_ino, state.st_size) if state else None)
        return tuple(seen)

    def refresh(self) -> None:
        """Take in keys that were made or revoked since; once for each request."""
        if self._look() == self._seen:
            return
        with self._reading:
            now, before = self._look(), self.trouble
            if now == self._seen:  # another thread was quicker
                return
            try:
                self._load(now)
                self.trouble = self._lost()
            except AccessRefused as error:
                self._seen, self._keys, self._closed = now, (), True
                self.trouble = str(error)
        if self.trouble and self.trouble != before:
            _LOG.error("no key of the file is in force: %s", self.trouble)
        elif before and not self.trouble:
            _LOG.warning("keys %s: the file can be used again", self.path)

    def _load(self, seen: tuple[object, ...]) -> None:
        own = read(self.path)
        first = (read_first(self._first),) if self._first else ()
        self._keys, self._seen = (*own, *first), seen
        self._has = bool(own)
        self._filled = self._filled or self._has
        self._closed = self._closed or bool(self._keys)

    def _lost(self) -> str:
        """What is the matter with a file that can be read, and held keys before; else empty."""
        if self._has or not (self._filled or (self._closed and not self._keys)):
            return ""
        gone = not self.path.exists()
        return f"keys {self.path}: {'deleted or moved' if gone else 'emptied'} since it was read"


def open_access(
    settings: Settings,
    index: str | os.PathLike[str],
    *,
    open_surfaces: Iterable[str] = (),
) -> Access:
    """The rules that the settings ask for; `index` is the first one served, empty for none.

    Raises AccessRefused for keys that cannot be read, SettingError for what is no origin.
    """
    serve = settings.serve
    check("serve.origins", serve.origins)
    which = ["--index", os.fspath(index)] if index else []
    if serve.keys:
        which = ["--keys", serve.keys]
    return Access(
        place(settings, index),
        host=serve.host,
        first=Path(serve.key_file) if serve.key_file else None,
        origins=serve.origins,
        open_surfaces=open_surfaces,
        make=shlex.join(["kenspeckle", "keys", "create", "NAME", *which]),
    )


def needs(*scopes: str) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency of a route: whoever asks may do one of `scopes`, else 401 or 403."""

    async def check(request: Request) -> Principal:
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is None:
            raise HTTPException(401, shown.NONE, {"WWW-Authenticate": shown.CHALLENGE})
        may(principal, *scopes)
        return principal

    return check


def may(principal: Principal, *scopes: str) -> None:
    """Refuse whoever may do none of `scopes`. Raises AccessRefused."""
    if principal.scopes.isdisjoint(scopes):
        raise AccessRefused(
            f"key {principal.name}" if principal.name else "this request",
            f"it may not {' or '.join(_ALLOWS.get(scope, scope) for scope in scopes)}",
            expected=f"a key with the scope {' or '.join(scopes)}",
        )


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` is reached from this machine alone.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _name_of(origin: str) -> str:
    """The name and port of an origin; empty for what is none.

    >>> _name_of("http://Localhost:80"), _name_of("http://["), _name_of("null")
    ('localhost:80', '', '')
    """
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]{1,5}$", "", host.lower())
