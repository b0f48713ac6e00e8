"""What was said the last time, where whoever is asked takes long."""

from __future__ import annotations

import threading

import pytest

from kenspeckle.errors import InputError
from kenspeckle.serve.latest import Latest

LONG = 60.0
"""Seconds after which what was to happen never will, on a busy machine too."""


class Slow:
    """Says how often it was asked, when it may."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), 0
        self.may.set()

    def __call__(self) -> int:
        self.asked += 1
        assert self.may.wait(LONG)
        return self.asked


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def settled(latest: Latest[int], wanted: int) -> int:
    """What it says once nobody holds it."""
    found = latest.now()
    while found is None or found < wanted:
        found = latest.now()
    return found


def test_each_answer_is_a_new_one_where_that_is_quick() -> None:
    slow, clock = Slow(), Clock()
    latest = Latest(slow, clock=clock)
    first = settled(latest, 1)
    assert settled(latest, first + 1) > first


def test_who_takes_long_is_asked_once_and_the_last_answer_stands() -> None:
    slow, clock = Slow(), Clock()
    latest = Latest(slow, clock=clock)
    known = settled(latest, 1)
    slow.may.clear()
    before = slow.asked
    clock.now += 1
    assert latest.now() == known
    clock.now += 1
    assert [latest.now() for _ in range(5)] == [known] * 5
    assert (slow.asked, latest.held) == (before + 1, 1.0)
    slow.may.set()
    settled(latest, before + 1)


def test_nothing_is_known_before_the_first_answer() -> None:
    slow = Slow()
    slow.may.clear()
    latest = Latest(slow)
    assert latest.now() is None
    assert latest.held > 0
    slow.may.set()
    settled(latest, 1)


def test_what_it_raises_is_raised_and_the_next_answer_stands_for_itself() -> None:
    errors = [InputError("index", "odd")]

    def ask() -> str:
        if errors:
            raise errors.pop()
        return "well"

    latest = Latest(ask)

    def known() -> str:
        while (found := latest.now()) is None:
            pass
        return found

    with pytest.raises(InputError, match="odd"):
        known()
    assert known() == "well"


def test_without_a_thread_what_was_said_before_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    latest = Latest(slow)
    known = settled(latest, 1)

    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    assert latest.now() == known
    assert slow.asked == known
