"""What all routes need: the gallery asked, pictures with their bytes, and where work runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from anyio.to_thread import run_sync
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError, KenspeckleError, ServiceBusy, SpaceMismatch
from kenspeckle.gallery import Gallery
from kenspeckle.image.fetch import fetch, without_secrets
from kenspeckle.serve import problems
from kenspeckle.serve.limits import neighbourhood
from kenspeckle.serve.routes.v1 import told
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.schemas.answers import Failed
from kenspeckle.serve.schemas.base import Problem
from kenspeckle.serve.service import Service
from kenspeckle.serve.turns import LOCKED
from kenspeckle.types import Fingerprint
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from fastapi import Request

T = TypeVar("T")
Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class At:
    """A gallery that is asked: under its own name, whatever the request called it.

    `times` are the stages of this request; its line in the log tells them too.
    """

    request: Request
    service: Service
    name: str
    gallery: Gallery
    links: told.Links
    times: StageTimes

    @property
    def most(self) -> int:
        """Most pictures that one request may bring."""
        return self.service.settings.serve.max_tasks

    @property
    def made_by(self) -> Fingerprint:
        """What made the vectors of the gallery."""
        return self.gallery.store.manifest.fingerprint

    async def data(self, sent: Sent, times: StageTimes | None = None) -> bytes:
        """The bytes of a picture, fetched where it came as an address. Raises FetchError."""
        limits = self.gallery.settings.image
        return await downloaded(self.request, sent, limits, times or self.times)

    async def run(self, work: Callable[[], T]) -> T:
        """The value of work that needs the model, done in its queue. Raises ServiceBusy too."""
        return await self.service.run(self.gallery, work)

    async def read(self, work: Callable[[], T]) -> T:
        """The value of work that reads the index and needs no model."""
        return await run_sync(work)

    async def change(self, work: Callable[[], T]) -> T:
        """The value of work that changes the index; it is in the file when this returns.

        What it looks up, what it checks and what it changes are one commit, or none where it
        raises. Raises IndexBusy, which names the process that is writing; IndexReadOnly.
        """
        until = time.monotonic() + LOCKED

        def writing() -> T:
            left = max(until - time.monotonic(), 0.0)
            with self.gallery.writing(left), self.gallery.store.one_commit():
                return work()

        return await self.service.changes.run(writing, self.name)

    async def change_after(
        self, look: Callable[[], Awaitable[Seen]], keep: Callable[[Seen], T]
    ) -> T:
        """As `change`, of what the model looks at before the file is waited for and locked.

        Where an index of another model was put in its place meanwhile, it is looked at once more.
        Raises what both raise.
        """
        seen = await look()
        try:
            return await self.change(lambda: keep(seen))
        except SpaceMismatch:
            anew = await look()
            return await self.change(lambda: keep(anew))

    def of_one_index(self, work: Callable[[], T]) -> tuple[T, Fingerprint]:
        """The value of work on the gallery, and what made the vectors that it is of.

        Where an index of another model is put in its place in the midst, it is done again.
        """
        while True:
            store = self.gallery.store
            try:
                value = work()
            except SpaceMismatch:
                if self.gallery.store is store:
                    raise
                continue
            if self.gallery.store is store:
                return value, store.manifest.fingerprint

    async def each_of_one_index(
        self,
        pictures: Sequence[Sent],
        one: Callable[[Sent], Awaitable[tuple[T, Fingerprint]]],
    ) -> tuple[list[T | Failed], Fingerprint]:
        """As `each`, with what made the vectors of all; `one` says it of each picture.

        Where an index of another model was put in its place meanwhile, all are done once more.
        Raises SpaceMismatch where that happens again.
        """
        for _ in range(2):
            found = await self.each(pictures, one)
            made_by = {row[1].space_id: row[1] for row in found if not isinstance(row, Failed)}
            if len(made_by) < 2:
                values = [row if isinstance(row, Failed) else row[0] for row in found]
                return values, next(iter(made_by.values()), self.made_by)
        raise SpaceMismatch(
            self.name,
            "its index was exchanged while the pictures were looked at",
            expected="one index for all of them",
            do="Send them again",
        )

    async def each(
        self, pictures: Sequence[Sent], one: Callable[[Sent], Awaitable[T]]
    ) -> list[T | Failed]:
        """What becomes of each of several pictures, in order; one that fails, fails alone.

        No more of them are in the queue at once than the model has threads, so that others get
        their turn. Raises ServiceBusy, which is no picture's fault.
        """
        turns = asyncio.Semaphore(self.service.scheduler_of(self.gallery).callers)

        async def turn(place: int, sent: Sent) -> T | Failed:
            async with turns:
                try:
                    return await one(sent)
                except ServiceBusy:
                    raise
                except (KenspeckleError, HTTPException, RequestValidationError) as error:
                    return self._failed(sent.name or f"picture {place}", error)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(turn(n, sent)) for n, sent in enumerate(pictures, 1)]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    def _failed(self, name: str, error: Exception) -> Failed:
        answer = problems.answer(error, self.request)
        return Failed(name=name, problem=Problem.model_validate_json(bytes(answer.body)))


def at(request: Request, gallery: str) -> At:
    """The gallery of that name. Raises NotEnrolled."""
    service = service_of(request)
    found = service.gallery(gallery)
    name = service.name_of(gallery)
    links = told.Links.of(request, name)
    return At(request, service, name, found, links, times_of(request))


def times_of(request: Request) -> StageTimes:
    """Where the stages of this request are counted; its line in the log tells them too."""
    times: StageTimes = getattr(request.state, "times", None) or StageTimes()
    return times


async def downloaded(
    request: Request, sent: Sent, limits: ImageSettings, times: StageTimes
) -> bytes:
    """The bytes of a picture, fetched where it came as an address.

    Raises FetchError, ServiceBusy where too much is being fetched, and what `Sent.check` raises.
    """
    sent.check()
    if sent.data is not None:
        return sent.data
    turns = service_of(request).downloads
    try:
        with times.stage("download"):
            return await turns.run(lambda: fetch(sent.url, limits), asker_of(request))
    except FetchError as error:
        unusable(request, sent, error)
        raise


def unusable(request: Request, sent: Sent, error: KenspeckleError) -> None:
    """Tell the log why a picture could not be had or read: its client may not know, or hears it
    in an answer whose status is 200.

    Never the name of a file that was uploaded, nor what else of an address may be secret.
    """
    source = without_secrets(sent.url) if sent.data is None else "upload"
    values = {"req_id": getattr(request.state, "request_id", "-"), "path": request.scope["path"]}
    values |= {"source": source, "error": type(error).__name__}
    values |= {"reason": str(error).removeprefix(f"{source}: ")}
    service_of(request).log.tell("picture_failed", values, level="warning")


def asker_of(request: Request) -> str:
    """Who shares what one may have at once: a key, or an address of clients without one."""
    known: str = getattr(getattr(request.state, "principal", None), "id", "")
    address = neighbourhood(request.client.host if request.client else "")
    return f"key {known}" if known else f"address {address}"


def listens(request: Request, scopes: Collection[str] = ("read",)) -> Callable[[], bool]:
    """Whether whoever asked may still do one of `scopes`: to be asked again by what lasts."""
    access, principal = service_of(request).access, request.state.principal
    return lambda: access.still(principal, scopes)


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service
