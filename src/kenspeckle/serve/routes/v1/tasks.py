"""The pictures and tasks that a request to analyse brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

from kenspeckle.serve import reading
from kenspeckle.serve.forms import content_type
from kenspeckle.serve.routes.v1 import received
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.schemas import analysis as shapes
from kenspeckle.serve.schemas.asked import Pictures

if TYPE_CHECKING:
    from fastapi import Request

_TASKS = TypeAdapter(shapes.Tasks)
_LONGEST = 4 * 1024 * 1024
"""Longest list of tasks in a form, bytes."""
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
                    "additionalProperties": False,
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


class _Said(Pictures):
    """What the parts of a form say that are no pictures."""

    tasks: str
    crops: Literal["true", "false"] = "false"


async def wanted(request: Request, most: int) -> Wanted:
    """Pictures and tasks of a request.

    Raises RequestValidationError, HTTPException for too many of them and for other content types.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        asked = await _form(request, most)
    elif kind != "application/json":
        expected = "multipart/form-data or application/json"
        raise HTTPException(415, f"content type: {kind or 'none'}; expected {expected}")
    else:
        data = await request.body()
        asked = await reading.of_text(data, lambda: _told(data, most))
    if not asked.pictures:
        raise received.none_of(kind)
    if len(asked.pictures) > most:
        raise received.too_many(len(asked.pictures), most)
    if len(asked.pictures) * len(asked.tasks) > most:
        count = f"{len(asked.pictures)} pictures with {len(asked.tasks)} tasks each"
        raise received.wrong(("body",), f"{count}; at most {most} in all", "too_long")
    if len({one.id for one in asked.tasks}) < len(asked.tasks):
        raise received.wrong(("body", "tasks"), "two tasks have one id", "unique")
    return asked


async def _form(request: Request, most: int) -> Wanted:
    got = await received.form(request, most, _Said, _LONGEST)
    data = got.said.tasks.encode()
    tasks = await reading.of_text(data, lambda: _listed(data))
    return Wanted(got.pictures, tasks, got.said.crops == "true")


def _told(data: bytes, most: int) -> Wanted:
    got = received.told(data, shapes.AnalysisAsked, most)
    return Wanted(got.pictures, got.said.tasks, got.said.crops)


def _listed(data: bytes) -> Sequence[shapes.Task]:
    reading.count(data)
    try:
        return _TASKS.validate_json(data)
    except ValidationError as error:
        raise RequestValidationError(received.faults(error, "tasks")) from error
