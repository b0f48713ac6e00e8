"""Trials in, rule out: the threshold for a false-positive rate, what it promises, a confidence.

Trials are queries whose right answer is known. *Mated* ones show an enrolled item; *non-mated* ones
a stranger, of one of three kinds: `given`, `like your items` (each item left out of the gallery in
turn), `general` (the cohort). The kinds are kept apart, since a threshold for one says nothing
about another, and counted by item, since photos of one thing are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kenspeckle.errors import PromiseRefused
from kenspeckle.match.aggregate import Floats, ScoreKind, best_regions, leaders, score
from kenspeckle.stats import (
    expected_rate,
    expected_threshold,
    fpir_by_item,
    supported_rate,
    tpir,
    trials_needed,
    wilson,
)
from kenspeckle.store.base import Hits
from kenspeckle.types import Calibration, Int64, Promise

Bools = NDArray[np.bool_]
Strangers = Literal["given", "like your items", "general"]

PRINT_ERROR = 0.05
"""Asked share of views whose print is wrongly called certain: a lesser fault than a wrong name."""


@dataclass(frozen=True, slots=True)
class Trials:
    """Scores of n queries `(n,)`, the independent item that each shows, and whether the best item
    is the right one (always false for strangers)."""

    scores: Floats
    items: Int64
    right: Bools

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def independent(self) -> int:
        """How many different items the trials show."""
        return len(np.unique(self.items))


@dataclass(frozen=True, slots=True)
class Views:
    """n camera views beside the references `(n,)`: the item that each shows, its cosine to its own
    reference, and by how much the right print leads the best other one (nan: a single print)."""

    items: Int64
    level: Floats
    lead: Floats


NO_VIEWS = Views(np.empty(0, np.int64), np.empty(0), np.empty(0))
NO_TRIALS = Trials(np.empty(0), np.empty(0, np.int64), np.empty(0, bool))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a calibration is for: region rule, space, size and commit of the gallery, and when."""

    regions: str
    space_id: str
    items: int
    references: int
    change: int
    date: str


def judge(
    kind: ScoreKind,
    found: Hits,
    near: Floats | None,
    owner: Int64,
    items: Int64,
    without: Int64 | None = None,
) -> Trials:
    """Trials from the hits of regions: the best region of each query counts.

    `found` and `near` have a row a region; `owner` `(R,)` is the query 0 … n − 1 of each region and
    `items` `(n,)` the item that each query shows. `without` `(n,)` leaves an item a query out of
    the gallery. Queries with no score (nothing left to compare with) are left out.
    """
    ranked = leaders(found, None if without is None else without[owner])
    values = score(kind, ranked.best, ranked.second, near)
    best = best_regions(values, owner)
    scores = values[best]
    stands = ~np.isnan(scores)
    right = ranked.items[best] == items
    return Trials(scores[stands], items[stands], right[stands])


def joined(parts: Iterable[Trials]) -> Trials:
    """Several trials as one."""
    all_parts = list(parts)
    if not all_parts:
        return NO_TRIALS
    return Trials(
        np.concatenate([p.scores for p in all_parts]),
        np.concatenate([p.items for p in all_parts]),
        np.concatenate([p.right for p in all_parts]),
    )


def but(trials: Trials, items: Collection[int]) -> Trials:
    """The trials that show none of these items."""
    stays = ~np.isin(trials.items, list(items))
    return Trials(trials.scores[stays], trials.items[stays], trials.right[stays])


def fit(
    subject: Subject,
    kind: ScoreKind,
    mated: Trials,
    strangers: Mapping[Strangers, Trials],
    fpir: float,
    *,
    strict: bool = False,
    method: Literal["quick", "full"] = "quick",
    views: Views = NO_VIEWS,
    notes: tuple[str, ...] = (),
) -> Calibration | None:
    """The rule for a gallery, or None when there is no stranger to fit it on.

    Each kind of stranger asks for the threshold at which a stranger not seen yet is named at the
    rate `fpir`; the largest one is taken, so that it holds for every kind. Too few items to tell
    that rate ask for the strictest threshold they know, above all their trials, and the promise of
    their kind says what so many items support. Under `strict` this raises PromiseRefused instead,
    with the number of items needed. A difference to a runner-up or to unrelated pictures has to be
    above 0 in any case, or the item named would be the less likely one.
    """
    present = {name: trials for name, trials in strangers.items() if len(trials)}
    if strict:
        _refuse(present, fpir)
    if not present:
        return None
    floor = -math.inf if kind == "cosine" else 0.0
    asked = (expected_threshold(t.scores, t.items, fpir) for t in present.values())
    threshold = max(floor, *asked)
    slope, intercept = _confidence(mated, list(present.values()))
    return Calibration(
        score=kind,
        threshold=threshold,
        slope=slope,
        intercept=intercept,
        promises=tuple(_promise(name, t, threshold) for name, t in present.items()),
        fpir=fpir,
        regions=subject.regions,
        space_id=subject.space_id,
        items=subject.items,
        references=subject.references,
        change=subject.change,
        date=subject.date,
        mated_trials=len(mated),
        named_right=tpir(mated.scores, mated.right, threshold) if len(mated) else 0.0,
        method=method,
        notes=(*notes, *_shortfalls(present, fpir)),
        variant_margin=print_margin(views),
        view_level=look_alike_level(views),
    )


