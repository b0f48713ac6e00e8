"""Which item a photo shows, or that it is none of them, and why."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from kenspeckle.config import IdentifySettings
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.query import query
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.frames import Frame
from kenspeckle.serve.routes.v1.received import Sent, one_picture, received
from kenspeckle.serve.routes.v1.working import At, at
from kenspeckle.serve.schemas import answers, asked
from kenspeckle.types import Fingerprint
from kenspeckle.vectors.pipeline import StageTimes

reader = needs("read")
router = APIRouter(tags=["identify"], dependencies=[Depends(reader)])
NO_FRAME = Frame()


@dataclass(frozen=True, slots=True)
class Options:
    """How a photo is looked at, where it differs from the settings of the service."""

    top: Annotated[
        int | None, Query(ge=1, le=100, description="Most candidates that are told.")
    ] = None
    regions: Annotated[
        documented.RegionRule | None,
        Query(description="Into which parts the photo is split; as calibrated by default."),
    ] = None
    second_look: Annotated[
        documented.Features | None,
        Query(description="Compare local features of the nearest items; as calibrated by default."),
    ] = None

    def over(self, settings: IdentifySettings) -> IdentifySettings:
        """The settings with what is asked for put over them."""
        named = {"top": self.top, "regions": self.regions, "second_look": self.second_look}
        wished: dict[str, Any] = {name: value for name, value in named.items() if value}
        return replace(settings, **wished) if wished else settings


PLAIN = Options()
Wish = Annotated[Options, Depends(query(Options))]


@router.post(
    "/galleries/{gallery}/identify",
    operation_id="identify",
    summary="Which item does this photo show?",
    response_model=answers.Identified,
    responses=documented.problems(400, 409, 415),
    openapi_extra=documented.one_picture(),
)
async def identify(
    request: Request,
    gallery: GalleryName,
    options: Wish,
    frame: Annotated[Frame, Depends(query(Frame))],
) -> Response:
    """One picture in; out comes the item that it shows, or that it is none of them, and why.

    The picture is the part `image` of a form, an address or base64 in JSON, or the body itself.
    """
    here = at(request, gallery)
    frame.admit(here)
    sent = await one_picture(request, "identify/batch")
    answer, _ = await identified(here, sent, options, here.times, frame)
    return told.sent(answer)


@router.post(
    "/galleries/{gallery}/identify/batch",
    operation_id="identify_batch",
    summary="Which item does each of these photos show?",
    response_model=answers.IdentifiedBatch,
    responses=documented.problems(409, 415),
    openapi_extra=documented.pictures("The photos."),
)
async def identify_batch(request: Request, gallery: GalleryName, options: Wish) -> Response:
    """Several pictures in, an answer for each in their order; one that cannot be used fails alone.

    Times are of the whole; those of a picture are in its own answer.
    """
    here, start = at(request, gallery), time.perf_counter()
    got = await received(request, here.most, asked.Pictures)

    async def one(sent: Sent) -> tuple[answers.NamedAnswer, Fingerprint]:
        own = StageTimes()
        answer, made_by = await identified(here, sent, options, own)
        for stage, seconds in own.seconds.items():
            here.times.add(stage, seconds)
        return answers.NamedAnswer(name=sent.name, answer=answer), made_by

    found, _ = await here.each_of_one_index(got.pictures, one)
    return told.sent(
        answers.IdentifiedBatch(
            answers=found,
            failed=sum(isinstance(answer, answers.Failed) for answer in found),
            elapsed_seconds=round(time.perf_counter() - start, 6),
            stages=told.timed(here.times)["stages"],
        )
    )


async def identified(
    here: At, sent: Sent, options: Options, times: StageTimes, frame: Frame = NO_FRAME
) -> tuple[answers.Identified, Fingerprint]:
    """The whole way of one photo: fetched where it has to be, then on a thread of the model.

    With what made the vectors that it was compared with.
    """
    data = await here.data(sent, times)
    settings = options.over(here.gallery.settings.identify)

    def work() -> tuple[answers.Identified, Fingerprint]:
        answer, made_by = here.of_one_index(
            lambda: here.gallery.answer(data, settings, times=times)
        )
        frame.seen(here, answer)
        return told.identified(answer, here.links, made_by, times), made_by

    return await here.run(work)
