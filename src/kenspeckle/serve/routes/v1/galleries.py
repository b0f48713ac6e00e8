"""The galleries of the service: what they hold, and what their answers promise."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Depends, Request, Response

from kenspeckle.match.promise import promise_lines
from kenspeckle.serve.access import needs
from kenspeckle.serve.problems import over_http
from kenspeckle.serve.routes.v1 import cursor, documented, told
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.working import At, at, service_of
from kenspeckle.serve.schemas import gallery as shapes
from kenspeckle.serve.schemas.base import Page
from kenspeckle.types import Calibration

router = APIRouter(tags=["galleries"], dependencies=[Depends(needs("read"))])


@router.get(
    "/galleries",
    operation_id="list_galleries",
    summary="Which galleries are there?",
    response_model=Page[shapes.Gallery],
    responses=documented.problems(400, 409),
)
async def galleries(
    request: Request, limit: documented.Limit = 100, cursor_: documented.Cursor = None
) -> Response:
    """All galleries by name, a page at a time. The first one served is also called `-`."""
    after = cursor.read(cursor_, "galleries", "", str) if cursor_ else ""
    names = sorted(name for name in service_of(request).galleries if name > after)
    shown = [at(request, name) for name in names[:limit]]
    rows = [await here.read(lambda here=here: told_of(here)) for here in shown]  # type: ignore[misc]
    more = cursor.written(names[limit - 1], "galleries", "") if len(names) > limit else None
    return told.sent(Page[shapes.Gallery](items=rows, next=more))


@router.get(
    "/galleries/{gallery}",
    operation_id="get_gallery",
    summary="What does this gallery hold?",
    response_model=shapes.Gallery,
    responses=documented.problems(409),
)
async def gallery(request: Request, gallery: GalleryName) -> Response:
    """Counts, model, calibration, and what answers promise about strangers."""
    here = at(request, gallery)
    return told.sent(await here.read(lambda: told_of(here)))


def told_of(here: At) -> shapes.Gallery:
    """A gallery as it is now."""
    store = here.gallery.store
    items, references = store.counts()
    calibration, stale = here.gallery.calibration, here.gallery.stale
    return shapes.Gallery(
        name=here.name,
        items=items,
        references=references,
        model=told.model(here.made_by),
        naming=store.manifest.naming,
        calibration=None if calibration is None else rule(calibration),
        stale=stale,
        promise=list(map(over_http, promise_lines(calibration, stale))),
        url=here.links.base,
    )


def rule(one: Calibration) -> shapes.Calibration:
    """The rule that decides, and what it promises."""
    return shapes.Calibration(
        score=one.score,
        threshold=one.threshold,
        fpir=one.fpir,
        regions=one.regions,
        method=one.method,
        date=one.date,
        promises=[shapes.Promise(**asdict(promise)) for promise in one.promises],
        notes=list(map(over_http, one.notes)),
    )
