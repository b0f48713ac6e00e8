"""What all routes share: the galleries, their models and queues, and the rest of the service."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kenspeckle.catalog.naming import named_by_file
from kenspeckle.config import Settings
from kenspeckle.errors import NotEnrolled, SettingError
from kenspeckle.flows.opened import default_path
from kenspeckle.gallery import Gallery
from kenspeckle.serve.access import Access, open_access
from kenspeckle.serve.events import Bus
from kenspeckle.serve.jobs import Jobs
from kenspeckle.serve.limits import Limits
from kenspeckle.serve.logs import Log
from kenspeckle.serve.metrics import Metrics
from kenspeckle.serve.pool import Models
from kenspeckle.serve.scheduler import Scheduler
from kenspeckle.serve.streams import Streams
from kenspeckle.serve.surfaces import read_surfaces
from kenspeckle.store.open import open_store

T = TypeVar("T")


class Service:
    """Galleries by name, the first of them the default, and what answers about them.

    `analysis` stands in for the models of the surface `analyze` where one is handed in.
    `in_flight` counts the requests that are being answered, `ready` says that all is listening.
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
        self.limits, self.log = Limits(settings.serve), Log(settings.serve.log_format)
        self.metrics, self.bus, self.jobs = Metrics(), Bus(), Jobs()
        self.streams = Streams(self.bus)
        self.started, self.in_flight, self.ready = time.time(), 0, False

    @property
    def stopping(self) -> bool:
        """Whether no new requests are answered."""
        return self.limits.stopping

    def stop(self) -> None:
        """Answer no new requests, and end what lasts: whoever listens to events."""
        self.ready, self.limits.stopping = False, True
        self.bus.close()
        self.jobs.bus.close()

    def gallery(self, name: str = "") -> Gallery:
        """The gallery of that name; without one, or by `-`, the first. NotEnrolled."""
        if name in ("", "-"):
            return next(iter(self.galleries.values()))
        try:
            return self.galleries[name]
        except KeyError:
            names = ", ".join(self.galleries)
            raise NotEnrolled(name, "no gallery of this name", expected=names) from None

    def scheduler_of(self, gallery: Gallery) -> Scheduler:
        """The queue of the model of a gallery, which all galleries and surfaces with it share."""
        embedder = gallery.embedder
        return self.models.scheduler(embedder.space_id, embedder.fingerprint.model)

    async def run(self, gallery: Gallery, work: Callable[[], T]) -> T:
        """The value of `work`, done in the queue of a gallery's model within the time of a request.

        Raises what it raises, and ServiceBusy.
        """
        return await self.scheduler_of(gallery).run(work, timeout=self.settings.serve.timeout)

    async def close(self) -> None:
        """Finish what runs within the grace of the settings, and let go of everything."""
        self.stop()
        grace = self.settings.serve.grace
        await asyncio.to_thread(self.jobs.close, grace)
        self.streams.close()
        await self.models.close(grace)
        for gallery in self.galleries.values():
            with contextlib.suppress(OSError):
                gallery.close()
        self.log.close()


def open_service(
    settings: Settings, indexes: Sequence[str] = (), *, analysis: Any = None
) -> Service:
    """Open everything and check it; nothing listens yet.

    `indexes` are files, each as `FILE` or `NAME=FILE`; none is the usual one. Raises
    KenspeckleErrors of one sentence: IndexMissing, IndexCorrupt, SpaceMismatch, ModelError,
    SettingError.
    """
    galleries: dict[str, Gallery] = {}
    asked = settings.serve
    surfaces = read_surfaces(asked.surfaces)
    models = Models(idle_grace=asked.idle_grace, pinned=asked.pinned, queue=asked.queue)
    try:
        paths = named(settings, indexes)
        opened = [surface.name for surface in surfaces if surface.open]
        access = open_access(settings, next(iter(paths.values())), open_surfaces=opened)
        access.check(surface.name for surface in surfaces)
        for name, path in paths.items():
            store = open_store(path, named=named_by_file)
            galleries[name] = Gallery(store, settings, models.embedder)
            galleries[name].embedder  # noqa: B018  refused here, not for each picture
        models.check_pins()
        return Service(settings, galleries, models, access, analysis=analysis)
    except BaseException:
        for gallery in galleries.values():
            gallery.close()
        raise


def named(settings: Settings, indexes: Sequence[str]) -> dict[str, Path]:
    """Index files by the name of their gallery: the one given, else the file's. SettingError."""
    found: dict[str, Path] = {}
    for word in indexes or [str(default_path(settings))]:
        name, given, path = word.partition("=")
        if not given or Path(word).exists():
            name, path = Path(word).stem, word
        if not name or name == "-" or "/" in name or not name.isprintable():
            raise SettingError("index", repr(word), expected="FILE or NAME=FILE")
        if name in found:
            raise SettingError(
                "index",
                f"two galleries are called {name}",
                expected="a name each",
                do=f"Name one of them: OTHER={path}",
            )
        found[name] = Path(path)
    return found
