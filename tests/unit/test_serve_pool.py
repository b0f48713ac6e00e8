"""Models in memory: shared, loaded when used, given back when idle, safe beside running calls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from engines import Device, opener

from kenspeckle import _threads
from kenspeckle.config import ModelSettings
from kenspeckle.errors import ModelError, ModelMissing, ServiceBusy, SettingError
from kenspeckle.serve import libraries
from kenspeckle.serve.pool import Models
from kenspeckle.serve.resident import Resident, Standing, give_back
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.probe import BATCH

if TYPE_CHECKING:
    from PIL.Image import Image

    from kenspeckle.vectors.base import Embedder

DUMMY = ModelSettings(name="dummy")
PATIENCE = 30.0
"""Seconds after which what was to happen never will, on a busy machine too."""


class Clock:
    """Time that passes when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def picture() -> Image:
    return drawn_pictures(1)[0]


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for one in set(threading.enumerate()) - before:
        if one.name == "kenspeckle-idle":
            one.join(PATIENCE)
            assert not one.is_alive()


def standing(models: Models) -> Standing:
    (one,) = models.standings()
    return one


def closed(models: Models) -> None:
    asyncio.run(models.close(PATIENCE))


def test_a_model_is_kept_once_whatever_it_is_called() -> None:
    models = Models()
    default = models.embedder(ModelSettings())
    assert default is models.embedder(ModelSettings(name="default"))
    assert default is models.embedder(ModelSettings(name=default.fingerprint.model, offline=True))
    assert default is not models.embedder(DUMMY)
    spaces = {one.name for one in models.standings()}
    assert spaces == {default.fingerprint.model, "dummy"}
    assert not any(one.loaded for one in models.standings())
    closed(models)


def test_galleries_of_one_model_share_one_scheduler() -> None:
    models = Models(queue=3)
    space = models.embedder(DUMMY).space_id
    assert models.scheduler(space, "dummy") is models.scheduler(space, "another name")
    (scheduler,) = models.schedulers()
    assert (scheduler.name, scheduler.callers) == ("dummy", _threads.cores())
    assert scheduler.capacity == 3 + _threads.cores()
    closed(models)


def test_one_model_in_two_ways_has_two_names() -> None:
    models = Models(pinned=["default"])
    plain = models.embedder(ModelSettings())
    boxed = models.embedder(ModelSettings(mode="letterbox"))
    assert plain.space_id != boxed.space_id
    names = [one.name for one in models.standings()]
    model = plain.fingerprint.model
    assert (
        names == [one.name for one in models.schedulers()] == [model, f"{model} {boxed.space_id}"]
    )
    assert all(one.pinned for one in models.standings())
    closed(models)


def test_the_service_is_busy_only_while_no_queue_has_room() -> None:
    models, go_on = Models(queue=1, callers=1), threading.Event()
    first, second = (models.scheduler(name, name) for name in ("a", "b"))

    async def fill() -> None:
        asked = []
        for one in (first, second):
            assert models.busy() is None
            asked += [asyncio.ensure_future(one.run(go_on.wait)) for _ in range(2)]
            await asyncio.sleep(0)
            while not one.full:
                await asyncio.sleep(0.001)
        busy = models.busy()
        assert busy is not None
        assert busy.retry_after > 0
        go_on.set()
        await asyncio.gather(*asked)
        assert models.busy() is None

    assert Models().busy() is None
    asyncio.run(fill())
    assert first.tally.refused == 1
    closed(models)


def test_nobody_waits_for_a_model_that_is_being_opened() -> None:
    opening, go_on = threading.Event(), threading.Event()
    plain = opener(Device())

    def slowly(settings: ModelSettings) -> Embedder:
        if settings.mode:
            opening.set()
            assert go_on.wait(PATIENCE)
        return plain(settings)

    models = Models(opener=slowly)
    first = models.embedder(DUMMY)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(models.embedder, replace(DUMMY, mode="letterbox"))
        assert opening.wait(PATIENCE)
        beside = pool.submit(_asked, models, first)
        try:
            told = beside.result(PATIENCE)
        finally:
            go_on.set()
        assert told == (None, ["dummy"], ["dummy"], True)
        assert other.result(PATIENCE) is not first
    closed(models)


def _asked(models: Models, first: Embedder) -> tuple[object, list[str], list[str], bool]:
    """What requests ask while a model is opened."""
    queues = [one.name for one in models.schedulers()]
    names = [one.name for one in models.standings()]
    models.scheduler(first.space_id, "dummy")
    return models.busy(), queues, names, models.embedder(DUMMY) is first


def test_many_who_ask_at_once_get_one_model() -> None:
    opened: list[ModelSettings] = []
    plain, together = opener(Device()), threading.Barrier(4)

    def counted(settings: ModelSettings) -> Embedder:
        opened.append(settings)
        return plain(settings)

    models = Models(opener=counted)

    def asks(_: int) -> Embedder:
        together.wait(PATIENCE)
        return models.embedder(DUMMY)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(map(id, pool.map(asks, range(4))))) == 1
    assert opened == [DUMMY]
    closed(models)


