"""Pictures that a request brings: parts of a form, addresses or base64 in JSON, or the body itself.

All routes that take pictures take them in all of these ways.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from kenspeckle.errors import InputError
from kenspeckle.serve.schemas import asked

M = TypeVar("M", bound=BaseModel)

FIELD = "image"
"""The part of a form that holds a picture; several pictures are several parts of this name."""
FIELDS = 32
"""Most other parts of a form."""
MOST_TEXT = 256 * 1024
"""Longest other part of a form, bytes."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture: its bytes, or the address that it has to be fetched from; `name` as the client
    calls it, empty where it does not."""

    name: str
    data: bytes | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """What a request brought: pictures, and the fields beside them as text."""

    pictures: tuple[Sent, ...]
    fields: dict[str, str]


class _InMemory(MultiPartParser):
    """Keeps files in memory: the whole body is bounded, and disks are slow."""

    spool_max_size = 0  # never rolled over to a disk


async def received(request: Request, most: int) -> Received:
    """The pictures and fields of a request, at most `most` pictures.

    Raises RequestValidationError for what is not of the shape that is documented, HTTPException
    413 for too many, 415 for another content type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        got = await _form(request, most)
    elif kind == "application/json":
        got = pictures_of(await body(request, asked.Pictures))
    elif kind.startswith("image/") or kind == "application/octet-stream":
        got = Received((Sent("", await request.body()),), {})
    else:
        raise HTTPException(
            415,
            f"content type: {kind or 'none'}; expected multipart/form-data, application/json or "
            "a picture's own",
        )
    if not got.pictures:
        raise wrong(("body", FIELD), "no picture; send at least one", "missing")
    if len(got.pictures) > most:
        raise too_many(len(got.pictures), most)
    return got


async def one_picture(request: Request) -> Sent:
    """The only picture of a request. Raises as `received`."""
    return (await received(request, 1)).pictures[0]


async def body(request: Request, shape: type[M]) -> M:
    """The JSON body as this shape. Raises RequestValidationError."""
    try:
        return shape.model_validate_json(await request.body())
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from error


def pictures_of(told: asked.Pictures) -> Received:
    """What a JSON body brings. Raises RequestValidationError for what is no base64."""
    rows: Sequence[asked.Picture] = told.pictures if told.pictures is not None else [told.single()]
    return Received(tuple(_sent(row, n) for n, row in enumerate(rows)), {})


def wrong(place: tuple[str | int, ...], message: str, kind: str) -> RequestValidationError:
    """The error for one part of a request."""
    return RequestValidationError([{"loc": place, "msg": message, "type": kind}])


def too_many(found: int | str, most: int) -> HTTPException:
    """The error for more pictures than one request may have."""
    return HTTPException(413, f"request: {found} pictures; expected at most {most} here")


def _sent(row: asked.Picture, place: int) -> Sent:
    if row.url:
        return Sent(row.name or row.url, None, row.url)
    try:
        data = base64.b64decode(row.data or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong(("body", "pictures", place, "data"), "not base64", "base64") from error
    return Sent(row.name, data)


async def _form(request: Request, most: int) -> Received:
    if not request.headers.get("content-type"):
        raise InputError("content type", "none", expected="multipart/form-data")
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=most + 1,  # one more, so that it is told as too many and not as a broken form
        max_fields=FIELDS,
        max_part_size=MOST_TEXT,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise too_many(f"more than {most + 1}", most) from error
        raise wrong(("body",), f"a form that cannot be read ({error.message})", "form") from error
    pictures, fields = [], {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != FIELD:
                raise wrong(("body", name[:100]), f"a file where '{FIELD}' is expected", "form")
            pictures.append(Sent(value.filename or "", await value.read()))
        elif name == FIELD:
            raise wrong(("body", FIELD), "text where a file is expected", "form")
        else:
            fields[name] = value
    return Received(tuple(pictures), fields)
