"""Models in memory: loaded when they are needed, shared, and given back when they have been idle.

A model is kept once for all galleries and surfaces that use it, with one scheduler. Pinned models
stay; any other leaves after `idle_grace` seconds without use, and the next use loads it again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kenspeckle import _threads
from kenspeckle.config import ModelSettings
from kenspeckle.engines import table
from kenspeckle.errors import ModelError, ServiceBusy, SettingError
from kenspeckle.serve import libraries
from kenspeckle.serve.lent import Lent
from kenspeckle.serve.resident import Clock, Resident, Standing, give_back
from kenspeckle.serve.scheduler import Scheduler
from kenspeckle.vectors.base import Embedder, Opener
from kenspeckle.vectors.embed import open_embedder

T = TypeVar("T")

_log = logging.getLogger(__name__)

LEAST_LOOK, MOST_LOOK = 0.05, 15.0
"""Seconds between two looks for idle models, which are a quarter of the grace within these."""


class Models:
    """The models of one service, each with the scheduler of its work.

    `opener` opens embedders; `queue` bounds what waits for each model, `callers` say how many
    pictures each works on at once (0: one a core; more where batches pay). A thread looks for idle
    models once one is loaded; `close` ends it.
    """

    def __init__(
        self,
        *,
        idle_grace: float = 300.0,
        pinned: Iterable[str] = (),
        queue: int = 64,
        callers: int = 0,
        opener: Opener = open_embedder,
        clock: Clock = time.monotonic,
    ) -> None:
        self._grace, self._queue, self._opener, self._clock = idle_grace, queue, opener, clock
        self._callers = _threads.callers(callers)
        self._pinned = frozenset(_full_name(name) for name in pinned)
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        """Held, before the other one, by whoever opens a model, which may take long."""
        self._opened: dict[ModelSettings, Lent] = {}
        self._spaces: dict[tuple[str, str], Lent] = {}
        self._residents: list[Resident[Any]] = []
        self._schedulers: dict[str, Scheduler] = {}
        self._every: tuple[Scheduler, ...] = ()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._libraries = libraries.in_memory()
        """Those that are needed without a model, too."""

    def embedder(self, settings: ModelSettings) -> Embedder:
        """The embedder that the settings name, one for all who ask for it. Loads no network where
        the width of the model is known. Raises as `open_embedder`."""
        found = self._opened.get(settings)
        if found is not None:
            return found
        with self._opening:
            found = self._opened.get(settings)
            if found is None:
                inner = self._opener(settings)
                space = (inner.space_id, settings.device)
                found = self._spaces.get(space)
                if found is None:
                    found = self._spaces[space] = self._lent(inner)
                else:
                    inner.close()
                self._opened[settings] = found
            return found

    def keep(self, name: str, load: Callable[[], T], close: Callable[[T], None]) -> Resident[T]:
        """Keep anything else that takes memory under the same rules: a detector, a captioner.

        It is pinned by its name, and where that is of the form `USE:MODEL` by its model's.
        """
        resident = Resident(
            name, self._watched(load), close, pinned=self._pins(name), clock=self._clock
        )
        with self._lock:
            self._residents.append(resident)
        return resident

    def scheduler(self, space_id: str, name: str) -> Scheduler:
        """The one scheduler of a model, called `name`: of its space, for all who use it."""
        with self._lock:
            found = self._schedulers.get(space_id)
            if found is None:
                found = Scheduler(name, callers=self._callers, queue=self._queue)
                self._schedulers[space_id] = found
                self._every = (*self._every, found)
            return found

    def schedulers(self) -> tuple[Scheduler, ...]:
        """All of them. Never waits: the event loop asks before it reads a picture."""
        return self._every

    def busy(self) -> ServiceBusy | None:
        """What to tell whoever asks for a picture while no queue has room; None while one has.

        So a body need not be read that would be refused.
        """
        schedulers = self.schedulers()
        if not schedulers or not all(one.full for one in schedulers):
            return None
        return schedulers[0].busy()

    def standings(self) -> tuple[Standing, ...]:
        """What each model is doing, by name. Never loads one."""
        with self._lock:
            every = tuple(self._residents)
        return tuple(sorted((one.standing() for one in every), key=lambda one: one.name))

    def check_pins(self) -> None:
        """Refuse pinned names that no model of this service has. Raises SettingError."""
        names = {one.name for one in self.standings()}
        for name in sorted(self._pinned - names - {name.partition(":")[2] for name in names}):
            raise SettingError(
                "serve.pinned",
                f"{name} is no model of this service",
                expected=", ".join(sorted(names)) or "none: nothing is served",
            )

    def unload_idle(self, idle_for: float | None = None) -> tuple[str, ...]:
        """Unload what was not used for that many seconds (the grace) and is not pinned; names."""
        grace = self._grace if idle_for is None else idle_for
        with self._lock:
            every = tuple(self._residents)
        gone = tuple(one.name for one in every if not one.pinned and one.unload(grace))
        if gone:
            for scheduler in self.schedulers():
                scheduler.dismiss()
            if not any(one.standing().loaded for one in every):
                libraries.page_out(but=self._libraries)
            give_back()
        return gone

    async def close(self, grace: float = 0.0) -> None:
        """Finish the work in hand within `grace` seconds, then let go of every model."""
        await asyncio.gather(*(one.close(grace) for one in self.schedulers()))
        self._stop.set()
        with self._lock:
            every = tuple(self._residents)
        for one in every:
            one.unload()

    def _lent(self, inner: Embedder) -> Lent:
        """Keep an embedder that was just opened; called by the one who opens."""
        model = inner.fingerprint.model
        # Of one model in two ways (a head, another mode) each has a name of its own.
        taken = any(one.name == model for one in self.standings())
        name = f"{model} {inner.space_id}" if taken else model
        scheduler = self.scheduler(inner.space_id, name)

        def load() -> Embedder:
            inner.device  # noqa: B018  loads the network
            scheduler.resize(2 * inner.joined if inner.joined > 1 else self._callers)
            return inner

        resident = Resident(
            name,
            self._watched(load),
            lambda one: one.close(),
            pinned=self._pins(model),
            clock=self._clock,
        )
        with self._lock:
            self._residents.append(resident)
        return Lent(inner, resident)

    def _pins(self, name: str) -> bool:
        return not self._pinned.isdisjoint((name, name.partition(":")[2]))

    def _watched(self, load: Callable[[], T]) -> Callable[[], T]:
        """`load`, and somebody who looks whether what it loads is idle. Raises ServiceBusy where
        nobody is to be had: what is loaded then would stay."""

        def loading() -> T:
            with self._lock:
                if self._grace and self._watcher is None and not self._stop.is_set():
                    self._watcher = self._started()
            return load()

        return loading

    def _started(self) -> threading.Thread:
        """A thread that looks for idle models. ServiceBusy where the system has none."""
        watcher = threading.Thread(target=self._watch, name="kenspeckle-idle", daemon=True)
        try:
            watcher.start()
        except RuntimeError as error:
            raise ServiceBusy("models", "no thread was to be had", do="Try again later") from error
        return watcher

    def _watch(self) -> None:
        while not self._stop.wait(min(max(self._grace / 4, LEAST_LOOK), MOST_LOOK)):
            try:
                self.unload_idle()
            except Exception as error:  # nobody would look again
                _log.warning("looking for idle models: %s", type(error).__name__)


def _full_name(name: str) -> str:
    """The name of a model in the table, for one of its aliases; any other name as it is."""
    try:
        return table.find(name).name
    except ModelError:
        return name
