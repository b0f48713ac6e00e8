"""Pictures to vectors, for other systems."""

from __future__ import annotations

import base64
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.received import Sent, received
from kenspeckle.serve.routes.v1.working import at
from kenspeckle.serve.schemas import answers, asked
from kenspeckle.serve.schemas import gallery as shapes
from kenspeckle.types import Fingerprint, Float32

router = APIRouter(tags=["search"], dependencies=[Depends(needs("read"))])

Encoding = Annotated[
    Literal["list", "base64"],
    Query(description="Numbers, or little-endian float32 in base64, a third of the size."),
]


@router.post(
    "/galleries/{gallery}/vectors",
    operation_id="make_vectors",
    summary="The vectors of these pictures.",
    response_model=shapes.Vectors,
    responses=documented.problems(409, 415),
    openapi_extra=documented.pictures("The pictures."),
)
async def vectors(request: Request, gallery: GalleryName, encoding: Encoding = "list") -> Response:
    """One unit vector for each picture, as a reference of this gallery would have it.

    Vectors may be compared with others of the same `space_id` alone. A picture that cannot be used
    fails alone.
    """
    here, start = at(request, gallery), time.perf_counter()
    got = await received(request, here.most, asked.Pictures)

    async def one(picture: Sent) -> tuple[shapes.Vector, Fingerprint]:
        data = await here.data(picture)

        def work() -> Float32:
            return here.gallery.vector(data, here.times)

        row, made_by = await here.run(lambda: here.of_one_index(work))
        return _told(picture.name, row, encoding), made_by

    rows, made_by = await here.each_of_one_index(got.pictures, one)
    return told.sent(
        shapes.Vectors(
            gallery=here.name,
            vectors=rows,
            failed=sum(isinstance(row, answers.Failed) for row in rows),
            model=told.model(made_by),
            fingerprint=made_by.to_dict(),
            elapsed_seconds=round(time.perf_counter() - start, 6),
            stages=told.timed(here.times)["stages"],
        )
    )


def _told(name: str, row: Float32, encoding: str) -> shapes.Vector:
    if encoding == "base64":
        packed = base64.b64encode(row.astype("<f4").tobytes()).decode()
        return shapes.Vector(name=name, vector_base64=packed)
    return shapes.Vector(name=name, vector=row.tolist())
