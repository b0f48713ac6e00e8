"""What all routes need: the service, and pictures with their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from kenspeckle.config import ImageSettings
from kenspeckle.gallery import Gallery
from kenspeckle.image.fetch import fetch
from kenspeckle.serve.routes.v1 import told
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.service import Service
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    import anyio
    from fastapi import Request

DOWNLOADS = 16
"""Addresses fetched at once: they wait for others, and must not hold the model's threads."""


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service


def standing(name: str, gallery: Gallery) -> told.Standing:
    """What every answer of a gallery says of it."""
    model = told.model(gallery.store.manifest.fingerprint)
    return told.Standing(name, gallery.stale, model)


def times_of(request: Request) -> StageTimes:
    """Where the stages of this request are counted; its line in the log tells them too."""
    times: StageTimes = getattr(request.state, "times", None) or StageTimes()
    return times


async def downloaded(
    request: Request, sent: Sent, limits: ImageSettings, times: StageTimes
) -> bytes:
    """The bytes of a picture, fetched where it came as an address. Raises FetchError."""
    if sent.data is not None:
        return sent.data
    waiting: anyio.CapacityLimiter = request.app.state.downloads
    with times.stage("download"):
        return await run_sync(fetch, sent.url, limits, limiter=waiting, abandon_on_cancel=True)
