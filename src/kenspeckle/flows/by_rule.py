"""identify by a fixed rule: regions → vectors → cosines to all references → what the rule says.

Somebody chose the numbers of such a rule, so the answer carries no confidence and no promise.
"""

from __future__ import annotations

import math

import numpy as np

from kenspeckle.flows.opened import Opened, rule
from kenspeckle.match.aggregate import cohort_level
from kenspeckle.match.methods import ROUNDING, Rule, Verdicts, averaged, table, verdicts
from kenspeckle.regions.base import cut, split
from kenspeckle.types import Candidate, Decision, Float32, Int64, Picture, Reference, Region


class ByRule:
    """A gallery as it is at this moment, answered by a fixed rule.

    Enrolled camera views take no part: a rule that counts references counts pictures. Calls may
    come from several threads.
    """

    def __init__(self, opened: Opened, fixed: Rule) -> None:
        self._opened, self._fixed = opened, fixed
        now = opened.store.snapshot()
        pairs = [(number, one) for number, one in now.references() if not one.view]
        self._ids: list[int] = [number for number, _ in pairs]
        self._references: list[Reference] = [one for _, one in pairs]
        self._rows: Float32 = now.rows(self._ids)
        self._owners: Int64 = now.owners(self._ids)
        self._means = (self._rows, self._owners)
        if fixed.method == "centroid" and pairs:
            self._means = averaged(self._rows, self._owners, outlier_free=fixed.outlier_free)
        self._labels: dict[int, str] = {}
        self._prints: dict[int, set[str]] = {}
        for item, (_, one) in zip(self._owners.tolist(), pairs, strict=True):
            self._labels.setdefault(item, one.label)
            self._prints.setdefault(item, set()).add(one.variant)

    def identify(self, picture: Picture) -> Decision:
        """The answer for one picture. Raises SettingError, ModelError, and InputError for `cohort`
        with a model that has none."""
        calibration = self._opened.store.calibration()
        regions = split(picture, rule(calibration, self._opened.settings.identify.regions))
        rows = self._opened.embedder.vectors([cut(picture.image, region) for region in regions])
        return self.answer(regions, rows)

    def answer(self, regions: tuple[Region, ...], rows: Float32) -> Decision:
        """The answer for the regions of a picture and their vectors `(k, D)`.

        The region that is named with the largest score counts; where none is, the largest.
        """
        fixed, cohort = self._fixed, self._opened.embedder.cohort
        means, owners = self._means
        near = None
        if fixed.method == "cohort" and cohort is not None:
            near = cohort_level(rows, cohort)
        said = verdicts(fixed, table(rows @ means.T, owners), near)
        best = int(np.lexsort((-said.scores, ~said.named))[0])
        if not self._ids:
            return _unknown(fixed, regions[best])
        cosines = rows[best] @ self._rows.T
        nearest = self._nearest(cosines, int(said.items[best]))
        names = [self._labels[item] for item in said.places[said.names[best]].tolist()]
        reasons = [_verdict(fixed, said, best), *self._about(nearest, said, best, names)]
        if len(regions) > 1:
            reasons.append(f"best of {len(regions)} regions: {regions[best].kind}")
        return self._decision(regions[best], nearest, said, best, reasons)

    def _nearest(self, cosines: Float32, chosen: int) -> list[tuple[int, Candidate]]:
        """Items with their best reference, the chosen one (-1: none) first, then by cosine."""
        by_item = table(cosines[None], self._owners)
        order = np.argsort(self._owners, kind="stable")
        ends = np.append(by_item.starts, len(cosines))
        found = []
        for n, item in enumerate(by_item.items.tolist()):
            own = order[ends[n] : ends[n + 1]]
            place = int(own[cosines[own].argmax()])
            found.append((item, place, float(cosines[place])))
        found.sort(key=lambda one: (one[0] != chosen, -one[2], one[0]))
        shown = max(self._opened.settings.identify.top, 2)
        return [(item, self._candidate(place, value)) for item, place, value in found[:shown]]

    def _candidate(self, place: int, similarity: float) -> Candidate:
        one = self._references[place]
        return Candidate(one.key, one.label, similarity, one, self._ids[place])

    def _about(
        self, nearest: list[tuple[int, Candidate]], said: Verdicts, row: int, names: list[str]
    ) -> list[str]:
        """The two nearest items, and all names where there are several."""
        first = nearest[0][1]
        told = f"nearest is {first.label} (cosine {first.similarity:.3f})"
        second = nearest[1][1] if len(nearest) > 1 else None
        if second is None:
            told += "; one item enrolled"
        elif second.similarity > first.similarity:
            told = (
                f"nearest by the rule is {first.label} (cosine {first.similarity:.3f}), though "
                f"{second.label} has a nearer reference ({second.similarity:.3f})"
            )
        else:
            told += f", then {second.label} ({second.similarity:.3f})"
        reasons = [told]
        also = [name for name in names if name != self._labels[int(said.items[row])]]
        if also:
            reasons.append(f"the rule names these as well: {', '.join(also)}")
        return reasons

    def _decision(
        self,
        region: Region,
        nearest: list[tuple[int, Candidate]],
        said: Verdicts,
        row: int,
        reasons: list[str],
    ) -> Decision:
        known = bool(said.named[row])
        item, winner = nearest[0]
        others = [one.similarity for number, one in nearest if number != item]
        variant = winner.reference.variant
        certain = len(self._prints[item]) == 1
        if known and not certain:
            reasons.append(f"print {variant or 'without a name'} is the nearest, which is no proof")
        return Decision(
            known=known,
            key=winner.key if known else "",
            label=winner.label if known else "",
            variant=variant if known else "",
            variant_certain=known and certain,
            score=float(said.scores[row]) if said.items[row] >= 0 else winner.similarity,
            threshold=self._fixed.threshold,
            similarity=winner.similarity,
            margin=winner.similarity - max(others) if others else None,
            confidence=None,
            region=region,
            candidates=tuple(one for _, one in nearest)[: self._opened.settings.identify.top],
            reasons=tuple(reasons),
        )


def _verdict(fixed: Rule, said: Verdicts, row: int) -> str:
    """Which rule decided, on what, and that it promises nothing."""
    score, lead, count = (
        float(said.scores[row]),
        float(said.margins[row]),
        int(said.counts[row]),
    )
    if said.items[row] < 0:
        why = f"no item has {fixed.least} references at T or above"
    elif score < fixed.threshold - ROUNDING:
        why = f"{score:.3f} is below T"
    elif fixed.method == "multi-ref" and count < fixed.least:
        why = f"{count} references at T or above, asked are {fixed.least}"
    elif fixed.method == "simple" or math.isnan(lead):
        why = f"{score:.3f} is at T or above"
    elif lead < fixed.margin - ROUNDING:
        why = f"{score:.3f} is at T or above but leads by {lead:.3f} only"
    else:
        why = f"{score:.3f} is at T or above and leads by {lead:.3f}"
    return f"fixed rule ({fixed}): {why}; it promises nothing about strangers"


def _unknown(fixed: Rule, region: Region) -> Decision:
    reasons = (f"fixed rule ({fixed}): the gallery is empty",)
    return Decision(
        False, "", "", "", False, -1.0, fixed.threshold, -1.0, None, None, region, (), reasons
    )
