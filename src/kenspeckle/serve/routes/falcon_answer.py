"""From named regions to the fields that clients of `/api/falcon` know. Pure but for the prices."""

from __future__ import annotations

import hashlib

from kenspeckle.adapters.prices import PriceBook
from kenspeckle.flows.masks import Mask, lead
from kenspeckle.serve.routes import falcon_schemas as schemas
from kenspeckle.serve.routes.falcon_names import address_of, name_of
from kenspeckle.serve.routes.falcon_print import Print
from kenspeckle.types import Reference


def mask(
    found: Mask, seen: Print, size: tuple[int, int], prices: PriceBook, root: str
) -> schemas.Mask:
    """One mask of a picture of `size` (width, height), with the print that is seen; `root` is the
    path of the surface."""
    decision, reference = found.decision, found.decision.candidates[0].reference
    code, rarity = seen
    label = f"{decision.label} ({rarity})" if rarity else decision.label
    priced = prices.price(code, rarity)
    price = None if priced is None else schemas.Price(**priced.to_dict())
    box = corners(found.region.box, size)
    return schemas.Mask(
        bbox_norm=box,
        area_fraction=min((box.x2 - box.x1) * (box.y2 - box.y1), 1.0),
        label=label if found.confident else f"{label}?",
        name=decision.label,
        rarity=rarity,
        score=cosine(decision.similarity),
        top_k=[near(one, score) for one, score in found.nearest],
        margin=lead(decision),
        confident=found.confident,
        ref_filename=name_of(reference),
        price=price,
        listing_id=listing_id(decision.label, reference) if found.confident and price else None,
        ref_url=address_of(reference, root),
        key=decision.key,
        variant=decision.variant,
        variant_certain=decision.variant_certain,
        confidence=decision.confidence,
        reasons=list(decision.reasons),
    )


def near(reference: Reference, score: float) -> schemas.Near:
    """One of the most similar references, called as the index stores it."""
    stored = reference.metadata.get("stored_name", reference.label)
    return schemas.Near(name=stored, filename=name_of(reference), score=cosine(score))


def cosine(value: float) -> float:
    """A cosine without what float32 rounds beyond 1."""
    return min(max(value, -1.0), 1.0)


def corners(box: tuple[int, int, int, int], size: tuple[int, int]) -> schemas.Corners:
    """A box of pixels as shares of the picture.

    >>> corners((10, 0, 20, 50), (20, 50))
    Corners(x1=0.5, y1=0.0, x2=1.0, y2=1.0)
    """
    width, height = size
    x1, y1, x2, y2 = (
        min(max(value / side, 0.0), 1.0)
        for value, side in zip(box, (width, height, width, height), strict=True)
    )
    return schemas.Corners(x1=x1, y1=y1, x2=x2, y2=y2)


def listing_id(name: str, reference: Reference) -> str:
    """`lst_` and eight hex digits that stand for a name and its reference picture."""
    text = f"{name}|{name_of(reference)}"
    return f"lst_{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]}"
