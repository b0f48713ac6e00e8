"""Pictures that a request brings: parts of a form, addresses or base64 in JSON, or the body itself.

All routes that take pictures take them in all of these ways.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException

from kenspeckle.serve import reading
from kenspeckle.serve.forms import InMemory, multipart
from kenspeckle.serve.forms import content_type as content_type
from kenspeckle.serve.schemas import asked
from kenspeckle.serve.schemas.asked import MOST_DETAILS, MOST_PICTURES

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=asked.Pictures)
T = TypeVar("T")

FIELD = "image"
"""The part of a form that holds a picture; several pictures are several parts of this name."""
OF_PICTURES = ("url", "data", "name", "pictures")
"""What says in JSON which pictures there are; a form has files instead."""
NOTHING: Mapping[str, str] = MappingProxyType({})
FIELDS = 32
"""Most other parts of a form."""
MOST_TEXT = 256 * 1024
"""Longest other part of a form, bytes."""
SLICE = 128 * 1024
"""Characters of base64 decoded at once, a multiple of four: half a millisecond."""
MOST_FAULTS = 200
"""Most things wrong with one body that are told one by one."""
_ENCODE = "Send it padded with =, without line breaks and without a data: prefix"
_CUT = "it ends in the middle of a part, before its last boundary; send all of it again"


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture: its bytes, or the address that it has to be fetched from; `name` as the client
    calls it, empty where it does not. `fault` says why there are no bytes."""

    name: str
    data: bytes | None = None
    url: str = ""
    fault: RequestValidationError | None = None

    def check(self) -> None:
        """Raises RequestValidationError for a picture whose bytes could not be read."""
        if self.fault is not None:
            raise self.fault


@dataclass(frozen=True, slots=True)
class Received(Generic[P]):
    """The pictures that a request brought, and all that it said."""

    pictures: tuple[Sent, ...]
    said: P


class _Whole(InMemory):
    """Takes no form that was cut off, and no text that is none."""

    _ended = False

    def on_part_end(self) -> None:
        """A part is whole. Raises RequestValidationError for a text in another charset."""
        part, charset = self._current_part, self._charset
        if part.file is None:
            try:
                part.data.decode(charset)
            except UnicodeDecodeError as error:
                found = f"not {charset}; expected text in UTF-8"
                raise wrong(("body", part.field_name), found, "charset") from error
        super().on_part_end()

    def on_end(self) -> None:
        """The last boundary was there."""
        self._ended = True

    async def parse(self) -> FormData:
        """The form. Raises MultiPartException for one that was cut off or is broken otherwise."""
        self.stream = self._to_the_end(self.stream)
        return await super().parse()

    async def _to_the_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        begun = False
        async for piece in stream:
            begun = begun or bool(piece)
            yield piece
        if begun and not self._ended:
            raise MultiPartException(_CUT)


