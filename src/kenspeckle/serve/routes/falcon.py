"""The surface `falcon`: what clients of `data_label_factory.identify serve` ask and get."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.formparsers import FormParser, MultiPartException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from kenspeckle import __version__
from kenspeckle.errors import KenspeckleError, PictureError
from kenspeckle.flows.masks import Mask, masks
from kenspeckle.flows.opened import Opened
from kenspeckle.serve import problems
from kenspeckle.serve.forms import multipart, parsed
from kenspeckle.serve.limits import neighbourhood
from kenspeckle.serve.routes import falcon_answer, falcon_described, falcon_refs
from kenspeckle.serve.routes import falcon_schemas as schemas
from kenspeckle.serve.routes.falcon_print import Print, print_seen
from kenspeckle.serve.routes.falcon_state import Falcon
from kenspeckle.serve.service import Service
from kenspeckle.serve.turns import Turns
from kenspeckle.vectors.pipeline import timed

MOST_TOP = 1000
MOST_TEXT = 1024 * 1024
"""Longest part of a form that is no file, bytes."""
MOST_FILELESS = 256 * 1024
"""Bytes of a form that can hold no file."""
LOOKING = 8
"""Threads that look things up and read references; a picture of the largest size on each is what
they take at most."""
SHARE = 4
"""Of them for one key, or for one address of clients without a key."""
PATIENCE = 5.0
"""Seconds for which such a request waits for a thread."""
_UNUSABLE = (
    "bad image: picture: 3 bytes unlike the beginning of any picture; expected a JPEG, PNG, WebP, "
    "AVIF, GIF, TIFF, BMP or HEIC picture. Replace or remove it."
)
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {
        "model": schemas.Refused,
        "description": "not a picture, or not a form",
        "content": {"application/json": {"example": {"detail": _UNUSABLE}}},
    },
    413: {"model": schemas.Refused, "description": "too many bytes or pixels"},
}
"""What a frame is refused with; what any request may be refused with is told in one place."""
GONE: dict[int | str, dict[str, Any]] = {
    400: {
        "model": schemas.Refused,
        "description": "not a path",
        "content": {"application/json": {"example": {"detail": "a path with hidden characters"}}},
    },
    404: {"model": schemas.Refused, "description": "nothing indexed has this name"},
}


class _Read(Request):
    """A request whose form is read already."""

    def __init__(self, request: Request, form: FormData) -> None:
        super().__init__(request.scope, request.receive)
        self._form = form


class _Forms(APIRoute):
    """A route that reads its form as the other surfaces do."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await answer(_Read(request, await _form(request)))

        return read


async def _form(request: Request) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            return await multipart(request, files=1000, fields=1000, longest=MOST_TEXT)
        if kind == "application/x-www-form-urlencoded":
            if len(await request.body()) > MOST_FILELESS:
                found = f"more than {MOST_FILELESS} bytes without a file"
                raise HTTPException(413, f"request: {found}; expected multipart/form-data")
            return await parsed(FormParser(request.headers, request.stream()))
        return FormData()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from error


def create(service: Service) -> FastAPI:
    """The application of this surface. It answers from the first gallery of the service."""
    state = Falcon.of(service)
    app = FastAPI(
        title="Kenspeckle: falcon",
        version=__version__,
        description="Which things of the gallery a picture shows, where, and what they cost.",
    )
    app.state.health = state.health
    _install(app)
    _frames(app, service, state)
    looking = Turns("references", LOOKING, share=SHARE, patience=PATIENCE)
    _references(app, state, looking)
    _facts(app, state, looking)
    falcon_described.describe(app)
    return app


