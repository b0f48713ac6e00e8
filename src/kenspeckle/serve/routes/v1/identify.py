"""Which item a photo shows, or that it is none of them, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from kenspeckle.config import IdentifySettings
from kenspeckle.flows.identify import Answer
from kenspeckle.gallery import Gallery
from kenspeckle.serve.routes.query import query
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.frames import Frame
from kenspeckle.serve.routes.v1.received import one_picture
from kenspeckle.serve.routes.v1.working import downloaded, service_of, standing, times_of
from kenspeckle.serve.schemas import answers
from kenspeckle.vectors.pipeline import StageTimes

router = APIRouter(tags=["identify"])


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
        return replace(
            settings,
            top=self.top or settings.top,
            regions=self.regions or settings.regions,
            second_look=self.second_look or settings.second_look,
        )


@router.post(
    "/galleries/{gallery}/identify",
    operation_id="identify",
    summary="Which item does this photo show?",
    response_model=answers.Identified,
    responses=documented.problems(400, 404, 409, 413, 415, 422),
    openapi_extra=documented.one_picture(),
)
async def identify(
    request: Request,
    gallery: GalleryName,
    options: Annotated[Options, Depends(query(Options))],
    frame: Annotated[Frame, Depends(query(Frame))],
) -> Response:
    """One picture in; out comes the item that it shows, or that it is none of them, and why.

    The picture is the part `image` of a form, an address or base64 in JSON, or the body itself.
    """
    service = service_of(request)
    asked = service.gallery(gallery)
    frame.admit(service, gallery)
    times = times_of(request)
    data = await downloaded(request, await one_picture(request), asked.settings.image, times)
    settings = options.over(asked.settings.identify)

    def work() -> tuple[Answer, told.Standing]:
        answer, now = answered(gallery, asked, data, settings, times)
        frame.seen(service, gallery, answer)
        return answer, now

    answer, now = await service.run(asked, work)
    return told.sent(told.identified(answer, told.Links.of(request, gallery), now, times.seconds))


def answered(
    name: str, gallery: Gallery, data: bytes, asked: IdentifySettings, times: StageTimes
) -> tuple[Answer, told.Standing]:
    """The whole way of one photo, on a thread of the model; and what the gallery is by then."""
    answer = gallery.answer(data, asked, times=times)
    return answer, standing(name, gallery)
