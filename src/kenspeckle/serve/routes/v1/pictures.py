"""The pictures of references, by address: of those that are enrolled, and of nothing else."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from kenspeckle.errors import NotEnrolled
from kenspeckle.flows.pictures import original
from kenspeckle.image.kind import media_type
from kenspeckle.image.thumbnail import thumbnail as small
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.v1 import documented
from kenspeckle.serve.routes.v1.documented import GalleryName, Number
from kenspeckle.serve.routes.v1.references import stored
from kenspeckle.serve.routes.v1.working import At, at

router = APIRouter(tags=["references"], dependencies=[Depends(needs("read"))])

USUAL_SIDE = 128
_BINARY = {"schema": {"type": "string", "format": "binary"}}
SHOWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/*": _BINARY}},
    304: {"description": "It is what the client has already (`If-None-Match`)."},
}
Known = Annotated[str, Header(alias="If-None-Match", max_length=500)]


@router.get(
    "/galleries/{gallery}/references/{number}/picture",
    operation_id="get_picture",
    summary="The picture of a reference.",
    response_class=Response,
    responses=documented.problems(409) | SHOWN,
)
async def picture(
    request: Request, gallery: GalleryName, number: Number, known: Known = ""
) -> Response:
    """The file that was enrolled; where it is gone, or was sent over HTTP, its small picture."""
    here = at(request, gallery)
    return _shown(
        *await here.read(lambda: _marked(_file(here, number) or _kept(here, number))), known
    )


@router.get(
    "/galleries/{gallery}/references/{number}/thumbnail",
    operation_id="get_thumbnail",
    summary="The small picture of a reference.",
    response_class=Response,
    responses=documented.problems(409) | SHOWN,
)
async def thumbnail(
    request: Request, gallery: GalleryName, number: Number, known: Known = ""
) -> Response:
    """The small JPEG that is kept with it; made of the file where the index keeps none."""
    here = at(request, gallery)
    data, mark = await here.read(lambda: _marked(_kept(here, number, needed=False)))
    if not data:
        data, mark = await here.run(lambda: _marked(_made(here, number)))
    return _shown(data, mark, known)


def _file(here: At, number: int) -> bytes:
    reference = stored(here, number)
    return original(reference, here.gallery.folder, here.gallery.settings.image)


def _kept(here: At, number: int, *, needed: bool = True) -> bytes:
    stored(here, number)
    data = here.gallery.thumbnail(number)
    if needed and not data:
        raise _missing(number)
    return data


def _made(here: At, number: int) -> bytes:
    data = _file(here, number)
    if not data:
        raise _missing(number)
    side = here.gallery.settings.index.thumbnail or USUAL_SIDE
    return small(here.gallery.picture(data).image, side)


def _missing(number: int) -> NotEnrolled:
    return NotEnrolled(f"picture of reference {number}", "its file is gone, and no copy is kept")


def _marked(data: bytes) -> tuple[bytes, str]:
    """A picture, and what tells it from others; an original takes milliseconds to hash."""
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _shown(data: bytes, mark: str, known: str) -> Response:
    headers = {"ETag": mark, "Cache-Control": "private, no-cache"}
    if mark in known:
        return Response(status_code=304, headers=headers)
    return Response(data, 200, headers, media_type=media_type(data) or "image/jpeg")
