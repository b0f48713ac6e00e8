"""How regions are answered in an evaluation: by a fitted score, or by a fixed rule.

A judge looks at a table of cosines and says, for each region, the likeliest items, the score that
is compared with a threshold, and which items it names. `fitted` sets its threshold, and where it
has one its confidence, on trials of items that take no part in the report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kenspeckle.errors import SettingError
from kenspeckle.match.aggregate import SCORES, Floats, ScoreKind, score
from kenspeckle.match.calibrate import Subject, fit
from kenspeckle.match.confidence import platt
from kenspeckle.match.decide import confidence
from kenspeckle.match.methods import Rule, Table, ceilings, item_scores, largest, verdicts
from kenspeckle.match.trials import Trials
from kenspeckle.stats import expected_threshold
from kenspeckle.types import Calibration, Int64

Bools = NDArray[np.bool_]

DEPTH = 5
"""Candidates kept for each region: enough for rank-5."""
LOWEST = -2.0
"""Below every cosine and every difference of two: a threshold that names everything."""
HALF = 0.5
"""The share of questions that are about enrolled items, where nothing tells it."""
NOBODY = Subject("", "", 0, 0, 0, "")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a judge makes of R regions; items by their place in the table, -1 for none.

    order, values
        `(R, k)`: the k likeliest items, best first, and their scores; -inf where there is none.
    runners
        `(R,)`: the item that the best one was compared with.
    scores
        `(R,)`: what is compared with the threshold, -inf where no threshold would name the region.
    similarity, margins
        `(R,)`: the largest cosine to the best item, and its lead over the best other item (nan
        without one).
    names
        `(R, I)`: the items named.
    """

    order: Int64
    values: Floats
    runners: Int64
    scores: Floats
    similarity: Floats
    margins: Floats
    names: Bools


class Judge(Protocol):
    """A way to answer regions."""

    @property
    def threshold(self) -> float:
        """What a score is compared with."""

    @property
    def needs_cohort(self) -> bool:
        """Whether there is no score without the level of unrelated pictures."""

    def heard(self, cosines: Table, near: Floats | None) -> Heard:
        """The answers for the regions of a table; `near` `(R,)` is their level of chance."""

    def fitted(
        self, mated: Trials, strangers: Trials, fpir: float, enrolled: float = HALF
    ) -> Judge:
        """The same with its threshold at the rate `fpir` for these strangers. `enrolled` is the
        share of questions about enrolled items, which a stated chance depends on."""

    def stated(self, value: float) -> float | None:
        """The chance that the best name is right at this score; None without a fit."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Our decision: a score (formulas in `match.aggregate`) above a threshold fitted on trials."""

    kind: ScoreKind = "margin"
    threshold: float = -math.inf
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if self.kind not in SCORES:
            raise SettingError("score", repr(self.kind), expected=", ".join(SCORES))

    def __str__(self) -> str:
        return f"ours, {self.kind}"

    @property
    def needs_cohort(self) -> bool:
        """See `Judge`. The margin of a gallery of one item takes it where there is one."""
        return "cohort" in self.kind

    def heard(self, cosines: Table, near: Floats | None) -> Heard:
        """See `Judge`."""
        items = largest(cosines)
        order, values = ranked(items)
        best, second = values[:, 0], _second(values)
        compared = np.nan_to_num(score(self.kind, best, second, near), nan=-np.inf)
        compared = np.where(np.isneginf(best), -np.inf, compared)
        names = np.zeros(items.shape, bool)
        names[np.arange(len(items)), order[:, 0]] = compared > self.threshold
        runners = order[:, 1] if order.shape[1] > 1 else np.full(len(order), -1)
        return Heard(order, values, runners, compared, best, best - second, names)

    def fitted(
        self, mated: Trials, strangers: Trials, fpir: float, enrolled: float = HALF
    ) -> Scored:
        """See `Judge`: the threshold of a calibration for given strangers, and the confidence.

        The fitting photos are asked about twice, as enrolled things and as strangers, so their
        numbers say nothing of how many of each will be asked about; `enrolled` does.
        """
        mine, known = finite(mated), finite(strangers)
        made = fit(NOBODY, self.kind, mine, {"given": known}, fpir)
        if made is None:
            return self
        slope, intercept = platt([(mine, enrolled), (known, 1 - enrolled)])
        made = replace(made, slope=slope, intercept=intercept)
        return Scored(self.kind, made.threshold, made)

    def stated(self, value: float) -> float | None:
        """See `Judge`."""
        return confidence(value, self.calibration) if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Ruled:
    """A fixed rule of `match.methods`, at a threshold that was chosen or fitted."""

    rule: Rule

    def __str__(self) -> str:
        return str(self.rule)

    @property
    def threshold(self) -> float:
        """See `Judge`. A score *at* the threshold gets a name."""
        return self.rule.threshold

    @property
    def needs_cohort(self) -> bool:
        """See `Judge`."""
        return self.rule.method == "cohort"

    def heard(self, cosines: Table, near: Floats | None) -> Heard:
        """See `Judge`."""
        said = verdicts(self.rule, cosines, near)
        items = item_scores(self.rule, cosines, near)
        order, values = ranked(items)
        # The rule may prefer another item than the best of all: only survivors compete.
        order, values = _first(order, values, said.items, cosines.items)
        limit = said.scores if self.rule.legacy else ceilings(self.rule, cosines, near)
        near_items = largest(cosines)
        similarity = near_items[np.arange(len(order)), order[:, 0]]
        others = near_items.copy()
        others[np.arange(len(order)), order[:, 0]] = -np.inf
        second = others.max(axis=1) if others.shape[1] > 1 else np.full(len(order), np.nan)
        runners = order[:, 1] if order.shape[1] > 1 else np.full(len(order), -1)
        margins = similarity - np.where(np.isneginf(second), np.nan, second)
        return Heard(order, values, runners, limit, similarity, margins, said.names)

    def fitted(
        self,
        mated: Trials,  # noqa: ARG002
        strangers: Trials,
        fpir: float,
        enrolled: float = HALF,  # noqa: ARG002
    ) -> Ruled:
        """See `Judge`: T alone is fitted. Raises SettingError under `legacy`, which has no order
        of thresholds."""
        if self.rule.legacy:
            raise SettingError(
                "rule", "legacy, with no threshold", expected="a threshold", do="Add --threshold T"
            )
        if not len(strangers):
            return self
        asked = expected_threshold(strangers.scores, strangers.items, fpir)
        # A score at T is named: T lies just above the largest score that may not be.
        above = float(np.nextafter(np.float64(max(asked, LOWEST)) + 2e-6, 2))
        return Ruled(replace(self.rule, threshold=min(above, 2.0)))

    def stated(self, value: float) -> None:  # noqa: ARG002
        """See `Judge`: a fixed rule states none."""
        return


