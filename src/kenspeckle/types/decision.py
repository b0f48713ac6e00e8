"""An answer, and what led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kenspeckle.types.enrolled import Reference
from kenspeckle.types.picture import Region


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item proposed for one region: its score and the reference that gave it.

    `similarity` is the cosine of the best reference of that item.
    """

    key: str
    label: str
    similarity: float
    reference: Reference
    reference_id: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a second look said about a candidate, with its numbers."""

    kind: str
    verdict: Literal["agrees", "disagrees", "abstains"]
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one picture: an item or unknown, and why.

    key, label, variant
        The item, empty when unknown. `variant_certain` is false when two prints of the item
        score alike; the item stands all the same.
    score
        The calibrated score of the best region (see `Calibration.score`).
    similarity, margin
        Cosine of the best item, and its distance to the best other item (None when the gallery
        has one item only).
    confidence
        Chance that the name is right, or None when the gallery is not calibrated, or when
        a printed code or text changed the answer.
    reasons
        Short sentences, the rule that decided first.
    """

    known: bool
    key: str
    label: str
    variant: str
    variant_certain: bool
    score: float
    threshold: float | None
    similarity: float
    margin: float | None
    confidence: float | None
    region: Region
    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()


def in_percent(confidence: float | None) -> str:
    """A confidence for people, a dash where there is none; nothing is called certain.

    >>> in_percent(0.876), in_percent(0.99999), in_percent(0.001), in_percent(None)
    ('88%', '>99%', '<1%', '-')
    """
    if confidence is None:
        return "-"
    if confidence > 0.99:
        return ">99%"
    return "<1%" if confidence < 0.01 else f"{confidence:.0%}"
