"""Query parameters: as one object, made on the event loop, and none that nobody reads."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request  # noqa: TC002  the framework reads the annotations
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from fastapi.dependencies.models import Dependant

T = TypeVar("T")

FREE = frozenset({"get_picture", "get_thumbnail"})
"""Operations whose addresses are put into pages, which add what keeps or breaks a cache."""


def query(kind: type[T]) -> Callable[..., Awaitable[T]]:
    """A dependency that makes `kind` of the query.

    FastAPI runs one that is not async, which a class is, on another thread: the way there and back
    takes longer than all else that is done for a request on the event loop.
    """

    async def made(**values: Any) -> T:
        return kind(**values)

    made.__signature__ = inspect.signature(kind, eval_str=True)  # type: ignore[attr-defined]
    return made


async def known(request: Request) -> None:
    """A dependency that refuses query parameters that the route does not have.

    One in the wrong place would else be passed over in silence. Raises RequestValidationError,
    which names those that there are.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute) or route.operation_id in FREE:
        return
    names = tuple(dict.fromkeys(_read_by(route.dependant)))
    expected = f"expected {', '.join(names)}" if names else "none is expected here"
    faults = [
        {"loc": ("query", name), "msg": f"no such parameter; {expected}", "type": "unknown"}
        for name in dict.fromkeys(request.query_params)
        if name not in names
    ]
    if faults:
        raise RequestValidationError(faults)


def _read_by(one: Dependant) -> Iterator[str]:
    """The query parameters of a route or a dependency, and of all that it depends on."""
    yield from (param.alias for param in one.query_params)
    for inner in one.dependencies:
        yield from _read_by(inner)
