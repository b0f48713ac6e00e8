"""The answers of the surface `falcon`, for its clients and its OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from kenspeckle.serve.routes import falcon_examples

Share = Annotated[float, Field(ge=0, le=1)]


class _Answer(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class Corners(_Answer):
    """A box as shares of the picture, from its top left."""

    x1: Share
    y1: Share
    x2: Share
    y2: Share


class Near(_Answer):
    """One of the most similar references."""

    name: str = Field(description="the name as the index stores it, rarity still in it")
    filename: str
    score: float = Field(description="cosine")


class Price(_Answer):
    """What the card costs; `usd_*` are null where no rate of exchange is known."""

    code: str
    median: float
    min: float
    max: float
    currency: str = Field(description="ISO code of `median`, `min` and `max`")
    name_jp: str
    usd_median: float | None
    usd_min: float | None
    usd_max: float | None
    rarity: str = Field(default="", description="the rarity that `median` is of; empty: of all")


class Mask(_Answer):
    """One part of the picture that got a name."""

    bbox_norm: Corners
    area_fraction: Share
    label: str = Field(description="`Name`, `Name (Rarity)`; with a `?` when not confident")
    name: str
    rarity: str
    score: float = Field(description="cosine to the best reference")
    top_k: list[Near] = Field(max_length=3)
    margin: float = Field(description="lead over the best other item")
    confident: bool
    ref_filename: str
    price: Price | None
    listing_id: str | None
    ref_url: str = Field(default="", description="path of the reference picture, encoded")
    key: str = Field(default="", description="stable key of the item")
    variant: str = ""
    variant_certain: bool = True
    confidence: float | None = Field(
        default=None, description="calibrated chance that the name is right"
    )
    reasons: list[str] = []


class Frame(_Answer):
    """What was named in a picture."""

    model_config = ConfigDict(
        allow_inf_nan=False, json_schema_extra={"example": falcon_examples.FRAME}
    )

    image_size: Annotated[list[int], Field(min_length=2, max_length=2)] = Field(
        description="width, height"
    )
    count: int
    masks: list[Mask]
    query: str = Field(description="as it was sent; it changes nothing")
    elapsed_seconds: float


class Fx(_Answer):
    """The rate of exchange in use and where it comes from."""

    base: str = "USD"
    rate: float | None = Field(description="US dollars for one unit of `currency`")
    currency: str
    as_of: str
    source: str = Field(description="setting, live, cached or built-in")


class Top(_Answer):
    """One of the dearest cards."""

    code: str
    jpy_median: float = Field(description="0 where it cannot be told in yen")
    usd_median: float | None
    median: float
    currency: str
    name: str = ""
    name_jp: str = ""
    rarity: str = Field(default="", description="whose the median is; empty for all")
    ref_filename: str = ""
    ref_url: str = ""


class TopPrices(_Answer):
    """The dearest cards of the price file, in US dollars; those without a rate come last."""

    model_config = ConfigDict(
        allow_inf_nan=False, json_schema_extra={"example": falcon_examples.TOP}
    )

    ok: bool = True
    count: int
    top: list[Top]
    fx: Fx | None = None


class Prices(_Answer):
    """Which prices are in use."""

    count: int
    site: str
    currency: str
    scraped_at: str
    note: str


class Info(_Answer):
    """What this server is."""

    model_config = ConfigDict(
        allow_inf_nan=False, json_schema_extra={"example": falcon_examples.INFO}
    )

    falcon: bool = True
    name: str = "kenspeckle"
    version: str
    index_size: int
    items: int
    decides: dict[str, float | str] = Field(description="the rule that names things")
    prices: Prices
    fx: Fx


class Refused(_Answer):
    """Why there is no answer."""

    detail: str