def _frames(app: FastAPI, service: Service, state: Falcon) -> None:
    router = APIRouter(route_class=_Forms)

    @router.post(
        "/api/falcon",
        operation_id=falcon_described.FRAME,
        summary="Name what a picture shows",
        responses=REFUSALS,
    )
    async def falcon(
        request: Request,
        image: UploadFile,
        query: Annotated[str, Form(description="echoed; it changes nothing")],
    ) -> schemas.Frame:
        """A mask for each thing that gets a name."""
        start = time.perf_counter()
        times = getattr(request.state, "times", None)
        data = await image.read()

        def work() -> tuple[tuple[int, int], list[schemas.Mask]]:
            with timed(times, "decode"):
                picture = state.gallery.picture(data, hashed=False)

            def seen(opened: Opened) -> list[tuple[Mask, Print]]:
                rule = state.deciding.now(opened.store, begin=True)
                found = masks(opened, picture, rule, find=state.find, times=times)
                return [(one, print_seen(opened.store, one.decision)) for one in found]

            size, root = picture.size, _root(request)
            found = state.gallery.steady(seen)
            return size, [falcon_answer.mask(*one, size, state.prices, root) for one in found]

        try:
            size, told = await service.run(state.gallery, work)
        except PictureError as error:
            status = problems.status_of(error)
            raise HTTPException(status, f"bad image: {problems.told(error)}") from None
        state.served += 1
        return schemas.Frame(
            image_size=list(size),
            count=len(told),
            masks=told,
            query=query,
            elapsed_seconds=round(time.perf_counter() - start, 3),
        )

    app.include_router(router)


def _references(app: FastAPI, state: Falcon, looking: Turns) -> None:
    content: dict[int | str, dict[str, Any]] = {
        200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "as the one you have"},
    }

    @app.get(
        "/refs/{name:path}",
        operation_id="reference",
        summary="The picture of a reference",
        response_class=Response,
        responses=content | GONE,
    )
    async def reference(request: Request, name: str) -> Response:
        """By the `ref_filename` or `ref_url` of a mask."""
        found = await looking.run(
            lambda: falcon_refs.picture(state.gallery, state.names, name), _asker(request)
        )
        if found is None:
            raise HTTPException(404, "Not Found")
        headers = {"ETag": f'"{found.tag}"', "Cache-Control": "private, max-age=300"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(found.data, media_type=found.media_type, headers=headers)

    app.add_api_route(
        "/refs/{name:path}",
        reference,
        methods=["HEAD"],
        include_in_schema=False,
        response_class=Response,
    )


def _facts(app: FastAPI, state: Falcon, looking: Turns) -> None:
    @app.get(
        "/",
        operation_id="summary",
        summary="What is served, in a line",
        response_class=PlainTextResponse,
    )
    def summary() -> str:
        """References of the gallery and frames that were answered."""
        return (
            f"Kenspeckle {__version__}: {len(state.gallery)} references, "
            f"{state.served} frames answered\n"
        )

    @app.get("/api/info", operation_id="info", summary="What this server is")
    async def info(request: Request) -> schemas.Info:
        """Which rule decides, and which prices it knows."""
        return await looking.run(state.info, _asker(request))

    @app.get("/api/top-prices", operation_id="top_prices", summary="The dearest cards")
    async def top_prices(
        request: Request,
        limit: Annotated[int, Query(ge=0, le=MOST_TOP, description="how many at most")] = 50,
    ) -> schemas.TopPrices:
        """Those of the price file, in US dollars."""
        return await looking.run(lambda: state.top(limit, _root(request)), _asker(request))


def _asker(request: Request) -> str:
    """Who shares the threads that look things up: a key, or an address of clients without one."""
    known: str = getattr(getattr(request.state, "principal", None), "id", "")
    return known or neighbourhood(request.client.host if request.client else "")


def _root(request: Request) -> str:
    """The path below which this surface is."""
    return str(request.scope.get("root_path", ""))


def _install(app: FastAPI) -> None:
    """Answer errors as the framework does: one field, `detail`."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, KenspeckleError)  # noqa: S101
        detail = {"detail": problems.told(error)}
        return JSONResponse(detail, problems.status_of(error), problems.headers_of(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return JSONResponse({"detail": problems.faults(error.errors())}, 422)

    app.add_exception_handler(KenspeckleError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
