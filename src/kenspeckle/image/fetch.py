"""Pictures from addresses, without letting an address reach what is ours.

Only http and https; every address that a name resolves to has to be public, and the connection
goes to the very address that was checked, so that a name cannot change its mind in between. Each
redirect is checked anew. Size and time are limited altogether, not per read. Proxies of the
environment are not used, and no text names a password or a query.
"""

from __future__ import annotations

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError
from kenspeckle.image.address import is_public

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

MAX_REDIRECTS = 5

Resolver = Callable[[str, int], Iterable[str]]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 64 * 1024
_HEADERS = {
    "User-Agent": "kenspeckle",
    "Accept": "image/*,*/*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_SAFE = "!#$%&'()*+,/:;=?@[]~"


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host name, by the system's resolver. Raises OSError."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def fetch(url: str, limits: ImageSettings, *, resolver: Resolver = resolve) -> bytes:
    """The body at an http(s) address.

    limits
        `max_bytes` of body, `fetch_timeout` seconds for everything, `fetch_allow` host names (a
        leading dot allows all below it), `fetch_private` to reach private addresses too.
    resolver
        What turns a host name and port into addresses.

    Raises FetchError, whose text names no password and no query.
    """
    result = _fetched(url, limits, resolver)
    if isinstance(result, FetchError):
        # Raised here, away from its cause: an error that is kept must not keep half a body alive
        # through the frames of a traceback.
        raise result
    return result


def _fetched(url: str, limits: ImageSettings, resolver: Resolver) -> bytes | FetchError:
    """The body, or what is wrong with the address."""
    deadline = time.monotonic() + limits.fetch_timeout
    shown = _shown(url)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            target = _target(url, limits)
            body, onward = _Exchange(target, limits, deadline).run(resolver)
            if onward is None:
                return body
            url = urljoin(url, onward)
    except FetchError as error:
        return error.with_traceback(None)
    except TimeoutError:
        return FetchError(
            shown,
            f"no whole answer within {limits.fetch_timeout:g} s",
            do="Try again, or raise image.fetch_timeout.",
        )
    except ssl.SSLError as error:
        return FetchError(shown, f"no trusted connection ({error.reason})")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return FetchError(shown, f"unreachable ({reason})", do="Check the address.")
    return FetchError(shown, f"more than {MAX_REDIRECTS} redirects", do="Give the last address.")


def _shown(url: str) -> str:
    """An address as errors may show it: no user, password, query or fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "address"
    if not parts.scheme or not host:
        return f"{parts.scheme or 'no'}: address"
    text = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _target(url: str, limits: ImageSettings) -> SplitResult:
    """The parts of an address that may be asked for. Raises FetchError."""
    shown = _shown(url)
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise FetchError(shown, "not an address", expected="http:// or https://") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError(shown, f"scheme '{parts.scheme}'", expected="http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise FetchError(shown, "an address with a user name", expected="one without")
    host = parts.hostname.rstrip(".").lower()
    allowed = limits.fetch_allow
    if allowed and not any(_matches(host, rule.lower()) for rule in allowed):
        raise FetchError(
            shown, f"host {host} is not allowed", do="Add it to image.fetch_allow if you trust it."
        )
    return parts


def _matches(host: str, rule: str) -> bool:
    return host == rule.lstrip(".") or (rule.startswith(".") and host.endswith(rule))


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request and its answer, without following where it leads."""

    target: SplitResult
    limits: ImageSettings
    deadline: float

    def run(self, resolver: Resolver) -> tuple[bytes, str | None]:
        """The body, or the address that the answer redirects to."""
        host = (self.target.hostname or "").encode("idna").decode("ascii")
        port = self.target.port or (443 if self.target.scheme == "https" else 80)
        path = quote(self.target.path or "/", safe=_SAFE)
        if self.target.query:
            path += "?" + quote(self.target.query, safe=_SAFE)
        connection = http.client.HTTPConnection(host, port)
        line = self._connected(host, port, resolver)
        try:
            connection.sock = cast("socket.socket", line)
            connection.request("GET", path, headers={**_HEADERS, "Host": self._host_header(host)})
            response = connection.getresponse()
            if response.status in _REDIRECTS:
                onward = response.getheader("Location")
                if not onward:
                    raise self._error("a redirect to nowhere")
                return b"", onward
            if response.status != 200:
                raise self._error(f"status {response.status}", "200")
            return self._body(response), None
        finally:
            connection.close()
            line.close()

    def _host_header(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return f"{host}:{self.target.port}" if self.target.port else host

    def _error(self, found: str, expected: str = "", do: str = "") -> FetchError:
        return FetchError(_shown(self.target.geturl()), found, expected=expected, do=do)

    def _connected(self, host: str, port: int, resolver: Resolver) -> _Line:
        """A connection to an address of `host` that was checked before."""
        addresses = _resolved(resolver, host, port, self.deadline)
        if not addresses:
            raise self._error("no such host", do="Check the name.")
        if not self.limits.fetch_private:
            for address in addresses:
                if not is_public(address):
                    raise self._error(
                        f"{host} is at {address}",
                        "an address of the public internet",
                        "Set image.fetch_private to reach your own network.",
                    )
        failure: OSError = OSError("no address")
        for address in addresses:
            try:
                plain = socket.create_connection((address, port), _left(self.deadline))
            except TimeoutError:
                raise
            except OSError as error:
                failure = error
                continue
            try:
                if self.target.scheme == "https":
                    plain.settimeout(_left(self.deadline))
                    plain = _trust().wrap_socket(plain, server_hostname=host)
            except BaseException:
                plain.close()
                raise
            return _Line(plain, self.deadline)
        raise failure

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """The whole body, within the limit of bytes."""
        most = self.limits.max_bytes
        advice = "Save it smaller, or raise image.max_bytes."
        promised = response.length
        if promised is not None and promised > most:
            raise self._error(f"{promised} bytes", f"at most {most}", advice)
        if response.getheader("Content-Encoding", "identity").lower() != "identity":
            raise self._error("a compressed answer", "the picture as it is")
        parts, size = [], 0
        while part := response.read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > most:
                raise self._error(f"more than {most} bytes", f"at most {most}", advice)
        if promised is not None and size < promised:
            raise self._error(f"an answer cut off after {size} bytes", f"{promised}")
        return b"".join(parts)


class _Line:
    """A socket that keeps one deadline over all that is sent and received.

    It has as much of a socket as `http.client` uses. A timeout of the socket itself would start
    anew with each byte that trickles in.
    """

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._plain, self._deadline = plain, deadline

    def sendall(self, data: bytes) -> None:
        self._plain.settimeout(_left(self._deadline))
        self._plain.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        return io.BufferedReader(_Received(self._plain, self._deadline))

    def close(self) -> None:
        self._plain.close()


class _Received(io.RawIOBase):
    """What arrives on a socket, until the deadline."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        super().__init__()
        self._plain, self._deadline = plain, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._plain.settimeout(_left(self._deadline))
        return self._plain.recv_into(buffer)


def _left(deadline: float) -> float:
    """Seconds left. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _resolved(resolver: Resolver, host: str, port: int, deadline: float) -> list[str]:
    """What the resolver says, in time: the system's own cannot be told to hurry."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(resolver(host, port)))
        except Exception as error:  # handed to the caller's thread
            answers.put(error)

    threading.Thread(target=ask, name="kenspeckle-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, read once."""
    return ssl.create_default_context()
