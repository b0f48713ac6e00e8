"""What takes long to read is read apart, one after another, and holds no more than it has to."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from kenspeckle.errors import ServiceBusy
from kenspeckle.serve import problems, reading
from kenspeckle.serve.routes import analyze_read
from kenspeckle.serve.routes.v1 import received, tasks
from kenspeckle.serve.routes.v1.bodies import _Read
from kenspeckle.serve.schemas import analysis, asked, feedback, work
from kenspeckle.serve.schemas.base import Asked

NONE = b"{}," * 99_000 + b"{}"
NAMES = b",".join(b'"%x":1' % number for number in range(190_000))
TASK = b'{"operation_id":"a","type":"classify"}'
MOST_HELD = 8_000_000
"""Bytes for what is wrong with a body of 300 kB, or 2 MB of names."""


def request(body: bytes, kind: str = "application/json") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def held(work: Callable[[], object]) -> int:
    """The most bytes that Python holds meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "apart"),
    [
        (b"1", False),
        (b"x" * reading.LARGE, False),
        (b"x" * (reading.LARGE + 1), True),
        (b"," * reading.MANY, False),
        (b"," * (reading.MANY + 1), True),
    ],
    ids=["small", "nearly large", "large", "few", "many"],
)
def test_what_is_large_is_read_on_another_thread(data: bytes, apart: bool) -> None:
    thread = asyncio.run(reading.of_text(data, threading.get_ident))
    assert (thread != threading.get_ident()) is apart
    assert asyncio.run(reading.of_form(threading.get_ident)) != threading.get_ident()


def test_texts_are_read_one_after_another_and_so_are_forms() -> None:
    running, most = [0, 0], [0, 0]

    def read(kind: int) -> None:
        running[kind] += 1
        most[kind] = max(most[kind], running[kind])
        time.sleep(0.002)
        running[kind] -= 1

    async def all_of_them() -> None:
        large = b"x" * (reading.LARGE + 1)
        await asyncio.gather(
            *(reading.of_text(large, lambda: read(0)) for _ in range(20)),
            *(reading.of_form(lambda: read(1)) for _ in range(20)),
        )

    asyncio.run(all_of_them())
    assert most == [1, 1]


def test_who_waits_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.01)

    async def two() -> None:
        go_on = threading.Event()
        first = asyncio.ensure_future(reading.of_form(go_on.wait))
        await asyncio.sleep(0)
        try:
            with pytest.raises(ServiceBusy, match="forms: all that may be under way"):
                await reading.of_form(threading.get_ident)
            assert await reading.of_text(b"x" * (reading.LARGE + 1), lambda: 3) == 3
        finally:
            go_on.set()
            await first

    asyncio.run(two())


def lists(schema: Any) -> list[dict[str, Any]]:
    """All lists of a core schema."""
    if isinstance(schema, dict):
        own = [schema] if schema.get("type") == "list" else []
        return own + [one for value in schema.values() for one in lists(value)]
    if isinstance(schema, list | tuple):
        return [one for value in schema for one in lists(value)]
    return []


def test_every_list_that_is_sent_has_a_bound_and_one_fault() -> None:
    shapes: list[Any] = [analyze_read.AnalyzeShape, analyze_read.Tasks, work.Wish]
    rooms = (asked, analysis, feedback, work)
    shapes += [
        one
        for room in rooms
        for one in vars(room).values()
        if isinstance(one, type) and issubclass(one, Asked)
    ]
    found = [one for shape in shapes for one in lists(TypeAdapter(shape).core_schema)]
    assert len(found) > 6
    for one in found:
        assert one.get("max_length"), one
        assert one.get("fail_fast"), one


@pytest.mark.parametrize("shape", [asked.Pictures, asked.Enrolment, asked.Additions, asked.Search])
@pytest.mark.parametrize(
    "said",
    [
        b'"pictures":[%b]' % NONE,
        b'"vector":[%b]' % NONE,
        b'"pictures":[{%b}]' % NAMES,
        b'"url":"x","metadata":{%b}' % NAMES,
        b'"url":"x",%b' % NAMES,
    ],
    ids=["pictures", "vector", "names of one", "metadata", "names"],
)
def test_very_much_that_is_wrong_is_told_shortly(shape: type[asked.Pictures], said: bytes) -> None:
    def read() -> None:
        with pytest.raises(RequestValidationError) as caught:
            received.shaped(b"{%b}" % said, shape)
        faults = caught.value.errors()
        assert len(faults) <= 2
        assert problems.fault(faults).startswith("body")

    # The values that are wrong are Python's once they are told: a name of 190 000 is 60 bytes.
    assert held(read) < (MOST_HELD if NONE in said else 8 * MOST_HELD)


