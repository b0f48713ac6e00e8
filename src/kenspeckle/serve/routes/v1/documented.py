"""What the API's own description says of requests and errors, in one place for all routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path

from kenspeckle.serve.schemas import asked
from kenspeckle.serve.schemas.base import Problem

RegionRule = Literal["whole", "center", "windows", "quad", "auto"]
Features = Literal["sift", "orb", "off"]

GalleryName = Annotated[
    str,
    Path(
        description="The name of a gallery; `-` is the first.", examples=["things"], max_length=255
    ),
]

_MEANS = {
    400: "Something sent cannot be used: a picture, an address, a cursor.",
    401: "A key is needed, or the one sent is not known.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    409: "It contradicts what is stored, or another process is writing.",
    413: "The request, or a picture in it, is too large.",
    415: "The content type is none that is taken here.",
    422: "The request is not of the shape that is documented.",
    429: "Too many requests; `Retry-After` says when to come back.",
    503: "Too busy, or stopping; `Retry-After` says when to come back.",
}
ALWAYS = (401, 403, 404, 408, 413, 422, 429, 503)
_MEANS[408] = "The request did not arrive in time."


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route as its description lists them, with those that any route has."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wait = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return {
        status: {
            "description": _MEANS[status],
            "content": content,
            **({"headers": wait} if status in (429, 503) else {}),
        }
        for status in sorted({*statuses, *ALWAYS})
    }


_FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


def one_picture(fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of a route that takes one picture; `fields` are further parts of a form."""
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": _FILE, **(fields or {})},
    }
    return _body(form, asked.Picture, {"url": "https://example.com/photo.jpg"})


def pictures(most: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of a route that takes several."""
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "items": _FILE, "minItems": 1, "description": most},
            **(fields or {}),
        },
    }
    some = [{"url": "https://example.com/a.jpg"}, {"url": "https://example.com/b.jpg"}]
    return _body(form, asked.Pictures, {"pictures": some})


def _body(form: dict[str, Any], shape: type[Any], example: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{shape.__name__}"},
                    "example": example,
                },
                "image/*": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    }


COMPONENTS = (Problem, asked.Picture, asked.Pictures)
"""Shapes that are told of by name only; the description has to bring them along."""
