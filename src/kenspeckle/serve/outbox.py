"""What is written to a client in one turn of the event loop, sent in one piece.

The head of an answer and its body are two writes. Each by itself would be a call of the system and
a packet, and the client would be woken for half an answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

MOST = 64 * 1024
"""Bytes after which what waits is sent at once."""


class Outbox:
    """A transport whose writes wait until the turn ends, or until `flush` sends them.

    A client has `patience` seconds to take what was written before `expect`, or before the end.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._transport, self._loop, self._patience = transport, loop, patience
        self._waiting: list[bytes] = []
        self._size = self._written = 0

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
            self.flush()

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
        if self.get_write_buffer_size():
            self._loop.call_later(self._patience, self._late, self._written)

    def _late(self, written: int) -> None:
        if self._written - self.get_write_buffer_size() < written:
            self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""
        size: int = self._transport.get_write_buffer_size()
        return self._size + size