def test_where_nobody_can_look_for_idle_models_none_is_loaded_until_somebody_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[str] = []
    models = Models(idle_grace=0.2)
    kept = models.keep("odd", lambda: loads.append("odd") or "loaded", lambda value: None)

    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as lacking:
        lacking.setattr(threading.Thread, "start", none)
        with pytest.raises(ServiceBusy, match="no thread was to be had"), kept.use():
            pass
    assert loads == []
    with kept.use():
        pass
    until = time.monotonic() + PATIENCE
    while standing(models).loaded and time.monotonic() < until:
        time.sleep(0.01)
    assert (loads, standing(models).loaded) == (["odd"], False)
    closed(models)


def test_many_callers_load_it_once(picture: Image) -> None:
    device = Device(0.002)
    models = Models(opener=opener(device))
    embedder = models.embedder(DUMMY)
    assert device.loads == 0
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: embedder.vector(picture), range(24)))
    assert device.loads == 1
    assert all(np.array_equal(row, rows[0]) for row in rows)
    assert standing(models).device == "device"
    closed(models)
    assert device.closed == 1


def test_an_idle_model_leaves_and_the_next_use_loads_it(picture: Image) -> None:
    device, clock = Device(), Clock()
    models = Models(idle_grace=60, opener=opener(device), clock=clock)
    embedder = models.embedder(DUMMY)
    first = embedder.vector(picture)
    clock.now += 59
    assert models.unload_idle() == ()
    assert standing(models).loaded
    clock.now += 1
    assert models.unload_idle() == ("dummy",)
    assert (device.loads, device.closed, standing(models).loaded) == (1, 1, False)
    assert models.unload_idle() == ()
    assert np.array_equal(embedder.vector(picture), first)
    assert (device.loads, standing(models).loaded) == (2, True)
    closed(models)


