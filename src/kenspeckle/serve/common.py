"""What is at the paths that all surfaces of a port share: the state of the service, documents."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)

from kenspeckle import __version__
from kenspeckle.errors import KenspeckleError
from kenspeckle.serve import health, metrics, problems, shown
from kenspeckle.serve.access import may
from kenspeckle.serve.latest import Latest
from kenspeckle.serve.pages import page
from kenspeckle.serve.service import Service

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Scope

Fields = Mapping[str, Any]
Answer = Callable[["Scope"], Response | Awaitable[Response]]
"""What answers: a function on a thread, a coroutine function on the event loop."""


def answers(service: Service, more: Sequence[Callable[[], Fields]]) -> dict[str, Answer]:
    """Who answers which of the shared paths; `more` are what surfaces add to `/health`."""
    state = partial(_health, service, [Latest(one) for one in more])
    return {
        "/livez": _alive,
        "/readyz": partial(_readiness, service),
        "/metrics": partial(_metrics, service),
        "/health": state,
        "/health/": state,
    }


def health_below(service: Service, prefix: str, app: FastAPI) -> dict[str, Answer]:
    """What clients that know a surface by its prefix are told there of the state of the service.

    Beside it stands what this surface adds, and no other one.
    """
    own = getattr(app.state, "health", None)
    state = partial(_health, service, [Latest(own)] if own else [])
    return {f"{prefix}/health": state, f"{prefix}/health/": state}


def where_nobody_answers(native: FastAPI) -> dict[str, Answer]:
    """What is at paths that a surface may have, where none on this port has them."""
    return {
        "/": lambda _: PlainTextResponse(f"Kenspeckle {__version__}\nThe API: /v1/docs\n"),
        "/docs": lambda _: RedirectResponse("/v1/docs"),
        "/openapi.json": partial(document, native),
    }


async def _alive(_: Scope) -> Response:
    """The process answers. It says so without a thread: those may all be waiting."""
    return PlainTextResponse("alive\n")


def _readiness(service: Service, _: Scope) -> Response:
    phase = health.phase(service)
    if phase == "ready":
        return PlainTextResponse("ready\n")
    return PlainTextResponse(f"{phase}\n", 503, {"Retry-After": "1"})


def _metrics(service: Service, scope: Scope) -> Response:
    principal = scope["state"]["principal"]
    if principal.anonymous and not principal.scopes:
        why = shown.refusal(dict(scope["headers"]), scope["query_string"])
        raise HTTPException(401, why, {"WWW-Authenticate": shown.CHALLENGE})
    may(principal, "read")
    return Response(service.metrics.text(service), media_type=metrics.CONTENT_TYPE)


def _health(service: Service, more: Sequence[Latest[Fields]], scope: Scope) -> Response:
    """Our state, and beside it what surfaces on this port tell their clients."""
    trusted = "read" in scope["state"]["principal"].scopes
    found = health.report(service, trusted=trusted)
    for one in more:
        with contextlib.suppress(KenspeckleError):  # an index that cannot be read: ours tells of it
            found = {**(one.now() or {}), **found}
    return JSONResponse(found)


def nothing(_: Scope) -> Response:
    """There is no such path."""
    return JSONResponse({"detail": "Not Found"}, 404)


def described(app: FastAPI, address: str, others: Mapping[str, str], _: Scope) -> Response:
    """The description of an API for people, with links to those of others."""
    return HTMLResponse(page(app.openapi(), address, others))


def document(app: FastAPI, _: Scope) -> Response:
    """The description of an API for programs."""
    return Response(json.dumps(app.openapi()), media_type="application/json")


def _refused(scope: Scope) -> Response:
    """What a method that is not taken is told, on the native API as by all of its paths."""
    path, allow = scope["path"], {"Allow": "GET, HEAD"}
    if not path.startswith("/v1/"):
        return JSONResponse({"detail": "Method Not Allowed"}, 405, allow)
    why = f"{scope['method']} {path}: this method is not taken here; expected GET, HEAD"
    return problems.answer(HTTPException(405, why, allow), Request(scope))


async def told(scope: Scope, answer: Answer) -> Response:
    """What one of our own functions says."""
    if scope["method"] not in ("GET", "HEAD"):
        return _refused(scope)
    try:
        if inspect.iscoroutinefunction(answer):
            return cast("Response", await answer(scope))
        return cast("Response", await asyncio.to_thread(answer, scope))
    except (KenspeckleError, HTTPException) as error:
        return problems.answer(error, Request(scope))
