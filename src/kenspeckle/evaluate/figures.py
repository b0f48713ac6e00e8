"""From answers to figures: rates over all draws with their intervals, and over each draw alone.

Definitions as in `kenspeckle.stats`. Draws ask about the same photos again, and photos of one item
are alike, so neither is independent: intervals draw *items*, and with an item all its photos in all
draws (2,000 samples, fixed seed). Where every item was asked about once, and where all answers
agree and there is nothing to draw from, the interval is Wilson's, on the number of items. Where the
answers of one item differ there is nothing to draw either, and no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kenspeckle import stats
from kenspeckle.evaluate.result import Answer, Rate

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAMPLES = 2000
BINS = 10
"""Bins of equal mass of the calibration error."""
BLOCK = 4_000_000
"""Pairs of mated queries and strangers that are compared at once."""


class Asked:
    """Answers as columns, and the samples of items that all intervals share."""

    def __init__(self, answers: Sequence[Answer], seed: int = 0) -> None:
        self.draw = np.array([one.draw for one in answers], np.int64)
        self.enrolled = np.array([one.enrolled for one in answers], bool)
        self.named = np.array([bool(one.said) for one in answers], bool)
        self.right = np.array([one.right for one in answers], bool)
        self.said_right = np.array([one.outcome == "right" for one in answers], bool)
        self.rank = np.array([one.rank for one in answers], np.int64)
        scores = np.array([one.score for one in answers], np.float64)
        self.score = np.where(np.isnan(scores), -np.inf, scores)
        stated = [math.nan if one.confidence is None else one.confidence for one in answers]
        self.confidence = np.array(stated, np.float64)
        self.regions = np.array([one.asked for one in answers], np.float64)
        self.regions_named = np.array([one.named for one in answers], np.float64)
        names, self.item = np.unique([one.item for one in answers], return_inverse=True)
        self.items, self._seed = len(names), seed

    def __len__(self) -> int:
        return len(self.draw)

    @cached_property
    def weight(self) -> Floats:
        """How often each item is drawn in each sample, `(samples, items)`."""
        count = max(self.items, 1)
        rng = np.random.default_rng(self._seed)
        return rng.multinomial(count, np.full(count, 1 / count), SAMPLES).astype(np.float64)

    def sums(self, values: Floats, rows: Bools) -> Floats:
        """The sum of `values[rows]` of each item, `(items,)`."""
        total: Floats = np.bincount(self.item[rows], values[rows], self.items).astype(np.float64)
        return total


def rates(answers: Sequence[Answer]) -> dict[str, Rate]:
    """All figures that these answers allow, by name (see `Evaluation.rates`)."""
    asked = Asked(answers)
    mated, strangers = asked.enrolled, ~asked.enrolled
    made = {
        "rank-1": _share(asked, asked.rank == 1, mated),
        "rank-5": _share(asked, (asked.rank >= 1) & (asked.rank <= 5), mated),
        "tpir": _share(asked, asked.said_right, mated),
        "fnir": _share(asked, ~asked.said_right, mated),
        "misidentified": _share(asked, asked.named & ~asked.said_right, mated),
        "fpir": _share(asked, asked.named, strangers),
        "fpir per region": _ratio(asked, asked.regions_named, asked.regions, strangers),
        "right when named": _share(asked, asked.said_right, asked.named),
        "auroc": _area(asked, np.ones(len(asked), bool)),
        "oscr": _area(asked, asked.right),
        "ece": _ece(asked),
        "brier": _brier(asked),
    }
    return {name: rate for name, rate in made.items() if rate is not None}


def values(answers: Sequence[Answer]) -> dict[str, float]:
    """The same figures of one draw, bare."""
    return {name: rate.value for name, rate in rates(answers).items()}


def rate(values: Sequence[bool], items: Sequence[str], seed: int = 0) -> Rate:
    """A share with its interval, for what is counted elsewhere; nan of nothing.

    >>> rate([True, False], ["a", "b"]).interval
    'wilson'
    """
    _, of = np.unique(np.array(items, str), return_inverse=True)
    hits = np.array(values, np.float64)
    if not len(hits):
        return Rate(math.nan, 0.0, 1.0, 0, 0)
    if _alone(of) or hits.min() == hits.max():
        return _wilson(float(hits.mean()), len(hits), len(np.unique(of)))
    low, high = stats.bootstrap(hits, of, samples=SAMPLES, seed=seed)
    return _drawn(float(hits.mean()), (low, high), len(hits), len(np.unique(of)))


def _share(asked: Asked, hits: Bools, rows: Bools) -> Rate | None:
    """The share of `rows` that are `hits`; None of nothing."""
    return _ratio(asked, hits.astype(np.float64), np.ones(len(asked)), rows)


def _ratio(asked: Asked, parts: Floats, wholes: Floats, rows: Bools) -> Rate | None:
    """Sum of `parts` over sum of `wholes`, rows with nothing in them left out."""
    rows = rows & (wholes > 0)
    count = int(wholes[rows].sum())
    if not count:
        return None
    value, items = float(parts[rows].sum() / count), len(np.unique(asked.item[rows]))
    if value in (0.0, 1.0) or (count == items and bool((wholes[rows] == 1).all())):
        return _wilson(value, count, items)
    top, bottom = asked.weight @ asked.sums(parts, rows), asked.weight @ asked.sums(wholes, rows)
    return _drawn(value, _interval(top, bottom), count, items)


def _area(asked: Asked, wins: Bools) -> Rate | None:
    """The chance that a mated query of `wins` scores above a stranger, in the mean of the draws.

    With all mated queries in `wins` the AUROC, with those whose best item is right the OSCR.
    """
    parts = []
    for draw in np.unique(asked.draw):
        mated = np.flatnonzero((asked.draw == draw) & asked.enrolled)
        strangers = np.flatnonzero((asked.draw == draw) & ~asked.enrolled)
        if len(mated) and len(strangers):
            parts.append(_pairs(asked, mated, strangers, wins))
    if not parts:
        return None
    value = float(np.mean([one for one, _ in parts]))
    fewer = min(len(np.unique(asked.item[asked.enrolled == side])) for side in (True, False))
    if value in (0.0, 1.0):  # as many trials as the side with fewer items has
        return _wilson(value, len(asked), fewer)
    if fewer < 2:
        return _bare(value, len(asked), len(np.unique(asked.item)))
    sampled = np.stack([samples for _, samples in parts])
    means = np.nanmean(np.where(np.isfinite(sampled), sampled, value), axis=0)
    low, high = np.percentile(means, [2.5, 97.5])
    return _drawn(value, (float(low), float(high)), len(asked), len(np.unique(asked.item)))


def _pairs(asked: Asked, mated: Int64, strangers: Int64, wins: Bools) -> tuple[float, Floats]:
    """The area of one draw, and of each sample of items."""
    own, others = np.unique(asked.item[mated]), np.unique(asked.item[strangers])
    beaten = np.zeros((len(own), len(others)))
    of = np.searchsorted(others, asked.item[strangers])
    order = np.argsort(of, kind="stable")
    starts = np.flatnonzero(np.diff(of[order], prepend=-1))
    against = asked.score[strangers][order]
    for rows in np.array_split(mated, math.ceil(len(mated) * len(strangers) / BLOCK)):
        mine = asked.score[rows][:, None]
        won = ((mine > against) + 0.5 * (mine == against)) * wins[rows][:, None]
        per_item = np.add.reduceat(won, starts, axis=1)
        np.add.at(beaten, np.searchsorted(own, asked.item[rows]), per_item)
    sizes = np.bincount(np.searchsorted(own, asked.item[mated])), np.bincount(of)
    first, second = asked.weight[:, own], asked.weight[:, others]
    top = ((first @ beaten) * second).sum(axis=1)
    bottom = (first @ sizes[0]) * (second @ sizes[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = top / bottom
    return float(beaten.sum() / (len(mated) * len(strangers))), samples


def _ece(asked: Asked) -> Rate | None:
    """The calibration error over all queries whose answer states a confidence.

    What comes true is that the best name is right, which no stranger's is. The bins of the samples
    are those of the whole.
    """
    rows = ~np.isnan(asked.confidence)
    if not rows.any():
        return None
    stated, true = asked.confidence[rows], asked.right[rows].astype(np.float64)
    bin_of = stats.equal_mass(stated, BINS)
    items = asked.item[rows]
    table = np.zeros((asked.items, BINS))
    np.add.at(table, (items, bin_of), true - stated)
    gap = np.abs(asked.weight @ table).sum(axis=1)
    total = asked.weight @ np.bincount(items, minlength=asked.items)
    value = stats.ece_by_mass(stated, true, BINS)
    return _drawn(value, _interval(gap, total), len(stated), len(np.unique(items)))


def _brier(asked: Asked) -> Rate | None:
    rows = ~np.isnan(asked.confidence)
    if not rows.any():
        return None
    off = np.where(rows, (asked.confidence - asked.right) ** 2, 0.0)
    top = asked.weight @ asked.sums(off, rows)
    bottom = asked.weight @ asked.sums(np.ones(len(asked)), rows)
    value = stats.brier(asked.confidence[rows], asked.right[rows])
    return _drawn(value, _interval(top, bottom), int(rows.sum()), len(np.unique(asked.item[rows])))


def _interval(top: Floats, bottom: Floats) -> tuple[float, float]:
    """The middle 95 % of the samples that hold anything."""
    held = bottom > 0
    low, high = np.percentile(top[held] / bottom[held], [2.5, 97.5])
    return float(low), float(high)


def _drawn(value: float, ends: tuple[float, float], n: int, items: int) -> Rate:
    if items < 2:
        return _bare(value, n, items)
    return Rate(value, min(ends[0], value), max(ends[1], value), n, items, "bootstrap by item")


def _bare(value: float, n: int, items: int) -> Rate:
    """A figure without an interval."""
    return Rate(value, math.nan, math.nan, n, items, "none")


def _wilson(value: float, n: int, items: int) -> Rate:
    low, high = stats.wilson(value * items, items)
    return Rate(value, low, high, n, items, "wilson")


def _alone(of: Int64) -> bool:
    return bool((np.bincount(of) == 1).all())
