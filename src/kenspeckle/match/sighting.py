"""What one frame says of one thing: where it is, what it is named, how well it is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kenspeckle.errors import InputError
from kenspeckle.types import Decision, Float32

Rect = tuple[float, float, float, float]
"""A box in pixels, `(x0, y0, x1, y1)`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides over tracks. Times are in the unit of the frames' times, usually seconds.

    enough
        Votes that a name takes, and that against it take it away. Above `most`, so one frame never
        suffices. A sum of log-odds at which independent sightings would be wrong once in e⁵ = 148
        (Wald's sequential test, Annals of Mathematical Statistics 16, 1945); frames are not
        independent, hence the weights.
    most, doubt
        The most that one frame says for a name, and against it when it says unknown.
    held
        Votes are counted up to here: how long a name outlives contradiction.
    lead
        By how much another name has to lead before it replaces the one that is held.
    overlap
        Boxes that overlap at least so (intersection over union) may be one thing.
    alike, reach
        So may boxes that look alike (cosine) and are not farther apart than `reach` diagonals.
    patience
        A track ends when its thing has not been seen for longer.
    side
        Boxes whose shorter side has fewer pixels weigh less, in proportion.
    same_view, least
        Sightings this similar (cosine; without vectors, boxes that overlap by 0.9) are one view,
        whose n-th sighting weighs 1 / n, down to `least`.
    sharp_for
        The time in which the sharpness that counts as full is halved, unless it is reached again.
    repeated
        Items of which several may be in one frame; None: any.
    """

    enough: float = 5.0
    most: float = 2.0
    doubt: float = 1.0
    held: float = 10.0
    lead: float = 1.0
    overlap: float = 0.3
    alike: float = 0.6
    reach: float = 1.5
    patience: float = 1.0
    side: float = 96.0
    same_view: float = 0.97
    least: float = 0.1
    sharp_for: float = 10.0
    repeated: frozenset[str] | None = frozenset()

    def __post_init__(self) -> None:
        if not 0 < self.most < self.enough <= self.held:
            raise InputError(
                "rules",
                f"most {self.most:g}, enough {self.enough:g}, held {self.held:g}",
                expected="0 < most < enough <= held",
            )


USUAL = Rules()


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing in one frame.

    `key` is the item nearest to it and `vote` what the frame says for it, above 0 when it was
    named (see `sighted`). `sharpness` is 0 or more, in any unit that is the same for all frames;
    `vector` a unit row `(D,)` of the crop, where there is one.
    """

    box: Rect
    key: str = ""
    label: str = ""
    vote: float = 0.0
    sharpness: float = 1.0
    vector: Float32 | None = None

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if not (all(map(math.isfinite, self.box)) and x0 < x1 and y0 < y1):
            raise InputError("sighting", f"a box {self.box}", expected="x0 < x1 and y0 < y1")
        if not math.isfinite(self.vote) or not 0 <= self.sharpness < math.inf:
            found = f"vote {self.vote}, sharpness {self.sharpness}"
            raise InputError("sighting", found, expected="finite numbers, a sharpness of 0 or more")


def sighted(
    box: Rect, decision: Decision, *, sharpness: float = 1.0, vector: Float32 | None = None
) -> Sighting:
    """A sighting from the answer for its crop.

    The vote is ln(p / (1 - p)) of the confidence p, but never for a name that was not given nor
    against one that was. An uncalibrated answer says 1 for its name.
    """
    if not decision.candidates:
        return Sighting(box, sharpness=sharpness, vector=vector)
    best = decision.candidates[0]
    if decision.confidence is None:
        vote = 1.0 if decision.known else -1.0
    else:
        chance = min(max(decision.confidence, 1e-6), 1 - 1e-6)
        odds = math.log(chance / (1 - chance))
        vote = max(odds, 0.0) if decision.known else min(odds, 0.0)
    return Sighting(box, best.key, best.label, vote, sharpness, vector)


def centre(box: Rect) -> tuple[float, float]:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def overlap(a: Rect, b: Rect) -> float:
    """Intersection over union of two boxes.

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / (areas - both)


def distance(a: Rect, b: Rect) -> float:
    """How far the centres of two boxes are apart, in diagonals of the larger one.

    >>> distance((0, 0, 3, 4), (10, 0, 13, 4))
    2.0
    """
    larger = max(math.hypot(box[2] - box[0], box[3] - box[1]) for box in (a, b))
    return math.dist(centre(a), centre(b)) / larger
