"""masks(photo, gallery): things found → vectors → search → decide each; else the photo as a whole.

Every thing that is found (by its four corners, or by a detector) is asked about as a photo of its
own, so several items of one photo get a name each. Where none of them does, the best region of the
photo may get one. A photo that is nearly a reference itself is that thing, whatever is found in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from kenspeckle._extras import has
from kenspeckle.flows.identify import Asked, judged
from kenspeckle.flows.opened import Opened
from kenspeckle.match.apart import apart
from kenspeckle.match.methods import ROUNDING
from kenspeckle.regions.base import QUADS, cut, effective, split
from kenspeckle.regions.quad import find_quads
from kenspeckle.regions.whole import whole
from kenspeckle.store.base import Standing
from kenspeckle.types import Calibration, Decision, Float32, Picture, Reference, Region
from kenspeckle.vectors.pipeline import StageTimes, timed

THINGS = 12
"""Most things of one photo that are asked about."""
LEAST_SIDE = 20
"""A thing has at least so many pixels a side."""
NEAREST = 3
"""References that are told with each mask."""

COPY = 0.9
"""From this cosine on a whole photo is nearly the picture of a reference."""

Finder = Callable[[Image.Image], Sequence[Region]]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A rule of two chosen numbers: least cosine, and least lead over the next item to be sure."""

    similarity: float
    margin: float


@dataclass(frozen=True, slots=True)
class Mask:
    """A part of a photo that got a name.

    `confident` is false only under a fixed rule, for a lead that is too small. `nearest` are the
    most similar references with their cosines, that of the name first.
    """

    region: Region
    decision: Decision
    confident: bool
    nearest: tuple[tuple[Reference, float], ...]


@dataclass(frozen=True, slots=True)
class _Named:
    region: Region
    decision: Decision
    confident: bool
    row: Float32


def quads(image: Image.Image) -> list[Region]:
    """Flat things by their corners; none without the extra `geometry`."""
    if not has("cv2"):
        return []
    return [region for region in find_quads(image, THINGS) if _large(region)]


def nothing(image: Image.Image) -> list[Region]:  # noqa: ARG001
    """No things: the photo counts as a whole."""
    return []


def masks(
    opened: Opened,
    picture: Picture,
    rule: Fixed | Calibration,
    *,
    find: Finder = quads,
    times: StageTimes | None = None,
) -> tuple[Mask, ...]:
    """What is named in a photo, the surest first; of overlapping things the surest one.

    A calibration judges each thing as it judges one region of a photo; its promise is for a photo
    of as many regions as its own rule has.
    `times` take in `detection`, `embedding` and `search`. Raises ModelError, SettingError.
    """
    with timed(times, "detection"):
        things = tuple(find(picture.image))[:THINGS]
    known: dict[Region, Float32] = {}
    _embed(opened, picture, things, known, times)
    with timed(times, "search"):
        named = _each(opened, picture, [(one, known[one]) for one in things], rule)
    if named:
        named = _copied(opened, picture, known, rule, times, named) or named
    else:
        named = _whole(opened, picture, things, known, rule, times)
    with timed(times, "search"):
        return tuple(_mask(opened, one) for one in named)


def _large(region: Region) -> bool:
    x0, y0, x1, y1 = region.box
    return min(x1 - x0, y1 - y0) >= LEAST_SIDE


def _embed(
    opened: Opened,
    picture: Picture,
    regions: Sequence[Region],
    known: dict[Region, Float32],
    times: StageTimes | None,
) -> None:
    """Put the vectors of regions beside those that are known."""
    fresh = [region for region in dict.fromkeys(regions) if region not in known]
    if fresh:
        with timed(times, "embedding"):
            rows = opened.embedder.vectors([cut(picture.image, region) for region in fresh])
        known.update(zip(fresh, rows, strict=True))


def _each(
    opened: Opened,
    picture: Picture,
    things: Sequence[tuple[Region, Float32]],
    rule: Fixed | Calibration,
) -> list[_Named]:
    """The things that get a name, one of those that overlap."""
    standing = _standing(opened, rule)
    found: list[_Named] = []
    for region, row in things:
        crop = Picture(cut(picture.image, region), picture.name)
        alone = Asked(crop, (Region((0, 0, *crop.size)),), row[None])
        decision = judged(opened, alone, standing, each=False).decision
        if _names(decision, rule):
            found.append(_Named(region, decision, _sure(decision, rule), row))
    best = apart(
        [one.region.box for one in found],
        [
            one.decision.score if isinstance(rule, Calibration) else _similarity(one)
            for one in found
        ],
        [one.decision.key for one in found],
    )
    return [found[place] for place in best]


