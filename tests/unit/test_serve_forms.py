"""Forms are read as the framework reads them, and hold up nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from kenspeckle.serve.forms import LARGE, InMemory, parsed

KIND = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
FIELD = b'--x\r\nContent-Disposition: form-data; name="c"\r\n\r\ncaf\xc3\xa9\r\n'
END = b"\r\n--x--\r\n"
NEARLY = b"\r\n--xq"
"""What the parser goes through byte by byte: it begins as a boundary does."""


async def stream(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def parser(body: bytes, kind: str = KIND) -> InMemory:
    return InMemory(Headers({"content-type": kind}), stream(body))


class Watched(InMemory):
    """Remembers on which thread it ran, and how many parts it found."""

    thread, found = 0, 0

    def on_part_begin(self) -> None:
        self.thread = threading.get_ident()
        self.found += 1
        super().on_part_begin()


def watched(body: bytes) -> Watched:
    return Watched(Headers({"content-type": KIND}), stream(body), max_fields=10**9)


async def read(reading: InMemory) -> None:
    await (await parsed(reading)).close()


@pytest.mark.parametrize("count", [0, 10, LARGE // len(NEARLY), 100_001])
def test_a_form_is_what_the_framework_makes_of_it(count: int) -> None:
    body = FIELD + HEAD + NEARLY * count + END

    async def shown(reading: MultiPartParser, *, whole: bool) -> list[tuple[str, str, bytes]]:
        form = await (reading.parse() if whole else parsed(reading))
        told = [
            (name, value.filename or "", await value.read())
            if isinstance(value, UploadFile)
            else (name, value, b"")
            for name, value in form.multi_items()
        ]
        await form.close()
        return told

    theirs = MultiPartParser(Headers({"content-type": KIND}), stream(body))
    told = asyncio.run(shown(theirs, whole=True))
    assert told[0] == ("c", "café", b"")
    assert told[1][2] == NEARLY * count
    assert asyncio.run(shown(parser(body), whole=False)) == told


@pytest.mark.parametrize(("size", "apart"), [(LARGE // 2, False), (2 * LARGE, True)])
def test_a_large_form_is_read_on_another_thread(size: int, apart: bool) -> None:
    reading = watched(HEAD + bytes(size) + END)
    asyncio.run(read(reading))
    assert (reading.thread != threading.get_ident()) is apart


def test_a_form_that_nobody_waits_for_is_read_no_further() -> None:
    count = 200_000
    reading = watched(FIELD * count + END[2:])

    async def hurried() -> None:
        async with asyncio.timeout(0.2):
            await parsed(reading)

    with pytest.raises(TimeoutError):
        asyncio.run(hurried())  # which waits for its threads
    assert 0 < reading.found < count


def test_what_is_wrong_with_a_large_form_is_told() -> None:
    for body in (b"--y" + bytes(2 * LARGE), FIELD * 1001 + END[2:] + bytes(2 * LARGE)):
        with pytest.raises(MultiPartException):
            asyncio.run(parsed(parser(body)))


def test_a_form_of_names_and_values() -> None:
    headers = Headers({"content-type": "application/x-www-form-urlencoded"})
    form = asyncio.run(parsed(FormParser(headers, stream(b"a=1&b=" + b"%41" * LARGE))))
    assert form.multi_items() == [("a", "1"), ("b", "A" * LARGE)]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        *((name, b"caf\xc3\xa9", "café") for name in ("utf-8", "UTF8", "utf_8", '"utf-8"')),
        *((name, b"caf\xe9", "café") for name in ("ISO-8859-1", "latin-1", "latin1")),
        *((name, b"cafe", "cafe") for name in ("us-ascii", "ASCII")),
    ],
)
def test_a_charset_that_is_known(name: str, data: bytes, text: str) -> None:
    body = FIELD.replace(b"caf\xc3\xa9", data) + END[2:]
    assert asyncio.run(parsed(parser(body, f"{KIND}; charset={name}")))["c"] == text


@pytest.mark.parametrize(
    "name",
    [
        *("punycode", "undefined", "idna", "utf-7", "utf-16", "utf-8-sig", "unicode_escape"),
        *("zlib", "cp1252", "", "..", "a\0b", "\xff", "utf-8\n", "x" * 5000),
    ],
)
def test_a_charset_that_is_not_known(name: str) -> None:
    with pytest.raises(RequestValidationError) as caught:
        asyncio.run(parsed(parser(FIELD + END[2:], f"{KIND}; charset={name}")))
    (fault,) = caught.value.errors()
    assert fault["msg"].startswith(f"charset {name[:40]!r}")
    assert fault["msg"].endswith("expected utf-8, iso-8859-1 or us-ascii")
    assert len(fault["msg"]) < 200
