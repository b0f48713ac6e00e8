"""What people say about answers: this photo shows it, it does not, it is called otherwise."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from kenspeckle.flows.feedback import Kind, Seen
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.v1 import cursor as marks
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.bodies import JsonRoute
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.enrolling import addressed
from kenspeckle.serve.routes.v1.received import one_picture
from kenspeckle.serve.routes.v1.working import At, at
from kenspeckle.serve.schemas import feedback as shapes
from kenspeckle.serve.schemas.base import Page
from kenspeckle.types import Feedback

router = APIRouter(tags=["feedback"], route_class=JsonRoute)
READ, WRITE = [Depends(needs("read"))], [Depends(needs("write"))]

Name = Annotated[
    str,
    Query(description="The item: its key or label.", examples=["red mug"], max_length=1000),
]


@router.get(
    "/galleries/{gallery}/feedback",
    operation_id="feedback",
    summary="What was confirmed and rejected.",
    response_model=Page[shapes.Feedback],
    responses=documented.problems(400),
    dependencies=READ,
)
async def listed(
    request: Request,
    gallery: GalleryName,
    said: Annotated[Literal["confirmed", "rejected"] | None, Query()] = None,
    limit: documented.Limit = 100,
    cursor: documented.Cursor = None,
) -> Response:
    """By number, the oldest first."""
    here = at(request, gallery)
    kind = f"feedback {said}"
    after = marks.read(cursor, kind, here.name, int) if cursor else 0
    where = {"kind": said} if said else {}

    def work() -> list[Feedback]:
        here.gallery.store.refresh()
        return here.gallery.store.feedback(where, after=after, most=limit + 1)

    rows = await here.read(work)
    more = marks.written(rows[limit - 1].id, kind, here.name) if len(rows) > limit else None
    items = [shapes.Feedback.model_validate(_shown(one)) for one in rows[:limit]]
    return told.sent(Page(items=items, next=more))


@router.post(
    "/galleries/{gallery}/confirm",
    operation_id="confirm",
    summary="This photo shows that item.",
    status_code=201,
    response_model=shapes.Taken,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.one_picture(),
    dependencies=WRITE,
)
async def confirm(
    request: Request,
    gallery: GalleryName,
    key: Annotated[Name, Query(min_length=1)],
    variant: Annotated[
        str | None,
        Query(max_length=1000, description="Its print; by default the one it is nearest to."),
    ] = None,
) -> Response:
    """The photo becomes a reference of the item at once, and the next calibration learns from it.

    A later run over the references folder leaves it alone.
    """
    return await _said(at(request, gallery), "confirmed", key, variant)


@router.post(
    "/galleries/{gallery}/reject",
    operation_id="reject",
    summary="This photo does not show what it was named.",
    status_code=201,
    response_model=shapes.Taken,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.one_picture(),
    dependencies=WRITE,
)
async def reject(request: Request, gallery: GalleryName, key: Name = "") -> Response:
    """The answer stays; a calibration with strangers given counts the photo as one of them.

    Without a key it is the item that the photo is named now.
    """
    return await _said(at(request, gallery), "rejected", key)


@router.delete(
    "/galleries/{gallery}/feedback/{number}",
    operation_id="undo_feedback",
    summary="Take feedback back.",
    response_model=shapes.Taken,
    responses=documented.problems(409),
    dependencies=WRITE,
)
async def undo(
    request: Request,
    gallery: GalleryName,
    number: Annotated[int, Path(ge=1, lt=2**63, examples=[1], description="Its number.")],
) -> Response:
    """With a confirmation the reference goes that the photo became."""
    here = at(request, gallery)

    def work() -> shapes.Taken:
        return _taken(here.gallery.undo_feedback(number), here.gallery.stale)

    return told.sent(await here.change(work))


@router.post(
    "/galleries/{gallery}/rename",
    operation_id="rename",
    summary="Give an item another name.",
    response_model=shapes.Renamed,
    responses=documented.problems(400, 409),
    dependencies=WRITE,
)
async def rename(request: Request, gallery: GalleryName, wish: shapes.Rename) -> Response:
    """Later runs over the references folder keep the name. A fresh calibration stays fresh, unless
    two items became one."""
    here = at(request, gallery)
    addressed(wish.key)

    def work() -> shapes.Renamed:
        item = here.gallery.rename(wish.item, wish.label, new_key=wish.key, merge=wish.merge)
        return shapes.Renamed(
            former=wish.item, key=item.key, label=item.label, references=item.references
        )

    return told.sent(await here.change(work))


async def _said(here: At, kind: Kind, key: str, variant: str | None = None) -> Response:
    """Take feedback with the picture of a request, looked at before the file is locked."""
    photo = await here.data(await one_picture(here.request))

    async def look() -> Seen:
        return await here.run(lambda: here.gallery.look(photo, kind, key))

    def keep(seen: Seen) -> shapes.Taken:
        return _taken(here.gallery.keep(seen, variant=variant), here.gallery.stale)

    return told.sent(await here.change_after(look, keep), 201)


def _shown(one: Feedback) -> dict[str, Any]:
    return {
        "number": one.id,
        "said": one.kind,
        "key": one.key,
        "photo": one.name,
        "sha256": one.sha256,
        "date": one.date,
        "regions": one.regions,
        "vectors": len(one.rows),
    }


def _taken(one: Feedback, stale: str) -> shapes.Taken:
    return shapes.Taken.model_validate({**_shown(one), "stale": stale})
