"""Query parameters as one object, made on the event loop."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


def query(kind: type[T]) -> Callable[..., Awaitable[T]]:
    """A dependency that makes `kind` of the query.

    FastAPI runs one that is not async, which a class is, on another thread: the way there and back
    takes longer than all else that is done for a request on the event loop.
    """

    async def made(**values: Any) -> T:
        return kind(**values)

    made.__signature__ = inspect.signature(kind, eval_str=True)  # type: ignore[attr-defined]
    return made
