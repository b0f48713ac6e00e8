"""What people say about answers, and new names for items."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kenspeckle.serve.schemas.base import Asked, Told

Name = Annotated[str, Field(max_length=1000)]


class Feedback(Told):
    """That a photo shows an item, or that it does not."""

    number: int = Field(examples=[1], description="Give it to take this back.")
    said: Literal["confirmed", "rejected"]
    key: str = Field(examples=["red mug"], description="The item.")
    photo: str = Field(examples=["confirmed/4f3a09c6e1b7d582"], description="What it is called.")
    sha256: str = Field(description="Of the photo's bytes.")
    date: str = Field(examples=["2026-11-21T17:03:12+00:00"])
    regions: str = Field(examples=["whole"], description="The rule its vectors were made by.")
    vectors: int = Field(
        examples=[1], description="How many are kept; none where they are another model's."
    )


class Taken(Feedback):
    """Feedback, and what it does to the gallery."""

    stale: str = Field(
        examples=["feedback was given since"],
        description="Why the calibration is out of date; empty when it is not.",
    )


class Rename(Asked):
    """A new name for an item: another label, another key, or both."""

    item: Annotated[Name, Field(examples=["thing 3"], description="Its key or label now.")]
    label: Annotated[Name, Field(examples=["The Tower"])] = ""
    key: Annotated[Name, Field(examples=["tower"])] = ""
    merge: bool = Field(False, description="Let it become one with the item that has that key.")


class Renamed(Told):
    """An item under its new name."""

    former: str = Field(examples=["thing 3"], description="The name it was asked for by.")
    key: str = Field(examples=["tower"])
    label: str = Field(examples=["The Tower"])
    references: int = Field(examples=[3])
