"""Callers over sources: order, bounds, errors, ends, times; and batches across callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from kenspeckle.errors import KenspeckleError, PictureError
from kenspeckle.types import Float32
from kenspeckle.vectors.gather import Gather
from kenspeckle.vectors.pipeline import WINDOW, StageTimes, pooled, timed


@contextmanager
def leaving_no_thread() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("callers", [1, 2, 5])
def test_results_come_in_order(callers: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.003 * (number % 3))
        return number * number

    done = list(pooled(range(40), work, callers))
    assert [one.source for one in done] == list(range(40))
    assert [one.value for one in done] == [n * n for n in range(40)]
    assert all(one.error is None for one in done)


def test_no_sources() -> None:
    assert list(pooled([], str)) == []


def test_each_fails_alone() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise PictureError("3.jpg", "broken")
        if number == 5:
            raise ZeroDivisionError("a fault of ours")
        return number

    done = list(pooled(range(8), work, 2))
    assert [one.value for one in done] == [0, 1, 2, None, 4, None, 6, 7]
    assert isinstance(done[3].error, PictureError)
    assert type(done[5].error) is KenspeckleError
    assert "ZeroDivisionError" in str(done[5].error)
    for one in (done[3], done[5]):  # a traceback would keep what the frames held
        assert one.error is not None
        assert one.error.__traceback__ is one.error.__cause__ is one.error.__context__ is None


def test_no_more_in_flight_than_the_window() -> None:
    drawn, taken, most = 0, 0, 0
    lock = threading.Lock()

    def sources() -> Iterator[int]:
        nonlocal drawn, most
        for number in range(200):
            with lock:
                drawn += 1
                most = max(most, drawn - taken)
            yield number

    for _ in pooled(sources(), lambda number: number, 3):
        with lock:
            taken += 1
    assert (drawn, taken) == (200, 200)
    assert most <= WINDOW * 3 + 1


def test_closing_early_starts_no_more() -> None:
    begun = []
    with leaving_no_thread():
        results = pooled(range(1000), begun.append, 2)
        next(results)
        results.close()  # type: ignore[attr-defined]
        count = len(begun)
    time.sleep(0.02)
    assert len(begun) == count <= WINDOW * 2 + 2


def test_an_interrupt_passes_and_leaves_no_thread() -> None:
    def interrupted() -> Iterator[int]:
        yield from range(4)
        raise KeyboardInterrupt

    with leaving_no_thread(), pytest.raises(KeyboardInterrupt):
        list(pooled(interrupted(), lambda number: time.sleep(0.005), 2))


def test_stage_times_add_up_over_threads() -> None:
    times = StageTimes()

    def work(_: int) -> None:
        with times.stage("decode"):
            time.sleep(0.002)
        times.add("model", 0.5)

    list(pooled(range(20), work, 4))
    assert times.counts == {"decode": 20, "model": 20}
    assert times.seconds["decode"] >= 0.04
    assert times.seconds["model"] == pytest.approx(10)


def test_a_stage_that_fails_is_counted() -> None:
    times = StageTimes()
    with pytest.raises(ValueError, match="no"), times.stage("decode"):
        raise ValueError("no")
    assert times.counts == {"decode": 1}


def test_nobody_asks_for_times() -> None:
    with timed(None, "decode") as nothing:
        assert nothing is None


def test_gather_makes_batches_of_what_waits() -> None:
    sizes = []

    def run(batch: Float32) -> Float32:
        sizes.append(len(batch))
        time.sleep(0.004)
        return batch.reshape(len(batch), -1) * 2

    gather = Gather(run, 8)
    inputs = [np.full((3, 2, 2), n, np.float32) for n in range(60)]
    done = list(pooled(inputs, gather.row, 12))
    for number, one in enumerate(done):
        assert one.value is not None
        assert np.array_equal(one.value, np.full(12, 2 * number))
    assert sum(sizes) == 60
    assert 1 < max(sizes) <= 8


def test_gather_tells_every_caller_of_a_failure() -> None:
    def run(batch: Float32) -> Float32:
        time.sleep(0.002)
        raise PictureError("batch", "the device is gone")

    gather = Gather(run, 4)
    done = list(pooled([np.zeros((3, 1, 1), np.float32)] * 10, gather.row, 5))
    assert all(isinstance(one.error, PictureError) for one in done)
