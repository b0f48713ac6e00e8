"""The chance that a name is right, fitted on trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kenspeckle.match.aggregate import Floats
from kenspeckle.match.trials import Trials

ENOUGH_PHOTOS = 100
"""Labelled photos from which on the confidence is fitted on them alone."""

Group = tuple[Trials, float]
"""Trials, and the share of all weight that they have together."""


def enough(labelled: Trials) -> bool:
    """Whether labelled photos, of enrolled things and of strangers, can tell the chance.

    They are then taken for a sample of what will be asked about, strangers included.
    """
    right = int(labelled.right.sum())
    return len(labelled) >= ENOUGH_PHOTOS and 0 < right < len(labelled)


def half_and_half(mated: Trials, strangers: Sequence[Trials]) -> list[Group]:
    """Nobody knows how many strangers will be asked about, so half of the photos are thought to
    show an enrolled item, and the kinds of strangers share the other half."""
    return [(mated, 0.5), *((t, 0.5 / len(strangers)) for t in strangers)]


def chance(scores: Floats, slope: float, intercept: float) -> Floats:
    """The fitted chance that a name is right, by its score.

    >>> chance(np.array([0.0, 1.0]), 2.0, 0.0).round(2).tolist()
    [0.5, 0.88]
    """
    values: Floats = 1 / (1 + np.exp(-np.clip(slope * scores + intercept, -700, 700)))
    return values


def independent(mated: Trials, strangers: Sequence[Trials]) -> tuple[float, float]:
    """How many different things are named right, and how many strangers there are.

    A hundred camera views of two items are two witnesses. They must not make anybody sure.
    """
    return float(len(np.unique(mated.items[mated.right]))), float(
        sum(t.independent for t in strangers)
    )


def platt(
    groups: Sequence[Group], counts: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Slope and intercept of the chance that the named item is the right one.

    Logistic regression on the score with Platt's targets (Platt, "Probabilistic outputs for
    support vector machines", 1999), by Newton's method. Right names stand against wrong names and
    strangers. The targets, (a + 1) / (a + 2) and 1 / (b + 2), keep few observations from making
    sure; `counts` are a and b where trials depend on each other, by default every trial counts.
    Without a right name, or where a higher score does not mean more, (0, 0): no fit.
    """
    groups = [(trials, share) for trials, share in groups if len(trials)]
    right = np.concatenate([np.empty(0, bool), *(trials.right for trials, _ in groups)])
    if not right.any():
        return 0.0, 0.0
    x = np.concatenate([trials.scores for trials, _ in groups])
    weight = len(x) * np.concatenate(
        [np.full(len(trials), share / len(trials)) for trials, share in groups]
    )
    yes, no = counts or (float(weight[right].sum()), float(weight[~right].sum()))
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
