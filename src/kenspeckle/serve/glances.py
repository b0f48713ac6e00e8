"""What a frame shows, as its answer says: each item once, where it is named best."""

from __future__ import annotations

from dataclasses import dataclass

from kenspeckle.flows.identify import Answer
from kenspeckle.match.sighting import Rect, Sighting, sighted
from kenspeckle.types import Decision, Float32


@dataclass(frozen=True, slots=True)
class Glance:
    """One thing in one frame, and the answer for it; `vector` is the unit row `(D,)` it had."""

    box: Rect
    decision: Decision
    sharpness: float = 1.0
    vector: Float32 | None = None

    @property
    def sighting(self) -> Sighting:
        """What it says to the tracks."""
        return sighted(self.box, self.decision, sharpness=self.sharpness, vector=self.vector)


def glances(answer: Answer) -> list[Glance]:
    """What an answer saw: every item that one of its regions is named, where it is named best;
    where nothing is, the unknown thing in the region that was nearest to a name."""
    best: dict[str, Glance] = {}
    for decision, row in zip(answer.regions, answer.rows, strict=True):
        known = best.get(decision.key)
        if decision.known and (known is None or decision.score > known.decision.score):
            best[decision.key] = Glance(decision.region.box, decision, vector=row)
    whole = answer.decision
    if whole.key not in best:  # unknown, or named by a printed code or text
        regions = [one.region for one in answer.regions]
        row = answer.rows[regions.index(whole.region)] if whole.region in regions else None
        if whole.known or not best:
            best[whole.key] = Glance(whole.region.box, whole, vector=row)
    return list(best.values())
