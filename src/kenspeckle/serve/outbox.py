"""What is written to a client in one turn of the event loop, sent in one piece.

The head of an answer and its body are two writes. Each by itself would be a call of the system and
a packet, and the client would be woken for half an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

MOST = 64 * 1024
"""Bytes after which what waits is sent at once."""
UNSENT = 128 * 1024
"""Bytes that the system may keep of what was never sent: of a large answer it would take megabytes,
and nobody could see from here whether the client takes any."""
PIECE = 256 * 1024
"""Bytes for which a client has its patience."""

_UNSENT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class Outbox:
    """A transport whose writes wait until the turn ends, or until `flush` sends them.

    A client has `patience` seconds to take what was written before `expect`, or before the end,
    and again where it took a `PIECE` of it meanwhile.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._transport, self._loop, self._patience = transport, loop, patience
        self._waiting: list[bytes] = []
        self._size = self._written = 0
        self._bounded = _UNSENT is None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes with the others of this turn."""
        if not data:
            return
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(data)
        self._size += len(data)
        self._written += len(data)
        if self._size >= MOST:
            self._bound()
            self.flush()

    def _bound(self) -> None:
        if self._bounded or self._transport.is_closing():
            return
        self._bounded = True
        with contextlib.suppress(OSError):  # a line that is no TCP
            line = self._transport.get_extra_info("socket")
            line.setsockopt(socket.IPPROTO_TCP, _UNSENT, UNSENT)

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        if waiting and not self._transport.is_closing():
            self._transport.writelines(waiting)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        closing: bool = self._transport.is_closing()
        return closing

    def close(self) -> None:
        """Send what waits, then close, which the system does when all was taken."""
        self.flush()
        self._transport.close()
        self.expect()

    def expect(self) -> None:
        """What was written until now has to be taken in time, or the line is torn down."""
        left = self.get_write_buffer_size()
        if left:
            self._loop.call_later(self._patience, self._late, self._written, left)

    def _late(self, written: int, before: int) -> None:
        left = written - self._written + self.get_write_buffer_size()
        if left > max(0, before - PIECE):
            self._transport.abort()
        elif left > 0:
            self._loop.call_later(self._patience, self._late, written, left)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""
        size: int = self._transport.get_write_buffer_size()
        return self._size + size
