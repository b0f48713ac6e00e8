"""Forms are read as the framework reads them, and hold up nobody."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator

import pytest
from fastapi.exceptions import RequestValidationError
from starlette import datastructures
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from kenspeckle.serve import forms
from kenspeckle.serve.forms import LARGE, InMemory, multipart, parsed

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


async def shown(form: FormData) -> list[tuple[str, str, bytes]]:
    told = [
        (name, value.filename or "", await value.read())
        if isinstance(value, UploadFile)
        else (name, value, b"")
        for name, value in form.multi_items()
    ]
    await form.close()
    return told


async def told(reading: MultiPartParser, *, whole: bool = False) -> list[tuple[str, str, bytes]]:
    return await shown(await (reading.parse() if whole else parsed(reading)))


@pytest.mark.parametrize("count", [0, 10, LARGE // len(NEARLY), 100_001])
def test_a_form_is_what_the_framework_makes_of_it(count: int) -> None:
    body = FIELD + HEAD + NEARLY * count + END

    theirs = MultiPartParser(Headers({"content-type": KIND}), stream(body))
    found = asyncio.run(told(theirs, whole=True))
    assert found[0] == ("c", "café", b"")
    assert found[1][2] == NEARLY * count
    assert asyncio.run(told(parser(body))) == found


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


def test_others_have_the_interpreter_between_pieces() -> None:
    pieces, turns = 0, 0

    async def parse() -> None:
        nonlocal pieces
        async for _ in forms._pieces([bytes(40_000), bytes(40_000)], threading.Event()):
            pieces += 1
            time.sleep(2 * forms._STRETCH)

    async def others(parsing: asyncio.Task[None]) -> None:
        nonlocal turns
        while not parsing.done():
            seen = pieces
            while pieces == seen and not parsing.done():
                await asyncio.sleep(0)
            turns += 1

    async def both() -> None:
        await others(asyncio.create_task(parse()))

    asyncio.run(both())
    assert turns >= pieces == 10


def test_large_forms_are_read_one_after_another() -> None:
    running, most = 0, 0

    class Counted(InMemory):
        async def parse(self) -> FormData:
            nonlocal running, most
            running += 1
            most = max(most, running)
            time.sleep(0.002)  # on a thread of its own
            try:
                return await super().parse()
            finally:
                running -= 1

    async def several() -> None:
        headers, body = Headers({"content-type": KIND}), HEAD + bytes(2 * LARGE) + END
        for form in await asyncio.gather(
            *(parsed(Counted(headers, stream(body))) for _ in range(12))
        ):
            await form.close()

    asyncio.run(several())
    assert most == 1


def asked(body: bytes, kind: str = KIND) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@pytest.mark.parametrize("size", [0, 10, 9_000_000])
def test_what_clients_usually_send_needs_no_parser_and_no_thread(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = FIELD + HEAD + b"\r\n" * (size // 2) + END
    theirs = asyncio.run(told(parser(body)))

    async def none(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(forms, "parsed", none)
    monkeypatch.setattr(datastructures, "run_in_threadpool", none)

    async def ours() -> list[tuple[str, str, bytes]]:
        return await shown(await multipart(asked(body), files=1, fields=1, longest=5))

    assert asyncio.run(ours()) == theirs


@pytest.mark.parametrize(
    ("body", "files", "fields", "longest"),
    [
        (FIELD + HEAD + END, 0, 9, 99),
        (FIELD + HEAD + END, 9, 0, 99),
        (FIELD + HEAD + END, 9, 9, 4),
        (b"\r\n" + FIELD + HEAD + END, 0, 9, 99),
        (FIELD * 300 + END[2:], 9, 200, 99),
    ],
)
def test_a_form_of_too_much_is_refused_as_the_framework_does(
    body: bytes, files: int, fields: int, longest: int
) -> None:
    with pytest.raises(MultiPartException):
        asyncio.run(multipart(asked(body), files=files, fields=fields, longest=longest))


@pytest.mark.parametrize(
    "body",
    [b"\r\n" + FIELD + HEAD + END, FIELD.replace(b"\xc3", b"") + END[2:], FIELD * 300 + END[2:]],
    ids=["a line before", "no utf-8", "many parts"],
)
def test_other_forms_are_what_the_framework_makes_of_them(body: bytes) -> None:
    async def ours() -> list[tuple[str, str, bytes]]:
        return await shown(await multipart(asked(body), files=9, fields=999, longest=99))

    assert asyncio.run(ours()) == asyncio.run(told(parser(body)))


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
        *((name, b"\x80", "€") for name in ("windows-1252", "cp1252", "Windows-1252")),
        *((name, b"\xa4", "€") for name in ("iso-8859-15", "ISO_8859-15")),
        *((name, b"caf\xc3\xa9", "café") for name in ("", '""')),
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
        *("zlib", "cp1251", "..", "a\0b", "\xff", "utf-8\n", "x" * 5000),
    ],
)
def test_a_charset_that_is_not_known(name: str) -> None:
    with pytest.raises(RequestValidationError) as caught:
        asyncio.run(parsed(parser(FIELD + END[2:], f"{KIND}; charset={name}")))
    (fault,) = caught.value.errors()
    assert fault["msg"].startswith(f"charset {name[:40]!r}")
    expected = "expected utf-8, us-ascii, iso-8859-1, iso-8859-15 or windows-1252"
    assert fault["msg"].endswith(expected)
    assert len(fault["msg"]) < 200