def _refuse(strangers: Mapping[Strangers, Trials], fpir: float) -> None:
    needed = trials_needed(fpir)
    if any(t.independent >= needed for t in strangers.values()):
        return
    most = max((t.independent for t in strangers.values()), default=0)
    raise PromiseRefused(
        f"FPIR {fpir:.2%}",
        f"{most} independent strangers",
        expected=f"at least {needed}",
        do=f"Ask for {supported_rate(most):.1%}, or give photos of more other things"
        if most
        else "Give photos of things that are not in the gallery",
    )


def _promise(name: Strangers, trials: Trials, threshold: float) -> Promise:
    """The expected rate at the threshold, never below what so many items can show."""
    count = trials.independent
    rate = expected_rate(trials.scores, trials.items, threshold)
    low, high = wilson(fpir_by_item(trials.scores, trials.items, threshold) * count, count)
    fpir = max(rate, supported_rate(count))
    return Promise(name, fpir, low, max(high, fpir), len(trials), count)


def _shortfalls(strangers: Mapping[Strangers, Trials], fpir: float) -> tuple[str, ...]:
    """For each kind with too few items for the asked rate, what would be needed."""
    needed = trials_needed(fpir)
    return tuple(
        f"strangers {name}: {t.independent} items support {supported_rate(t.independent):.1%}; "
        f"{fpir:.2%} needs {needed}"
        for name, t in strangers.items()
        if t.independent < needed
    )


def _confidence(mated: Trials, strangers: Sequence[Trials]) -> tuple[float, float]:
    """Slope and intercept of the chance that the named item is the right one.

    Logistic regression on the score with Platt's targets (Platt, "Probabilistic outputs for
    support vector machines", 1999), by Newton's method. Right names stand against wrong names and
    strangers. Nobody knows how many strangers will be asked about, so the prior is one in two:
    mated queries weigh as much as all strangers, and each kind of stranger as much as another.
    Without a right name, (0, 0): no fit.
    """
    if not mated.right.any():
        return 0.0, 0.0
    x = np.concatenate([mated.scores, *(t.scores for t in strangers)])
    right = np.concatenate([mated.right, *(t.right for t in strangers)])
    shares = [0.5, *(0.5 / len(strangers) for _ in strangers)]
    weight = len(x) * np.concatenate(
        [
            np.full(len(t), part / len(t))
            for t, part in zip((mated, *strangers), shares, strict=True)
        ]
    )
    yes, no = float(weight[right].sum()), float(weight[~right].sum())
    target = np.where(right, (yes + 1) / (yes + 2), 1 / (no + 2))
    centre, spread = float(x.mean()), float(x.std()) or 1.0
    slope, intercept = _logistic((x - centre) / spread, target, weight)
    if slope <= 0:  # a higher score that means less is noise, not evidence
        return 0.0, 0.0
    return slope / spread, intercept - slope * centre / spread


def _logistic(x: Floats, target: Floats, weight: Floats, rounds: int = 100) -> tuple[float, float]:
    """Weighted maximum-likelihood slope and intercept for targets between 0 and 1."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    beta = np.array([0.0, math.log(_odds(float(np.average(target, weights=weight))))])
    loss = _loss(design @ beta, target, weight)
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -700, 700)))
        gradient = design.T @ (weight * (chance - target))
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-9 * len(x) * np.eye(2), gradient)
        size = 1.0
        while size > 1e-6 and _loss(design @ (beta - size * step), target, weight) > loss:
            size /= 2
        beta = beta - size * step
        before, loss = loss, _loss(design @ beta, target, weight)
        if before - loss < 1e-10 * len(x):
            break
    return float(beta[0]), float(beta[1])


def _odds(chance: float) -> float:
    return chance / (1 - chance)


def _loss(z: Floats, target: Floats, weight: Floats) -> float:
    """Weighted cross entropy of logits z: Σ w (log(1 + eᶻ) − t z)."""
    return float((weight * (np.logaddexp(0, z) - target * z)).sum())


def look_alike_level(views: Views) -> float | None:
    """The cosine to their own reference that nine in ten views stay below, None without views.

    Two references that are nearer to each other look more alike than a photo and what it shows.
    """
    return float(np.quantile(views.level, 0.9)) if len(views.level) else None


def print_margin(views: Views) -> float | None:
    """By how much the best print of an item must lead to be certain, from views of known prints.

    A wrong print leads by the negative of the right one's lead. The margin keeps wrong prints
    called certain at an expected 5 % of views, by item. None when the items with several prints
    are too few for that (19).
    """
    several = ~np.isnan(views.lead)
    leads, items = views.lead[several], views.items[several]
    if not len(leads) or 1 / (len(np.unique(items)) + 1) > PRINT_ERROR:
        return None
    return max(0.0, expected_threshold(-leads, items, PRINT_ERROR))
