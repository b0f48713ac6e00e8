"""The items nearest to a picture, a vector or words. Nothing is decided."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from kenspeckle.errors import SpaceMismatch
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.documented import GalleryName, Top
from kenspeckle.serve.routes.v1.received import (
    Sent,
    alone,
    body,
    content_type,
    decoded,
    one_picture,
    received,
    wrong,
)
from kenspeckle.serve.routes.v1.working import At, at
from kenspeckle.serve.schemas import answers, asked
from kenspeckle.serve.schemas import gallery as shapes
from kenspeckle.types import Candidate, Fingerprint, Float32

router = APIRouter(tags=["search"], dependencies=[Depends(needs("read"))])


@router.post(
    "/galleries/{gallery}/search",
    operation_id="search",
    summary="Which items are most like this?",
    response_model=shapes.Found,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.search(),
)
async def search(request: Request, gallery: GalleryName, top: Top = 10) -> Response:
    """By picture (a form, an address, base64, or the body itself), by vector, or by words where
    the model of the gallery reads text. The cosine tells how near; nothing is decided."""
    here = at(request, gallery)
    if content_type(request) == "application/json":
        found = await _by_json(here, await body(request, asked.Search), top)
    else:
        picture = await one_picture(request, "search/batch")
        found = await _by_picture(here, picture, top)
    return told.sent(found)


@router.post(
    "/galleries/{gallery}/search/batch",
    operation_id="search_batch",
    summary="Which items are most like each of these pictures?",
    response_model=shapes.FoundBatch,
    responses=documented.problems(409, 415),
    openapi_extra=documented.pictures("The pictures."),
)
async def search_batch(request: Request, gallery: GalleryName, top: Top = 10) -> Response:
    """Several pictures in, candidates for each in their order; one that cannot be used fails
    alone."""
    here, start = at(request, gallery), time.perf_counter()
    got = await received(request, here.most, asked.Pictures)

    async def one(picture: Sent) -> tuple[shapes.NamedCandidates, Fingerprint]:
        data = await here.data(picture)

        def work() -> tuple[list[Candidate], Fingerprint]:
            return here.of_one_index(lambda: _near(here, data, top))

        near, made_by = await here.run(work)
        rows = [told.candidate(one, here.links) for one in near]
        return shapes.NamedCandidates(name=picture.name, candidates=rows), made_by

    found, made_by = await here.each_of_one_index(got.pictures, one)
    return told.sent(
        shapes.FoundBatch(
            gallery=here.name,
            answers=found,
            failed=sum(isinstance(answer, answers.Failed) for answer in found),
            model=told.model(made_by),
            elapsed_seconds=round(time.perf_counter() - start, 6),
            stages=told.timed(here.times)["stages"],
        )
    )


async def _by_picture(here: At, picture: Sent, top: int) -> shapes.Found:
    data = await here.data(picture)
    return await here.run(lambda: _found(here, lambda: _near(here, data, top)))


def _near(here: At, data: bytes, top: int) -> list[Candidate]:
    row = here.gallery.vector(data, here.times)
    with here.times.stage("search"):
        return here.gallery.nearest(row, top)


async def _by_json(here: At, wish: asked.Search, top: int) -> shapes.Found:
    if wish.url is not None or wish.data is not None:
        return await _by_picture(here, alone(wish), top)
    if wish.text is not None:
        words = wish.text
        return await here.run(lambda: _found(here, lambda: here.gallery.search_text(words, top)))
    row = _row(wish)

    def candidates() -> list[Candidate]:
        _same_space(here, wish.space_id)
        with here.times.stage("search"):
            return here.gallery.nearest(row, top)

    return await here.run(lambda: _found(here, candidates))


def _row(wish: asked.Search) -> Float32:
    """The vector `(n,)` that was sent. Raises RequestValidationError."""
    if wish.vector is not None:
        with np.errstate(over="ignore"):
            return np.array(wish.vector, np.float64).astype(np.float32)
    data = decoded(wish.vector_base64 or "", ("vector_base64",), "little-endian float32")
    if not data or len(data) % 4:
        raise wrong(("body", "vector_base64"), f"{len(data)} bytes; 4 a number", "base64")
    return np.frombuffer(data, "<f4").astype(np.float32)


def _same_space(here: At, space_id: str | None) -> None:
    """Refuse a vector that another model made. SpaceMismatch names both."""
    made_by = here.made_by
    if space_id not in (None, made_by.space_id):
        raise SpaceMismatch(
            "vector",
            f"it is of space {space_id}",
            expected=f"{made_by.space_id}, that of {made_by.model}, which this gallery was made by",
        )


def _found(here: At, candidates: Callable[[], list[Candidate]]) -> shapes.Found:
    """What was found, in one index, with its model. Raises what `candidates` raises."""
    found, made_by = here.of_one_index(candidates)
    rows = [told.candidate(one, here.links) for one in found]
    model = told.model(made_by)
    return shapes.Found(gallery=here.name, candidates=rows, model=model, **told.timed(here.times))
