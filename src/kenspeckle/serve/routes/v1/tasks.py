"""The pictures and tasks that a request to analyse brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from kenspeckle.serve import reading
from kenspeckle.serve.routes.analyze_read import form_of
from kenspeckle.serve.routes.v1 import received
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.schemas import analysis as shapes

if TYPE_CHECKING:
    from fastapi import Request

_TASKS = TypeAdapter(shapes.Tasks)
_EXAMPLE = {
    "url": "https://example.com/photo.jpg",
    "tasks": [{"id": "face", "type": "detect_bounding_box", "target": "prominent_face"}],
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/AnalysisAsked"},
                "example": _EXAMPLE,
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image", "tasks"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                        },
                        "tasks": {"type": "string", "description": "The tasks as JSON."},
                        "crops": {"type": "string", "enum": ["true", "false"]},
                    },
                }
            },
        },
    }
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks."""

    pictures: Sequence[Sent]
    tasks: Sequence[shapes.Task]
    crops: bool


async def wanted(request: Request, most: int) -> Wanted:
    """Pictures and tasks of a request.

    Raises RequestValidationError, HTTPException for too many of them and for other content types.
    """
    kind = received.content_type(request)
    if kind == "multipart/form-data":
        asked = await _form(request, most)
    elif kind != "application/json":
        expected = "multipart/form-data or application/json"
        raise HTTPException(415, f"content type: {kind or 'none'}; expected {expected}")
    else:
        data = await request.body()
        asked = await reading.of_text(data, lambda: _told(data))
    if not asked.pictures:
        raise received.none_of(kind)
    if len(asked.pictures) * len(asked.tasks) > most:
        count = f"{len(asked.pictures)} pictures with {len(asked.tasks)} tasks each"
        raise received.wrong(("body",), f"{count}; at most {most} in all", "too_long")
    if len({one.id for one in asked.tasks}) < len(asked.tasks):
        raise received.wrong(("body", "tasks"), "two tasks have one id", "unique")
    return asked


async def _form(request: Request, most: int) -> Wanted:
    form = await form_of(request, files=most + 1)
    try:
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        files = [one for one in form.getlist(received.FIELD) if isinstance(one, UploadFile)]
        unknown = sorted({*form.keys()} - {received.FIELD, "tasks", "crops"})
        if unknown or received.FIELD in texts or "tasks" not in texts:
            name = unknown[0] if unknown else received.FIELD if "tasks" in texts else "tasks"
            raise received.wrong(("body", name[:100]), "missing, or not expected here", "form")
        if texts.get("crops", "false") not in ("true", "false"):
            raise received.wrong(("body", "crops"), "true or false", "form")
        pictures = [Sent(one.filename or "", await one.read()) for one in files]
    finally:
        await form.close()
    told = texts["tasks"].encode("utf-8", "surrogatepass")
    tasks = await reading.of_text(told, lambda: _listed(told))
    return Wanted(pictures, tasks, texts.get("crops") == "true")


def _told(data: bytes) -> Wanted:
    shape = received.shaped(data, shapes.AnalysisAsked)
    return Wanted(received.sent(shape), shape.tasks, shape.crops)


def _listed(data: bytes) -> Sequence[shapes.Task]:
    reading.count(data)
    try:
        return _TASKS.validate_json(data)
    except ValidationError as error:
        raise RequestValidationError(received.faults(error, "tasks")) from error
