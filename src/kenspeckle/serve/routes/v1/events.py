"""What appears before the cameras, and what is gone again, as it happens."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from kenspeckle.serve.access import needs
from kenspeckle.serve.events import Event
from kenspeckle.serve.routes.v1 import documented
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.stream import KIND, LastId, Stream
from kenspeckle.serve.routes.v1.working import asker_of, listens, service_of

router = APIRouter(tags=["events"], dependencies=[Depends(needs("read"))])

EXAMPLE = (
    "retry: 2000\n\n"
    "id: 4be1a7c2-17\nevent: appeared\n"
    'data: {"gallery": "things", "stream": "door", "item": "red mug", "label": "Red Mug", '
    '"confidence": 0.97, "box": [10, 20, 210, 300], "time": "2026-11-21T17:03:12.123+00:00", '
    '"at": 812.4}\n\n'
)
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, one after another, for as long as the client listens: `appeared`, "
        "`gone`, `heartbeat` after 15 s of silence, `missed` where some could not be told.",
        "content": {KIND: {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}


@router.get(
    "/events",
    operation_id="events",
    summary="What appears and goes, in all galleries.",
    response_class=Response,
    responses={**documented.problems(), **ANSWER},
)
async def events(request: Request, last_id: LastId = "") -> Response:
    """An item appears once a stream of frames has shown it for certain, and is gone when it was
    unseen for some seconds. Who begins to listen hears first what is there already."""
    listener = service_of(request).bus.subscribe(last_id, asker=asker_of(request))
    return Stream(listener, shown, listens(request))


@router.get(
    "/galleries/{gallery}/events",
    operation_id="gallery_events",
    summary="What appears and goes, in one gallery.",
    response_class=Response,
    responses={**documented.problems(), **ANSWER},
)
async def gallery_events(request: Request, gallery: GalleryName, last_id: LastId = "") -> Response:
    """As the events of all galleries, of this one alone."""
    service = service_of(request)
    name = service.name_of(gallery)
    listener = service.bus.subscribe(
        last_id, lambda event: event.gallery == name, asker=asker_of(request)
    )
    return Stream(listener, shown, listens(request))


def shown(event: Event) -> dict[str, Any]:
    """What a client is told of an event."""
    return {"gallery": event.gallery, **event.data}
