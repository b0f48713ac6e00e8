"""What an assistant may ask, as its tools describe it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_ITEMS = 500

Path_ = Annotated[
    str | None, Field(description="Path of a picture on this machine, in an allowed folder.")
]
Base64 = Annotated[str | None, Field(description="The picture file itself, in base64.")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Photo(_Asked):
    """A picture: either its path or its bytes."""

    path: Path_ = None
    base64: Base64 = None


class Wanted(_Asked):
    """Which items to list."""

    matching: str = Field("", description="Only items whose name contains this.")
    first: int = Field(0, ge=0, description="How many to pass over.")
    most: int = Field(50, ge=1, le=MOST_ITEMS, description="How many to list.")


class Similar(Photo):
    """What to find similar items of: a picture, or an item by its name."""

    item: str | None = Field(None, description="An item of the gallery, by key or label.")
    most: int = Field(10, ge=1, le=100, description="How many to name.")


class Confirmation(Photo):
    """A picture and the item that it shows."""

    item: str = Field(description="The item that the picture shows: key or label.")
    variant: str | None = Field(None, description="Its print or finish, where it has several.")
