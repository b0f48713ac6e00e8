"""What the guard may answer in place of a route, told in the document of every application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kenspeckle.serve.problems import PLAIN, PROBLEM
from kenspeckle.serve.shown import NONE

if TYPE_CHECKING:
    from fastapi import FastAPI

STATUSES = {
    400: "The request is not one that can be understood.",
    401: "A key is needed, or this one is not in force.",
    403: "This key, or pages of this origin, may not do that.",
    408: "The body did not arrive in time.",
    413: "More bytes than the service takes.",
    414: "The path or the query is too long.",
    421: "The service was asked for under a name that is not its own.",
    429: "Too many requests; try again after the seconds of Retry-After.",
    431: "Too many headers, or too large ones.",
    503: "Busy, loading or stopping; try again after the seconds of Retry-After.",
}

_WAITING = (429, 503)
_WAIT = {
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_REFUSED = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "examples": [NONE]}},
}
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_FRAMEWORK = "Successful Response"
_DONE = {"200": "The answer.", "201": "What was stored.", "202": "The work, which goes on."}
"""Said in place of the framework's words, which say nothing."""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `kenspeckle keys`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI, *, native: bool) -> None:
    """Add to the document of an application how keys are shown, and each status it leaves out."""
    own = app.openapi
    kind, shape = (PROBLEM, _PROBLEM) if native else (PLAIN, _REFUSED)

    def described() -> dict[str, Any]:
        document = own()
        document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        document["security"] = [{}, *({name: []} for name in _SCHEMES)]
        for operation in _operations(document):
            known = operation.setdefault("responses", {})
            for status, words in STATUSES.items():
                known.setdefault(str(status), _response(status, words, kind, shape))
            for done, words in _DONE.items():
                if known.get(done, {}).get("description") == _FRAMEWORK:
                    known[done]["description"] = words
            operation["responses"] = dict(sorted(known.items()))
        return document

    app.openapi = described  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    methods = ("get", "put", "post", "delete", "patch", "head", "options")
    paths = document.get("paths", {}).values()
    return [path[method] for path in paths for method in methods if method in path]


def _response(status: int, words: str, kind: str, shape: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": words, "content": {kind: {"schema": shape}}}
    if status in _WAITING:
        told["headers"] = _WAIT
    return told
