"""Lines of the log: whole, escaped, never in anybody's way."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.serve import logs
from kenspeckle.serve.logs import Log, frames, heard, stage_seconds


def written(form: str, *tells: Callable[[Log], None]) -> list[str]:
    stream = io.StringIO()
    log = Log(form, stream)
    for tell in tells:
        tell(log)
    log.close()
    return stream.getvalue().splitlines()


def test_text_is_pairs_in_the_order_told() -> None:
    (line,) = written(
        "text", lambda log: log.tell("request_finished", {"status": 200, "total": 0.5})
    )
    words = line.split()
    assert words[0].startswith("time=")
    assert [word.partition("=")[0] for word in words] == [
        *("time", "level", "event", "pid", "status", "total"),
    ]
    assert words[1:3] == ["level=info", "event=request_finished"]
    assert words[-2:] == ["status=200", "total=0.5000"]


def test_json_is_an_object_a_line() -> None:
    lines = written("json", *[lambda log, n=n: log.tell("event", {"n": n}) for n in range(3)])  # type: ignore[misc]
    assert [json.loads(line)["n"] for line in lines] == [0, 1, 2]


@pytest.mark.parametrize("form", ["text", "json"])
@given(value=st.text(max_size=2000))
def test_nothing_in_a_value_can_break_out_of_its_line(form: str, value: str) -> None:
    lines = written(form, lambda log: log.tell("request", {"path": value, "last": 1}))
    assert len(lines) == 1
    assert lines[0].isascii()
    assert lines[0].isprintable()
    if form == "json":
        assert json.loads(lines[0])["path"] == value[: logs.LONGEST]
    else:
        assert lines[0].endswith(" last=1")
        assert len(lines[0]) < 12 * logs.LONGEST + 200


@pytest.mark.parametrize(
    ("form", "said"), [("text", "event=lines_lost"), ("json", '"event": "lines_lost"')]
)
def test_a_reader_that_does_not_read_costs_lines_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, form: str, said: str
) -> None:
    monkeypatch.setattr(logs, "WAITING", 4)
    free, stuck = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            stuck.set()
            assert free.wait(20)
            return super().write(text)

    stream = Slow()
    log = Log(form, stream)
    log.tell("first", {})
    assert stuck.wait(20)
    for _ in range(20):
        log.tell("more", {})
    free.set()
    log.close(20)
    told = stream.getvalue().splitlines()
    (lost,) = (line for line in told if said in line)
    assert re.search(r"count\W+16\b", lost)
    assert lost.startswith("{" if form == "json" else "time=")
    assert sum("more" in line for line in told) == 4


def test_lines_that_come_soon_after_others_are_written_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "PAUSE", 60.0)
    first = threading.Event()

    class Counted(io.StringIO):
        pieces: ClassVar[list[str]] = []

        def write(self, text: str) -> int:
            self.pieces.append(text)
            return len(text)

        def flush(self) -> None:
            first.set()

    log = Log("text", Counted())
    log.tell("first", {})
    assert first.wait(20)
    for _ in range(5):
        log.tell("more", {})
    log.close(20)  # which waits for no pause
    one, rest = Counted.pieces
    assert "event=first" in one
    assert rest.count("event=more") == rest.count("\n") == 5


def test_a_stream_that_is_closed_is_no_fault() -> None:
    stream = io.StringIO()
    log = Log("text", stream)
    stream.close()
    log.tell("event", {})
    log.close()


def test_what_others_log_is_told_in_the_same_form() -> None:
    stream = io.StringIO()
    log = Log("json", stream)
    with heard(log, ("kenspeckle.example",)):
        told = logging.getLogger("kenspeckle.example")
        told.info("not this")
        told.warning("two %s", "words")
        try:
            raise ValueError("with a value")
        except ValueError:
            told.exception("it failed")
    log.close()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["level"]) == ("two words", "warning")
    assert (second["error"], second["level"]) == ("ValueError", "error")
    assert "test_serve_logs.py" in second["at"]
    assert "with a value" not in stream.getvalue()
    assert not logging.getLogger("kenspeckle.example").handlers


def test_frames_say_where_without_values() -> None:
    def inner(secret: str) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="hidden") as raised:
        inner("hidden")
    said = frames(raised.value)
    assert said.split(" < ")[0].endswith("inner")
    assert "hidden" not in said


def test_stages_come_in_their_order_and_others_after() -> None:
    found = stage_seconds({"zeal": 1.0, "search": 2.0, "decode": 3.0})
    assert list(found) == ["decode", "search", "zeal"]
