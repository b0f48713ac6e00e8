"""From ranked items to an answer with its reasons. Pure: hits and a rule in, a decision out.

The item is decided first, by the best region. Which print of it is seen (the variant) is decided
apart and never takes the item away. A gallery without calibration still names the nearest item:
that is what its user can act on; the first reason then says that nothing is promised about
strangers, and the confidence is absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from kenspeckle.match.aggregate import Floats, Leaders, leaders, score, usual_score
from kenspeckle.match.promise import promises, shortfall
from kenspeckle.match.second_look import NOTHING
from kenspeckle.match.second_look import raised as lifted
from kenspeckle.store.base import Hits, Store
from kenspeckle.types import Calibration, Candidate, Decision, Float32, Region


@dataclass(frozen=True, slots=True)
class Own:
    """The hits of one item: its number, their places among all hits, and the print of each."""

    item: int
    places: list[int]
    variants: list[str]


def decide(
    regions: Sequence[Region],
    found: Hits,
    near: Floats | None,
    store: Store,
    calibration: Calibration | None,
    *,
    top: int = 5,
    stale: str = "",
    raised: Mapping[int, float] = NOTHING,
) -> Decision:
    """The answer for one picture from the hits of its regions, one row a region.

    `near` `(Q,)` is the cohort level of each region, None for a model without a cohort. `stale`
    says why the calibration no longer fits the gallery, empty when it does. `raised` says by how
    much a second look raises the cosines of an item before the score is taken; cosines are told as
    they were.
    """
    found = lifted(found, raised)
    ranked = leaders(found)
    if max(ranked.items.tolist(), default=-1) < 0:
        return _empty(regions[0], calibration)
    values = [-math.inf if math.isnan(v) else v for v in _values(ranked, near, calibration)]
    if calibration and max(values) == -math.inf:
        return _undecided(regions, ranked, found, store, calibration, top)
    best = values.index(max(values))
    candidates, own = _candidates(found, best, store, max(top, 2), raised)  # runner-up: reasons
    value = values[best]
    known = calibration is None or value > calibration.threshold
    variant, certain, variant_reason = _variant(found.scores[best], own, store, calibration)
    winner = candidates[0]
    reasons = _verdict(value, calibration, known, stale)
    reasons += _about(ranked, best, candidates, regions, near)
    if known and variant_reason:
        reasons.append(variant_reason)
    others = candidates[1:]
    return Decision(
        known=known,
        key=winner.key if known else "",
        label=winner.label if known else "",
        variant=variant if known else "",
        variant_certain=known and certain,
        score=value,
        threshold=calibration.threshold if calibration else None,
        similarity=winner.similarity,
        margin=winner.similarity - others[0].similarity if others else None,
        confidence=confidence(value, calibration),
        region=regions[best],
        candidates=candidates[:top],
        reasons=tuple(reasons),
    )


def _values(ranked: Leaders, near: Floats | None, calibration: Calibration | None) -> list[float]:
    """The calibrated score of each region, or the usual one."""
    if calibration:
        kind = calibration.score
    else:
        several = not bool(np.isnan(ranked.second).all())
        kind = usual_score(near is not None, 3 if several else 1)
    values: list[float] = score(kind, ranked.best, ranked.second, near).tolist()
    return values


def confidence(value: float, calibration: Calibration | None) -> float | None:
    """The fitted chance that the name is right; None without a fit (a slope of 0 says there was
    none)."""
    if calibration is None or calibration.slope == 0:
        return None
    exponent = calibration.slope * value + calibration.intercept
    return 1 / (1 + math.exp(-max(min(exponent, 700.0), -700.0)))


def _empty(region: Region, calibration: Calibration | None) -> Decision:
    threshold = calibration.threshold if calibration else None
    reasons = ("the gallery is empty",)
    return Decision(
        False, "", "", "", False, -1.0, threshold, -1.0, None, None, region, (), reasons
    )


def _undecided(
    regions: Sequence[Region],
    ranked: Leaders,
    found: Hits,
    store: Store,
    calibration: Calibration,
    top: int,
) -> Decision:
    """Unknown: the rule compares with a runner-up, and the gallery has none any more."""
    best = int(np.nan_to_num(ranked.best, nan=-2).argmax())
    candidates, _ = _candidates(found, best, store, top)
    reason = (
        f"the rule ({calibration.score}) compares with a runner-up, and one item is left: "
        "calibrate anew"
    )
    return replace(
        _empty(regions[best], calibration),
        similarity=float(ranked.best[best]),
        candidates=candidates,
        reasons=(reason,),
    )


def _candidates(
    found: Hits, row: int, store: Store, top: int, raised: Mapping[int, float] = NOTHING
) -> tuple[tuple[Candidate, ...], Own]:
    """The `top` items of one region, each by its best reference; and all hits of the best one."""
    items, ids, scores = found.items[row].tolist(), found.ids[row].tolist(), found.scores[row]
    first = {item: place for place, item in reversed([*enumerate(items)]) if item >= 0}
    places = sorted(first.values())[:top]
    winner = items[places[0]]
    own = [place for place, item in enumerate(items) if item == winner]
    wanted = list(dict.fromkeys([*places, *own]))
    references = dict(zip(wanted, store.get([ids[place] for place in wanted]), strict=True))
    candidates = tuple(
        Candidate(
            key=references[place].key,
            label=references[place].label,
            similarity=float(scores[place]) - raised.get(items[place], 0.0),
            reference=references[place],
            reference_id=ids[place],
        )
        for place in places
    )
    return candidates, Own(winner, own, [references[place].variant for place in own])


def _variant(
    scores: Float32, own: Own, store: Store, calibration: Calibration | None
) -> tuple[str, bool, str]:
    """The print of the winning item, whether it is certain, and a reason where it is not.

    Certain is an item with one print, or one whose best print leads the best other by more than
    the margin that the calibration found to tell its prints apart. Hits that do not reach down to
    another print bound its cosine from above by the last hit.
    """
    variant = own.variants[0]
    if store.prints(own.item) == 1:
        return variant, True, ""
    other = next(
        (place for place, seen in zip(own.places, own.variants, strict=True) if seen != variant),
        len(scores) - 1,
    )
    lead = float(scores[own.places[0]] - scores[other])
    margin = calibration.variant_margin if calibration else None
    if margin is not None and lead > margin:
        return variant, True, ""
    asked = "no margin between prints is calibrated" if margin is None else f"{margin:.3f} is asked"
    name = f"print {variant}" if variant else "the plain print"
    return variant, False, f"{name} is not certain: it leads the next by {lead:.3f}, {asked}"


def _verdict(value: float, calibration: Calibration | None, known: bool, stale: str) -> list[str]:
    """The rule that decided, and what it promises; why it promises nothing where it is stale."""
    if calibration is None:
        return ["not calibrated: the nearest item, no promise about strangers"]
    side = "above" if known else "not above"
    reasons = [f"{calibration.score} {value:.3f} {side} the threshold {calibration.threshold:.3f}"]
    if stale:
        reasons.append(f"no promise: the calibration is out of date: {stale}")
    else:
        reasons += _strangers(calibration)
    if known and calibration.slope and calibration.confidence_from == "views":
        reasons.append("the confidence is from camera views of the references, not from photos")
    return reasons


@lru_cache(maxsize=16)
def _strangers(calibration: Calibration) -> list[str]:
    """What the rule promises about strangers, the same in all its answers."""
    if not calibration.promises:
        return []
    short = shortfall(calibration)
    rest = f"; {short}" if short else ""
    return [f"strangers, things not enrolled, at this threshold: {promises(calibration)}{rest}"]


def _about(
    ranked: Leaders,
    best: int,
    candidates: tuple[Candidate, ...],
    regions: Sequence[Region],
    near: Floats | None,
) -> list[str]:
    """What stands behind the score: the two nearest, level of chance, and the region."""
    winner, *others = candidates
    first = not others or winner.similarity >= others[0].similarity
    nearest = f"{'nearest' if first else 'best'} is {winner.label} (cosine {winner.similarity:.3f})"
    if math.isnan(float(ranked.second[best])):
        reasons = [f"{nearest}; one item enrolled, no runner-up to compare with"]
    else:
        reasons = [f"{nearest}, then {others[0].label} ({others[0].similarity:.3f})"]
    if near is not None:
        level = float(near[best])
        reasons.append(f"unrelated pictures reach {level:.3f}")
    if len(regions) > 1:
        reasons.append(f"best of {len(regions)} regions: {regions[best].kind}")
    return reasons
