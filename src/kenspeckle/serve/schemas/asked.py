"""What clients send as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from kenspeckle.serve.schemas.base import Asked, Number, Text

Address = Annotated[str, Field(max_length=4096, examples=["https://example.com/photo.jpg"])]
"""An http or https address, fetched by the service within its limits."""
MOST_PICTURES = 10_000
"""Pictures of one request, however many the service is set to take."""
MOST_DETAILS = 50
"""Names in the metadata of an item."""
Encoded = Annotated[str, Field(description="The file, base64.")]
Vector = Annotated[
    list[Number],
    Field(
        min_length=1,
        max_length=65_536,
        fail_fast=True,
        examples=[[0.1, -0.2]],
        description="Of any length.",
    ),
]
Packed = Annotated[str, Field(max_length=400_000, description="Little-endian float32, base64.")]


def _one_of(said: Asked, ways: Sequence[str]) -> None:
    """Refuse what says none of these, or several. Raises ValueError."""
    given = [way for way in ways if getattr(said, way) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise ValueError(f"{found}; expected one of {', '.join(ways)}")


class Picture(Asked):
    """One picture: an address, or the file itself."""

    url: Address | None = None
    data: Encoded | None = None
    name: Text = Field(default="", description="What answers call it.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        _one_of(self, ("url", "data"))
        return self


Several = Annotated[list[Picture], Field(max_length=MOST_PICTURES, fail_fast=True)]


class Pictures(Asked):
    """One picture (`url` or `data`), or several (`pictures`)."""

    url: Address | None = None
    data: Encoded | None = None
    name: Text = ""
    pictures: Several | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _one_of(self, ("url", "data", "pictures"))
        return self


Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=100)], Text],
    Field(
        max_length=MOST_DETAILS, examples=[{"shelf": "3"}], description="Comes back with answers."
    ),
]


class Details(Asked):
    """What is said of pictures of an item that is known."""

    variant: Text = Field(default="", description="Print or finish of the item.")
    metadata: Metadata = Field(default_factory=dict)


class About(Details):
    """What is said of pictures that are enrolled. Without label and key, file names say it."""

    label: Text = Field(default="", examples=["Red Mug"], description="The item's name for people.")
    key: Text = Field(
        default="", examples=["red mug"], description="Its key; made of the label by default."
    )


class Enrolment(About, Pictures):
    """Pictures to enrol, and what is said of all of them."""


class Additions(Details, Pictures):
    """Pictures for an item that is there, and what is said of all of them."""


class Search(Asked):
    """What to search for: a picture (`url` or `data`), a vector or words."""

    url: Address | None = None
    data: Encoded | None = None
    vector: Vector | None = None
    vector_base64: Packed | None = None
    text: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    space_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Of the model that made the vector; another than the gallery's is refused.",
    )

    @model_validator(mode="after")
    def _way(self) -> Self:
        _one_of(self, ("url", "data", "vector", "vector_base64", "text"))
        return self
