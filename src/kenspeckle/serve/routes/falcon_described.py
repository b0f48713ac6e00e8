"""What the description of the surface `falcon` tells beside its routes: the parts of a frame under
a name of their own, and `/health`, which all surfaces of a port share."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from fastapi import FastAPI

FRAME = "frame"
"""The operation that takes a frame."""
_GIVEN = f"Body_{FRAME}"
_ASKED = "FrameAsked"
_AT = "#/components/schemas/"


class Health(BaseModel):
    """The state of the service. What is read from the index is absent while it cannot be read."""

    phase: str = Field(examples=["ready"], description="`loading`, `ready`, `failing`, `stopping`")
    model_loaded: bool
    device: str = Field(examples=["cpu"])
    index_size: int = Field(default=0, description="references")
    has_projection: bool = False
    has_yolo: bool = False
    sim_threshold: float = Field(default=0.0, description="0 where the margin decides")
    margin_threshold: float = Field(default=0.0, description="0 where the cosine decides")
    requests_served: int = Field(default=0, description="frames that were answered")
    last_query: str = Field(default="", description="always empty")
    decides: dict[str, Any] = Field(default={}, description="the rule that names things")
    version: str
    uptime_seconds: float


_HEALTH: dict[str, Any] = {
    "get": {
        "summary": "The state of the service",
        "description": "The ten fields of the former service, and those of this one.",
        "operationId": "health",
        "security": [],  # everybody may ask it
        "responses": {
            "200": {
                "description": "How it stands, also while it loads.",
                "content": {"application/json": {"schema": {"$ref": f"{_AT}Health"}}},
            }
        },
    }
}


def describe(app: FastAPI) -> None:
    """Let the document of the surface tell all that its clients can ask."""
    own = app.openapi

    def described() -> dict[str, Any]:
        document = own()
        shapes = document["components"]["schemas"]
        if _GIVEN in shapes:  # the framework keeps the document, and hands out the same again
            about = "A picture, and a text that changes nothing."
            shapes[_ASKED] = shapes.pop(_GIVEN) | {"title": _ASKED, "description": about}
            shapes[_ASKED]["properties"]["image"]["description"] = "the picture, a file"
            body = document["paths"]["/api/falcon"]["post"]["requestBody"]["content"]
            body["multipart/form-data"]["schema"] = {"$ref": f"{_AT}{_ASKED}"}
            shapes["Health"] = Health.model_json_schema()
            document["paths"]["/health"] = deepcopy(_HEALTH)
        return document

    app.openapi = described  # type: ignore[method-assign]
