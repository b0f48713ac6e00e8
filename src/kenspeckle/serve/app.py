"""One ASGI application for a port: `/v1`, the surfaces, and the paths that all of them share."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Match

from kenspeckle import __version__
from kenspeckle.serve import health, metrics
from kenspeckle.serve.logs import stage_seconds
from kenspeckle.serve.routes.v1 import app as native
from kenspeckle.serve.service import Service
from kenspeckle.serve.surfaces import KINDS, Surface
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NATIVE = "/v1"
"""Where the native API is, on every port."""

Answer = Callable[[], Response]


def build(service: Service, surfaces: Sequence[Surface] | None = None) -> ASGIApp:
    """The application for a port on which these surfaces are, by default all of the service."""
    shown = service.surfaces if surfaces is None else tuple(surfaces)
    return Observed(Port(service, shown), service)


class Port:
    """Hands each request to the application that it is for.

    The native API has `/v1`; a surface with a prefix all below that; the others have the paths of
    their own routes. What several have (`/docs`, `/openapi.json`, `/`) belongs to the first one.
    """

    def __init__(self, service: Service, surfaces: Sequence[Surface]) -> None:
        self._service = service
        self._native = native.create(service)
        made = [(surface, _made(surface, service)) for surface in surfaces]
        self._flat = [(one, app) for one, app in made if not one.prefix]
        self._below = [(one, app) for one, app in made if one.prefix]
        self._shared: dict[str, Answer] = {
            "/livez": lambda: PlainTextResponse("alive\n"),
            "/readyz": self._readiness,
            "/health": self._health,
            "/health/": self._health,
            "/metrics": self._metrics,
            "/openapi/v1.json": partial(_document, self._native),
        }
        for surface, app in made:
            self._shared[f"/openapi/{surface.name}.json"] = partial(_document, app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path == NATIVE or path.startswith(NATIVE + "/"):
            await self._native(_below(scope, NATIVE), receive, send)
            return
        answer = self._shared.get(path)
        if answer is not None:
            scope["route_name"] = path
            await _only_read(scope, answer)(scope, receive, send)
            return
        surface, app = self._find(scope)
        if app is None:
            await self._page(path)(scope, receive, send)
            return
        scope["state"]["surface"] = surface
        if surface is not None and surface.prefix:
            scope = _below(scope, surface.prefix)
        await app(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[Surface | None, FastAPI | None]:
        """The application that has a route for this path; the owner of the port if none has."""
        path: str = scope["path"]
        for surface, app in self._below:
            if path == surface.prefix or path.startswith(surface.prefix + "/"):
                return surface, app
        turned = path[:-1] if path.endswith("/") else path + "/"
        for tried in (scope, {**scope, "path": turned}):
            other: tuple[Surface, FastAPI] | None = None
            for surface, app in self._flat:
                match = _match(app, tried)
                if match is Match.FULL:
                    return surface, app
                if match is Match.PARTIAL and other is None:
                    other = surface, app
            if other is not None:
                return other
            if path == "/":
                return None, None
        return self._flat[0] if self._flat else (None, None)

    def _page(self, path: str) -> Response:
        """What stands at a path that no surface has."""
        if path == "/":
            return PlainTextResponse(f"Kenspeckle {__version__}\nThe API: /v1/docs\n")
        if path == "/docs":
            return RedirectResponse("/v1/docs")
        return JSONResponse({"detail": "Not Found"}, 404)

    def _health(self) -> Response:
        return JSONResponse(health.report(self._service))

    def _readiness(self) -> Response:
        phase = health.phase(self._service)
        if phase == "ready":
            return PlainTextResponse("ready\n")
        return PlainTextResponse(f"{phase}\n", 503, {"Retry-After": "1"})

    def _metrics(self) -> Response:
        text = self._service.metrics.text(self._service)
        return Response(text, media_type=metrics.CONTENT_TYPE)


def _made(surface: Surface, service: Service) -> FastAPI:
    place = next(kind.place for kind in KINDS if kind.name == surface.name)
    module, _, function = place.partition(":")
    app: FastAPI = getattr(import_module(f"kenspeckle.serve.routes.{module}"), function)(service)
    return app


def _match(app: FastAPI, scope: Scope) -> Match:
    best = Match.NONE
    for route in app.router.routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return match
        if match is Match.PARTIAL:
            best = match
    return best


def _below(scope: Scope, prefix: str) -> Scope:
    """The scope of an application that has all paths below a prefix."""
    scope["root_path"] = scope.get("root_path", "") + prefix
    return scope


def _document(app: FastAPI) -> Response:
    return Response(json.dumps(app.openapi()), media_type="application/json")


def _only_read(scope: Scope, answer: Answer) -> Response:
    if scope["method"] in ("GET", "HEAD"):
        return answer()
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": "GET, HEAD"})


class Observed:
    """Counts, times and logs every request; whoever answers it adds its stages to `times`."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        times = StageTimes()
        scope.setdefault("state", {})["times"] = times
        start, status = time.perf_counter(), 0

        def told(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        self._service.in_flight += 1
        try:
            await self._app(scope, receive, told)
        finally:
            self._service.in_flight -= 1
            self._tell(scope, status, time.perf_counter() - start, times.seconds)

    def _tell(self, scope: Scope, status: int, seconds: float, spent: dict[str, float]) -> None:
        route = str(scope.get("route_name") or getattr(scope.get("route"), "path", "(none)"))
        stages = stage_seconds(spent)
        values: dict[str, Any] = {"req_id": scope["state"].get("request_id", "-")}
        values |= {"path": scope["path"], "route": route, "method": scope["method"]}
        values |= {"status": status, **stages}
        values |= {"other": seconds - sum(stages.values()), "total": seconds}
        self._service.metrics.seen(scope["method"], route, status, seconds, stages)
        self._service.log.tell("request_finished", values)
