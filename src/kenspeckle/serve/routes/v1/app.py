"""The native API as one application, which the service puts under `/v1`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi

from kenspeckle import __version__
from kenspeckle.serve import problems
from kenspeckle.serve.routes.query import known
from kenspeckle.serve.routes.v1 import documented, examples
from kenspeckle.serve.routes.v1.heads import Heads

if TYPE_CHECKING:
    from kenspeckle.serve.service import Service

SUBJECTS: tuple[str, ...] = (
    "galleries",
    "identify",
    "search",
    "vectors",
    "pictures",
    "references",
    "items",
    "feedback",
    "events",
    "jobs",
    "analyze",
)
"""Modules of `kenspeckle.serve.routes.v1`, in the order of the document; each has a `router`, whose
routes get the service by `working.service_of(request)`."""


def create(service: Service) -> FastAPI:
    """The application of the native API; it describes itself at `openapi.json`."""
    app = FastAPI(
        title="Kenspeckle",
        version=__version__,
        summary="Which of your things a picture shows, or none of them, and why.",
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        servers=[{"url": "/v1"}],
        dependencies=[Depends(known)],
    )
    app.state.service = service
    problems.install(app)
    app.add_middleware(Heads)
    for subject in SUBJECTS:
        app.include_router(import_module(f"kenspeckle.serve.routes.v1.{subject}").router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """The description of the API, with the shapes that routes name without declaring them."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            servers=app.servers,
        )
        shapes = found.setdefault("components", {}).setdefault("schemas", {})
        for shape in documented.COMPONENTS:
            own = shape.model_json_schema(ref_template="#/components/schemas/{model}")
            shapes.update(own.pop("$defs", {}))
            shapes[shape.__name__] = own
        examples.show(found)
        app.openapi_schema = found
    return app.openapi_schema