def _copied(
    opened: Opened,
    picture: Picture,
    known: dict[Region, Float32],
    rule: Fixed | Calibration,
    times: StageTimes | None,
    parts: Sequence[_Named],
) -> list[_Named]:
    """The photo as a whole, if it is nearly a reference, and nearer than any part is to its own.

    Its parts are then what is drawn on the thing: no thing in a photo is nearer when its
    surroundings are in the picture, too.
    """
    frame = whole(picture.size)
    _embed(opened, picture, [frame], known, times)
    with timed(times, "search"):
        found = _each(opened, picture, [(frame, known[frame])], rule)
    least = max(COPY, *map(_similarity, parts))
    return [one for one in found if one.confident and _similarity(one) >= least]


def _whole(
    opened: Opened,
    picture: Picture,
    things: Sequence[Region],
    known: dict[Region, Float32],
    rule: Fixed | Calibration,
    times: StageTimes | None,
) -> list[_Named]:
    """At most one: the best region of the photo, if it gets a name."""
    parts = effective(rule.regions if isinstance(rule, Calibration) else "auto").split("+")
    plain = "+".join(part for part in parts if part != "quad")
    with timed(times, "detection"):
        regions = split(picture, plain)
    own = [one for one in things if one.kind == "quad"][:QUADS] if "quad" in parts else []
    regions = (*regions, *own)
    _embed(opened, picture, regions, known, times)
    rows = np.stack([known[region] for region in regions])
    standing = _standing(opened, rule)
    with timed(times, "search"):
        asked = Asked(picture, regions, rows)
        said = judged(opened, asked, standing, each=isinstance(rule, Fixed))
    if isinstance(rule, Fixed):
        sure = [
            _Named(region, one, True, row)
            for region, one, row in zip(regions, said.regions, rows, strict=True)
            if _names(one, rule) and _sure(one, rule)
        ]
        return [max(sure, key=_similarity)] if sure else []
    decision = said.decision
    if not decision.known:
        return []
    return [_Named(decision.region, decision, True, known[decision.region])]


def _standing(opened: Opened, rule: Fixed | Calibration) -> Standing:
    calibration = rule if isinstance(rule, Calibration) else None
    return replace(opened.store.standing(), calibration=calibration)


def _similarity(one: _Named) -> float:
    return one.decision.similarity


def _names(decision: Decision, rule: Fixed | Calibration) -> bool:
    if isinstance(rule, Calibration):
        return decision.known
    return bool(decision.key) and decision.similarity >= rule.similarity - ROUNDING


def _sure(decision: Decision, rule: Fixed | Calibration) -> bool:
    """Whether the lead over the next item is large enough; alone, the cosine has to be."""
    return isinstance(rule, Calibration) or lead(decision) >= rule.margin - ROUNDING


def lead(decision: Decision) -> float:
    """The margin to the best other item; the cosine itself where there is no other one."""
    return decision.similarity if decision.margin is None else decision.margin


def _mask(opened: Opened, one: _Named) -> Mask:
    return Mask(one.region, one.decision, one.confident, _nearest(opened, one))


def _nearest(opened: Opened, one: _Named) -> tuple[tuple[Reference, float], ...]:
    """The references nearest to a region, that of its name first, views of one picture once."""
    winner = one.decision.candidates[0]
    told = {winner.reference.path: (winner.reference, winner.similarity)}
    found = opened.store.search(one.row[None], 8 * NEAREST)
    ids, scores = found.ids[0].tolist(), found.scores[0].tolist()
    pairs = [(n, score) for n, score in zip(ids, scores, strict=True) if n >= 0]
    try:
        references = opened.store.get([number for number, _ in pairs])
    except KeyError:  # removed by another process at this moment
        references = []
        pairs = []
    for reference, (_, score) in zip(references, pairs, strict=True):
        if math.isfinite(score):
            told.setdefault(reference.path, (reference, score))
    return tuple(told.values())[:NEAREST]
