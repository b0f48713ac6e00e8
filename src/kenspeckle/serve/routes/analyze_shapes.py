"""What requests and answers of the surface `analyze` look like: as those of the service that it
replaces, so unknown fields are passed over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, HttpUrl


class TaskShape(BaseModel):
    """One thing that is asked about the picture."""

    operation_id: str = Field(description="Names the result.", examples=["face"])
    type: str = Field(description="An operation.", examples=["detect_bounding_box"])
    params: dict[str, Any] | None = Field(None, examples=[{"target": "prominent_face"}])


Tasks = Annotated[list[TaskShape], Field(max_length=10_000, fail_fast=True)]


class AnalyzeShape(BaseModel):
    """A picture by its address, and what is asked about it."""

    image_url: HttpUrl = Field(examples=["https://example.com/photo.jpg"])
    tasks: Tasks


class OperationResult(BaseModel):
    """What came of one task."""

    status: Literal["success", "error", "skipped"]
    data: Any = Field(description="Numbers of a box or a vector, a caption, a classification.")
    cropped_image_bbox: list[int] | None = Field(description="[xmin, ymin, xmax, ymax] in pixels.")
    cropped_image_base64: str | None = Field(description="That part as a PNG.")
    error_message: str | None


class ImageAnalysisResponse(BaseModel):
    """The results by operation id, in the order asked."""

    image_url: str
    results: dict[str, OperationResult]


class OperationInfo(BaseModel):
    """One operation."""

    description: str
    allowed_targets: list[str]
    default_target: str


class AvailableOperations(BaseModel):
    """What can be asked."""

    operations: dict[str, OperationInfo]


class Refusal(BaseModel):
    """Why a request was not answered, in a sentence."""

    detail: str


class Fault(BaseModel):
    """One part of a request that is of another shape than documented."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class Faults(BaseModel):
    """Why a request was not understood."""

    detail: list[Fault]


FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image_file", "tasks_json"],
                    "properties": {
                        "image_file": {"type": "string", "format": "binary"},
                        "tasks_json": {
                            "type": "string",
                            "minLength": 1,
                            "description": "The list of tasks as JSON.",
                            "example": '[{"operation_id": "face", "type": "detect_bounding_box"}]',
                        },
                    },
                }
            }
        },
    }
}
JSON: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnalyzeShape"}}},
    }
}
