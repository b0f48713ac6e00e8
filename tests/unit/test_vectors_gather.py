"""Batches across callers: who fails fails alone, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kenspeckle.errors import ModelError, PictureError
from kenspeckle.types import Float32
from kenspeckle.vectors.gather import Gather

PATIENCE = 30.0
"""Seconds after which what was to happen never will, on a busy machine too."""


def plane(value: float) -> Float32:
    return np.full((3, 2, 2), value, np.float32)


@pytest.mark.parametrize("bad", [{3}, {0, 9, 10}, set(range(12))])
def test_a_picture_that_breaks_a_batch_fails_alone(bad: set[int]) -> None:
    first, started = threading.Event(), threading.Event()

    def run(batch: Float32) -> Float32:
        started.set()
        assert first.wait(PATIENCE)
        wrong = [int(one[0, 0, 0]) for one in batch if int(one[0, 0, 0]) in bad]
        if wrong:
            raise PictureError(f"{wrong[0]}", "it breaks the device")
        return batch.reshape(len(batch), -1) * 2

    gather = Gather(run, 6)
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(gather.row, plane(n)) for n in range(12)]
        assert started.wait(PATIENCE)
        time.sleep(0.02)  # the others are waiting by now
        first.set()
        for number, answer in enumerate(answers):
            if number in bad:
                with pytest.raises(PictureError, match=f"^{number}:"):
                    answer.result(PATIENCE)
            else:
                assert (answer.result(PATIENCE) == 2 * number).all()


def test_rows_that_are_missing_are_an_error_of_the_model() -> None:
    gather = Gather(lambda batch: np.zeros((len(batch) - 1, 4), np.float32), 4)
    with pytest.raises(ModelError, match="0 rows for 1 pictures"):
        gather.row(plane(1))


@pytest.mark.parametrize("count", [1, 4, 9])
def test_regions_of_one_picture_go_together(count: int) -> None:
    sizes: list[int] = []

    def run(batch: Float32) -> Float32:
        sizes.append(len(batch))
        return batch.reshape(len(batch), -1)

    planes = np.stack([plane(n) for n in range(count)])
    rows = Gather(run, 4).rows(planes)
    assert np.array_equal(rows, planes.reshape(count, -1))
    assert sizes == [min(4, count - start) for start in range(0, count, 4)]


def test_an_interrupt_reaches_its_caller_and_the_next_goes_on() -> None:
    errors = iter([KeyboardInterrupt(), None])

    def run(batch: Float32) -> Float32:
        error = next(errors)
        if error is not None:
            raise error
        return batch.reshape(len(batch), -1)

    gather = Gather(run, 4)
    with pytest.raises(KeyboardInterrupt):
        gather.row(plane(1))
    assert (gather.row(plane(2)) == 2).all()


@pytest.mark.parametrize("seed", range(4))
def test_under_load_each_caller_gets_its_own_rows_or_its_own_error(seed: int) -> None:
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, 6, 60).tolist()
    starts = np.cumsum([0, *sizes])
    bad = set(draw.choice(starts[-1], 12, replace=False).tolist())
    inside = 0

    def run(batch: Float32) -> Float32:
        nonlocal inside
        inside += 1
        assert inside == 1, "two batches at once"
        assert len(batch) <= 7
        time.sleep(0.0005)
        inside -= 1
        wrong = sorted(bad & {int(one[0, 0, 0]) for one in batch})
        if wrong:
            raise PictureError(str(wrong[0]), "it breaks the device")
        return batch.reshape(len(batch), -1)

    gather = Gather(run, 7)

    def ask(number: int) -> object:
        mine = range(starts[number], starts[number + 1])
        rows = gather.rows(np.stack([plane(n) for n in mine]))
        return [float(row[0]) for row in rows] == list(mine)

    with ThreadPoolExecutor(12) as pool:
        for number, answer in enumerate([pool.submit(ask, n) for n in range(60)]):
            mine = range(starts[number], starts[number + 1])
            wrong = [n for n in mine if n in bad]
            if wrong:
                with pytest.raises(PictureError, match=f"^{wrong[0]}:"):
                    answer.result(PATIENCE)
            else:
                assert answer.result(PATIENCE) is True
