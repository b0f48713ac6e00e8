"""One ASGI application for a port: `/v1`, the surfaces, and the paths that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.routing import Match

from kenspeckle.errors import KenspeckleError
from kenspeckle.serve import common
from kenspeckle.serve.guard import Guard
from kenspeckle.serve.logs import frames
from kenspeckle.serve.observed import Observed
from kenspeckle.serve.refusals import describe
from kenspeckle.serve.routes.v1 import app as v1
from kenspeckle.serve.routes.v1 import direct
from kenspeckle.serve.service import Service
from kenspeckle.serve.surfaces import KINDS, Surface

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

NATIVE = "/v1"
"""Where the native API is, on every port."""

DOCUMENT = "/openapi.json"
DOCUMENTS = (DOCUMENT, "/docs", "/redoc")
"""What every application says of itself, for programs and for people; anybody may read it."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Who answers a request: an application, which may have all paths below a prefix, or one of
    our own functions, on a thread (`answer`) or on the event loop (`direct`)."""

    surface: str
    app: Any  # a FastAPI, whose state is untyped; None where a function answers
    prefix: str = ""
    answer: common.Answer | None = None
    direct: direct.Direct | None = None

    @property
    def documents(self) -> tuple[str, ...]:
        """Where the application describes itself."""
        return tuple(self.prefix + path for path in DOCUMENTS)


def build(service: Service, surfaces: Sequence[Surface] | None = None) -> ASGIApp:
    """The application for a port on which these surfaces are, by default all of the service."""
    shown = service.surfaces if surfaces is None else tuple(surfaces)
    port = Port(service, shown)
    fault, busy = partial(_fault, service), service.models.busy
    guard = Guard(port, service.access, service.limits, port.surface_of, fault, busy)
    return Observed(guard, service)


def _fault(service: Service, scope: Scope, error: BaseException) -> None:
    values = {"req_id": scope["state"]["request_id"], "path": scope["path"]}
    values |= {"error": type(error).__name__, "at": frames(error)}
    service.log.tell("fault", values, level="error")


class Port:
    """Hands each request to the application that it is for.

    The native API has `/v1`; a surface with a prefix all below that; the others have the paths of
    their own routes. What several have (`/docs`, `/openapi.json`, `/`) belongs to the first one.
    """

    def __init__(self, service: Service, surfaces: Sequence[Surface]) -> None:
        self._service = service
        native = _Found(NATIVE[1:], v1.create(service), NATIVE)
        made = [_Found(one.name, _made(one, service), one.prefix) for one in surfaces]
        for one in (native, *made):
            describe(one.app, native=one is native)
        self._flat = [one for one in made if not one.prefix]
        self._native = native
        self._below = [native, *(one for one in made if one.prefix)]
        told = [one.app.state.health for one in made if hasattr(one.app.state, "health")]
        self._shared = common.answers(service, told)
        for one in made:
            if one.prefix:
                self._shared |= common.health_below(service, one.prefix, one.app)
        self._pages = {
            one.surface: f"{one.prefix}/docs" if one.prefix else f"/docs/{one.surface}"
            for one in (*made, native)
        }
        for one in (native, *made):
            address = f"/openapi/{one.surface}.json"
            self._shared[address] = partial(common.document, one.app)
            if not one.prefix:
                self._shared[self._pages[one.surface]] = self._page(one, address)
        self._ours = common.where_nobody_answers(native.app)
        self._exact = _exact(self._flat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live as long as the server does."""
        if scope["type"] == "lifespan":
            await _lived(self._service, receive, send)
            return
        found: _Found = scope["state"].get("found") or self._find(scope)
        if found.answer is not None:
            if found.answer is not common.nothing:
                scope["route_name"] = scope["path"]
            await (await common.told(scope, found.answer))(scope, receive, send)
        elif found.direct is not None:
            await (await found.direct(scope, receive))(scope, receive, send)
        elif found.app is not None:
            scope["root_path"] = scope.get("root_path", "") + found.prefix
            await found.app(scope, receive, send)

    def surface_of(self, scope: Scope) -> str:
        """For which surface a request is, `v1` for the native API; empty for what everybody may
        see: the state of the service, documents."""
        found = scope["state"]["found"] = self._find(scope)
        return found.surface

    def _find(self, scope: Scope) -> _Found:
        """Who answers a path: what all share, the native API, the surface that has a route for it,
        and the first one for a path that none has."""
        path: str = scope["path"]
        answer = self._shared.get(path)
        if answer is not None:
            return _Found("", None, answer=answer)
        quick = direct.found(self._native.app, NATIVE, scope) if path.startswith(NATIVE) else None
        if quick is not None:
            return _Found(self._native.surface, self._native.app, NATIVE, direct=quick)
        for one in self._below:
            if path == one.prefix or path.startswith(one.prefix + "/"):
                return self._documented(one, path)
        exact = self._exact.get((scope["method"], path))
        if exact is not None:
            return self._documented(exact, path)
        turned = path[:-1] if path.endswith("/") else path + "/"
        for tried in (path, turned):
            found = self._by_route(scope, tried)
            if found is not None:
                return self._documented(found, path)
            if path == "/":
                break
        if path in self._ours or not self._flat:
            return _Found("", None, answer=self._ours.get(path, common.nothing))
        return self._flat[0]

    def _documented(self, found: _Found, path: str) -> _Found:
        """What an application says of itself is for everybody, its pages are ours."""
        if path not in found.documents:
            return found
        address = found.prefix + DOCUMENT
        if path == address:
            return replace(found, surface="")
        return _Found("", None, answer=self._page(found, address))

    def _page(self, one: _Found, address: str) -> common.Answer:
        """The page of an application, whose document is at `address`."""
        others = {name: at for name, at in self._pages.items() if name != one.surface}
        return partial(common.described, one.app, address, others)

    def _by_route(self, scope: Scope, path: str) -> _Found | None:
        """The first surface that has a route for the path and the method, else for the path."""
        tried, other = {**scope, "path": path}, None
        for one in self._flat:
            match = _match(one.app, tried)
            if match is Match.FULL:
                return one
            if match is Match.PARTIAL and other is None:
                other = one
        return other


def _made(surface: Surface, service: Service) -> FastAPI:
    place = next(kind.place for kind in KINDS if kind.name == surface.name)
    module, _, function = place.partition(":")
    app: FastAPI = getattr(import_module(f"kenspeckle.serve.routes.{module}"), function)(service)
    return app


async def _lived(service: Service, receive: Receive, send: Send) -> None:
    """The start and the end of a server that is not ours."""
    await receive()
    try:
        await service.warmed()
    except KenspeckleError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    service.ready = True
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await service.close()
    await send({"type": "lifespan.shutdown.complete"})


def _exact(made: Sequence[_Found]) -> dict[tuple[str, str], _Found]:
    """Who answers a method at a path without parameters: the first that does."""
    found: dict[tuple[str, str], _Found] = {}
    for one in made:
        for route in one.app.router.routes:
            path = getattr(route, "path", "{")
            for method in (getattr(route, "methods", None) or ()) if "{" not in path else ():
                found.setdefault((method, path), one)
    return found


def _match(app: FastAPI, scope: Scope) -> Match:
    best = Match.NONE
    for route in app.router.routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return match
        if match is Match.PARTIAL:
            best = match
    return best
