"""What clients send as JSON."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from kenspeckle.serve.schemas.base import Asked, Text

Address = Annotated[str, Field(max_length=4096, examples=["https://example.com/photo.jpg"])]
"""An http or https address, fetched by the service within its limits."""
Encoded = Annotated[str, Field(description="The file, base64.")]


class Picture(Asked):
    """One picture: an address, or the file itself."""

    url: Address | None = None
    data: Encoded | None = None
    name: Text = Field("", description="What answers call it.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.data is None):
            raise ValueError("either url or data is needed")
        return self


class Pictures(Asked):
    """One picture (`url` or `data`), or several (`pictures`)."""

    url: Address | None = None
    data: Encoded | None = None
    name: Text = ""
    pictures: list[Picture] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.url, self.data, self.pictures)) != 1:
            raise ValueError("one of url, data and pictures is needed")
        return self

    def single(self) -> Picture:
        """The only picture."""
        return Picture(url=self.url, data=self.data, name=self.name)
