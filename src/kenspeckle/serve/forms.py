"""Forms as the framework's parser reads them, all in memory.

The parser calls back for every stretch between two bytes that might be a boundary, and a form can
be made of nothing else: a large one is read on another thread, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from fastapi.exceptions import RequestValidationError
from python_multipart.multipart import parse_options_header
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

if TYPE_CHECKING:
    from starlette.datastructures import FormData, Headers

LARGE = 256 * 1024
"""Bytes that are not read on the event loop."""
_PIECE = 64 * 1024
"""Bytes that the parser is given at once: what it has found in them waits to be written."""
_LONGEST_ECHO = 40
_CHARSETS = frozenset(
    ("utf-8", "utf8", "iso-8859-1", "iso8859-1", "latin-1", "latin1", "us-ascii", "ascii")
)
"""Other codecs that a name can stand for take quadratic time, or fail in ways of their own."""


class InMemory(MultiPartParser):
    """Keeps files in memory: the whole body is bounded, and disks are slow."""

    spool_max_size = 0  # never rolled over to a disk

    async def parse(self) -> FormData:
        """The form. Raises RequestValidationError for texts in another charset than are known,
        MultiPartException for a form that is broken."""
        _check_charset(self.headers)
        return await super().parse()


async def parsed(parser: MultiPartParser | FormParser) -> FormData:
    """What a parser makes of its stream; of a large one on another thread. Raises as its `parse`.

    Who stops waiting stops the parser as well.
    """
    held = [piece async for piece in parser.stream]
    left = threading.Event()
    parser.stream = _pieces(held, left)
    if sum(map(len, held)) <= LARGE:
        return await parser.parse()
    try:
        return await run_sync(lambda: asyncio.run(parser.parse()))
    finally:
        left.set()


async def _pieces(held: Sequence[bytes], left: threading.Event) -> AsyncGenerator[bytes, None]:
    for part in held:
        for start in range(0, len(part), _PIECE):
            if left.is_set():
                raise MultiPartException("nobody waits for it")  # the parser closes its files
            yield part[start : start + _PIECE]


def _check_charset(headers: Headers) -> None:
    _, options = parse_options_header(headers.get("content-type"))
    said = options.get(b"charset", b"utf-8").decode("latin-1")
    if said.lower().replace("_", "-") not in _CHARSETS:
        message = f"charset {said[:_LONGEST_ECHO]!r}; expected utf-8, iso-8859-1 or us-ascii"
        raise RequestValidationError([{"loc": ("body",), "msg": message, "type": "charset"}])
