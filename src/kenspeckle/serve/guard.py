"""What every request passes before anybody reads it, and every answer on its way out.

The order: an id; is the service stopping; names and sizes; pages of other origins; who asks; how
often; how many; the body, counted while it arrives, where the method has one; then the route,
within its time and only as long as somebody waits for it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from kenspeckle.errors import AccessRefused, ServiceBusy
from kenspeckle.serve import problems, shown
from kenspeckle.serve.access import ANYBODY, NATIVE, Access, Principal, may
from kenspeckle.serve.exchange import STOPPING, Exchange, Refusal
from kenspeckle.serve.limits import (
    LARGEST_HEAD,
    LONGEST_PATH,
    LONGEST_QUERY,
    MOST_HEADERS,
    Limits,
    neighbourhood,
)

SurfaceOf = Callable[[Scope], str]
"""The surface that a request is for; empty for what everybody may see: health and documents."""

Fault = Callable[[Scope, BaseException], None]

Busy = Callable[[], ServiceBusy | None]
"""What to tell whoever brings work now; None while there is room for it."""


def _room() -> None:
    """There is always room."""


_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_EXPOSED = b"X-Request-ID, Retry-After, Location, Link"
_AGE = b"600"
_COME_BACK = (429, 503)
_LITTLE = 1024 * 1024
"""Bytes of a body that are let come in for the sake of the line."""
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SANE_NAMES = re.compile(rb"[A-Za-z0-9_, -]{0,500}")
_SANE_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]{0,20}://[A-Za-z0-9._:[\]-]{1,200}")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DIGITS = re.compile(rb"[0-9]{1,18}")


class Guard:
    """Lets a request through to `app`, or answers why not.

    `surface_of` says for which surface a request is, `fault` hears of an exception that nobody
    foresaw, and while `busy` has something to say no POST is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        limits: Limits,
        surface_of: SurfaceOf,
        fault: Fault,
        busy: Busy = _room,
    ) -> None:
        self._app, self._access, self._limits = app, access, limits
        self._surface_of, self._fault, self._busy = surface_of, fault, busy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(headers)
        exchange = Exchange(scope, receive, send, self._limits)
        said = headers.get(b"content-length", b"0")
        exchange.unread = said != b"0" or b"transfer-encoding" in headers
        try:
            cross = self._admit(scope, headers, exchange)
            if cross is not None:
                await exchange.plainly(204, cross)
                return
            await exchange.run(self._app, _length(headers))
        except Refusal as refusal:
            exchange.keeps = self._keeps(refusal, headers)
            await exchange.refuse(refusal)
        except Exception as error:
            self._fault(scope, error)
            await exchange.fail()
        finally:
            exchange.close()

    def _admit(
        self, scope: Scope, headers: Mapping[bytes, bytes], exchange: Exchange
    ) -> list[tuple[bytes, bytes]] | None:
        """Let the request in; what a preflight is answered with, None for any other request.

        Raises Refusal.
        """
        self._access.refresh()
        surface = self._surface_of(scope)
        exchange.native = surface in ("", NATIVE)
        exchange.heedless = not surface or scope["method"] in ("GET", "HEAD")
        exchange.embedding = self._access.embedding(surface)
        if self._limits.stopping and surface:
            raise Refusal(503, STOPPING, wait=5.0)
        _check_head(scope)
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._access.host_allowed(host):
            raise Refusal(421, "this service is not called so; ask for localhost or 127.0.0.1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        welcome = not origin or self._access.origin_allowed(origin, surface, host)
        if origin and welcome:
            exchange.extra += _cross(origin)
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            if not welcome:
                raise _no_page(origin)
            return _preflight(headers)
        foreign = bool(origin) and welcome and not self._access.at_home(origin, surface, host)
        principal, exchange.who = self._principal(scope, headers, surface, foreign)
        if not welcome and principal.anonymous and surface:
            raise _no_page(origin)
        scope["state"]["principal"] = principal
        if scope["method"] == "POST" and surface and (busy := self._busy()) is not None:
            raise Refusal(503, str(busy), wait=busy.retry_after)
        exchange.enter(work=bool(surface))
        return None

    def _keeps(self, refusal: Refusal, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a line outlives the refusal: who is to come back need not connect again, where
        what is still to come of the body is a little."""
        if refusal.status not in _COME_BACK or self._limits.stopping:
            return False
        said = headers.get(b"content-length", b"0").strip()
        unsure = b"transfer-encoding" in headers or b"expect" in headers  # it may never be sent
        return not unsure and bool(_DIGITS.fullmatch(said)) and int(said) <= _LITTLE

    def _principal(
        self, scope: Scope, headers: Mapping[bytes, bytes], surface: str, foreign: bool
    ) -> tuple[Principal, str]:
        """Who asks, and as whom that is counted; a page of a `foreign` origin needs a key on this
        machine too. Raises Refusal."""
        address = (scope.get("client") or ("", 0))[0]
        principal = self._access.principal(shown.key(headers), surface, foreign=foreign)
        known = principal is not None and principal.id
        who = f"key {known}" if known else f"address {neighbourhood(address)}"
        if surface:  # who looks after the service is not counted
            wait = self._limits.wait(who)
            if wait:
                raise _too_often(self._limits.rate, wait)
        if principal is None:
            if not surface:
                return ANYBODY, who
            why = shown.refusal(headers, scope["query_string"], foreign=foreign)
            challenge = [(b"www-authenticate", shown.CHALLENGE.encode())]
            raise Refusal(401, why, headers=challenge)
        if surface not in ("", NATIVE):
            _may_read(principal)
        return principal, who


def _no_page(origin: str) -> Refusal:
    """What a page of that origin is told; one that no browser writes so is not repeated."""
    named = f"origin {origin}" if _SANE_ORIGIN.fullmatch(origin) else "origin"
    return Refusal(
        403,
        f"{named}: its pages may not ask here; expected one that the service was told of. "
        "To let them ask, start it with --origin ORIGIN",
    )


def _too_often(rate: float, wait: float) -> Refusal:
    expected = f"expected at most {rate:g} a second (serve.rate)"
    again = f"Come back in {problems.seconds(wait)} s"
    return Refusal(429, f"requests: too many; {expected}. {again}", wait=wait)


def _may_read(principal: Principal) -> None:
    """Raises Refusal for a key that may not ask a surface of a former system anything."""
    try:
        may(principal, "read")
    except AccessRefused as error:
        raise Refusal(403, problems.told(error)) from None


def _check_head(scope: Scope) -> None:
    """Refuse first lines and headers that no honest client sends."""
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MOST_HEADERS or size > LARGEST_HEAD:
        expected = f"expected at most {MOST_HEADERS} of {LARGEST_HEAD} bytes together"
        raise Refusal(431, f"headers: {len(headers)} of {size} bytes; {expected}")
    path, query = len(scope["raw_path"] or b""), len(scope["query_string"])
    if path > LONGEST_PATH or query > LONGEST_QUERY:
        expected = f"expected at most {LONGEST_PATH} and {LONGEST_QUERY}"
        raise Refusal(414, f"address: a path of {path} bytes, a query of {query}; {expected}")
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (not hosts and scope["http_version"] == "1.1"):  # RFC 9112, 3.2
        raise Refusal(400, f"{hosts} Host headers; expected one")
    if _HIDDEN.search(scope["path"]):
        raise Refusal(400, "a path with hidden characters")


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The id that the client gave, if it is a sane one, else a new one."""
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _SANE_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"  # no secret


def _length(headers: Mapping[bytes, bytes]) -> int | None:
    """How long the body says it is; None when it does not say."""
    if b"transfer-encoding" in headers:
        return None
    said = headers.get(b"content-length", b"0").strip()
    if not _DIGITS.fullmatch(said):
        raise Refusal(400, "a length that is no number")
    return int(said)


def _cross(origin: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def _preflight(headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """What a page is told before it asks; its origin is told beside it."""
    wanted = headers.get(b"access-control-request-headers", b"")
    told = [(b"access-control-allow-methods", _METHODS), (b"access-control-max-age", _AGE)]
    if wanted and _SANE_NAMES.fullmatch(wanted):
        told.append((b"access-control-allow-headers", wanted))
    if headers.get(b"access-control-request-private-network") == b"true":
        told.append((b"access-control-allow-private-network", b"true"))
    return told
