"""Bodies that the framework reads, refused as ours are where they cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from kenspeckle.serve import reading

MOST_NAMES = 100
"""Most names of a body: more than any has. Each that is not known is a fault to be told."""


class _Read(Request):
    """A request whose JSON is as it has to be, or a fault that the framework knows."""

    async def json(self) -> Any:
        """The body. JSONDecodeError for whatever is wrong with it, HTTPException for too much."""
        data = await self.body()
        value = await reading.of_text(data, lambda: _loaded(data))
        if isinstance(value, dict) and (count := len(value)) > MOST_NAMES:
            raise HTTPException(413, f"request: {count} names; expected at most {MOST_NAMES}")
        return value


def _loaded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    except ValueError:  # not UTF-8, or a number without end
        raise json.JSONDecodeError("not JSON", "", 0) from None


class JsonRoute(APIRoute):
    """A route that has a JSON body: one that cannot be read is a 422, whatever is wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        own = super().get_route_handler()

        async def answer(request: Request) -> Response:
            return await own(_Read(request.scope, request.receive))

        return answer
