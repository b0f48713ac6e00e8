"""What is told of a photo: the decision, what led to it, and how long it took."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kenspeckle.serve.schemas.base import Number, Problem, Share, Told

Url = Annotated[str, Field(examples=["/v1/galleries/things/references/17/picture"])]
Pair = Annotated[list[int], Field(min_length=2, max_length=2)]
Point = tuple[Number, Number]


class Area(Told):
    """A part of a photo, in pixels after its EXIF rotation."""

    kind: str = Field(examples=["whole"], description="The rule that found it.")
    box: Annotated[
        tuple[int, int, int, int],
        Field(examples=[(0, 0, 1024, 768)], description="x0, y0, x1, y1, half-open."),
    ]
    corners: list[Point] | None = Field(
        None, description="Of a flat thing, clockwise from its own top left."
    )


class Candidate(Told):
    """An item that a photo may show, by the reference that is nearest."""

    key: str = Field(examples=["red mug"])
    label: str = Field(examples=["Red Mug"])
    variant: str = Field(examples=[""])
    similarity: Number = Field(examples=[0.83], description="Cosine, -1 to 1.")
    reference: str = Field(examples=["red_mug.jpg"], description="The path of the reference.")
    reference_id: int = Field(examples=[17])
    picture_url: Url
    thumbnail_url: Url
    metadata: dict[str, str] = Field(examples=[{}])


class Evidence(Told):
    """What a second look, a printed code or printed text said about the best candidate."""

    kind: str = Field(examples=["geometry"])
    verdict: Literal["agrees", "disagrees", "abstains"]
    numbers: dict[str, Number]


class Decision(Told):
    """The item that a photo, or a region of it, shows, or that it is none; and why."""

    known: bool
    key: str = Field(examples=["red mug"], description="Empty when unknown.")
    label: str = Field(examples=["Red Mug"], description="Empty when unknown.")
    variant: str = Field(examples=[""])
    variant_certain: bool = Field(description="False where two prints of the item score alike.")
    confidence: Share | None = Field(
        examples=[0.97], description="Chance that the name is right; null where nothing tells."
    )
    score: Number = Field(examples=[0.21], description="What is compared with the threshold.")
    threshold: Number | None = Field(
        examples=[0.12], description="Null where the gallery is not calibrated."
    )
    similarity: Number = Field(examples=[0.83])
    margin: Number | None = Field(
        examples=[0.21], description="To the best other item; null where there is none."
    )
    reasons: list[str] = Field(examples=[["margin 0.210 above the threshold 0.120"]])
    region: Area
    candidates: list[Candidate]
    evidence: list[Evidence]


class Model(Told):
    """What made the vectors. Vectors of two models cannot be compared unless `space_id` agrees."""

    name: str = Field(examples=["efflite0-288-gem-w384"])
    space_id: str = Field(examples=["9f2ab1c07d3e4f51"])
    width: int = Field(examples=[384], description="Numbers in a vector.")


class Timed(Told):
    """How long an answer took, altogether and by stage."""

    elapsed_seconds: Number = Field(examples=[0.034])
    stages: dict[str, Number] = Field(
        examples=[{"decode": 0.006, "embedding": 0.021, "search": 0.001}],
        description="Seconds: download, decode, detection, embedding, search, as they apply.",
    )


class Identified(Timed):
    """Which item a photo shows, or that it is none of them, and why."""

    gallery: str = Field(examples=["things"])
    image_size: Pair = Field(examples=[[1024, 768]], description="Width and height, pixels.")
    decision: Decision
    regions: list[Decision] = Field(
        description="What each part of the photo is by itself; printed codes and text are read for "
        "the whole photo alone."
    )
    stale: str = Field(
        examples=[""], description="Why the calibration is out of date; empty where it is not."
    )
    model: Model


class Failed(Told):
    """A picture of several that could not be used; the others are answered all the same."""

    name: str = Field(examples=["broken.jpg"])
    problem: Problem


class NamedAnswer(Told):
    """The answer for one picture of several."""

    name: str = Field(examples=["photo.jpg"])
    answer: Identified


class IdentifiedBatch(Timed):
    """An answer, or a problem, for each picture, in the order in which they were sent."""

    answers: list[NamedAnswer | Failed]
    failed: int = Field(ge=0, examples=[0])
