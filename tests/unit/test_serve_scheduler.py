"""The scheduler: nothing lost, nothing twice, bounded, and no thread that ends of what it runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kenspeckle.errors import KenspeckleError, ModelError, PictureError, ServiceBusy
from kenspeckle.serve.scheduler import MOST_WAIT, Scheduler, Tally

PATIENCE = 30.0
"""Seconds after which what was to happen never will, on a busy machine too."""

FAULTS: dict[str, Callable[[], BaseException]] = {
    "picture": lambda: PictureError("a.jpg", "broken"),
    "model": lambda: ModelError("m", "the device is gone"),
    "ours": lambda: ZeroDivisionError("a fault"),
    "memory": MemoryError,
    "cancelled": asyncio.CancelledError,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "stop": StopIteration,
    "late": TimeoutError,
    "generator": GeneratorExit,
}
SENT_ON = {"picture", "model", "ours", "memory", "late"}
"""Faults that arrive as they are; the others would end a task or a loop and come inside another."""


def threads_of(name: str) -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith(f"kenspeckle-{name}-")]


@dataclass
class Faulty:
    """A model that fails on demand, and counts what is asked of it."""

    begun: Counter[int] = field(default_factory=Counter)
    inside: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, number: int, fault: str, seconds: float) -> Callable[[], int]:
        def run() -> int:
            with self.lock:
                self.begun[number] += 1
                self.inside += 1
                self.most = max(self.most, self.inside)
            try:
                time.sleep(seconds)
                if fault:
                    raise FAULTS[fault]()
                return number * number
            finally:
                with self.lock:
                    self.inside -= 1

        return run


@dataclass(frozen=True)
class Ask:
    fault: str
    seconds: float
    timeout: float | None
    leaves: float | None
    later: float


ASKS = st.lists(
    st.builds(
        Ask,
        fault=st.sampled_from(["", "", *FAULTS]),
        seconds=st.sampled_from([0.0, 0.0005, 0.003]),
        timeout=st.sampled_from([None, None, 0.0, 0.002, 5.0]),
        leaves=st.sampled_from([None, None, None, 0.0, 0.001]),
        later=st.sampled_from([0.0, 0.0, 0.001, 0.004]),
    ),
    max_size=24,
)


async def ask(scheduler: Scheduler, model: Faulty, number: int, one: Ask) -> object:
    """What a caller gets: a value, an error, or `gone` for one who has left."""
    await asyncio.sleep(one.later)
    running = asyncio.ensure_future(
        scheduler.run(model.work(number, one.fault, one.seconds), timeout=one.timeout)
    )
    if one.leaves is not None:
        await asyncio.sleep(one.leaves)
        running.cancel()
    await asyncio.wait([running])
    if running.cancelled():
        return "gone"
    return running.exception() or running.result()


def expected(number: int, one: Ask, got: object) -> bool:
    """Whether a caller may get that."""
    if got == "gone":
        return one.leaves is not None
    if isinstance(got, ServiceBusy):
        return 0 < got.retry_after <= MOST_WAIT
    if one.fault in SENT_ON:
        return type(got) is type(FAULTS[one.fault]())
    if one.fault:
        cause = got.__cause__ if isinstance(got, RuntimeError) else None
        return type(cause) is type(FAULTS[one.fault]())
    return got == number * number


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asks=ASKS, callers=st.integers(1, 4), queue=st.integers(1, 6), dismissed=st.booleans())
def test_every_caller_gets_one_answer_of_its_own(
    asks: list[Ask], callers: int, queue: int, *, dismissed: bool
) -> None:
    model, complaints = Faulty(), []

    async def session() -> tuple[list[object], Tally]:
        nonlocal dismissed
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        scheduler = Scheduler("property", callers=callers, queue=queue)
        watched = asyncio.ensure_future(most(scheduler))
        sent_home = asyncio.ensure_future(send_home(scheduler))
        got = await asyncio.gather(*(ask(scheduler, model, n, one) for n, one in enumerate(asks)))
        while scheduler.running:
            await asyncio.sleep(0.001)
        assert not watched.done(), watched.exception()
        watched.cancel()
        dismissed = False
        await sent_home
        assert scheduler.depth == 0
        tally = scheduler.tally
        if asks and model.begun:  # whatever happened, it works, with as many threads as ever
            values = await asyncio.gather(*(scheduler.run(lambda: 7) for _ in range(queue)))
            assert values == [7] * queue
            assert len(threads_of("property")) == callers
        await scheduler.close(PATIENCE)
        return list(got), tally

    async def send_home(scheduler: Scheduler) -> None:
        while dismissed:
            await asyncio.to_thread(scheduler.dismiss)

    async def most(scheduler: Scheduler) -> None:
        while True:
            assert scheduler.depth + scheduler.running <= scheduler.capacity == callers + queue
            await asyncio.sleep(0)

    got, tally = asyncio.run(session())
    assert len(got) == len(asks)
    for number, (one, answer) in enumerate(zip(asks, got, strict=True)):
        assert expected(number, one, answer), (number, one, answer)
    assert set(model.begun.values()) <= {1}
    assert model.most <= callers
    assert tally.done + tally.failed == len(model.begun)
    assert len(model.begun) + tally.refused + tally.dropped == len(asks)
    assert not complaints
    assert not threads_of("property")


class Gate:
    """Work that stands still until it is let through."""

    def __init__(self) -> None:
        self.open, self.begun = threading.Event(), 0

    def work(self) -> str:
        self.begun += 1
        assert self.open.wait(PATIENCE)
        return "through"


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.001)


def play(scene: Callable[[Scheduler, Gate], Coroutine[Any, Any, None]], **given: int) -> None:
    """Run a scene with a scheduler of one caller and two places, and close it."""

    async def played() -> None:
        scheduler, gate = Scheduler("scene", **{"callers": 1, "queue": 2, **given}), Gate()
        try:
            await scene(scheduler, gate)
        finally:
            gate.open.set()
            await scheduler.close(PATIENCE)

    asyncio.run(played())
    assert not threads_of("scene")


def test_the_queue_is_bounded_and_who_is_refused_learns_when_to_return() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        for _ in range(2):
            await scheduler.run(lambda: time.sleep(0.4))
        waiting = [asyncio.ensure_future(scheduler.run(gate.work)) for _ in range(3)]
        await until(lambda: scheduler.running == 1)
        assert (scheduler.depth, scheduler.full) == (2, True)
        start = time.thread_time()
        with pytest.raises(ServiceBusy, match="2 pictures wait") as refused:
            await scheduler.run(gate.work)
        assert time.thread_time() - start < 0.05
        assert not any(one.done() for one in waiting)
        assert refused.value.retry_after == pytest.approx(max(3 / scheduler.rate, 0.1))
        waits = []
        for _ in range(5):  # who was refused before comes first; of those no more than have places
            with pytest.raises(ServiceBusy) as later:
                await scheduler.run(gate.work)
            waits.append(later.value.retry_after)
        assert waits == sorted(waits)
        assert refused.value.retry_after < waits[0] < waits[-1]
        assert waits[-1] == pytest.approx(6 / scheduler.rate)
        gate.open.set()
        assert await asyncio.gather(*waiting) == ["through"] * 3
        assert not scheduler.full
        assert scheduler.tally == Tally(done=5, refused=6)

    play(scene)


def test_work_of_who_leaves_is_dropped_and_its_place_is_free() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        first, second, third = (asyncio.ensure_future(scheduler.run(gate.work)) for _ in range(3))
        await until(lambda: gate.begun == 1)
        second.cancel()
        await asyncio.wait([second])
        assert scheduler.depth == 1
        fourth = asyncio.ensure_future(scheduler.run(gate.work))
        await asyncio.sleep(0)
        assert scheduler.depth == 2
        gate.open.set()
        assert await asyncio.gather(first, third, fourth) == ["through"] * 3
        assert gate.begun == 3

    play(scene)


def test_what_takes_too_long_is_answered_and_its_value_thrown_away() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        for timeout in (0.01, 0.1, 1.0, 10.0):  # until its thread begins within that time
            with pytest.raises(ServiceBusy, match=f"no answer within {timeout:g} s"):
                await scheduler.run(gate.work, timeout=timeout)
            if gate.begun:
                break
        with pytest.raises(ServiceBusy, match="no answer within"):  # this one never begins
            await scheduler.run(gate.work, timeout=0.01)
        assert (scheduler.running, scheduler.depth, gate.begun) == (1, 0, 1)
        gate.open.set()
        assert await scheduler.run(lambda: 5, timeout=PATIENCE) == 5

    play(scene)


def test_a_late_answer_is_told_while_others_are_refused() -> None:
    """Who is refused in the moment in which a wait is reckoned is counted before or after it."""
    scheduler, hangs = Scheduler("model", callers=1, queue=8), threading.Event()

    class Away(deque[float]):
        def __iter__(self) -> Iterator[float]:
            before = super().__iter__()
            if not others:
                others.append(threading.Thread(target=scheduler.busy))
                others[0].start()
                yield next(before)
                while others[0].is_alive() and not scheduler._lock.locked():
                    others[0].join(0.01)
            yield from before

    others: list[threading.Thread] = []

    async def scene() -> None:
        await scheduler.run(lambda: 1)
        scheduler.busy(), scheduler.busy()
        scheduler._away = Away(scheduler._away)
        with pytest.raises(ServiceBusy, match="no answer within"):
            await asyncio.wait_for(scheduler.run(hangs.wait, timeout=0.01), PATIENCE)
        hangs.set()
        await scheduler.close(PATIENCE)

    asyncio.run(scene())
    (refused,) = others
    refused.join(PATIENCE)
    assert scheduler.tally.refused == 3


def test_close_finishes_what_is_there_and_refuses_what_is_new() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        asked = [asyncio.ensure_future(scheduler.run(gate.work)) for _ in range(2)]
        await until(lambda: gate.begun == 1)
        assert not scheduler.full
        closing = asyncio.ensure_future(scheduler.close(PATIENCE))
        await until(lambda: scheduler.full)
        with pytest.raises(ServiceBusy, match="stopping"):
            await scheduler.run(gate.work)
        gate.open.set()
        await closing
        assert await asyncio.gather(*asked) == ["through"] * 2
        await scheduler.close()

    play(scene)


def test_close_waits_no_longer_than_its_grace() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        asked = [asyncio.ensure_future(scheduler.run(gate.work)) for _ in range(3)]
        await until(lambda: gate.begun == 1)
        start = time.perf_counter()
        await scheduler.close(0.05)
        assert time.perf_counter() - start < PATIENCE / 2
        for waiting in asked[1:]:
            with pytest.raises(ServiceBusy, match="stopping"):
                await waiting
        gate.open.set()
        assert await asked[0] == "through"
        assert gate.begun == 1
        await until(lambda: not threads_of("scene"))

    play(scene)


def test_more_callers_from_now_on() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        asked = [asyncio.ensure_future(scheduler.run(gate.work)) for _ in range(3)]
        await until(lambda: scheduler.running == 1)
        scheduler.resize(3)
        await until(lambda: scheduler.running == 3)
        scheduler.resize(1)
        gate.open.set()
        assert await asyncio.gather(*asked) == ["through"] * 3

    play(scene)


def test_threads_with_nothing_to_do_are_sent_home_and_the_next_work_has_others() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        scheduler.dismiss()  # there are none yet
        assert await scheduler.run(lambda: 7) == 7
        assert len(threads_of("scene")) == 3
        scheduler.dismiss()
        assert not threads_of("scene")
        working = asyncio.ensure_future(scheduler.run(gate.work))
        await until(lambda: scheduler.running == 1)
        scheduler.dismiss()
        assert len(threads_of("scene")) == 3
        gate.open.set()
        assert await working == "through"

    play(scene, callers=3)


def test_only_faults_of_the_model_and_ours_count_as_failures_of_it() -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        def failing(fault: str) -> Callable[[], None]:
            def work() -> None:
                raise FAULTS[fault]()

            return work

        with pytest.raises(PictureError):
            await scheduler.run(failing("picture"))
        assert scheduler.last_failure == ""
        with pytest.raises(ModelError):
            await scheduler.run(failing("model"))
        assert scheduler.last_failure.endswith("Z m: the device is gone")
        with pytest.raises(ZeroDivisionError):
            await scheduler.run(failing("ours"))
        assert scheduler.last_failure.endswith("Z ZeroDivisionError")
        assert scheduler.tally == Tally(failed=3)

    play(scene)


class Photo:
    """Stands for the bytes of a picture, which must not outlive their request."""


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_a_picture_is_kept_once_it_is_answered(fails: bool) -> None:
    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        async def request() -> weakref.ref[Photo]:
            photo = Photo()

            def work() -> Photo:
                if fails:
                    raise PictureError("a.jpg", f"broken {photo is not None}")
                return photo

            with contextlib.suppress(KenspeckleError):
                await scheduler.run(work, timeout=PATIENCE)
            return weakref.ref(photo)

        gc.disable()  # what only the collector would free, a busy service would pile up
        try:
            kept = await request()
            await until(lambda: kept() is None)
        finally:
            gc.enable()

    play(scene)


def test_an_error_for_who_leaves_in_that_moment_is_no_complaint() -> None:
    complaints: list[object] = []

    async def scene(scheduler: Scheduler, gate: Gate) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

        def work() -> None:
            gate.work()
            raise PictureError("a.jpg", "broken")

        leaving = asyncio.ensure_future(scheduler.run(work))
        await until(lambda: gate.begun == 1)
        gate.open.set()
        while scheduler.running:  # the loop stands still: it cannot answer before the caller leaves
            time.sleep(0.001)
        time.sleep(0.01)
        asyncio.get_running_loop().call_soon(leaving.cancel)
        with contextlib.suppress(asyncio.CancelledError, PictureError):
            await leaving
        del leaving
        gc.collect()

    play(scene)
    assert not complaints


def test_two_event_loops_share_one_scheduler() -> None:
    scheduler = Scheduler("loops", callers=2, queue=64)
    found: dict[int, list[int]] = {}

    async def asks(side: int) -> None:
        pieces = (scheduler.run(lambda n=n: side * n) for n in range(20))
        found[side] = list(await asyncio.gather(*pieces))

    sides = [threading.Thread(target=lambda s=s: asyncio.run(asks(s))) for s in (1, 3)]
    for side in sides:
        side.start()
    for side in sides:
        side.join(PATIENCE)
    asyncio.run(scheduler.close(1))
    assert found == {side: [side * n for n in range(20)] for side in (1, 3)}


def test_a_loop_that_is_closed_meanwhile_ends_no_thread() -> None:
    scheduler, gate = Scheduler("closed", callers=1, queue=2), Gate()

    async def leaves() -> None:
        asyncio.ensure_future(scheduler.run(gate.work))  # noqa: RUF006  it is left behind
        await until(lambda: gate.begun == 1)

    asyncio.run(leaves())
    gate.open.set()
    assert asyncio.run(scheduler.run(lambda: 4)) == 4
    asyncio.run(scheduler.close(1))


def test_where_the_system_has_no_threads_the_caller_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def played() -> None:
        scheduler = Scheduler("starved", callers=2, queue=2)
        with monkeypatch.context() as starved:
            starved.setattr(threading.Thread, "start", refuses)
            with pytest.raises(ServiceBusy):
                await scheduler.run(lambda: 1)
        assert scheduler.depth == 0
        assert await scheduler.run(lambda: 1) == 1
        await scheduler.close(1)

    asyncio.run(played())


def test_the_thread_that_worked_last_works_next_and_its_cache_is_warm() -> None:
    async def scene(scheduler: Scheduler, _: Gate) -> None:
        names = []
        for _ in range(20):
            names.append(await scheduler.run(lambda: threading.current_thread().name))
            await until(lambda: len(scheduler._resting) == 3)
        assert len(set(names[1:])) == 1  # at first the others may come to rest later

    play(scene, callers=3)
