"""All pictures of a full calibration, asked about once, judged by any score."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kenspeckle.flows.gathered import Gathered
from kenspeckle.flows.opened import ReadOnly
from kenspeckle.flows.photos import Embedded
from kenspeckle.flows.trials import BLOCK, Asked, Known, Query, ask, general_trials
from kenspeckle.match.aggregate import SCORES, ScoreKind
from kenspeckle.match.choose import Material
from kenspeckle.match.second_look import Looked
from kenspeckle.match.trials import NO_TRIALS, Trials, but, joined


def offered(opened: ReadOnly, items: int) -> tuple[ScoreKind, ...]:
    """The scores that a gallery can be judged by: all need what they compare with, also where an
    item is left out."""
    cohort = opened.embedder.cohort is not None
    kinds = [kind for kind in SCORES if cohort or "cohort" not in kind]
    return tuple(kind for kind in kinds if items > 2 or "margin" not in kind)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the gallery answered to camera views, labelled photos, strangers and rejected answers.

    `twins` are items that look like another one. With a second look the `weight` of its evidence
    is in all answers; the general strangers are no pictures and have none.
    """

    made: Gathered
    known: tuple[Asked, ...]
    strangers: tuple[Asked, ...]
    rejected: tuple[Asked, ...]
    twins: set[int]
    weight: float = 0.0

    @classmethod
    def of(
        cls, opened: ReadOnly, known: Known, made: Gathered, photos: Embedded, twins: set[int]
    ) -> Answers:
        """Ask about the photos; the views have been asked about."""
        mated, strangers, rejected = (
            tuple(_blocks(opened, known, queries))
            for queries in (photos.known, photos.strangers, photos.rejected)
        )
        return cls(made, mated, strangers, rejected, twins)

    def material(self, kind: ScoreKind, general: Trials = NO_TRIALS) -> Material:
        """The trials of one score."""
        if self.weight:
            views = [asked.weighted(self.weight) for asked in self.made.asked]
            mated = joined(asked.mated(kind) for asked in views)
            left_out = joined(asked.left_out(kind) for asked in views)
        else:
            mated, left_out = self.made.mated(kind), self.made.left_out(kind)
        known, strangers, rejected = (
            [asked.weighted(self.weight) for asked in part] if self.weight else part
            for part in (self.known, self.strangers, self.rejected)
        )
        return Material(
            mated=mated,
            left_out=but(left_out, self.twins),
            photos=joined(asked.mated(kind) for asked in known),
            photos_out=but(joined(asked.left_out(kind) for asked in known), self.twins),
            given=joined(asked.mated(kind) for asked in strangers),
            general=general,
            rejected=_wrong(joined(asked.mated(kind) for asked in rejected)),
        )

    def per_region(self, kind: ScoreKind, threshold: float) -> float | None:
        """The share of regions of strangers' photos that get a name; None without such photos, and
        where every photo is one region."""
        asked = self.strangers or self.known
        if not asked or all(len(one.owner) == len(one.items) for one in asked):
            return None
        looked = [one.weighted(self.weight) if self.weight else one for one in asked]
        scores = np.concatenate([one.by_region(kind) for one in looked])
        return float((scores > threshold).mean()) if len(scores) else None

    def weighted(self, weight: float) -> Answers:
        """The same after a second look of this weight."""
        return replace(self, weight=weight)

    def looked(self) -> list[Looked]:
        """What the weight of a second look is fitted on: photos where there are any, else views,
        and for strangers those given, else the same pictures with their item left out."""
        known = self.known or tuple(self.made.asked)
        mated = [one for asked in known for one in asked.looked(enrolled=True)]
        if self.strangers:
            return mated + [one for asked in self.strangers for one in asked.looked(enrolled=False)]
        left_out = [one for asked in known for one in asked.looked(enrolled=False)]
        return mated + [one for one in left_out if one.item not in self.twins]


def general_of(opened: ReadOnly, kind: ScoreKind, seed: int) -> Trials:
    """The cohort's trials, all of them."""
    cohort = opened.embedder.cohort
    if cohort is None:
        return NO_TRIALS
    return general_trials(opened, cohort, kind, math.inf, seed)


def _blocks(opened: ReadOnly, known: Known, queries: Sequence[Query]) -> Iterator[Asked]:
    for start in range(0, len(queries), BLOCK):
        yield ask(opened, known, queries[start : start + BLOCK])


def _wrong(rejected: Trials) -> Trials:
    """Photos that are still taken for what they do not show, each a thing of its own. Far from
    the numbers of strangers, so that none of those is counted with them."""
    still = rejected.right
    count = int(still.sum())
    numbers = np.iinfo(np.int64).min + np.arange(count)
    return Trials(rejected.scores[still], numbers, np.zeros(count, bool))
