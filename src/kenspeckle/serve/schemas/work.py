"""Long work, and what happens: jobs and events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, ValidationError
from pydantic_core import PydanticCustomError

from kenspeckle.serve.schemas.asked import Address
from kenspeckle.serve.schemas.base import Asked, Number, Page, Share, Told

State = Literal["waiting", "running", "done", "failed", "cancelled"]
MOST_PHOTOS = 1000
"""Photos of one job."""
Place = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        pattern=r"^[^\x00]+$",
        description="A path on the machine of the service; naming one needs the scope `admin`.",
    ),
]


class Index(Asked):
    """Make the gallery equal to its folder or table of references; embed only what changed."""

    kind: Literal["index"]
    refs: Place | None = Field(None, description="Another folder than its own; needs `admin`.")
    table: Place | None = Field(None, description="A table that names the references.")
    rehash: bool = Field(False, description="Read every file, not only those with a new time.")
    flat: bool = Field(False, description="Leave folders below out.")
    replace_all: bool = Field(
        False, description="Go on where the folder lacks most of what is stored."
    )


class Calibrate(Asked):
    """Fit the rule for unknowns: the quick one with `seconds`, else the full one."""

    kind: Literal["calibrate"]
    seconds: Annotated[float, Field(ge=0.1, le=600, allow_inf_nan=False)] | None = None
    fpir: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] | None = Field(
        None, description="Share of strangers that may get a name."
    )
    views: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Camera views made of each item."
    )
    second_look: Literal["sift", "orb"] | None = None
    strangers: Place | None = Field(None, description="A folder of photos of other things.")
    photos: Place | None = Field(None, description="A table of labelled photos.")


class Identify(Asked):
    """Answer for many photos, by address, or for those of a folder."""

    kind: Literal["identify"]
    urls: (
        Annotated[list[Address], Field(min_length=1, max_length=MOST_PHOTOS, fail_fast=True)] | None
    ) = None
    folder: Place | None = Field(None, description="A folder of photos instead.")


KINDS = ("index", "calibrate", "identify")


def _known(wish: Any) -> Any:
    """Refuse another kind than there are, by its name. Raises ValidationError."""
    kind = wish.get("kind") if isinstance(wish, dict) else KINDS[0]
    if kind in KINDS:
        return wish
    found = repr(kind[:40]) if isinstance(kind, str) else "none" if kind is None else "no text"
    why = PydanticCustomError(
        "kind", "{found}; expected index, calibrate or identify", {"found": found}
    )
    raise ValidationError.from_exception_data(
        "job", [{"type": why, "loc": ("kind",), "input": kind}]
    )


Wish = Annotated[Index | Calibrate | Identify, Discriminator("kind"), BeforeValidator(_known)]


class Job(Told):
    """Long work, as it stands."""

    id: str = Field(examples=["9f2c51d07ab34e18"])
    kind: str = Field(examples=["index"])
    gallery: str = Field(examples=["things"])
    state: State
    created: str = Field(examples=["2026-11-21T17:03:12.123+00:00"])
    started: str = Field(examples=["2026-11-21T17:03:12.130+00:00"], description="Empty before.")
    finished: str = Field(examples=[""], description="Empty until it has ended.")
    done: int = Field(
        examples=[120],
        description="Steps finished. Of `index` these are the pictures to embed; where there are "
        "none, those that were looked at, once all were.",
    )
    total: int = Field(examples=[300], description="Steps there are; 0 before that is known.")
    at: str = Field(examples=["red_mug.jpg"], description="The latest step's name.")
    cancelling: bool = Field(description="Asked to stop, and not stopped yet.")
    error: str = Field(examples=[""], description="Why it failed.")
    result: dict[str, Any] = Field(examples=[{"added": 12}], description="What it came to.")


class PhotoAnswer(Told):
    """What one photo of a job showed, or why nothing can be said."""

    photo: str = Field(
        examples=["https://example.com/photo.jpg"],
        description="Its address as it was given, or its path below the folder that was named.",
    )
    known: bool
    key: str = Field(examples=["red mug"], description="Empty when unknown.")
    label: str = Field(examples=["Red Mug"])
    variant: str = Field(examples=[""])
    confidence: Share | None
    similarity: Number | None
    reason: str = Field(examples=["margin 0.210 above the threshold 0.120"])
    error: str = Field(examples=[""], description="Why it failed; empty when it did not.")


class PhotoAnswers(Page[PhotoAnswer]):
    """Part of what a job says of its photos. As long as more may come `next` is no null, and a page
    may be empty."""

    state: State = Field(
        description="Of the job. Of one that is `done` there is an answer for every photo, of one "
        "that is `failed` or `cancelled` for those it came to."
    )
