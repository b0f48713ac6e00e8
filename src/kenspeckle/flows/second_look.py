"""A second look at the shortlist: local features, a homography, and where look-alikes differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kenspeckle.engines.features import Features, open_features
from kenspeckle.engines.geometry import Geometry, compare
from kenspeckle.engines.layout import agreements
from kenspeckle.flows.looks import features_of
from kenspeckle.flows.opened import ReadOnly
from kenspeckle.match.second_look import USUAL, Seen, shortlist, told, weighed
from kenspeckle.store.base import Hits, Store
from kenspeckle.types import Calibration, Decision, Picture, Reference, SecondLookRule

EACH = 2
"""References of one item that are compared: those with the largest cosines."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a second look found: by item number what was seen, and its evidence."""

    rule: SecondLookRule
    seen: Mapping[int, Seen] = field(default_factory=dict)
    evidence: Mapping[int, float] = field(default_factory=dict)

    @property
    def raised(self) -> dict[int, float]:
        """By how much the cosines of each item are raised."""
        return {item: self.rule.weight * value for item, value in self.evidence.items()}


def rule_for(
    calibration: Calibration | None, asked: str, shortlist: int = 0
) -> SecondLookRule | None:
    """The second look that is asked for (`sift`, `orb`, `off`), else the calibrated one, if any."""
    fitted = calibration.second_look if calibration else None
    if asked == "off":
        return None
    if asked and (fitted is None or fitted.features != asked):
        fitted = replace(USUAL, features=asked)
    if fitted is None or not fitted.weight:
        return None
    return replace(fitted, shortlist=shortlist) if shortlist else fitted


def look(opened: ReadOnly, picture: Picture, found: Hits, rule: SecondLookRule) -> Look:
    """Compare a photo with the best references of the shortlist.

    `found` are the hits of its regions; the whole photo is compared, since a homography finds the
    thing in it. Raises MissingExtra, SettingError.
    """
    extractor = open_features(rule.features)
    try:
        items = shortlist(found, rule.shortlist)
        chosen = best_references(opened, found, items)
        flat = [pair for pairs in chosen.values() for pair in pairs]
        limits = opened.settings.image
        known = features_of(opened.store, opened.looks, extractor, flat, limits)
        asked = extractor.extract(picture.image)
    finally:
        extractor.close()
    best: dict[int, tuple[Features, Geometry]] = {}
    for item, pairs in chosen.items():
        tries = [
            (known[number], compare(asked, known[number], rule.estimator))
            for number, _ in pairs
            if number in known
        ]
        if tries:
            best[item] = max(tries, key=lambda one: (one[1].sane, one[1].inliers))
    agree = dict(zip(best, agreements(picture.image, asked, list(best.values())), strict=True))
    seen = {
        item: Seen(best[item][1], agree[item]) if item in best else Seen(None) for item in items
    }
    return Look(rule, seen, weighed(seen))


def with_evidence(store: Store, decision: Decision, seen: Look) -> Decision:
    """The decision with what was found of its best candidate, and a sentence about it."""
    if not decision.candidates:
        return decision
    winner, *others = decision.candidates
    items = store.owners([winner.reference_id, *(one.reference_id for one in others[:1])]).tolist()
    if items[0] not in seen.seen:
        return decision
    evidence = told(seen.seen[items[0]], seen.evidence[items[0]])
    sentence = f"second look: {_agree(seen, items[0])} with {winner.label}"
    sentence += f" (cosine raised by {seen.raised[items[0]]:.3f})"
    if others and items[1] in seen.seen:
        sentence += f", {_agree(seen, items[1])} with {others[0].label}"
    return replace(decision, evidence=evidence, reasons=(*decision.reasons, sentence))


def _agree(seen: Look, item: int) -> str:
    """How much of one candidate was found, in words."""
    one = seen.seen[item]
    if one.geometry is None:
        return "nothing to compare"
    count = one.geometry.inliers if one.geometry.sane else 0
    alike = "" if one.agreement is None else f", {one.agreement:.2f} where look-alikes differ,"
    return f"{count} features agree{alike}"


def best_references(
    opened: ReadOnly, found: Hits, items: list[int]
) -> dict[int, list[tuple[int, Reference]]]:
    """For each item its best references, views counted as the picture they were made of."""
    best: dict[int, dict[int, float]] = {item: {} for item in items}
    for ids, owners, scores in zip(
        found.ids.tolist(), found.items.tolist(), found.scores.tolist(), strict=True
    ):
        for number, item, cosine in zip(ids, owners, scores, strict=True):
            if item in best:
                best[item][number] = max(cosine, best[item].get(number, -2.0))
    chosen = {}
    for item, cosines in best.items():
        numbers = sorted(cosines, key=lambda number: (-cosines[number], number))
        paths: dict[str, tuple[int, Reference]] = {}
        for number, reference in zip(numbers, opened.store.get(numbers), strict=True):
            paths.setdefault(reference.path, (number, reference))
            if len(paths) == EACH:
                break
        chosen[item] = list(paths.values())
    return chosen
