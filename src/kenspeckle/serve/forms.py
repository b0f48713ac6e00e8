"""Forms as the framework's parser reads them, all in memory.

The parser calls back for every stretch between two bytes that might be a boundary, and a form can
be made of nothing else: a large one is read on another thread, with rests, so that nobody waits
for it. What clients usually send is cut out without the parser.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from kenspeckle.serve import reading
from kenspeckle.serve.parts import MOST_PARTS, Part, cut

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import Request

LARGE = 32 * 1024
"""Bytes that are not read on the event loop."""
_PIECE = 8 * 1024
"""Bytes that the parser is given at once: what it has found in them waits to be written."""
_STRETCH, _REST = 0.004, 0.001
"""Seconds for which the parser works at a stretch, and for which it leaves the interpreter to
others then."""
_LONGEST_ECHO = 40
_CHARSETS = frozenset(
    (
        *("", "utf-8", "utf8", "us-ascii", "ascii"),
        *("iso-8859-1", "iso8859-1", "latin-1", "latin1", "windows-1252", "cp1252"),
        *("iso-8859-15", "iso8859-15"),
    )
)
"""Other codecs that a name can stand for take quadratic time, or fail in ways of their own."""
_EXPECTED = "expected utf-8, us-ascii, iso-8859-1, iso-8859-15 or windows-1252"


class InMemory(MultiPartParser):
    """Keeps files in memory: the whole body is bounded, and disks are slow."""

    spool_max_size = 0  # never rolled over to a disk
    _unnamed = False

    async def parse(self) -> FormData:
        """The form. Raises RequestValidationError for texts in another charset than are known,
        MultiPartException for a form that is broken."""
        self._unnamed = not _charset(self.headers)
        return await super().parse()

    def on_part_begin(self) -> None:
        """A part begins. A charset without a name is that of forms."""
        if self._unnamed:
            self._charset = "utf-8"
        super().on_part_begin()


class _File(io.BytesIO):
    """A file that is read without a thread: it is no file on a disk."""

    _rolled = False


def content_type(request: Request) -> str:
    """The kind of body that a request says to have, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def multipart(
    request: Request, *, files: int, fields: int, longest: int, reader: type[InMemory] = InMemory
) -> FormData:
    """The form of a request; other parts than files have at most `longest` bytes. What is not
    plain and whole is left to the `reader`.

    Raises as `parsed`.
    """
    kind = request.headers.get("content-type", "")
    parts = cut(await request.body(), kind, min(files + fields, MOST_PARTS))
    form = _usual(parts or (), files, fields, longest)
    if form is not None:
        return form
    parser = reader(
        request.headers,
        request.stream(),
        max_files=files,
        max_fields=fields,
        max_part_size=longest,
    )
    return await parsed(parser)


def _usual(parts: Sequence[Part], files: int, fields: int, longest: int) -> FormData | None:
    """The form of these parts; None where there are none, and for what the parser knows better."""
    sent = [part for part in parts if part.filename is not None]
    texts = [part.data for part in parts if part.filename is None]
    if (
        not parts
        or len(sent) > files
        or len(texts) > fields
        or max(map(len, texts), default=0) > longest
    ):
        return None
    try:
        return FormData([(part.name, _value(part)) for part in parts])
    except UnicodeDecodeError:
        return None


def _value(part: Part) -> str | UploadFile:
    if part.filename is None:
        return part.data.decode()
    return UploadFile(_File(part.data), size=len(part.data), filename=part.filename)


async def parsed(parser: MultiPartParser | FormParser) -> FormData:
    """What a parser makes of its stream; of a large one on another thread. Raises as its `parse`,
    and ServiceBusy.

    Who stops waiting stops the parser as well.
    """
    held = [piece async for piece in parser.stream]
    left = threading.Event()
    parser.stream = _pieces(held, left)
    if sum(map(len, held)) <= LARGE:
        return await parser.parse()
    try:
        return await reading.of_form(lambda: asyncio.run(parser.parse()))
    finally:
        left.set()


async def _pieces(held: Sequence[bytes], left: threading.Event) -> AsyncGenerator[bytes, None]:
    begun = time.monotonic()
    for part in held:
        for start in range(0, len(part), _PIECE):
            if left.is_set():
                raise MultiPartException("nobody waits for it")  # the parser closes its files
            yield part[start : start + _PIECE]
            if time.monotonic() - begun > _STRETCH:
                await asyncio.sleep(_REST)
                begun = time.monotonic()


def _charset(headers: Headers) -> str:
    """What a form says that its texts are written in. Raises RequestValidationError."""
    _, options = parse_options_header(headers.get("content-type"))
    said = options.get(b"charset", b"utf-8").decode("latin-1")
    if said.lower().replace("_", "-") not in _CHARSETS:
        message = f"charset {said[:_LONGEST_ECHO]!r}; {_EXPECTED}"
        raise RequestValidationError([{"loc": ("body",), "msg": message, "type": "charset"}])
    return said
