"""What is told of galleries, their items and references, and of changes to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kenspeckle.serve.schemas.answers import Candidate, Failed, Model, Timed, Url
from kenspeckle.serve.schemas.base import Number, Share, Told


class Promise(Told):
    """How many strangers of one kind get a name, as trials tell."""

    strangers: Literal["given", "like your items", "general"]
    fpir: Share = Field(examples=[0.05], description="The expected rate.")
    low: Share
    high: Share = Field(description="The 95 % interval is from `low` to `high`.")
    trials: int = Field(ge=0)
    items: int = Field(ge=0)


class Calibration(Told):
    """The rule that decides, and what it promises."""

    score: str = Field(examples=["margin+cohort"])
    threshold: Number = Field(examples=[0.31])
    fpir: Share = Field(examples=[0.05], description="The rate that was asked for.")
    regions: str = Field(examples=["whole"])
    method: Literal["quick", "full"]
    date: str = Field(examples=["2026-02-03"])
    promises: list[Promise]
    notes: list[str]


class Gallery(Told):
    """One gallery: what it holds, by which model, and what its answers promise."""

    name: str = Field(examples=["things"])
    items: int = Field(ge=0, examples=[120])
    references: int = Field(ge=0, examples=[364])
    model: Model
    naming: str = Field(examples=["plain"])
    calibration: Calibration | None = Field(description="Null: the nearest item is named.")
    stale: str = Field(description="Why the calibration is out of date; empty where it is not.")
    promise: list[str] = Field(
        examples=[["Not calibrated: the nearest item is named, and nothing is promised."]],
        description="The same for people, a sentence each.",
    )
    url: Annotated[str, Field(examples=["/v1/galleries/things"])]


class Item(Told):
    """One thing of a gallery."""

    key: str = Field(examples=["red mug"])
    label: str = Field(examples=["Red Mug"])
    variants: list[str] = Field(examples=[[]])
    references: int = Field(ge=0, examples=[3])
    url: Annotated[str, Field(examples=["/v1/galleries/things/items/red%20mug"])]


class Reference(Told):
    """One enrolled picture of an item."""

    id: int = Field(ge=1, examples=[17], description="Never used twice.")
    key: str = Field(examples=["red mug"])
    label: str = Field(examples=["Red Mug"])
    variant: str = Field(examples=[""])
    path: str = Field(examples=["red_mug.jpg"])
    sha256: str = Field(examples=["9f" * 32], description="Of the file; empty where not known.")
    bytes: int | None = Field(examples=[81234])
    added: bool = Field(description="By hand: a later run over the folder leaves it alone.")
    metadata: dict[str, str] = Field(examples=[{}])
    url: Annotated[str, Field(examples=["/v1/galleries/things/references/17"])]
    picture_url: Url
    thumbnail_url: Url


class Changed(Told):
    """What a change led to. The next question is answered by it."""

    references: list[Reference] = Field(
        description="Those that are new, and those that were there already and stay as they are."
    )
    removed: int = Field(ge=0, examples=[0], description="Pictures that are gone.")
    replaced: list[int] = Field(
        examples=[[]], description="Their ids, where new ones took their place."
    )
    stale: str = Field(
        examples=["references were added or removed since"],
        description="Why the calibration is out of date now; empty where it is not.",
    )


class Found(Timed):
    """The items nearest to a picture, a vector or words. Nothing is decided."""

    gallery: str = Field(examples=["things"])
    candidates: list[Candidate]
    model: Model


class NamedCandidates(Told):
    """What one picture of several is like."""

    name: str = Field(examples=["photo.jpg"])
    candidates: list[Candidate]


class FoundBatch(Timed):
    """Candidates, or a problem, for each picture, in the order in which they were sent."""

    gallery: str = Field(examples=["things"])
    answers: list[NamedCandidates | Failed]
    failed: int = Field(ge=0, examples=[0])
    model: Model


class Vector(Told):
    """The unit vector of one picture, in the form that was asked for."""

    name: str = Field(examples=["photo.jpg"])
    vector: list[Number] | None = Field(default=None, examples=[[0.02, -0.11]])
    vector_base64: str | None = Field(default=None, description="Little-endian float32, base64.")


class Vectors(Timed):
    """A vector, or a problem, for each picture, in the order in which they were sent."""

    gallery: str = Field(examples=["things"])
    vectors: list[Vector | Failed]
    failed: int = Field(ge=0, examples=[0])
    model: Model
    fingerprint: dict[str, object] = Field(
        description="Weights, preprocessing and head: equal ones may be compared."
    )
