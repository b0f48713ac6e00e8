"""What the guard may answer in place of a route, told in the document of every application."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kenspeckle.config import ServeSettings
from kenspeckle.errors import IndexBusy
from kenspeckle.serve.limits import (
    HEAD_TIMEOUT,
    LARGEST_HEAD,
    LONGEST_PATH,
    LONGEST_QUERY,
    MOST_HEADERS,
)
from kenspeckle.serve.problems import PLAIN, PROBLEM, body
from kenspeckle.serve.schemas.base import Problem
from kenspeckle.serve.shown import CHALLENGE, NONE

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

_USUAL = ServeSettings()
_SAID = {
    400: "2 Host headers; expected one",
    401: NONE,
    403: "origin https://example.com: its pages may not ask here; expected one that the service "
    "was told of. To let them ask, start it with --origin ORIGIN",
    408: f"the request did not arrive within {_USUAL.body_timeout:g} s",
    413: f"request: {2 * _USUAL.max_body} bytes; expected at most {_USUAL.max_body} "
    "(serve.max_body). Send less at once",
    414: f"address: a path of 14 bytes, a query of 9000; expected at most {LONGEST_PATH} and "
    f"{LONGEST_QUERY}",
    421: "this service is not called so; ask for localhost or 127.0.0.1",
    429: "requests: too many; expected at most 5 a second (serve.rate). Come back in 1 s",
    431: f"headers: 12 of 40174 bytes; expected at most {MOST_HEADERS} of {LARGEST_HEAD} bytes "
    "together",
    503: "too many requests at once",
}
"""An example for each status, in the words of the guard."""
_UNBEGUN = {
    400: "this is no request of HTTP",
    408: f"the request did not begin within {HEAD_TIMEOUT:g} s",
    431: f"at most {MOST_HEADERS} headers of {LARGEST_HEAD} bytes together",
    503: "too many connections",
}
"""Said before it is known for which surface a request is, so as a problem on each of them."""
_UNREAD = "more than 64 MiB beside a GET"
_PICTURE = (
    "picture: 3 bytes unlike the beginning of any picture; expected a JPEG, PNG, WebP, AVIF, GIF, "
    "TIFF, BMP or HEIC picture. Replace or remove it."
)
_CURSOR = (
    "cursor: it is none of this list; expected the `next` of the page before. Begin again without "
    "a cursor"
)
_TYPE = (
    "content type: text/plain; expected multipart/form-data, application/json or a picture's own"
)
_BUSY = str(
    IndexBusy(
        "things.ken",
        "another process is writing to it",
        do="Wait until it has finished, or end it",
    )
)
_KINDS = {_PICTURE: "picture-error", _CURSOR: "input-error", _BUSY: "index-busy"}
_KEYED = (401, 403, 429)
"""Not said where everybody may ask."""
_ID = "0190f5c2b7a84d1e9c3a5f60718293a4"

_HEADERS: dict[int, dict[str, Any]] = {
    401: {
        "WWW-Authenticate": {
            "description": "How a key is shown.",
            "schema": {"type": "string", "examples": [CHALLENGE]},
        }
    },
    429: {
        "Retry-After": {
            "description": "Seconds to wait before the next try.",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
_HEADERS[503] = _HEADERS[429]
_REFUSED = {
    "type": "object",
    "title": "Refused",
    "description": "Why there is no answer.",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "title": "Detail"}},
}
_NAMES = ("Refused", "Refusal")
"""What applications call that shape."""
_AT = "#/components/schemas/"
_FRAMEWORK = "Successful Response"
_DONE = {"200": "The answer.", "201": "What was stored.", "202": "The work, which goes on."}
"""Said in place of the framework's words, which say nothing."""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `kenspeckle keys`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI, *, native: bool) -> None:
    """Add to the document of an application how keys are shown, and each refusal as it is sent."""
    own = app.openapi

    def described() -> dict[str, Any]:
        document = own()
        components = document.setdefault("components", {})
        components["securitySchemes"] = _SCHEMES
        document["security"] = [{}, *({name: []} for name in _SCHEMES)]
        shapes = components.setdefault("schemas", {})
        shape = _brought(shapes, native=native)
        server = next((one["url"] for one in document.get("servers", ())), "")
        for path, method, operation in _operations(document):
            known = operation.setdefault("responses", {})
            place = _Place(server, path, method, operation, None if native else shape)
            for status in sorted({*STATUSES, *(int(one) for one in known if one >= "400")}):
                place.tell(status, known)
            for done, words in _DONE.items():
                if known.get(done, {}).get("description") == _FRAMEWORK:
                    known[done]["description"] = words
            operation["responses"] = dict(sorted(known.items()))
        return document

    app.openapi = described  # type: ignore[method-assign]