def finite(trials: Trials) -> Trials:
    """The trials that have a score."""
    stands = np.isfinite(trials.scores)
    return Trials(trials.scores[stands], trials.items[stands], trials.right[stands])


def ranked(items: Floats) -> tuple[Int64, Floats]:
    """The likeliest items of each region and their scores, `(R, k)` each, from `(R, I)`."""
    depth = min(DEPTH, items.shape[1])
    if depth < items.shape[1]:
        part = np.argpartition(-items, depth - 1, axis=1)[:, :depth]
        best = items.argmax(axis=1)  # of many equal ones the partition may have left the first out
        lost = ~(part == best[:, None]).any(axis=1)
        part[lost, 0] = best[lost]
    else:
        part = np.broadcast_to(np.arange(depth), items.shape)
    part = np.sort(part, axis=1)  # of equal scores the first item wins
    values = np.take_along_axis(items, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1), np.take_along_axis(values, order, axis=1)


def _second(values: Floats) -> Floats:
    """The runner-up's score, nan where there is none."""
    if values.shape[1] < 2:
        return np.full(len(values), np.nan)
    return np.where(np.isneginf(values[:, 1]), np.nan, values[:, 1])


def _first(order: Int64, values: Floats, said: Int64, items: Int64) -> tuple[Int64, Floats]:
    """The same order with the item that the rule chose in front."""
    place = np.searchsorted(items, said)
    for row in np.flatnonzero((said >= 0) & (place != order[:, 0])):
        rest = [n for n in range(order.shape[1]) if order[row, n] != place[row]]
        keep = rest[: order.shape[1] - 1]
        own = np.flatnonzero(order[row] == place[row])
        value = values[row, own[0]] if len(own) else values[row, 0]
        order[row] = [place[row], *order[row, keep]]
        values[row] = [value, *values[row, keep]]
    return order, values
