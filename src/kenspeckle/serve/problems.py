"""What a client is told when something is refused or fails: one status, one sentence, one form.

Native answers are RFC 9457 problem details. Texts never show where files lie on this machine, what
an address leads to, or a stack trace.
"""

from __future__ import annotations

import http
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from kenspeckle.errors import (
    AccessRefused,
    CatalogError,
    FetchError,
    GalleryError,
    IndexCorrupt,
    IndexMissing,
    IndexVersion,
    KenspeckleError,
    MissingExtra,
    ModelError,
    ModelMissing,
    NotEnrolled,
    PictureTooLarge,
    PromiseRefused,
    ServiceBusy,
    UnsafeFile,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

PROBLEM = "application/problem+json"
PLAIN = "application/json"
"""Type of an answer on the surfaces of replaced systems, whose clients know no problem details."""

STATUS: tuple[tuple[type[KenspeckleError], int], ...] = (
    (PictureTooLarge, 413),
    (AccessRefused, 403),
    (NotEnrolled, 404),
    (IndexMissing, 503),
    (IndexCorrupt, 503),
    (IndexVersion, 503),
    (GalleryError, 409),
    (ServiceBusy, 503),
    (MissingExtra, 422),
    (PromiseRefused, 422),
    (CatalogError, 422),
    (ModelMissing, 422),
    (UnsafeFile, 422),
    (ModelError, 503),
    (KenspeckleError, 400),
)
"""The first row that fits an error gives its status."""

_KINDS = {401: "key-needed", 403: "access-refused", 404: "not-found", 503: "service-busy"}
"""What a status is told as where no error of ours says it; of others the status says it all."""

RETRY_AFTER = 1.0
"""Seconds to wait before the next try where nothing better is known."""

NOT_FETCHED = "address: no picture could be had from it; expected http:// or https:// at a host of "
NOT_FETCHED += "the public internet that this service may ask, answering within the limits"
"""Told of every address that failed, whatever the reason: who asks must not learn from it which
addresses exist, and what answers there."""

_MOST_ERRORS = 20
_LONGEST = 1000
_LONGEST_PATH = 200
_IN_A_PATH = "/:@!$&'()*+,;="
"""What RFC 3986 lets stand in a path beside letters, digits and `-._~`."""
_PATHS = re.compile(
    r"(?<![\w:/.])(?:/(?:[^\s/:;,'\"]+/)+|(?i:[a-z]):\\(?:[^\s\\:;,'\"]+\\)*)(?=[^\s/])"
)

_INNER = re.compile(r"(?:added|confirmed|rejected)/[0-9a-f]{16}(?:/|\Z)")
"""What a picture that was handed in is called before its own name."""

_REQUESTS = tuple(
    (re.compile(command), request)
    for command, request in (
        (r"kenspeckle reject PHOTO KEY", "?key=KEY"),
        (r"kenspeckle feedback --undo (\d+)", r"DELETE feedback/\1"),
        (r"kenspeckle remove PATH", "DELETE references/NUMBER"),
        (
            r"kenspeckle calibrate --strangers FOLDER, --second-look",
            'a job of the kind calibrate with "strangers" or "second_look" (POST jobs)',
        ),
        (
            r"Use --replace to exchange them, `kenspeckle add` to add, or another --out",
            'Say "replace_all": true to exchange them, or add pictures by POST items',
        ),
        (r"`kenspeckle list`", "GET items"),
        (r"`kenspeckle feedback`", "GET feedback"),
        (r"`kenspeckle calibrate`", "a job of the kind calibrate (POST jobs)"),
        (r"To make the two one item: --merge", 'To make the two one item: "merge": true'),
        (r"not in the gallery: --strangers", 'not in the gallery: "strangers"'),
        (r"Ask for --fpir ([\d.e-]+)", r'Ask for "fpir": \1'),
    )
)
"""Commands and options that errors and notes name, and what does the same below a gallery's
address."""

_COMMAND = re.compile(r"kenspeckle [^;`]*")
_OPTION = re.compile(r"(?<!\S)--[a-z]")


def status_of(error: KenspeckleError) -> int:
    """The status that an error becomes.

    >>> status_of(NotEnrolled("a", "not here")), status_of(ServiceBusy("model", "busy"))
    (404, 503)
    """
    return next(status for kind, status in STATUS if isinstance(error, kind))


def told(error: KenspeckleError) -> str:
    """What a stranger is told of an error: its sentence, without folders of this machine.

    A key with slashes is no path, and told whole. A picture that was handed in is called by the
    name that came with it, or `picture`. Advice that names a command is told as the request that
    does the same; where there is none and it names options alone, it is left out.

    >>> told(GalleryError("/srv/things.ken", "it is damaged"))
    'things.ken: it is damaged'
    >>> told(GalleryError(PurePath("srv/things.ken"), "it is damaged"))
    'things.ken: it is damaged'
    >>> told(NotEnrolled("mugs/red", "no such item"))
    'mugs/red: no such item'
    """
    if isinstance(error, FetchError):
        return NOT_FETCHED
    thing, said = error.thing, [error.found, error.expected, error.do]
    if error.file or thing.startswith(("/", "\\")) or re.match(r"[A-Za-z]:\\", thing):
        thing = PureWindowsPath(thing).name if "\\" in thing else PurePath(thing).name
    if not isinstance(error, NotEnrolled) and (inner := _INNER.match(thing)):
        thing = thing[inner.end() :] or "picture"
    if thing:  # advice may name the file again
        said = [text.replace(error.thing, thing) for text in said]
    found, expected, do = map(over_http, said)
    if _OPTION.search(_COMMAND.sub("", do)):  # advice for whoever starts the service
        do = ""
    return _PATHS.sub("", str(KenspeckleError(thing, found, expected=expected, do=do)))[:_LONGEST]


def over_http(text: str) -> str:
    """A sentence that names a command of the command line, with the request that does the same.

    >>> over_http("To take that back: kenspeckle feedback --undo 3")
    'To take that back: DELETE feedback/3'
    """
    for command, request in _REQUESTS:
        text = command.sub(request, text)
    return text


def headers_of(error: Exception) -> dict[str, str]:
    """The headers that belong to an error: when to try again."""
    if isinstance(error, KenspeckleError) and status_of(error) == 503:
        return {"Retry-After": seconds(getattr(error, "retry_after", RETRY_AFTER))}
    return {}


def seconds(wait: float) -> str:
    """A wait as `Retry-After` wants it: whole seconds, at least one.

    >>> seconds(0.2), seconds(61.5)
    ('1', '62')
    """
    return str(max(1, math.ceil(min(wait, 3600.0))))


def body(
    status: int,
    detail: str,
    *,
    kind: str = "",
    path: str = "",
    request_id: str = "",
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """A problem body as JSON, in ASCII, so that any text passes."""
    title = http.HTTPStatus(status).phrase
    kind = kind or _KINDS.get(status, "")
    problem: dict[str, Any] = {
        "type": f"urn:kenspeckle:{kind}" if kind else "about:blank",
        "title": title,
        "status": status,
        "detail": detail or title,
    }
    if path:
        problem["instance"] = quote(path, safe=_IN_A_PATH, errors="replace")
    if request_id:
        problem["request_id"] = request_id
    return json.dumps(problem | dict(more or {})).encode("ascii")


def answer(error: Exception, request: Request) -> Response:
    """The answer to a request that failed with an error of ours or of the framework."""
    more: dict[str, Any] = {}
    headers: Mapping[str, str] = {}
    kind = ""
    if isinstance(error, KenspeckleError):
        status, detail, headers = status_of(error), told(error), headers_of(error)
        kind = kind_of(error)
    elif isinstance(error, RequestValidationError):
        found = [{**one, "loc": _place(one["loc"], error.body)} for one in error.errors()]
        status, detail, more["errors"] = 422, fault(found), faults(found, native=True)
        kind = "invalid-request"
    elif isinstance(error, HTTPException):
        status, detail, headers = error.status_code, str(error.detail), error.headers or {}
        if detail == http.HTTPStatus(status).phrase:  # the framework's, which names nothing
            detail, headers = _nobody(request, status, detail, headers)
    else:
        raise error
    content = body(
        status,
        detail,
        kind=kind,
        path=str(request.scope.get("path", "")),
        request_id=str(getattr(request.state, "request_id", "")),
        more=more,
    )
    if status in (204, 304):
        return Response(status_code=status, headers=dict(headers))
    return Response(content, status, dict(headers), media_type=PROBLEM)


def _nobody(
    request: Request, status: int, phrase: str, headers: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """What is said where no route takes a path, or none its method, and the headers of that."""
    path = str(request.scope.get("path", ""))[:_LONGEST_PATH]
    if status == 404:
        about = request.scope.get("root_path", "")
        return f"{path}: no such path; expected one of those in {about}/openapi.json", headers
    if status == 405:
        taken = ", ".join(_methods(request))
        found = f"{request.method} {path}: this method is not taken here; expected {taken}"
        return found, {**headers, "Allow": taken}
    return phrase, headers


def _methods(request: Request) -> list[str]:
    """The methods that any route takes at the path; where GET is one HEAD is, which none lists."""
    scope, routes = request.scope, request.app.router.routes
    found = {
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _place(loc: Sequence[Any], body: Any) -> tuple[Any, ...]:
    """Where a fault stands in what was sent: without the names of shapes that the framework writes
    between those of fields.

    >>> _place(("body", "identify", "urls"), {"kind": "identify", "urls": []})
    ('body', 'urls')
    """
    if not isinstance(body, dict) or tuple(loc[:1]) != ("body",):
        return tuple(loc)
    place, at = ["body"], body
    for part in loc[1:-1]:
        if isinstance(at, dict) and part not in at:
            continue
        place.append(part)
        at = at[part] if isinstance(at, dict) else None
    return (*place, *loc[1:][-1:])


def fault(errors: Sequence[Any]) -> str:
    """The first thing that is wrong with a request as one sentence, and how many more there are.

    >>> fault([{"loc": ("query", "limit"), "msg": "Input should be at most 1000", "type": "most"}])
    'query.limit: Input should be at most 1000'
    """
    if not errors:
        return "the request is not as it has to be"
    (first,), others = faults(errors[:1], native=True), len(errors) - 1
    place = ".".join(map(str, first["loc"])) or "request"
    more = f" (and {others} more, see `errors`)" if others else ""
    return f"{place}: {first['msg']}{more}"


def faults(errors: Sequence[Any], *, native: bool = False) -> list[dict[str, Any]]:
    """What is wrong with the parts of a request: where, what, and of which kind.

    What was sent is not repeated: it may be large, secret, or nothing that JSON can hold. Clients
    of former systems know messages as the framework begins them.
    """
    begun = "Value error, " if native else ""
    return [
        {
            "loc": [part if isinstance(part, int) else str(part)[:100] for part in one["loc"]],
            "msg": str(one["msg"]).removeprefix(begun)[:200],
            "type": str(one["type"]),
        }
        for one in errors[:_MOST_ERRORS]
    ]


def kind_of(error: KenspeckleError) -> str:
    """The name of an error's class as programs are told it.

    >>> kind_of(NotEnrolled("a", "not here"))
    'not-enrolled'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def install(app: FastAPI) -> None:
    """Let an application answer errors with problem details."""

    async def handle(request: Request, error: Exception) -> Response:
        return answer(error, request)

    for kind in (KenspeckleError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)
