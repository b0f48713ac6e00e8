"""Shapes of `/v1/analyze`: tasks about pictures, and what came of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kenspeckle.serve.schemas.asked import Pictures
from kenspeckle.serve.schemas.base import Asked, Problem, Share, Told

Kind = Literal[
    "detect_bounding_box", "embed_clip_vit_b_32", "embed_dino_v2", "classify", "describe_image"
]
Target = Literal["whole_image", "prominent_person", "prominent_face"]
Box = Annotated[
    list[int], Field(min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels.")
]


class Task(Asked):
    """One thing that is asked about every picture."""

    id: Annotated[str, Field(min_length=1, max_length=200, examples=["face"])]
    type: Kind = Field(examples=["detect_bounding_box"])
    target: Target | None = Field(
        default=None, description="The part that is meant; the operation's own by default."
    )
    face_context: Literal["whole_image", "prominent_person"] | None = Field(
        default=None, description="Where a face is looked for; inside the surest person by default."
    )
    collection_id: int | None = Field(default=None, description="For `classify`.")
    max_length: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Tokens of a caption."
    )
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Another model than the one set, by its name in the table."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type == "classify" and (self.collection_id is None or self.model is not None):
            raise ValueError("classify needs collection_id, and its classifier names the model")
        return self


Tasks = Annotated[list[Task], Field(min_length=1, max_length=1000, fail_fast=True)]


class AnalysisAsked(Pictures):
    """Pictures, and what is asked about each of them."""

    tasks: Tasks
    crops: bool = Field(default=False, description="Send the parts that were used, as PNG.")


class Detected(Told):
    """Somebody, or a face."""

    box: Box
    score: Share
    label: str = Field(examples=["face"])


class Classified(Told):
    """Whether a picture belongs to a collection."""

    is_in_collection: bool
    probability: Share


class TaskResult(Told):
    """What came of one task about one picture."""

    id: str
    status: Literal["success", "skipped", "error"]
    message: str | None = Field(description="Why it was skipped or failed.")
    model: str = Field(description="What made it; empty where nothing did.")
    box: Box | None = Field(description="The part that was used; null: the whole picture.")
    crop: str | None = Field(description="That part as a PNG, base64.")
    detections: list[Detected] | None = Field(description="The surest first.")
    vector: list[float] | None = Field(description="As the model makes it, of any length.")
    caption: str | None
    classification: Classified | None


class AnalysedPicture(Told):
    """One picture."""

    name: str = Field(examples=["photo.jpg"])
    image_size: list[int] | None = Field(description="Width and height; null with a problem.")
    results: list[TaskResult]
    problem: Problem | None = Field(description="Why it cannot be used at all.")


class Analysed(Told):
    """All pictures, in their order."""

    pictures: list[AnalysedPicture]
    failed: int = Field(description="Pictures that could not be used.")
    elapsed_seconds: float
    stages: dict[str, float]


class ModelInUse(Told):
    """A model behind an operation."""

    use: str = Field(examples=["clip"])
    name: str = Field(examples=["openai/clip-vit-base-patch32"])
    available: bool
    missing: str = Field(description="Why it cannot be had, and what brings it.")


class OperationTold(Told):
    """One operation."""

    type: Kind
    description: str
    targets: list[Target]
    default_target: Target
    models: list[ModelInUse]


class Operations(Told):
    """What can be asked."""

    operations: list[OperationTold]
