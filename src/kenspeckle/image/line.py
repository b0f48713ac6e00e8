"""A connection that keeps to one deadline and one amount of bytes, whatever the server does."""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

Resolver = Callable[[str, int], Iterable[str]]
"""What turns a host name and a port into addresses."""


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host name, by the system's resolver. Raises OSError."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def resolved(resolver: Resolver, host: str, port: int, deadline: float) -> list[str]:
    """What the resolver says, in time: the system's own cannot be told to hurry."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(resolver(host, port)))
        except Exception as error:  # handed to the caller's thread
            answers.put(error)

    threading.Thread(target=ask, name="kenspeckle-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=left(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


class Line:
    """A socket with one deadline and one limit of bytes over all that is sent and received.

    It has as much of a socket as `http.client` uses. A timeout of the socket itself would start
    anew with each byte that trickles in; and what `http.client` reads beside the body (headers,
    the lengths of chunks, which may lie) has no limit but this one.
    """

    def __init__(self, plain: socket.socket, deadline: float, most: int) -> None:
        self._plain, self._deadline, self._most = plain, deadline, most

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raises TimeoutError at the deadline."""
        self._plain.settimeout(left(self._deadline))
        self._plain.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """What is received, as `http.client` reads it."""
        return io.BufferedReader(_Received(self._plain, self._deadline, self._most))

    def close(self) -> None:
        """Nothing: `http.client` closes its end before the body is read; the socket is not its own.

        A real socket would stay open as long as a file made of it; here whoever connected closes.
        """


class _Received(io.RawIOBase):
    """What arrives on a socket, until the deadline and at most `most` bytes of it."""

    def __init__(self, plain: socket.socket, deadline: float, most: int) -> None:
        super().__init__()
        self._plain, self._deadline, self._left = plain, deadline, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._plain.settimeout(left(self._deadline))
        size = self._plain.recv_into(buffer)
        self._left -= size
        if self._left < 0:
            raise TooLongError
        return size


class TooLongError(http.client.HTTPException):
    """More bytes came than headers and a body of the allowed size could need."""


def left(deadline: float) -> float:
    """Seconds left. Raises TimeoutError when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
