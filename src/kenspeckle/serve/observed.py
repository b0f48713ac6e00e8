"""Every request counted, timed, and told in one line of the log."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from kenspeckle.serve.logs import stage_seconds
from kenspeckle.serve.service import Service
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


def _pattern(scope: Scope) -> str:
    """The pattern of the path that was found, so that logs and metrics know few of them."""
    route = scope.get("route")
    if route is None:
        return "(none)"
    return f"{scope.get('root_path', '')}{getattr(route, 'path', '')}"


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
        route = scope.get("route_name") or _pattern(scope)
        stages = stage_seconds(spent)
        values: dict[str, Any] = {"req_id": scope["state"].get("request_id", "-")}
        values |= {"path": scope["path"], "route": route, "method": scope["method"]}
        values |= {"status": status, **stages}
        rest = max(0.0, seconds - sum(stages.values()))  # stages of a batch run beside each other
        values |= {"other": rest, "total": seconds}
        self._service.metrics.seen(scope["method"], route, status, seconds, stages)
        self._service.log.tell("request_finished", values)
