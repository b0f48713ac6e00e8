"""Pictures from addresses, without letting an address reach what is ours.

Only http and https; every address that a name resolves to has to be public, and the connection
goes to the very address that was checked, so that a name cannot change its mind in between. Each
redirect is checked anew. Size and time are limited altogether, not per read. Proxies of the
environment are not used, and no text names a password or a query.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError
from kenspeckle.image.address import Allowed, is_public
from kenspeckle.image.line import Line, Resolver, TooLongError, left, resolve, resolved

MAX_REDIRECTS = 5

_FETCHED = ("http", "https")
_EXPECTED = "http:// or https://"
_HOSTLESS = ("blob", "data", "file", "ftp")
"""Schemes that errors and logs name where no host follows."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 64 * 1024
_WIRE_SLACK = 1024 * 1024
"""Bytes an answer may have beside twice its largest body: headers, and the lengths of chunks."""
_HEADERS = {
    "User-Agent": "kenspeckle",
    "Accept": "image/*,*/*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_SAFE = "!#$%&'()*+,/:;=?@[]~"


def fetch(url: str, limits: ImageSettings, *, resolver: Resolver = resolve) -> bytes:
    """The body at an http(s) address.

    limits
        `max_bytes` of body, `fetch_timeout` seconds for everything, `fetch_private` to reach
        private addresses too, `fetch_allow` as `address.Allowed` reads it.
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
    shown = without_secrets(url)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            target = _target(url, limits)
            body, onward = _Exchange(target, limits, deadline).run(resolver)
            if onward is None:
                return body
            url = urljoin(url, onward)
    except FetchError as error:
        return error.with_traceback(None)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _failure(error, shown, limits)
    return FetchError(shown, f"more than {MAX_REDIRECTS} redirects", do="Give the last address.")


def _failure(error: Exception, shown: str, limits: ImageSettings) -> FetchError:
    """What an error below means for somebody who gave an address."""
    if isinstance(error, TimeoutError):
        found = f"no whole answer within {limits.fetch_timeout:g} s"
        return FetchError(shown, found, do="Try again, or raise image.fetch_timeout.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchError(
            shown,
            f"its certificate is not trusted ({error.verify_message.rstrip('.')})",
            expected="one for this host by an authority that this system knows",
            do="Check the address; if the authority is your own, name its file in SSL_CERT_FILE.",
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no reason given").replace("_", " ").lower()
        return FetchError(shown, f"no secure connection ({reason})", do="Check the address.")
    if isinstance(error, http.client.RemoteDisconnected):
        return FetchError(shown, "the server hung up without an answer", do="Try again.")
    if isinstance(error, http.client.IncompleteRead):
        return FetchError(shown, "an answer that is cut off", do="Try again.")
    if isinstance(error, TooLongError):
        return _too_long(shown, f"more than {limits.max_bytes} bytes", limits)
    if isinstance(error, http.client.HTTPException):
        found = f"an answer that is not HTTP ({type(error).__name__})"
        return FetchError(shown, found, do="Check the address.")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return FetchError(shown, f"unreachable ({reason})", do="Check the address.")


def _too_long(shown: str, found: str, limits: ImageSettings) -> FetchError:
    advice = "Save it smaller, or raise image.max_bytes."
    return FetchError(shown, found, expected=f"at most {limits.max_bytes}", do=advice)


def without_secrets(url: str) -> str:
    """An address as errors and logs may show it: no user, password, query or fragment, and nothing
    that does not print. Of text that names no host it says what it is, and repeats none of it.

    >>> without_secrets("https://ann:secret@example.com/a.jpg?key=1")
    'https://example.com/a.jpg'
    >>> without_secrets("data:image/png;base64,AAAA"), without_secrets("a.jpg")
    ('data address', 'not an address')
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "not an address"
    if not parts.scheme or not host:
        return _without_host(url, parts.scheme)
    text = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _without_host(url: str, scheme: str) -> str:
    """What text is that names no host; before a colon may stand anything, a secret too."""
    if scheme in _FETCHED:
        return "address without a host"
    if scheme in _HOSTLESS:
        return f"{scheme} address"
    return "not an address" if url.strip() else "empty address"


def _target(url: str, limits: ImageSettings) -> SplitResult:
    """The parts of an address that may be asked for. Raises FetchError."""
    shown = without_secrets(url)
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise FetchError(shown, "it cannot be read", expected=_EXPECTED) from error
    if parts.scheme not in _FETCHED:
        named = parts.scheme in _HOSTLESS or (parts.scheme and parts.hostname)
        other = "another scheme" if parts.scheme else "no scheme"
        raise FetchError(shown, f"scheme '{parts.scheme}'" if named else other, expected=_EXPECTED)
    if not parts.hostname:
        raise FetchError(shown, "no host", expected=f"{_EXPECTED} and a host")
    if parts.username is not None or parts.password is not None:
        raise FetchError(shown, "an address with a user name", expected="one without")
    host = parts.hostname.rstrip(".").lower()
    allowed = Allowed.read(limits.fetch_allow)
    if not allowed.ranges and not allowed.name(host):
        raise FetchError(
            shown, f"host {host} is not allowed", do="Add it to image.fetch_allow if you trust it."
        )
    return parts


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
        with self._connected(host, port, resolver) as plain:
            most = 2 * self.limits.max_bytes + _WIRE_SLACK
            connection.sock = cast("socket.socket", Line(plain, self.deadline, most))
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

    def _host_header(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return f"{host}:{self.target.port}" if self.target.port else host

    def _error(self, found: str, expected: str = "", do: str = "") -> FetchError:
        return FetchError(without_secrets(self.target.geturl()), found, expected=expected, do=do)

    def _connected(self, host: str, port: int, resolver: Resolver) -> socket.socket:
        """A connection to an address of `host` that was checked before."""
        addresses = self._addresses(host, port, resolver)
        failure = OSError("no address")
        for tried, address in enumerate(addresses):
            # An address that never answers leaves the others their share of the time.
            share = left(self.deadline) / (len(addresses) - tried)
            try:
                plain = socket.create_connection((address, port), share)
            except OSError as error:
                failure = error
                continue
            try:
                if self.target.scheme == "https":
                    plain.settimeout(left(self.deadline))
                    return _trust().wrap_socket(plain, server_hostname=host)
            except BaseException:
                plain.close()
                raise
            return plain
        raise failure

    def _addresses(self, host: str, port: int, resolver: Resolver) -> list[str]:
        """All addresses of `host`, none of which is to be left alone."""
        addresses = resolved(resolver, host, port, self.deadline)
        if not addresses:
            raise self._error("no such host", do="Check the name.")
        allowed = Allowed.read(self.limits.fetch_allow)
        named = allowed.name((self.target.hostname or "").rstrip(".").lower())
        for address in addresses:
            if allowed.address(address):
                continue
            if not named:
                raise self._error(
                    f"host {host} is not allowed",
                    do="Add it to image.fetch_allow if you trust it.",
                )
            if not self.limits.fetch_private and not is_public(address):
                where = "a private or reserved address"
                raise self._error(
                    where if host == address else f"{host} is at {address}, {where}",
                    "one of the public internet",
                    "Set image.fetch_private to reach your own network.",
                )
        return addresses

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """The whole body, within the limit of bytes."""
        most, shown = self.limits.max_bytes, without_secrets(self.target.geturl())
        promised = response.length
        if promised is not None and promised > most:
            raise _too_long(shown, f"{promised} bytes", self.limits)
        if response.getheader("Content-Encoding", "identity").lower() != "identity":
            raise self._error("a compressed answer", "the picture as it is")
        parts, size = [], 0
        while part := response.read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > most:
                raise _too_long(shown, f"more than {most} bytes", self.limits)
        if promised is not None and size < promised:
            raise self._error(f"an answer that is cut off after {size} bytes", f"{promised}")
        return b"".join(parts)


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, read once."""
    return ssl.create_default_context()
