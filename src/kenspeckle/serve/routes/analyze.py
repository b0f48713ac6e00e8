"""The surface `analyze`: tasks about a picture of people or of a scene, as the clients of the
service that it replaces send them and read the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response  # noqa: TC002  the framework reads the annotations

from kenspeckle.errors import FetchError, KenspeckleError, PictureError, PictureTooLarge
from kenspeckle.flows.analyze import Analysis, failed
from kenspeckle.flows.operations import OPERATIONS
from kenspeckle.flows.tasks import Result, Task
from kenspeckle.serve.problems import headers_of, status_of, told
from kenspeckle.serve.routes import analyze_read as read
from kenspeckle.serve.routes import analyze_shapes as shapes
from kenspeckle.serve.routes.analyze_work import analysed, analysis_of, described, encoded
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.routes.v1.working import downloaded, times_of, unusable
from kenspeckle.serve.uses import absent

if TYPE_CHECKING:
    from kenspeckle.serve.service import Service

TITLE, VERSION = "Advanced Image Analysis API", "0.3.0"


@dataclass(frozen=True, slots=True)
class _Wording:
    """How the failure of a picture is told: where it came from, and what went wrong with it."""

    outer: str
    fetch: str
    process: str


_URL = _Wording(
    "Failed to download or process base image:",
    "Could not download image from URL:",
    "Could not process image:",
)
_UPLOAD = _Wording("Failed to process base image:", "", "Could not process uploaded image:")


@dataclass(frozen=True, slots=True)
class _Surface:
    """What its routes share."""

    service: Service
    analysis: Analysis

    async def answer(
        self, request: Request, echo: str, sent: Sent, tasks: list[Task], wording: _Wording
    ) -> Response:
        """The results of all tasks, or why the picture cannot be had."""
        times, settings = times_of(request), self.service.settings
        try:
            data = await downloaded(request, sent, settings.image, times)
            found = await analysed(self.service, self.analysis, data, tasks, times)
        except (FetchError, PictureError) as error:
            if isinstance(error, PictureError):
                unusable(request, sent, error)
            if isinstance(error, PictureTooLarge):
                return read.plain({"detail": f"{wording.process} {told(error)}"}, 413)
            inner = wording.fetch if isinstance(error, FetchError) else wording.process
            message = f"{inner} {told(error)}"
            if settings.analyze.documented_400:
                return read.plain({"detail": message}, 400)
            results = failed(tasks, f"{wording.outer} {message}")
            return read.plain({"image_url": echo, "results": _rows(results)})
        return await encoded(lambda: {"image_url": echo, "results": _rows(found)})


def create(service: Service) -> FastAPI:
    """The application of the surface; what was set and is not here is a remark of the start."""
    app = FastAPI(title=TITLE, version=VERSION, openapi_url="/openapi.json")
    app.state.service = service
    surface = _Surface(service, analysis_of(service))
    service.notes += absent(service.settings)
    most = service.settings.serve.max_tasks

    async def by_url(request: Request) -> Response:
        """It is fetched once, whatever the tasks."""
        url, tasks = await read.json_request(request, most)
        return await surface.answer(request, url, Sent("", None, url), tasks, _URL)

    async def by_upload(request: Request) -> Response:
        """The picture and the tasks are parts of a form."""
        name, data, tasks = await read.form_request(request, most)
        return await surface.answer(request, f"uploaded:{name}", Sent(name, data), tasks, _UPLOAD)

    async def operations() -> Response:
        """On which parts of a picture, and by which model."""
        told = await anyio.to_thread.run_sync(_operations, surface.analysis)
        return read.plain({"operations": told})

    responses: dict[int | str, dict[str, Any]] = {
        **{status: {"model": shapes.Refusal} for status in (400, 401, 403, 408, 413, 429, 503)},
        422: {"model": shapes.Faults},
    }
    for path, route, about, body in (
        ("/analyze_image", by_url, "Analyse the picture at an address", shapes.JSON),
        ("/analyze_image_upload", by_upload, "Analyse an uploaded picture", shapes.FORM),
    ):
        app.add_api_route(
            f"{path}/",
            route,
            methods=["POST"],
            operation_id=path[1:],
            summary=about,
            response_model=shapes.ImageAnalysisResponse,
            responses=responses,
            openapi_extra=body,
        )
        app.add_api_route(path, route, methods=["POST"], include_in_schema=False)
    app.add_api_route(
        "/available_operations/",
        operations,
        operation_id="available_operations",
        summary="What can be asked",
        response_model=shapes.AvailableOperations,
    )
    app.add_api_route("/available_operations", operations, include_in_schema=False)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(KenspeckleError, _refused)
    described(app, (shapes.AnalyzeShape,))
    return app


def _rows(results: dict[str, Result]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "status": one.status,
            "data": one.data,
            "cropped_image_bbox": None if one.box is None else list(one.box),
            "cropped_image_base64": one.crop,
            "error_message": one.message,
        }
        for name, one in results.items()
    }


def _operations(analysis: Analysis) -> dict[str, dict[str, Any]]:
    return {
        one.name: {
            "description": analysis.about(one),
            "allowed_targets": list(one.allowed),
            "default_target": one.default,
        }
        for one in OPERATIONS
    }


async def _unreadable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for these alone
    return read.faults_told(error)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, KenspeckleError)  # noqa: S101  registered for these alone
    return read.plain({"detail": told(error)}, status_of(error), headers_of(error))
