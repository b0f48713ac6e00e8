"""Writes of one turn of the loop leave as one piece, and none is held back longer."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from kenspeckle.serve import outbox
from kenspeckle.serve.outbox import Outbox


class Wire:
    """A transport that notes each piece that it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False
        self.untaken = 0
        self.options: list[tuple[int, ...]] = []

    def writelines(self, pieces: list[bytes]) -> None:
        self.sent.append(b"".join(pieces))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)

    def get_extra_info(self, name: str) -> object:
        return self if name == "socket" else f"the {name}"


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def box(wire: Wire) -> Iterator[Outbox]:
    """One whose loop never comes to its turn."""
    loop = asyncio.new_event_loop()
    yield Outbox(wire, loop, 30.0)
    loop.close()


def in_turn(wire: Wire, *steps: bytes | None) -> list[bytes]:
    """What was sent of the writes of these steps; None ends a turn of the loop."""

    async def done() -> None:
        box = Outbox(wire, asyncio.get_running_loop(), 30.0)
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            else:
                box.write(step)
        await asyncio.sleep(0)

    asyncio.run(done())
    return wire.sent


def test_writes_of_a_turn_are_one_piece(wire: Wire) -> None:
    assert in_turn(wire, b"head", b"", b"body") == [b"headbody"]


def test_a_head_alone_is_not_kept_for_its_body(wire: Wire) -> None:
    assert in_turn(wire, b"head", None, b"body", b"more") == [b"head", b"bodymore"]


def test_much_is_sent_at_once(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST", 8)
    assert in_turn(wire, b"1234", b"5678", b"9", None, b"0") == [b"12345678", b"9", b"0"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not know the option")
def test_of_much_the_system_keeps_a_little_that_is_unsent(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST", 8)
    in_turn(wire, b"1234567", None, b"1")
    assert wire.options == []
    in_turn(wire, b"12345678", b"12345678")
    assert wire.options == [(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, outbox.UNSENT)]


def test_what_waits_is_sent_before_the_line_is_closed(wire: Wire, box: Outbox) -> None:
    box.write(b"last words")
    box.close()
    assert (wire.sent, wire.closed) == ([b"last words"], True)


def test_a_line_that_was_torn_down_gets_nothing(wire: Wire, box: Outbox) -> None:
    box.write(b"too late")
    box.abort()
    box.flush()
    assert wire.sent == []
    assert box.is_closing()


def test_what_waits_counts_among_what_was_not_taken(wire: Wire, box: Outbox) -> None:
    wire.untaken = 7
    box.write(b"12345")
    assert box.get_write_buffer_size() == 12
    box.flush()
    assert box.get_write_buffer_size() == 7
    assert box.get_extra_info("peername") == "the peername"


@pytest.mark.parametrize(("left", "torn"), [(12, True), (8, True), (7, False), (0, False)])
def test_what_was_written_before_has_to_be_taken_in_time(wire: Wire, left: int, torn: bool) -> None:
    async def done() -> None:
        box = Outbox(wire, asyncio.get_running_loop(), 0.01)
        box.write(b"12345")
        wire.untaken = 5
        box.expect()
        box.write(b"of another answer"[:7])
        wire.untaken = left
        box.flush()
        await asyncio.sleep(0.05)

    asyncio.run(done())
    assert wire.closed is torn


def test_what_waits_at_the_end_has_to_be_taken_in_time(wire: Wire) -> None:
    torn: list[bool] = []

    async def done() -> None:
        box = Outbox(wire, asyncio.get_running_loop(), 0.01)
        box.write(b"12345")
        wire.untaken = 5
        wire.abort = lambda: torn.append(True)  # type: ignore[method-assign]
        box.close()
        await asyncio.sleep(0.05)

    asyncio.run(done())
    assert torn == [True]


@pytest.mark.parametrize(("later", "torn"), [((8, 4, 0), False), ((8, 7), True), ((9,), True)])
def test_whoever_takes_piece_after_piece_gets_all(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, later: tuple[int, ...], torn: bool
) -> None:
    monkeypatch.setattr(outbox, "PIECE", 4)
    looks = iter(later)

    async def done() -> None:
        box = Outbox(wire, asyncio.get_running_loop(), 0.01)
        box.write(b"123456789012")
        box.flush()
        wire.untaken = 12
        box.expect()
        wire.get_write_buffer_size = lambda: next(looks)  # type: ignore[method-assign]
        await asyncio.sleep(0.1)

    asyncio.run(done())
    assert wire.closed is torn
    assert next(looks, None) is None
