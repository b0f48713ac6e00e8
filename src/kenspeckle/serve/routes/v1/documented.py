"""What the API's own description says of requests and errors, in one place for all routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query

from kenspeckle.serve.schemas import asked
from kenspeckle.serve.schemas.analysis import AnalysisAsked
from kenspeckle.serve.schemas.base import Problem

RegionRule = Literal["whole", "center", "windows", "quad", "auto"]
Features = Literal["sift", "orb", "off"]

GalleryName = Annotated[
    str,
    Path(
        description="The name of a gallery; `-` is the first.", examples=["things"], max_length=255
    ),
]

Limit = Annotated[int, Query(ge=1, le=1000, description="Most rows of a page.", examples=[100])]
Cursor = Annotated[
    str | None,
    Query(
        alias="cursor",
        description="The `next` of the page before; without it, the first.",
    ),
]
Top = Annotated[int, Query(ge=1, le=100, description="Most items that are told.")]
Key = Annotated[
    str,
    Path(description="The key of an item.", examples=["red mug"], min_length=1, max_length=2000),
]
Variant = Annotated[
    str | None, Query(max_length=1000, description="As in the body: print or finish.")
]
Number = Annotated[int, Path(ge=1, lt=2**63, description="The id of a reference.", examples=[17])]

_MEANS = {
    400: "Something sent cannot be used: a picture, an address, a cursor.",
    401: "A key is needed, or the one sent is not known.",
    403: "The key may not do this, or pages of this origin may not ask.",
    404: "There is no such thing.",
    408: "The request did not arrive in time.",
    409: "It contradicts what is stored, or another process is writing.",
    413: "The request, or a picture in it, is too large.",
    415: "The content type is none that is taken here.",
    422: "The request is not of the shape that is documented.",
    429: "Too many requests; `Retry-After` says when to come back.",
    503: "Too busy, or stopping; `Retry-After` says when to come back.",
}
ALWAYS = (401, 403, 404, 408, 413, 422, 429, 503)


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


def one_picture(shape: type[Any] = asked.Picture) -> dict[str, Any]:
    """The body of a route that takes one picture; `shape` is its form as JSON."""
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {**_FILE, "description": "The picture."}},
        "additionalProperties": False,
    }
    return _body(form, shape, {"url": "https://example.com/photo.jpg"})


def pictures(
    what: str,
    fields: dict[str, Any] | None = None,
    shape: type[Any] = asked.Pictures,
    example: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a route that takes several; `fields` are further parts of a form."""
    several = {"type": "array", "items": _FILE, "minItems": 1, "description": what}
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": several, **(fields or {})},
        "additionalProperties": False,
    }
    some = [{"url": "https://example.com/a.jpg"}, {"url": "https://example.com/b.jpg"}]
    return _body(form, shape, example or {"pictures": some})


ABOUT: dict[str, Any] = {
    "label": {"type": "string", "maxLength": 1000, "description": "The item's name for people."},
    "key": {"type": "string", "maxLength": 1000, "description": "Its key; made of the label."},
    "variant": {"type": "string", "maxLength": 1000, "description": "Print or finish."},
    "metadata": {"type": "string", "description": "A JSON object of texts.", "maxLength": 200_000},
}


def enrolment() -> dict[str, Any]:
    """The body of a route that enrols pictures."""
    example = {"url": "https://example.com/red_mug.jpg", "label": "Red Mug"}
    return pictures("The pictures.", ABOUT, asked.Enrolment, example)


def item_pictures() -> dict[str, Any]:
    """The body of a route that gives pictures to an item."""
    fields = {name: ABOUT[name] for name in ("variant", "metadata")}
    example = {"url": "https://example.com/red_mug.jpg"}
    return pictures("The pictures.", fields, asked.Additions, example)


def search() -> dict[str, Any]:
    """The body of a search."""
    return one_picture(shape=asked.Search)


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


COMPONENTS = (
    Problem,
    asked.Picture,
    asked.Pictures,
    asked.Enrolment,
    asked.Additions,
    asked.Search,
    AnalysisAsked,
)
"""Shapes that are told of by name only; the description has to bring them along."""
