"""What all routes share: the galleries, their models and queues, and the rest of the service."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from kenspeckle.catalog.naming import named_by_file
from kenspeckle.config import Settings
from kenspeckle.errors import NotEnrolled
from kenspeckle.gallery import Gallery
from kenspeckle.serve.access import Access, open_access
from kenspeckle.serve.engines import ModelEngines
from kenspeckle.serve.events import Bus
from kenspeckle.serve.jobs import Jobs
from kenspeckle.serve.limits import Limits
from kenspeckle.serve.logs import Log
from kenspeckle.serve.lookout import Lookout
from kenspeckle.serve.metrics import Metrics
from kenspeckle.serve.pool import Models
from kenspeckle.serve.ready import calibrated, lost, named, remarks, searched
from kenspeckle.serve.scheduler import Scheduler
from kenspeckle.serve.streams import Streams
from kenspeckle.serve.surfaces import need_gallery, read_surfaces, unused_port
from kenspeckle.serve.turns import changes, downloads
from kenspeckle.store.open import open_store

T = TypeVar("T")


class Service:
    """Galleries by name, the first of them the default, and what answers about them; there may be
    none where no surface needs one.

    `analysis` are the engines of people and scenes, or whatever stands in for them.
    `downloads` and `changes` are its threads for what waits for others, for all ports together.
    `in_flight` counts the requests that are being answered, `ready` says that all is listening,
    `notes` are remarks about the start.
    """

    def __init__(
        self,
        settings: Settings,
        galleries: dict[str, Gallery],
        models: Models,
        access: Access,
        *,
        analysis: Any = None,
    ) -> None:
        self.settings, self.galleries, self.models = settings, galleries, models
        self.access, self.analysis = access, analysis
        self.surfaces = read_surfaces(settings.serve.surfaces)
        self.lookout = Lookout(galleries)
        self.limits, self.log = Limits(settings.serve), Log(settings.serve.log_format)
        self.metrics, self.bus, self.jobs = Metrics(), Bus(), Jobs()
        self.downloads, self.changes = downloads(), changes()
        self.streams = Streams(self.bus, patience=settings.serve.patience)
        self.started, self.in_flight, self.ready = time.time(), 0, False
        self.notes: list[str] = []
        self._loader = ThreadPoolExecutor(1, "kenspeckle-load")
        self._loading: list[Future[Any]] = []

    @property
    def stopping(self) -> bool:
        """Whether no new requests are answered."""
        return self.limits.stopping

    def stop(self) -> None:
        """Answer no new requests, and end what lasts: whoever listens to events."""
        self.ready = False
        self.limits.stop()
        self.bus.close()
        self.jobs.bus.close()

    def warm_up(self) -> None:
        """Begin to load the models that are wanted at once; `warmed` waits for them.

        What the first search of a large gallery prepares is prepared after that, with nobody
        waiting.
        """
        wanted = self.settings.serve
        for gallery in self.galleries.values():
            if wanted.preload or gallery.model.fingerprint.model in wanted.pinned:
                self._loading.append(self._loader.submit(getattr, gallery.model, "device"))
        if isinstance(self.analysis, ModelEngines):
            self._loading.append(self._loader.submit(self.analysis.load_pinned))
        for gallery in self.galleries.values() if wanted.preload else ():
            self._loader.submit(searched, gallery)
        self._loader.shutdown(wait=False)

    async def warmed(self) -> None:
        """Wait until the models that are wanted at once are loaded. Raises ModelError.

        No thread waits for them, so that whoever is told to stop need not wait for it.
        """
        for loading in self._loading:
            await asyncio.wrap_future(loading)

    def gallery(self, name: str = "") -> Gallery:
        """The gallery of that name; without one, or by `-`, the first. NotEnrolled."""
        if not self.galleries:
            raise NotEnrolled(
                "gallery",
                "none is served",
                expected="one that was named at the start",
                do="Make an index, and start again with it: kenspeckle serve INDEX",
            )
        if name in ("", "-"):
            return next(iter(self.galleries.values()))
        try:
            return self.galleries[name]
        except KeyError:
            names = ", ".join(self.galleries)
            raise NotEnrolled(name, "no gallery of this name", expected=names) from None

    def name_of(self, name: str) -> str:
        """What the gallery is called that is meant by `name`. NotEnrolled."""
        gallery = self.gallery(name)
        return next(known for known, one in self.galleries.items() if one is gallery)

    def scheduler_of(self, gallery: Gallery) -> Scheduler:
        """The queue of the model of a gallery, which all galleries and surfaces with it share."""
        embedder = gallery.model
        return self.models.scheduler(embedder.space_id, embedder.fingerprint.model)

    async def run(self, gallery: Gallery, work: Callable[[], T]) -> T:
        """The value of `work`, done in the queue of a gallery's model within the time of a request.

        Raises what it raises, and ServiceBusy.
        """
        return await self.scheduler_of(gallery).run(work, timeout=self.settings.serve.timeout)

    async def close(self, grace: float | None = None) -> None:
        """Finish what runs within `grace` seconds, those of the settings where none are given, and
        let go of everything."""
        self.stop()
        grace = self.settings.serve.grace if grace is None else grace
        until = time.monotonic() + grace
        await asyncio.to_thread(self.jobs.close, grace)
        self.streams.close()
        await self.models.close(max(0.0, until - time.monotonic()))
        self.lookout.end()
        for gallery in self.galleries.values():
            with contextlib.suppress(OSError):
                gallery.close()
        self.log.close()


def open_service(
    settings: Settings, indexes: Sequence[str] = (), *, analysis: Any = None
) -> Service:
    """Open everything and check it; nothing listens yet.

    `indexes` are files, each as `FILE` or `NAME=FILE`; none is the usual one, or no gallery where
    that is not there and no surface needs one. A gallery that was never calibrated gets a quick
    calibration. Raises KenspeckleErrors of one sentence:
    IndexMissing, IndexCorrupt, SpaceMismatch, ModelError, SettingError, AccessRefused.
    """
    asked = settings.serve
    surfaces = read_surfaces(asked.surfaces)
    models = Models(
        idle_grace=asked.idle_grace,
        pinned=asked.pinned,
        queue=asked.queue,
        callers=settings.index.callers,
    )
    galleries: dict[str, Gallery] = {}
    unused = unused_port(surfaces, asked.port)
    notes = [unused] if unused else []
    try:
        paths = named(settings, indexes, needed=need_gallery(surfaces))
        access = open_access(
            settings,
            next(iter(paths.values()), ""),
            open_surfaces=[surface.name for surface in surfaces if surface.open],
        )
        access.check(surface.name for surface in surfaces)
        for name, path in paths.items():
            store = open_store(path, named=named_by_file)
            galleries[name] = Gallery(store, settings, models.embedder, following=True)
            galleries[name].embedder  # noqa: B018  refused here, not for each picture
            notes += remarks(galleries[name])
        notes += lost(settings) if galleries else ()
        engines = analysis or ModelEngines(settings, models)
        models.check_pins()
        for name, gallery in galleries.items():
            if gallery.calibration is None and len(gallery):
                notes.append(f"{name} was never calibrated: {calibrated(gallery)}.")
    except BaseException:
        for gallery in galleries.values():
            gallery.close()
        raise
    service = Service(settings, galleries, models, access, analysis=engines)
    service.notes += notes
    service.warm_up()
    return service
