"""HEAD wherever there is GET: the same head, without the body (RFC 9110, 9.3.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FOUND = ("route", "endpoint", "path_params")
"""What a router notes in the request, for the line in the log."""


class Heads:
    """Lets `app` answer a HEAD as a GET and sends the head alone; the document tells of no more.

    Whoever would go on sending hears then that nobody listens.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked, told = False, asyncio.Event()

        async def head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                told.set()

        async def nothing_more() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await told.wait()
            return {"type": "http.disconnect"}

        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, nothing_more, head)
        finally:
            scope.update({name: as_get[name] for name in _FOUND if name in as_get})
