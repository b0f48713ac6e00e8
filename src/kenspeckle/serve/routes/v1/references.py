"""The reference pictures of items: listed, added, exchanged, erased, shown."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, Request, Response

from kenspeckle.errors import NotEnrolled
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.v1 import cursor, documented, enrolling, told
from kenspeckle.serve.routes.v1.documented import GalleryName, Key, Number
from kenspeckle.serve.routes.v1.items import enrolled
from kenspeckle.serve.routes.v1.received import Sent, one_picture, received
from kenspeckle.serve.routes.v1.working import At, at
from kenspeckle.serve.schemas import asked
from kenspeckle.serve.schemas import gallery as shapes
from kenspeckle.serve.schemas.base import Page
from kenspeckle.types import Reference

router = APIRouter(tags=["references"])
READ, WRITE = [Depends(needs("read"))], [Depends(needs("write"))]


@router.get(
    "/galleries/{gallery}/references",
    operation_id="list_references",
    summary="Which reference pictures are there?",
    response_model=Page[shapes.Reference],
    responses=documented.problems(400, 409),
    dependencies=READ,
)
async def references(
    request: Request,
    gallery: GalleryName,
    limit: documented.Limit = 100,
    cursor_: documented.Cursor = None,
) -> Response:
    """All references in the order in which they were enrolled, a page at a time."""
    return told.sent(await listed(at(request, gallery), limit, cursor_, ""))


@router.get(
    "/galleries/{gallery}/items/{key:path}/references",
    operation_id="list_item_references",
    summary="Which pictures does this item have?",
    response_model=Page[shapes.Reference],
    responses=documented.problems(400, 409),
    dependencies=READ,
)
async def item_references(
    request: Request,
    gallery: GalleryName,
    key: Key,
    limit: documented.Limit = 100,
    cursor_: documented.Cursor = None,
) -> Response:
    """The references of one item in the order in which they were enrolled, a page at a time."""
    return told.sent(await listed(at(request, gallery), limit, cursor_, key))


async def listed(here: At, limit: int, mark: str | None, key: str) -> Page[shapes.Reference]:
    """A page of the references of an item, or of all without one. Raises NotEnrolled."""
    kind = f"references {key}"
    after = cursor.read(mark, kind, here.name, int) if mark else 0

    def work() -> Page[shapes.Reference]:
        if key:
            enrolled(here, key)
        found = here.gallery.store.page(after=after, most=limit + 1, key=key)
        shown, more = found[:limit], None
        if len(found) > limit:
            more = cursor.written(shown[-1][0], kind, here.name)
        rows = [told.reference(number, one, here.links) for number, one in shown]
        return Page[shapes.Reference](items=rows, next=more)

    return await here.read(work)


@router.post(
    "/galleries/{gallery}/items/{key:path}/references",
    operation_id="add_references",
    summary="Add pictures to an item.",
    status_code=201,
    response_model=shapes.Changed,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.item_pictures(),
    dependencies=WRITE,
)
async def add_references(
    request: Request, gallery: GalleryName, key: Key, variant: documented.Variant = None
) -> Response:
    """All pictures are added, or none; the next question knows them."""
    here = at(request, gallery)
    pictures, about = await sent(here, key, variant)

    def keep(ready: enrolling.Ready) -> shapes.Changed:
        enrolled(here, key)
        return enrolling.stored(here, ready)

    return told.sent(await enrolling.taken(here, pictures, about, keep), 201)


@router.put(
    "/galleries/{gallery}/items/{key:path}/references",
    operation_id="replace_references",
    summary="Give an item other pictures.",
    response_model=shapes.Changed,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.item_pictures(),
    dependencies=WRITE,
)
async def replace_references(
    request: Request, gallery: GalleryName, key: Key, variant: documented.Variant = None
) -> Response:
    """These pictures take the place of all that the item has, in one commit."""
    here = at(request, gallery)
    pictures, about = await sent(here, key, variant)

    def keep(ready: enrolling.Ready) -> shapes.Changed:
        enrolled(here, key)
        return enrolling.stored(here, ready, here.gallery.store.select({"key": key}).tolist())

    return told.sent(await enrolling.taken(here, pictures, about, keep))


async def sent(here: At, key: str, variant: str | None) -> tuple[Sequence[Sent], asked.About]:
    """The pictures of a request, and what is said of them: they show that item. NotEnrolled."""
    item = await here.read(lambda: enrolled(here, key))
    beside = {} if variant is None else {"variant": variant}
    got = await received(here.request, here.most, asked.Additions, beside)
    said = got.said
    named = asked.About(label=item.label, key=key, variant=said.variant, metadata=said.metadata)
    return got.pictures, named


@router.get(
    "/galleries/{gallery}/references/{number}",
    operation_id="get_reference",
    summary="One reference.",
    response_model=shapes.Reference,
    responses=documented.problems(409),
    dependencies=READ,
)
async def reference(request: Request, gallery: GalleryName, number: Number) -> Response:
    """Of which item it is, and where it came from."""
    here = at(request, gallery)
    one = await here.read(lambda: stored(here, number))
    return told.sent(told.reference(number, one, here.links))


@router.put(
    "/galleries/{gallery}/references/{number}",
    operation_id="replace_reference",
    summary="Exchange one picture.",
    response_model=shapes.Changed,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.one_picture(),
    dependencies=WRITE,
)
async def replace_reference(request: Request, gallery: GalleryName, number: Number) -> Response:
    """Another picture of the same item, print and metadata, in one commit; it gets an id of its
    own."""
    here = at(request, gallery)
    old = await here.read(lambda: stored(here, number))
    picture = await one_picture(request)
    about = asked.About(
        label=old.label, key=old.key, variant=old.variant, metadata=dict(old.metadata)
    )

    def keep(ready: enrolling.Ready) -> shapes.Changed:
        if stored(here, number).key != old.key:  # in another file that was put there meanwhile
            raise NotEnrolled(f"reference {number}", f"it is not one of '{old.key}' any more")
        return enrolling.stored(here, ready, [number])

    return told.sent(await enrolling.taken(here, [picture], about, keep))


@router.delete(
    "/galleries/{gallery}/references/{number}",
    operation_id="remove_reference",
    summary="Erase one picture.",
    response_model=shapes.Changed,
    responses=documented.problems(409),
    dependencies=WRITE,
)
async def remove_reference(request: Request, gallery: GalleryName, number: Number) -> Response:
    """It goes with its vector and thumbnail; with its last one an item is gone."""
    here = at(request, gallery)

    def work() -> shapes.Changed:
        stored(here, number)
        return enrolling.erased(here, [number])

    return told.sent(await here.change(work))


def stored(here: At, number: int) -> Reference:
    """The reference of that id. NotEnrolled."""
    here.gallery.store.refresh()
    try:
        (found,) = here.gallery.store.get([number])
    except KeyError:
        raise NotEnrolled(f"reference {number}", "not in this gallery") from None
    return found
