"""From what the gallery knows to the shapes that go out, with the addresses of pictures in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Response

from kenspeckle.catalog.entry import shown as escaped
from kenspeckle.flows.identify import Answer
from kenspeckle.serve.schemas import answers
from kenspeckle.serve.schemas import gallery as gallery_shapes
from kenspeckle.types import Candidate, Decision, Fingerprint, Reference, Region
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from fastapi import Request
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses below one gallery, as the client has to ask for them.

    `base` is `/v1/galleries/NAME`, behind whatever prefix a proxy puts before it.
    """

    gallery: str
    base: str

    @classmethod
    def of(cls, request: Request, gallery: str) -> Links:
        """Those of a gallery for the client of this request."""
        root = str(request.scope.get("root_path", ""))
        return cls(gallery, f"{root}/galleries/{quote(gallery, safe='')}")

    def item(self, key: str) -> str:
        """Where an item is told of."""
        return f"{self.base}/items/{quote(key, safe='', errors='surrogatepass')}"

    def reference(self, number: int) -> str:
        """Where a reference is told of."""
        return f"{self.base}/references/{number}"

    def picture(self, number: int) -> str:
        """The picture of a reference."""
        return f"{self.base}/references/{number}/picture"

    def thumbnail(self, number: int) -> str:
        """The small picture of a reference."""
        return f"{self.base}/references/{number}/thumbnail"


def sent(told: BaseModel, status: int = 200) -> Response:
    """An answer, written by pydantic at once: the way through the framework takes three times as
    long."""
    return Response(told.model_dump_json(), status, media_type="application/json")


def model(fingerprint: Fingerprint) -> answers.Model:
    """What made the vectors."""
    return answers.Model(
        name=fingerprint.model, space_id=fingerprint.space_id, width=fingerprint.width
    )


def area(region: Region) -> answers.Area:
    """A part of a photo."""
    corners = None if region.corners is None else list(region.corners)
    return answers.Area(kind=region.kind, box=region.box, corners=corners)


def candidate(one: Candidate, links: Links) -> answers.Candidate:
    """An item that a photo may show."""
    return answers.Candidate(
        key=text(one.key),
        label=text(one.label),
        variant=text(one.reference.variant),
        similarity=cosine(one.similarity),
        reference=shown(one.reference),
        reference_id=one.reference_id,
        picture_url=links.picture(one.reference_id),
        thumbnail_url=links.thumbnail(one.reference_id),
        metadata=metadata(one.reference),
    )


def text(value: str) -> str:
    r"""Text that JSON can hold: file names may have bytes that are no characters.

    >>> text("caf\udce9"), text("café")
    ('caf\\xe9', 'café')
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return escaped(value)
    return value


def metadata(one: Reference) -> dict[str, str]:
    """What a table or a client said of a reference."""
    return {text(name): text(value) for name, value in one.metadata.items()}


def cosine(value: float) -> float:
    """A cosine within its bounds, which rounding may have passed by a little."""
    return min(1.0, max(-1.0, value))


def shown(reference: Reference) -> str:
    """The path of a reference for strangers: no folder of this machine, no secret of an address.

    >>> shown(Reference("a", "A", "/home/me/a.jpg")), shown(Reference("a", "A", "mugs/a.jpg"))
    ('a.jpg', 'mugs/a.jpg')
    >>> shown(Reference("a", "A", "https://me:word@example.com/a.jpg?token=1"))
    'https://example.com/a.jpg'
    """
    path = reference.path
    if path.lower().startswith(("http://", "https://")):
        scheme, _, rest = path.partition("://")
        host, slash, rest = rest.partition("/")
        plain = re.split(r"[?#]", rest, maxsplit=1)[0]
        path = f"{scheme}://{host.rpartition('@')[2]}{slash}{plain}"
    elif path.startswith(("/", "\\")) or path[1:3] in (":\\", ":/"):
        path = re.split(r"[/\\]", path)[-1]
    return text(path)


def reference(number: int, one: Reference, links: Links) -> gallery_shapes.Reference:
    """One enrolled picture."""
    return gallery_shapes.Reference(
        id=number,
        key=text(one.key),
        label=text(one.label),
        variant=text(one.variant),
        path=shown(one),
        sha256=one.sha256,
        bytes=one.size if one.size >= 0 else None,
        added=bool(one.origin),
        metadata=metadata(one),
        url=links.reference(number),
        picture_url=links.picture(number),
        thumbnail_url=links.thumbnail(number),
    )


def decision(one: Decision, links: Links) -> answers.Decision:
    """The answer for a photo, or for a region of it."""
    return answers.Decision(
        known=one.known,
        key=text(one.key),
        label=text(one.label),
        variant=text(one.variant),
        variant_certain=one.variant_certain,
        confidence=one.confidence,
        score=one.score,
        threshold=one.threshold,
        similarity=cosine(one.similarity),
        margin=one.margin,
        reasons=list(map(text, one.reasons)),
        region=area(one.region),
        candidates=[candidate(each, links) for each in one.candidates],
        evidence=[
            answers.Evidence(kind=each.kind, verdict=each.verdict, numbers=dict(each.numbers))
            for each in one.evidence
        ],
    )


def timed(times: StageTimes) -> dict[str, Any]:
    """How long an answer took, by stage."""
    stages = {name: round(seconds, 6) for name, seconds in times.seconds.items()}
    return {"elapsed_seconds": round(sum(stages.values()), 6), "stages": stages}


def identified(
    answer: Answer, links: Links, made_by: Fingerprint, times: StageTimes
) -> answers.Identified:
    """All that is told of one photo."""
    whole = decision(answer.decision, links)
    return answers.Identified(
        gallery=links.gallery,
        image_size=list(answer.size),
        decision=whole,
        regions=[
            whole if one is answer.decision else decision(one, links) for one in answer.regions
        ],
        stale=answer.stale,
        model=model(made_by),
        **timed(times),
    )