def _brought(shapes: dict[str, Any], *, native: bool) -> str:
    """The name of the shape of a plain refusal; that of a problem is brought along."""
    if "Problem" not in shapes:
        made = Problem.model_json_schema(ref_template=_AT + "Problem{model}")
        shapes |= {f"Problem{name}": one for name, one in made.pop("$defs", {}).items()}
        shapes["Problem"] = made
    name = next((name for name in _NAMES if name in shapes), _NAMES[0])
    if not native:
        shapes.setdefault(name, _REFUSED)
    return name


class _Place:
    """An operation, and what is said of its refusals; `plain` is the shape of those that are no
    problems, none where all are."""

    def __init__(
        self, server: str, path: str, method: str, operation: dict[str, Any], plain: str | None
    ) -> None:
        self._path, self._method, self._plain = path, method, plain
        self._operation = operation
        self._everybody = operation.get("security") == []
        self._parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
        self._sent = operation.get("requestBody", {}).get("content", {})
        self._instance = server + re.sub(r"\{(\w+)\}", self._given, path)

    def tell(self, status: int, known: dict[str, Any]) -> None:
        """Add a refusal to the answers that the operation tells of, or mend the one it has."""
        kinds = dict(self._kinds(status))
        if not kinds:
            return
        told = known.setdefault(str(status), {"description": STATUSES.get(status, "")})
        if told["description"] == HTTPStatus(status).phrase:
            told["description"] = STATUSES.get(status, told["description"])
        before = told.get("content", {})
        own = next((one["example"] for one in before.values() if "example" in one), None)
        content = {}
        for kind, detail in kinds.items():
            if kind == PROBLEM:
                shape, example = "Problem", self._problem(status, detail)
            else:
                shape, example = self._plain or "", own or {"detail": detail}
            content[kind] = {"schema": {"$ref": _AT + shape}, "example": example}
        told["content"] = content
        if status in _HEADERS:
            told["headers"] = told.get("headers", {}) | _HEADERS[status]

    def _kinds(self, status: int) -> Iterator[tuple[str, str]]:
        """The media types in which a status comes, and what it says there."""
        detail = self._detail(status)
        if (self._everybody and status in _KEYED) or not detail:
            return
        begun = status != 408 or bool(self._sent)
        if self._plain is None or self._everybody:
            yield PROBLEM, detail if begun else _UNBEGUN[status]
            return
        if begun:
            yield PLAIN, detail
        if status in _UNBEGUN:
            yield PROBLEM, _UNBEGUN[status]

    def _detail(self, status: int) -> str:
        """What a status says as an example; nothing where another room tells of it."""
        if self._plain is not None:
            return "Not Found" if status == 404 else _SAID.get(status, "")
        if status == 400 and "image/*" in self._sent:
            return _PICTURE
        if status == 400 and "cursor" in self._asked():
            return _CURSOR
        if status == 413 and self._method == "get":
            return _UNREAD
        if status == 404:
            return self._missing()
        if status == 422:
            names = ", ".join(self._asked())
            expected = f"expected {names}" if names else "none is expected here"
            return f"query.size: no such parameter; {expected}"
        return _SAID.get(status, {409: _BUSY, 415: _TYPE}.get(status, ""))

    def _missing(self) -> str:
        if "{job}" in self._path:
            return "job '9f2c51d07ab34e18': not known here. See GET jobs"
        if "{gallery}" in self._path:
            return "mugs: no gallery of this name; expected things"
        return ""

    def _problem(self, status: int, detail: str) -> dict[str, Any]:
        """A problem as it is sent, of the kind that its sentence is of."""
        kind, more, path = _KINDS.get(detail, ""), {}, self._instance
        if status == 404:
            kind = "not-found" if "{job}" in self._path else "not-enrolled"
            path = path.replace("things", "mugs") if "{gallery}" in self._path else path
        if status == 422:
            kind, message = "invalid-request", detail.partition(": ")[2]
            more["errors"] = [{"loc": ["query", "size"], "msg": message, "type": "unknown"}]
        if detail in _UNBEGUN.values():  # nothing of the request is known by then
            made = body(status, detail)
        else:
            made = body(status, detail, kind=kind, path=path, request_id=_ID, more=more)
        problem: dict[str, Any] = json.loads(made)
        return problem

    def _asked(self) -> list[str]:
        """The names of what may stand in the query."""
        return [one["name"] for one in self._parameters if one["in"] == "query"]

    def _given(self, found: re.Match[str]) -> str:
        """An example for a part of the path."""
        for one in self._parameters:
            if one["name"] == found[1]:
                return quote(str(one.get("schema", {}).get("examples", ["name"])[0]))
        return found[0]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    methods = ("get", "put", "post", "delete", "patch", "head", "options")
    for path, there in document.get("paths", {}).items():
        yield from ((path, method, there[method]) for method in methods if method in there)
