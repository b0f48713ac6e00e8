"""What people say about answers: this photo shows it, it does not, it is called otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from kenspeckle.gallery import Gallery
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.received import one_picture
from kenspeckle.serve.routes.v1.working import downloaded, service_of, times_of
from kenspeckle.serve.schemas import feedback as shapes
from kenspeckle.types import Feedback

T = TypeVar("T")

router = APIRouter(tags=["feedback"])
READ, WRITE = [Depends(needs("read"))], [Depends(needs("write"))]

Key = Annotated[
    str,
    Query(description="The item: its key or label.", examples=["red mug"], max_length=1000),
]


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
    key: Annotated[Key, Query(min_length=1)],
    variant: Annotated[
        str | None,
        Query(max_length=1000, description="Its print; by default the one it is nearest to."),
    ] = None,
) -> Response:
    """The photo becomes a reference of the item at once, and the next calibration learns from it.

    A later run over the references folder leaves it alone.
    """
    return await _said(
        request, gallery, lambda asked, data: asked.confirm(data, key, variant=variant)
    )


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
async def reject(request: Request, gallery: GalleryName, key: Key = "") -> Response:
    """The next calibration learns from it; until then the answer stays.

    Without a key it is the item that the photo is named now.
    """
    return await _said(request, gallery, lambda asked, data: asked.reject(data, key))


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
    number: Annotated[int, Path(ge=1, le=2**62, examples=[1])],
) -> Response:
    """With a confirmation the reference goes that the photo became."""
    asked = service_of(request).gallery(gallery)
    said = await run_sync(changed, asked, lambda: asked.undo_feedback(number))
    return told.sent(_taken(said, asked.stale))


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
    asked = service_of(request).gallery(gallery)

    def work() -> shapes.Renamed:
        item = asked.rename(wish.item, wish.label, new_key=wish.key, merge=wish.merge)
        return shapes.Renamed(
            former=wish.item, key=item.key, label=item.label, references=item.references
        )

    return told.sent(await run_sync(changed, asked, work))


async def _said(request: Request, name: str, say: Callable[[Gallery, bytes], Feedback]) -> Response:
    """Take feedback with the picture of a request."""
    service = service_of(request)
    asked, times = service.gallery(name), times_of(request)
    data = await downloaded(request, await one_picture(request), asked.settings.image, times)

    def work() -> shapes.Taken:
        return _taken(say(asked, data), asked.stale)

    return told.sent(await service.run(asked, lambda: changed(asked, work)), 201)


def changed(gallery: Gallery, work: Callable[[], T]) -> T:
    """The value of work that writes, done while nobody else may."""
    with gallery.writing():
        return work()


def _shown(one: Feedback) -> dict[str, object]:
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
