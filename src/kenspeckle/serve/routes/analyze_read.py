"""How requests of the surface `analyze` are read, and how it tells what is wrong with them.

A JSON body of another shape is 422 with a list, a bad task list in a form is 400 with a sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from kenspeckle.flows.tasks import Task
from kenspeckle.serve import reading
from kenspeckle.serve.forms import content_type, multipart
from kenspeckle.serve.routes.analyze_shapes import AnalyzeShape, Tasks, TaskShape

if TYPE_CHECKING:
    from fastapi import Request

LONGEST_ECHO = 1000
"""Characters of what was sent that an error shows again."""
MOST_TEXT = 4 * 1024 * 1024
"""Longest part of a form that is no file, bytes."""
BAD_TASKS = "Invalid tasks JSON format or structure:"

_TASKS = TypeAdapter(Tasks)


def tasks_of(shapes: Sequence[TaskShape]) -> list[Task]:
    """The tasks that were asked."""
    return [Task(one.operation_id, one.type, one.params or {}) for one in shapes]


async def json_request(request: Request, most: int) -> tuple[str, list[Task]]:
    """Address and tasks of a JSON request. Raises RequestValidationError.

    A body of no content type is taken for JSON, as by the framework of the former service: its
    clients need not say it. Pages of other origins, which could send such a body unasked, are
    refused before.
    """
    said, kind = request.headers.get("content-type"), content_type(request)
    if said and kind != "application/json" and not kind.endswith("+json"):
        raise _wrong(("body",), "the content type must be application/json", "content_type", kind)
    data = await request.body()
    shape = await reading.of_text(data, lambda: _shaped(data))
    if len(shape.tasks) > most:
        message = f"{len(shape.tasks)} tasks; at most {most} in one request"
        raise _wrong(("body", "tasks"), message, "too_long", None)
    return str(shape.image_url), tasks_of(shape.tasks)


def _shaped(data: bytes) -> AnalyzeShape:
    try:
        return AnalyzeShape.model_validate_json(data)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**one, "loc": ("body", *one["loc"]), "input": _again(one["input"])}
                for one in error.errors(include_url=False)
            ]
        ) from error


async def form_request(request: Request, most: int) -> tuple[str, bytes, list[Task]]:
    """Name and bytes of the file, and the tasks, of a form.

    Raises RequestValidationError for a part that is missing or of another kind, HTTPException 400
    for tasks that cannot be read.
    """
    form = await _form(request)
    try:
        file, text = form.get("image_file"), form.get("tasks_json")
        if not isinstance(file, UploadFile) or not isinstance(text, str) or not text:
            raise RequestValidationError([*_bad_file(file), *_bad_text(text)])
        name, data = file.filename or "", await file.read()
    finally:
        await form.close()
    told = text.encode("utf-8", "surrogateescape")
    return name, data, await reading.of_text(told, lambda: _listed(told, most))


async def _form(request: Request) -> FormData:
    """The parts of a form, empty for another kind of body; close it when it is read.

    Raises HTTPException 400 for one that is broken or has too many parts, RequestValidationError
    for a charset that is not known, ServiceBusy.
    """
    if content_type(request) != "multipart/form-data":
        return FormData()
    try:
        return await multipart(request, files=8, fields=32, longest=MOST_TEXT)
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error


def _listed(text: bytes, most: int) -> list[Task]:
    reading.count(text)
    try:
        shapes = _TASKS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        detail = f"{BAD_TASKS} {where + ': ' if where else ''}{first['msg']}"
        raise HTTPException(400, _short(detail)) from error
    if len(shapes) > most:
        detail = f"{BAD_TASKS} {len(shapes)} tasks; at most {most} in one request"
        raise HTTPException(400, detail)
    return tasks_of(shapes)


def _bad_file(sent: object) -> list[dict[str, Any]]:
    if isinstance(sent, UploadFile):
        return []
    if sent is None:
        return [_fault("image_file", "missing", "Field required", None)]
    return [_fault("image_file", "value_error", "Value error, Expected UploadFile", sent)]


def _bad_text(sent: object) -> list[dict[str, Any]]:
    if isinstance(sent, UploadFile):
        return [_fault("tasks_json", "string_type", "Input should be a valid string", None)]
    return [] if sent else [_fault("tasks_json", "missing", "Field required", sent)]


def _fault(part: str, kind: str, message: str, sent: object) -> dict[str, Any]:
    return {"type": kind, "loc": ("body", part), "msg": message, "input": sent}


def _wrong(
    place: tuple[str | int, ...], message: str, kind: str, sent: Any
) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": place, "msg": message, "input": sent}])


def faults_told(error: RequestValidationError) -> Response:
    """The list of a 422; what was sent is shown again where it is short."""
    faults = [
        {
            "type": one["type"],
            "loc": [_short(part) if isinstance(part, str) else part for part in one["loc"]],
            "msg": _short(str(one["msg"])),
            "input": _again(one.get("input")),
        }
        for one in error.errors()[:20]
    ]
    return plain({"detail": faults}, 422)


def plain(told: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in ASCII, which no text that was sent can break."""
    body = json.dumps(told, allow_nan=False, separators=(",", ":"))
    return Response(body, status, dict(headers or {}), media_type="application/json")


def _again(value: Any) -> Any:
    if isinstance(value, str):
        return _short(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    length = 0
    try:
        for part in json.JSONEncoder(allow_nan=False).iterencode(value):
            length += len(part)
            if length > LONGEST_ECHO:
                return None
    except (TypeError, ValueError, RecursionError):
        return None
    return value


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"
