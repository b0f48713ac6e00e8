"""The way of a photo past the framework, which has nothing to work out where there is no query.

To find the route among all, to solve its parameters and to keep what has to be closed after it
takes FastAPI a third of the event loop's time for a photo. The route and its description stay as
they are: here its function is called as the framework would call it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from kenspeckle.errors import KenspeckleError
from kenspeckle.serve import problems
from kenspeckle.serve.routes.v1 import identify

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope

Direct = Callable[["Scope", "Receive"], Awaitable[Response]]

_PATH = re.compile(r"/galleries/([^/]{1,255})/identify")
_ROUTE = "/galleries/{gallery}/identify"


def found(app: FastAPI, prefix: str, scope: Scope) -> Direct | None:
    """Who answers a request directly; None for one that the framework has to look at.

    `app` is the native application, which has all paths below `prefix`.
    """
    if scope["method"] != "POST" or scope["query_string"]:
        return None
    match = _PATH.fullmatch(scope["path"], len(prefix))
    if match is None:
        return None
    gallery = match[1]

    async def answer(scope: Scope, receive: Receive) -> Response:
        scope["app"], scope["route_name"] = app, prefix + _ROUTE
        scope["root_path"] = scope.get("root_path", "") + prefix
        request = Request(scope, receive)
        try:
            await identify.reader(request)
            return await identify.identify(request, gallery, identify.PLAIN, identify.NO_FRAME)
        except (KenspeckleError, RequestValidationError, HTTPException) as error:
            return problems.answer(error, request)

    return answer