async def received(
    request: Request, most: int, shape: type[P], beside: Mapping[str, str] = NOTHING
) -> Received[P]:
    """The pictures of a request, 1 to `most`, and what `shape` has beside pictures.

    `beside` is what the query says of the same: a picture alone can say nothing else. Raises
    RequestValidationError for what is not of the shape that is documented, HTTPException 413 for
    too many, 415 for another content type.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        got = await form(request, most, shape)
    elif kind == "application/json":
        data = await request.body()
        got = await reading.of_text(data, lambda: told(data, shape, most))
    elif kind.startswith("image/") or kind == "application/octet-stream":
        got = Received((Sent("", await request.body()),), shape(pictures=[]))
    else:
        raise HTTPException(
            415,
            f"content type: {kind or 'none'}; expected multipart/form-data, application/json or "
            "a picture's own",
        )
    if not got.pictures:
        raise none_of(kind)
    if len(got.pictures) > most:
        raise too_many(len(got.pictures), most)
    return Received(got.pictures, _joined(got.said, beside)) if beside else got


def _joined(said: P, beside: Mapping[str, str]) -> P:
    """What the body says, and the query beside it. Raises RequestValidationError for both."""
    for name in beside:
        if name in said.model_fields_set:
            raise wrong(("query", name), "the body says it too; say it once", "twice")
    return said.model_copy(update=beside)


async def one_picture(request: Request, several: str = "") -> Sent:
    """The only picture of a request; `several` is where more are taken. Raises as `received`."""
    try:
        (picture,) = (await received(request, 1, asked.Pictures)).pictures
    except HTTPException as error:
        if error.status_code == 413 and several:
            raise HTTPException(413, f"{error.detail}. Send several by POST {several}") from error
        raise
    picture.check()
    return picture


async def body(request: Request, shape: type[M]) -> M:
    """The JSON body as this shape. Raises RequestValidationError."""
    data = await request.body()
    return await reading.of_text(data, lambda: shaped(data, shape))


def wrong(place: tuple[str | int, ...], message: str, kind: str) -> RequestValidationError:
    """The error for one part of a request."""
    return RequestValidationError([{"loc": place, "msg": message, "type": kind}])


def none_of(kind: str) -> RequestValidationError:
    """The error for a body of this content type that brings no picture."""
    name = "pictures" if kind == "application/json" else FIELD
    return wrong(("body", name), "no picture; send at least one", "missing")


def too_many(found: int | str, most: int) -> HTTPException:
    """The error for more pictures than one request may have."""
    return HTTPException(413, f"request: {found} pictures; expected at most {most} here")


def shaped(data: bytes, shape: type[M]) -> M:
    """JSON as this shape. Raises RequestValidationError."""
    try:
        return shape.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(error, shape) from error


def told(data: bytes, shape: type[P], most: int) -> Received[P]:
    """The pictures that JSON brings, and all that it says.

    Raises RequestValidationError, HTTPException 413 for more than any request may have.
    """
    try:
        said = shaped(data, shape)
    except RequestValidationError as error:
        (first, *_) = error.errors()
        if first["type"] == "too_long" and first["loc"] == ("body", "pictures"):
            raise too_many(f"more than {MOST_PICTURES}", most) from error
        raise
    return Received(sent(said), said)


def sent(said: asked.Pictures) -> tuple[Sent, ...]:
    """The pictures that JSON brings. Of several, one that is no base64 has that as its fault.

    Raises RequestValidationError where it is the only one that can be said.
    """
    if said.pictures is None:
        return (alone(said),)
    return tuple(_one(row, place) for place, row in enumerate(said.pictures))


def alone(said: asked.Pictures | asked.Search) -> Sent:
    """The picture that JSON brings by itself. Raises RequestValidationError for no base64."""
    name = said.name if isinstance(said, asked.Pictures) else ""
    if said.url is not None:
        return Sent(name or said.url, None, said.url)
    return Sent(name, decoded(said.data or "", ("data",)))


def _one(row: asked.Picture, place: int) -> Sent:
    if row.url is not None:
        return Sent(row.name or row.url, None, row.url)
    try:
        return Sent(row.name, decoded(row.data or "", ("pictures", place, "data")))
    except RequestValidationError as error:
        return Sent(row.name, fault=error)


def decoded(text: str, place: tuple[str | int, ...], of: str = "the file") -> bytes:
    """The bytes of base64, `of` what it says. Raises RequestValidationError.

    A slice at a time, between which other threads have their turn.
    """
    try:
        if "=" in text[:-2]:
            raise ValueError("it goes on after its padding")
        slices = (text[at : at + SLICE] for at in range(0, len(text), SLICE))
        return b"".join(base64.b64decode(one, validate=True) for one in slices)
    except ValueError as error:
        found = f"not base64; expected {of} in base64. {_ENCODE}"
        raise wrong(("body", *place), found, "base64") from error


def faults(error: ValidationError, *place: str) -> list[dict[str, Any]]:
    """What is wrong with the part of a body at `place`; of very much, only how much it is."""
    count = error.error_count()
    if count > MOST_FAULTS:  # to list them takes longer than to find them
        message = f"{count} things are wrong with it"
        return [{"loc": ("body", *place), "msg": message, "type": "too_many_faults"}]
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [{**one, "loc": ("body", *place, *one["loc"])} for one in found]


def _invalid(
    error: ValidationError, shape: type[BaseModel], apart: Collection[str] = ()
) -> RequestValidationError:
    """What is wrong with a body; a name that it has not is told with those that it has, of which
    `apart` are said in another way."""
    names = ", ".join(name for name in shape.model_fields if name not in apart)
    expected = f"expected {names}" if names else "no text is expected here"
    found = faults(error)
    for one in found:
        if one["type"] == "extra_forbidden" and len(one["loc"]) == 2:
            one["msg"] = f"no such field; {expected}" if names else expected
        elif one["type"] == "too_many_faults":
            one["msg"] += f"; {expected}"
    return RequestValidationError(found)


async def form(
    request: Request, most: int, shape: type[P], longest: int = MOST_TEXT
) -> Received[P]:
    """The pictures of a form, at most so many, and what its other parts say, of at most `longest`
    bytes each. Raises RequestValidationError, HTTPException 413 for too many, ServiceBusy."""
    files = most + FIELDS  # some more, so that it is told how many they are
    try:
        parts = await multipart(request, files=files, fields=FIELDS, longest=longest, reader=_Whole)
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise too_many(f"more than {files}", most) from error
        raise wrong(("body",), f"a form that cannot be read ({error.message})", "form") from error
    try:
        pictures, fields = await _read(parts)
    finally:
        await parts.close()
    if len(pictures) > most:
        raise too_many(len(pictures), most)
    return Received(tuple(pictures), _said(fields, shape))


async def _read(parts: FormData) -> tuple[list[Sent], dict[str, str]]:
    """The pictures of a form, and its other parts. Raises RequestValidationError."""
    pictures: list[Sent] = []
    fields: dict[str, str] = {}
    for name, value in parts.multi_items():
        if isinstance(value, UploadFile):
            if name != FIELD:
                raise wrong(("body", name), f"a file where '{FIELD}' is expected", "form")
            pictures.append(Sent(value.filename or "", await value.read()))
        elif name in (FIELD, *OF_PICTURES):
            found = f"a text; expected a file in '{FIELD}' (curl: -F {FIELD}=@FILE), or JSON"
            raise wrong(("body", name), found, "form")
        elif name in fields:
            raise wrong(("body", name), "said twice; say it once", "form")
        else:
            fields[name] = value
    return pictures, fields


def _said(fields: Mapping[str, str], shape: type[P]) -> P:
    """What the other parts of a form say; `metadata` is a JSON object."""
    told: dict[str, Any] = {**fields, "pictures": []}
    if "metadata" in told:
        try:
            told["metadata"] = json.loads(told["metadata"])
        except (ValueError, RecursionError) as error:
            raise wrong(("body", "metadata"), "not a JSON object", "json") from error
        if isinstance(told["metadata"], dict) and (count := len(told["metadata"])) > MOST_DETAILS:
            message = f"{count} names; expected at most {MOST_DETAILS}"
            raise wrong(("body", "metadata"), message, "too_long")
    try:
        return shape.model_validate(told)
    except ValidationError as error:
        raise _invalid(error, shape, OF_PICTURES) from error
