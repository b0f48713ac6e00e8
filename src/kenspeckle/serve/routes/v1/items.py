"""The items of a gallery: listed, made of pictures, erased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.query import query
from kenspeckle.serve.routes.v1 import cursor, documented, enrolling, told
from kenspeckle.serve.routes.v1.documented import GalleryName, Key
from kenspeckle.serve.routes.v1.received import received
from kenspeckle.serve.routes.v1.working import At, at
from kenspeckle.serve.schemas import asked
from kenspeckle.serve.schemas import gallery as shapes
from kenspeckle.serve.schemas.base import Page
from kenspeckle.types import Item

router = APIRouter(tags=["items"])
READ, WRITE = [Depends(needs("read"))], [Depends(needs("write"))]


@dataclass(frozen=True, slots=True)
class About:
    """What the query says of pictures that are enrolled."""

    label: Annotated[
        str | None, Query(max_length=1000, description="As in the body: the item's name.")
    ] = None
    key: Annotated[str | None, Query(max_length=1000, description="As in the body.")] = None
    variant: documented.Variant = None

    @property
    def said(self) -> dict[str, str]:
        """What was said at all."""
        told = {"label": self.label, "key": self.key, "variant": self.variant}
        return {name: text for name, text in told.items() if text is not None}


@router.get(
    "/galleries/{gallery}/items",
    operation_id="list_items",
    summary="Which items are there?",
    response_model=Page[shapes.Item],
    responses=documented.problems(400, 409),
    dependencies=READ,
)
async def items(
    request: Request,
    gallery: GalleryName,
    limit: documented.Limit = 100,
    cursor_: documented.Cursor = None,
) -> Response:
    """All items by key, a page at a time; what comes and goes meanwhile shifts no page."""
    here = at(request, gallery)
    after = cursor.read(cursor_, "items", here.name, str) if cursor_ else None

    def work() -> Page[shapes.Item]:
        here.gallery.store.refresh()
        found = here.gallery.store.items(after=after, most=limit + 1)
        shown, more = found[:limit], None
        if len(found) > limit:
            more = cursor.written(shown[-1].key, "items", here.name)
        return Page[shapes.Item](items=[told_of(item, here) for item in shown], next=more)

    return told.sent(await here.read(work))


@router.post(
    "/galleries/{gallery}/items",
    operation_id="add_items",
    summary="Enrol pictures of things.",
    status_code=201,
    response_model=shapes.Changed,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.enrolment(),
    dependencies=WRITE,
)
async def add_items(
    request: Request, gallery: GalleryName, about: Annotated[About, Depends(query(About))]
) -> Response:
    """All pictures are enrolled, or none; the next question knows them.

    What they show may be said in the body or in the query; one alone of both.

    Without `label` and `key` the name of each file says which item it shows, by the gallery's
    naming scheme. Pictures of an item that is there are added to it. A later run over the
    references folder leaves them alone; the calibration is out of date until the next one.

    A picture that is a file of that folder already, byte for byte, is told as it is there, with
    `added` false: it stays the folder's, and goes with its file.
    """
    here = at(request, gallery)
    got = await received(request, here.most, asked.Enrolment, about.said)

    def keep(ready: enrolling.Ready) -> shapes.Changed:
        return enrolling.stored(here, ready)

    return told.sent(await enrolling.taken(here, got.pictures, got.said, keep), 201)


@router.get(
    "/galleries/{gallery}/items/{key:path}",
    operation_id="get_item",
    summary="One item.",
    response_model=shapes.Item,
    responses=documented.problems(409),
    dependencies=READ,
)
async def item(request: Request, gallery: GalleryName, key: Key) -> Response:
    """How an item is called, its prints, and how many references it has."""
    here = at(request, gallery)
    return told.sent(await here.read(lambda: told_of(enrolled(here, key), here)))


@router.delete(
    "/galleries/{gallery}/items/{key:path}",
    operation_id="remove_item",
    summary="Erase an item.",
    response_model=shapes.Changed,
    responses=documented.problems(409),
    dependencies=WRITE,
)
async def remove_item(request: Request, gallery: GalleryName, key: Key) -> Response:
    """Its references go with vectors, thumbnails, and what was said about them.

    Files stay where they are: a later run over their folder would enrol them again.
    """
    here = at(request, gallery)

    def work() -> shapes.Changed:
        enrolled(here, key)
        ids = here.gallery.store.select({"key": key}).tolist()
        return enrolling.erased(here, ids)

    return told.sent(await here.change(work))


def enrolled(here: At, key: str) -> Item:
    """The item of exactly that key. NotEnrolled."""
    here.gallery.store.refresh()
    return here.gallery.item(key)


def told_of(one: Item, here: At) -> shapes.Item:
    """One item."""
    return shapes.Item(
        key=told.text(one.key),
        label=told.text(one.label),
        variants=list(map(told.text, one.variants)),
        references=one.references,
        url=here.links.item(one.key),
    )