@pytest.mark.parametrize("count", [0, 100, 101, 40_000])
def test_the_framework_is_given_few_names(count: int) -> None:
    sent = request(b"{%b}" % b",".join(b'"%x":1' % number for number in range(count)))
    reading_it = _Read(sent.scope, sent.receive).json
    if count <= 100:
        assert len(asyncio.run(reading_it())) == count
        return
    with pytest.raises(HTTPException, match=f"{count} names; expected at most 100") as caught:
        asyncio.run(reading_it())
    assert caught.value.status_code == 413


def test_many_names_are_counted_before_they_are_read() -> None:
    data = b'{"url":"x",%b}' % NAMES
    with pytest.raises(HTTPException, match="more than 50000 names") as caught:
        asyncio.run(received.body(request(data), asked.Pictures))
    assert caught.value.status_code == 413


def test_more_pictures_than_any_request_may_have() -> None:
    body = b'{"pictures":[%b]}' % (b'{"url":"x"},' * 10_000 + b"{}")
    with pytest.raises(HTTPException, match="more than 10000 pictures; expected at most 9") as no:
        asyncio.run(received.received(request(body), 9, asked.Pictures))
    assert no.value.status_code == 413


@pytest.mark.parametrize("size", [51, 20_000])
def test_metadata_of_a_form_are_counted(size: int) -> None:
    text = b"{%b}" % b",".join(b'"%x":"1"' % number for number in range(size))
    head = b'--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
    form = request(head + text + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")
    with pytest.raises(RequestValidationError) as caught:
        asyncio.run(received.received(form, 9, asked.Enrolment))
    (fault,) = caught.value.errors()
    assert fault["msg"] == f"{size} names; expected at most 50"


@pytest.mark.parametrize("value", [b"{}", b"0", b'""'])
def test_tasks_of_the_surface_are_read_to_the_first_fault(value: bytes) -> None:
    text = b"[" + (value + b",") * 99_000 + value + b"]"

    def read() -> None:
        with pytest.raises(HTTPException) as caught:
            analyze_read._listed(text, 64)
        assert caught.value.detail.startswith(f"{analyze_read.BAD_TASKS} 0")

    assert held(read) < MOST_HELD


def test_no_more_tasks_are_made_than_any_request_may_have() -> None:
    text = b"[" + (TASK + b",") * 60_000 + b"0]"

    def read() -> None:
        with pytest.raises(HTTPException, match="at most 10000") as caught:
            analyze_read._listed(text, 64)
        assert caught.value.status_code == 400

    assert held(read) < 4 * MOST_HELD


@pytest.mark.parametrize("listed", [lambda text: analyze_read._listed(text, 64), tasks._listed])
def test_values_in_a_part_of_a_form_are_as_many_as_those_of_a_body(
    listed: Callable[[bytes], object],
) -> None:
    with pytest.raises(HTTPException, match="more than 200000 values") as caught:
        listed(b"[" + b"0," * 200_000 + b"0]")
    assert caught.value.status_code == 413


def parts(file: str, text: str, value: bytes) -> bytes:
    return (
        f'--x\r\nContent-Disposition: form-data; name="{file}"; filename="a"\r\n\r\n1\r\n'
        f'--x\r\nContent-Disposition: form-data; name="{text}"\r\n\r\n'
    ).encode() + (value + b"\r\n--x--\r\n")


@pytest.mark.parametrize("count", [1, 50_000])
@pytest.mark.parametrize("way", ["form", "native form", "json", "native json"])
def test_many_tasks_are_read_on_another_thread(
    way: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def watched(room: Any, name: str) -> None:
        own = getattr(room, name)

        def seen(*told: Any) -> Any:
            threads.append(threading.get_ident())
            return own(*told)

        monkeypatch.setattr(room, name, seen)

    watched(analyze_read, "_listed")
    watched(analyze_read, "_shaped")
    watched(tasks, "_listed")
    watched(tasks, "_told")
    text = b"[" + b",".join([b"{}"] * count) + b"]"
    form = "multipart/form-data; boundary=x"
    asking: dict[str, Callable[[], Any]] = {
        "form": lambda: analyze_read.form_request(
            request(parts("image_file", "tasks_json", text), form), 64
        ),
        "native form": lambda: tasks.wanted(request(parts("image", "tasks", text), form), 64),
        "json": lambda: analyze_read.json_request(request(b'{"tasks":%b}' % text), 64),
        "native json": lambda: tasks.wanted(request(b'{"tasks":%b}' % text), 64),
    }
    with pytest.raises((RequestValidationError, HTTPException)):
        asyncio.run(asking[way]())
    assert len(threads) == 1
    assert (threads[0] != threading.get_ident()) is (count > 1)


def test_what_was_sent_is_not_written_out_to_see_that_it_is_long() -> None:
    sent = {"a": ["0123456789"] * 150_000}
    assert held(lambda: analyze_read._again(sent)) < 100_000
    assert analyze_read._again(sent) is None
    assert analyze_read._again({"a": [1, None]}) == {"a": [1, None]}
    assert analyze_read._again({"a": float("nan")}) is None
