"""What all shapes of the native API share: strictness, pages, problems."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)

T = TypeVar("T")

Number = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A number from 0 to 1."""
Text = Annotated[str, Field(max_length=1000)]
"""Text that a client sends as a name or a value."""


class Asked(BaseModel):
    """A shape that comes in: it is taken as it is written, and nothing unknown is passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Told(BaseModel):
    """A shape that goes out. Fields may be added in a later release; none is taken away."""

    model_config = ConfigDict(frozen=True)


class Page(Told, Generic[T]):
    """Part of a list. `next` brings the part that follows, null says that this was the last."""

    items: list[T]
    next: Annotated[
        str | None, Field(description="Give it as `cursor` for what follows; null: no more.")
    ]


class Fault(Told):
    """One part of a request that cannot be taken as it is."""

    loc: list[str | int] = Field(examples=[["query", "top"]], description="Where it stands.")
    msg: str = Field(examples=["Input should be less than or equal to 100"])
    type: str = Field(examples=["less_than_equal"])


class Problem(Told):
    """Why a request was not answered, as RFC 9457 says it (`application/problem+json`)."""

    type: str = Field(examples=["about:blank"], description="The kind of problem, as a URI.")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404], ge=400, le=599)
    detail: str = Field(
        examples=["mugs: no such gallery; expected one of things, stamps"],
        description="The thing, what was found, what was expected and what to do.",
    )
    instance: str | None = Field(
        None,
        examples=["/v1/galleries/mugs/identify"],
        description="Absent, as `request_id` is, where nothing of the request could be read.",
    )
    request_id: str | None = Field(None, examples=["0190f5c2b7a84d1e9c3a5f60718293a4"])
    errors: list[Fault] | None = Field(None, description="The parts of the request that are wrong.")

    @model_serializer(mode="wrap")
    def _lean(self, own: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what there is none of, as a problem by itself is."""
        told: dict[str, Any] = own(self)
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The shape of the fields, whatever writes them."""
        return handler({k: v for k, v in core_schema.items() if k != "serialization"})