def test_with_the_last_model_go_its_threads_and_its_libraries(
    picture: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, came = Clock(), []
    models = Models(idle_grace=60, opener=opener(Device()), clock=clock)
    needed = libraries.in_memory()
    monkeypatch.setattr(libraries, "page_out", lambda but: came.append(but == needed))
    embedder, other = models.embedder(DUMMY), models.keep("other", str, lambda _: None)
    scheduler = models.scheduler("space", "idle-threads")
    asyncio.run(scheduler.run(lambda: embedder.vector(picture)))
    clock.now += 60
    with other.use():
        assert models.unload_idle() == ("dummy",)
    assert not [one for one in threading.enumerate() if "idle-threads" in one.name]
    assert not came  # the other one may need them
    clock.now += 60
    assert models.unload_idle() == ("other",)
    assert came == [True]
    closed(models)


def test_a_thread_looks_for_idle_models() -> None:
    models = Models(idle_grace=1.0)
    assert models.embedder(DUMMY).device == "cpu"
    assert standing(models).loaded
    until = time.monotonic() + PATIENCE
    while standing(models).loaded and time.monotonic() < until:
        time.sleep(0.01)
    assert not standing(models).loaded
    closed(models)


def test_whatever_fails_in_it_that_thread_looks_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(but: frozenset[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(libraries, "page_out", fails)
    models = Models(idle_grace=0.1)
    for _ in range(2):
        assert models.embedder(DUMMY).device == "cpu"
        until = time.monotonic() + PATIENCE
        while standing(models).loaded and time.monotonic() < until:
            time.sleep(0.01)
        assert not standing(models).loaded
    closed(models)
    assert "looking for idle models: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("grace", "pinned"), [(0.0, ()), (0.05, ("dummy",))])
def test_a_model_stays_when_it_is_pinned_or_there_is_no_grace(
    grace: float, pinned: tuple[str, ...]
) -> None:
    models = Models(idle_grace=grace, pinned=pinned)
    assert models.embedder(DUMMY).device == "cpu"
    time.sleep(0.2)
    assert standing(models).loaded
    assert standing(models).pinned == bool(pinned)
    closed(models)
    assert not standing(models).loaded


def test_an_alias_pins_its_model() -> None:
    models = Models(pinned=["default"])
    models.embedder(ModelSettings())
    models.check_pins()
    assert standing(models).pinned
    closed(models)


def test_a_model_kept_for_a_use_is_pinned_by_either_name() -> None:
    models = Models(pinned=["yunet", "person:nanodet"])
    for name in ("face:yunet", "person:nanodet", "person:detr"):
        models.keep(name, str, lambda value: None)
    models.check_pins()
    assert [one.pinned for one in models.standings()] == [True, False, True]
    closed(models)


def test_a_pinned_name_that_no_model_has_is_refused() -> None:
    models = Models(pinned=["clip-vit-b-32"])
    models.embedder(DUMMY)
    with pytest.raises(SettingError, match=r"clip-vit-b-32 is no model .* expected dummy"):
        models.check_pins()


def test_unloading_beside_running_calls_harms_none(picture: Image) -> None:
    device = Device(0.001)
    models = Models(idle_grace=0, opener=opener(device))
    embedder, stop = models.embedder(DUMMY), threading.Event()
    expected = embedder.vector(picture)

    def unloads() -> int:
        count = 0
        while not stop.is_set():
            count += len(models.unload_idle(0.0))
        return count

    with ThreadPoolExecutor(5) as pool:
        unloading = pool.submit(unloads)
        for row in pool.map(lambda _: embedder.vector(picture), range(120)):
            assert np.array_equal(row, expected)
        stop.set()
        assert unloading.result() == device.closed
    closed(models)
    assert device.loads == device.closed


def test_closing_an_embedder_lets_running_calls_finish(picture: Image) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def before(batch: object) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    device = Device(before=before, device="cpu")
    embedder = opener(device)(DUMMY)
    with ThreadPoolExecutor(1) as pool:
        row = pool.submit(embedder.vector, picture)
        assert inside.wait(PATIENCE)
        embedder.close()
        assert device.closed == 0
        go_on.set()
        assert row.result(PATIENCE).shape == (192,)
    assert device.closed == 1
    embedder.close()
    assert device.closed == 1


def test_closing_a_gallery_leaves_the_model_to_others(picture: Image) -> None:
    models = Models()
    embedder = models.embedder(DUMMY)
    embedder.vector(picture)
    embedder.close()
    assert standing(models).loaded
    closed(models)


def test_a_device_that_gains_from_batches_gets_them(picture: Image, tmp_path: Path) -> None:
    device = Device(0.05)  # long beside what a thread waits for its turn
    models = Models(opener=opener(device), queue=64)
    embedder = models.embedder(ModelSettings(name="dummy", home=str(tmp_path)))
    assert embedder.joined == 1
    (scheduler,) = models.schedulers()
    assert embedder.device == "device"
    assert (embedder.joined, scheduler.callers) == (BATCH, 2 * BATCH)
    device.calls.clear()

    async def many() -> list[object]:
        asked = (scheduler.run(lambda: embedder.vector(picture)) for _ in range(48))
        return list(await asyncio.gather(*asked))

    rows = asyncio.run(many())
    assert all(np.array_equal(row, rows[0]) for row in rows)
    assert sum(device.calls) == 48
    assert len(device.calls) <= 12
    closed(models)


def test_on_a_cpu_each_picture_goes_alone(picture: Image, tmp_path: Path) -> None:
    models = Models()
    embedder = models.embedder(ModelSettings(name="dummy", home=str(tmp_path)))
    assert embedder.device == "cpu"
    (scheduler,) = models.schedulers()
    assert (embedder.joined, scheduler.callers) == (1, _threads.cores())
    closed(models)


def test_a_load_that_fails_is_told_and_tried_again() -> None:
    tries = iter([ModelMissing("m", "not here", do="Pull it"), OSError("disk"), None])

    def load() -> str:
        error = next(tries)
        if error is not None:
            raise error
        return "loaded"

    models = Models()
    kept = models.keep("captions", load, lambda value: None)
    with pytest.raises(ModelError), kept.use():
        pass
    assert standing(models).failure == "m: not here. Pull it"
    with pytest.raises(OSError, match="disk"), kept.use():
        pass
    assert standing(models).failure == "OSError"
    with kept.use() as value:
        assert value == "loaded"
    assert (standing(models).failure, standing(models).loaded) == ("", True)
    closed(models)


def test_a_model_in_use_or_being_loaded_is_not_idle() -> None:
    clock, loading, go_on = Clock(), threading.Event(), threading.Event()

    def load() -> str:
        loading.set()
        assert go_on.wait(PATIENCE)
        return "loaded"

    kept = Resident("slow", load, lambda value: None, clock=clock)

    def uses() -> bool:
        with kept.use():
            clock.now += 1000
            return kept.unload(10)

    with ThreadPoolExecutor(1) as pool:
        unloaded = pool.submit(uses)
        assert loading.wait(PATIENCE)
        assert kept.unload() is False
        assert kept.standing().loaded is False
        go_on.set()
        assert unloaded.result(PATIENCE) is False
    assert (kept.standing().users, kept.standing().idle) == (0, 0)
    assert kept.unload() is True


def test_one_that_cannot_be_closed_is_let_go_of() -> None:
    def close(value: str) -> None:
        raise OSError("the device is gone")

    models = Models(idle_grace=0.05)
    kept = models.keep("odd", lambda: "loaded", close)
    for _ in range(2):  # whoever looks for idle models outlives it
        with kept.use():
            pass
        until = time.monotonic() + PATIENCE
        while standing(models).loaded and time.monotonic() < until:
            time.sleep(0.01)
        assert (standing(models).loaded, standing(models).failure) == (False, "OSError")
    closed(models)


def test_memory_can_be_given_back_anywhere() -> None:
    give_back()
