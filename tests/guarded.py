"""A small application behind the real guard, on a real server at a free loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import Depends, FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from kenspeckle.config import ServeSettings
from kenspeckle.errors import FetchError, GalleryError, ServiceBusy
from kenspeckle.serve import problems
from kenspeckle.serve.access import Access, needs
from kenspeckle.serve.guard import Guard
from kenspeckle.serve.limits import Limits
from kenspeckle.serve.wire import protocol

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which what was to happen never will, on a busy machine too."""


@dataclass
class Behind:
    """What a test sees of a guarded application."""

    base: str
    access: Access
    limits: Limits
    busy: ServiceBusy | None = None
    faults: list[BaseException] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    server: uvicorn.Server | None = None

    @property
    def lines(self) -> int:
        """Connections that the server holds."""
        assert self.server is not None
        return len(self.server.server_state.connections)

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def line(self, timeout: float = PATIENCE) -> socket.socket:
        """A connection of one's own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def ask(self, text: bytes, timeout: float = PATIENCE) -> bytes:
        """What comes back for these bytes, until the line is closed."""
        with self.line(timeout) as line:
            with contextlib.suppress(OSError):
                line.sendall(text)
            return drained(line)

    def on_loop(self, work: Callable[[], T]) -> T:
        """The value of `work`, done where the server answers."""
        assert self.server is not None

        async def done() -> T:
            return work()

        loop = self.server.servers[0].get_loop()
        return asyncio.run_coroutine_threadsafe(done(), loop).result(PATIENCE)

    def until(self, so: Callable[[], object]) -> None:
        """Wait until something is so."""
        until = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < until, "it never was"
            time.sleep(0.01)

    def settled(self) -> bool:
        """Whether nothing is counted or held any more, in a moment."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            held = self.limits.bodies.held + self.limits.answers.held
            if not self.limits.running and not held:
                return True
            time.sleep(0.01)
        return False


def drained(line: socket.socket) -> bytes:
    """Everything that a line still says."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := line.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _application(seen: list[str]) -> FastAPI:  # noqa: C901  many small routes
    app = FastAPI(docs_url=None, redoc_url=None)
    problems.install(app)

    @app.api_route("/v1/echo", methods=["GET", "POST"])
    async def echo(request: Request) -> dict[str, Any]:
        body = await request.body()
        who = request.state.principal
        return {"bytes": len(body), "name": who.name, "scopes": sorted(who.scopes)}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"phase": "ready"}

    @app.get("/v1/read", dependencies=[Depends(needs("read"))])
    async def read() -> str:
        return "read"

    @app.post("/v1/write", dependencies=[Depends(needs("write"))])
    async def write() -> str:
        seen.append("written")
        return "written"

    @app.post("/api/falcon")
    async def falcon() -> str:
        return "named"

    @app.get("/v1/slow")
    async def slow(seconds: float) -> str:
        seen.append("begun")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        seen.append("done")
        return "done"

    @app.api_route("/v1/large", methods=["GET", "HEAD"])
    async def large(size: int) -> Response:
        return Response(b"x" * size)

    @app.get("/v1/events")
    async def events() -> StreamingResponse:
        async def told() -> Any:
            for number in range(4):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.3)

        return StreamingResponse(told(), media_type="text/event-stream")

    @app.get("/v1/endless")
    async def endless() -> StreamingResponse:
        async def told() -> Any:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(told(), media_type="text/event-stream")

    @app.get("/v1/flood")
    async def flood() -> StreamingResponse:
        async def told() -> Any:
            while True:
                yield "data: " + "x" * 65536 + "\n\n"

        return StreamingResponse(told(), media_type="text/event-stream")

    @app.get("/v1/fault")
    async def fault() -> str:
        raise ZeroDivisionError("/secret/place and a key")

    @app.get("/v1/late-fault")
    async def late_fault() -> StreamingResponse:
        async def told() -> Any:
            yield b"begun"
            raise ZeroDivisionError

        return StreamingResponse(told())

    errors = {
        "busy": ServiceBusy("model", "64 pictures wait already"),
        "gallery": GalleryError("/srv/data/things.ken", "held by /srv/other/x.lock"),
        "fetch": FetchError("http://10.0.0.7/x", "a private address", do="Set it"),
    }

    @app.get("/v1/error")
    async def error(kind: str) -> str:
        raise errors[kind]

    @app.get("/v1/page")
    async def page() -> Response:
        return Response("<p>x</p>", media_type="text/html")

    @app.post("/v1/json")
    async def numbers(asked: dict[str, float]) -> JSONResponse:
        return JSONResponse({"count": len(asked)})

    return app


def surface_of(scope: Any) -> str:
    """As the service sorts paths: health is for all, `/api` is a surface, the rest is native."""
    path: str = scope["path"]
    if path == "/health":
        return ""
    return "falcon" if path.startswith("/api/") else "v1"


@contextlib.contextmanager
def guarded(keys: Path, *, access: dict[str, Any] | None = None, **limits: Any) -> Iterator[Behind]:
    """Serve the application with these keys and settings; everybody has one address here, and so
    all of the connections unless its share is set."""
    limits = {"per_address": 100_000} | limits
    settings = ServeSettings(**limits)
    behind = Behind("", Access(keys, **(access or {})), Limits(settings))
    guard = Guard(
        _application(behind.seen),
        behind.access,
        behind.limits,
        surface_of,
        lambda _, error: behind.faults.append(error),
        lambda: behind.busy,
    )
    config = uvicorn.Config(
        guard,
        port=0,
        http=protocol(behind.limits),
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        ws="none",
    )
    server = behind.server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < until
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    behind.base = f"http://127.0.0.1:{port}"
    try:
        yield behind
    finally:
        server.should_exit = server.force_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()
