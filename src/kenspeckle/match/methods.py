"""Fixed rules: cosines to references in, names out, with a threshold that somebody chose.

They are the rules of the systems that people come from, and what a fitted decision is measured
against. None of them promises anything about strangers. With T the threshold, m the margin, n the
least number of matching references, and for each item i the cosines s of a region to its references

    simple       every item with a reference at s ≥ T; several names are possible
    margin       best reference r1 of all, second best r2, which may be of the same item:
                 the item of r1, if s(r1) ≥ T and s(r1) − s(r2) ≥ m
    multi-ref    a_i = largest s of item i (`pool="max"`) or mean over all its references (`mean`),
                 c_i = number of its references at s ≥ T:
                 the item of the largest a, if a ≥ T, c ≥ n and a − (a of the best other item) ≥ m
    top-k        as multi-ref without n, a_i = mean of the k largest s of item i
    centroid     as top-k, a_i = cosine to the renormalised mean of the item's references
    item-margin  as top-k, a_i = largest s of item i
    cohort       as item-margin, a_i = largest s − level of unrelated pictures

Where there is no second reference or no other item, T alone decides. `legacy` makes multi-ref drop
items with c_i < n before the best two are compared, so that an item alone above T is named however
near a rival is: raising T can then add names. Without it raising T only ever removes them, and
`ceilings` says up to which T each region keeps its name.

Comparisons are ≥, within `ROUNDING`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from kenspeckle.errors import InputError
from kenspeckle.match.aggregate import Floats
from kenspeckle.types import Float32, Int64

Bools = NDArray[np.bool_]
Method = Literal["simple", "margin", "multi-ref", "top-k", "centroid", "item-margin", "cohort"]
METHODS: tuple[Method, ...] = get_args(Method)

ROUNDING = 1e-6
"""A cosine of float32 vectors, and the difference of two, may miss a round number by this."""
FEW = 4
"""Below so many references none can be told to be the odd one out."""
SPREADS = 3.0
"""How many robust standard deviations below the usual one an outlier lies."""
LEAST_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Rule:
    """A method with its numbers; the defaults are those of the logo test bench.

    `least` is n, `top` is k. `outlier_free` makes centroids without odd references (`averaged`).
    Raises InputError.
    """

    method: Method = "margin"
    threshold: float = 0.70
    margin: float = 0.05
    least: int = 1
    pool: Literal["mean", "max"] = "mean"
    top: int = 3
    outlier_free: bool = False
    legacy: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError("method", repr(self.method), expected=", ".join(METHODS))
        if self.pool not in ("mean", "max"):
            raise InputError("pool", repr(self.pool), expected="mean or max")
        if not -2 <= self.threshold <= 2:  # false for nan as well
            raise InputError("threshold", f"{self.threshold}", expected="between -2 and 2")
        if not 0 <= self.margin <= 2:
            raise InputError("margin", f"{self.margin}", expected="between 0 and 2")
        for name, value in (("least references", self.least), ("top", self.top)):
            if value < 1:
                raise InputError(name, f"{value}", expected="at least 1")

    def __str__(self) -> str:
        parts: dict[str, str] = {
            "multi-ref": f" {self.pool}, n {self.least}{', legacy' if self.legacy else ''}",
            "top-k": f", k {self.top}",
            "centroid": ", outlier-free" if self.outlier_free else "",
        }
        compared = "" if self.method == "simple" else f", m {self.margin:g}"
        return f"{self.method}{parts.get(self.method, '')}, T {self.threshold:g}{compared}"


@dataclass(frozen=True, slots=True)
class Table:
    """Cosines of Q regions to N references, the references of an item side by side.

    items
        `(I,)` int64 item numbers, ascending.
    starts
        `(I,)` int64: the column where each item's references begin.
    cosines
        `(Q, N)` float64.
    """

    items: Int64
    starts: Int64
    cosines: Floats

    @property
    def sizes(self) -> Int64:
        """How many references each item has, `(I,)`."""
        return np.diff(np.append(self.starts, self.cosines.shape[1]))

    @property
    def owners(self) -> Int64:
        """The place in `items` of each reference, `(N,)`."""
        return np.repeat(np.arange(len(self.items)), self.sizes)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a rule says of Q regions.

    items, scores
        The best item (-1: there is none) and its a; of those that survive, under `legacy`.
    rivals, seconds
        What it was compared with (under `margin` maybe the item itself), -1 and nan for nothing.
    counts
        How many references of the best item are at T or above.
    places
        `(I,)` item numbers of the columns of `names`.
    names
        `(Q, I)`: which items are named. Only `simple` names more than one.
    """

    items: Int64
    scores: Floats
    rivals: Int64
    seconds: Floats
    counts: Int64
    places: Int64
    names: Bools

    @property
    def named(self) -> Bools:
        """Whether the region gets a name, `(Q,)`."""
        return cast("Bools", self.names.any(axis=1))

    @property
    def margins(self) -> Floats:
        """Score less that of the rival, `(Q,)`; nan where there is none."""
        return self.scores - self.seconds


def table(cosines: Float32 | Floats, owners: Int64) -> Table:
    """Arrange cosines `(Q, N)` by the item numbers `(N,)` of the references.

    Raises InputError for shapes that do not fit and for numbers that are not finite.
    """
    values = np.asarray(cosines, np.float64)
    if values.ndim != 2 or values.shape[1] != len(owners):
        raise InputError(
            "cosines", f"shape {values.shape} for {len(owners)} references", expected="(Q, N)"
        )
    wrong = int((~np.isfinite(values)).any(axis=1).sum())
    if wrong:
        raise InputError("cosines", f"{wrong} of {len(values)} regions with no finite number")
    order = np.argsort(owners, kind="stable")
    items, starts = np.unique(owners[order], return_index=True)
    return Table(items.astype(np.int64), starts.astype(np.int64), values[:, order])


def compared(rule: Rule, queries: Float32, rows: Float32, owners: Int64) -> Table:
    """The table a rule works on: queries `(Q, D)` against references `(N, D)`, all unit rows.

    `centroid` compares with one average an item instead.
    """
    if rule.method == "centroid":
        rows, owners = averaged(rows, owners, outlier_free=rule.outlier_free)
    return table(queries @ rows.T, owners)


def averaged(rows: Float32, owners: Int64, *, outlier_free: bool = False) -> tuple[Float32, Int64]:
    """v_i = the mean of the unit rows of item i, of length 1 again: `(I, D)`, and items `(I,)`.

    An item whose rows cancel out has no direction and is left out. With `outlier_free` a row is
    left out first whose cosine to the mean of its item's other rows lies 3 robust standard
    deviations (1.4826 × median absolute deviation, at least 0.02) below their median; items of
    fewer than 4 rows keep them all.
    """
    items, of = np.unique(owners, return_inverse=True)
    values = np.asarray(rows, np.float64)
    keep = _usual(values, of, len(items)) if outlier_free else np.ones(len(values), bool)
    sums = np.zeros((len(items), values.shape[1]))
    np.add.at(sums, of[keep], values[keep])
    length = np.linalg.norm(sums, axis=1)
    stands = length > ROUNDING
    means = sums[stands] / length[stands, None]
    return means.astype(np.float32), items[stands].astype(np.int64)


def _usual(rows: Floats, of: NDArray[np.intp], count: int) -> Bools:
    """Which rows are no outliers of their item."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, of, rows)
    others = sums[of] - rows
    length = np.maximum(np.linalg.norm(others, axis=1), ROUNDING)
    agree = np.einsum("ij,ij->i", rows, others) / length
    keep = np.ones(len(rows), bool)
    order = np.argsort(of, kind="stable")
    for own in np.split(order, np.cumsum(np.bincount(of, minlength=count))[:-1]):
        if len(own) >= FEW:
            middle = np.median(agree[own])
            spread = max(1.4826 * float(np.median(np.abs(agree[own] - middle))), LEAST_SPREAD)
            keep[own] = agree[own] >= middle - SPREADS * spread
    return keep


def verdicts(rule: Rule, cosines: Table, near: Floats | None = None) -> Verdicts:
    """What the rule says of every region of the table (made by `compared`, or `table`).

    `near` `(Q,)` is the level of unrelated pictures (`aggregate.cohort_level`), which only
    `cohort` asks for; InputError if it is missing there.
    """
    if not len(cosines.items):
        return _nothing(len(cosines.cosines))
    if rule.method == "margin":
        return _between_references(rule, cosines)
    scores = item_scores(rule, cosines, near)
    counts = matching(cosines, rule.threshold)
    if rule.method == "multi-ref" and rule.legacy:
        return _judged(rule, cosines, np.where(counts >= rule.least, scores, -np.inf), counts)
    return _judged(rule, cosines, scores, counts)


def ceilings(rule: Rule, cosines: Table, near: Floats | None = None) -> Floats:
    """The largest T at which each region is named, `(Q,)`; -inf where no T does it.

    So a threshold is fitted for a rule as for any score: margin, n and method stay as they are.
    InputError under `legacy`, where a name may come back at a higher T.
    """
    if rule.legacy and rule.method == "multi-ref":
        raise InputError("rule", "legacy", expected="ours: a name may come back at a higher T")
    said = verdicts(rule, cosines, near)
    if not len(cosines.items):
        return np.full(len(said.items), -np.inf)
    limit = said.scores.copy()
    if rule.method == "multi-ref":
        place = np.searchsorted(cosines.items, said.items)
        nth = nth_largest(cosines, rule.least)[np.arange(len(limit)), place]
        limit = np.minimum(limit, nth)
    return np.where(_leads(rule, said.scores, said.seconds), limit, -np.inf)


# The score a of every item


def largest(cosines: Table) -> Floats:
    """The largest cosine to each item, `(Q, I)`."""
    return np.maximum.reduceat(cosines.cosines, cosines.starts, axis=1)


def mean(cosines: Table) -> Floats:
    """The mean cosine to all references of each item, `(Q, I)`."""
    return np.add.reduceat(cosines.cosines, cosines.starts, axis=1) / cosines.sizes


def top_mean(cosines: Table, top: int) -> Floats:
    """The mean of the `top` largest cosines to each item (of all, where it has fewer)."""
    result = np.empty((len(cosines.cosines), len(cosines.items)))
    for places, block in _by_size(cosines):
        count = min(top, block.shape[2])
        result[:, places] = np.partition(block, -count, axis=2)[:, :, -count:].mean(axis=2)
    return result


def nth_largest(cosines: Table, rank: int) -> Floats:
    """The `rank`-th largest cosine to each item, `(Q, I)`; -inf where it has fewer references."""
    result = np.full((len(cosines.cosines), len(cosines.items)), -np.inf)
    for places, block in _by_size(cosines):
        if block.shape[2] >= rank:
            result[:, places] = np.partition(block, -rank, axis=2)[:, :, -rank]
    return result


def matching(cosines: Table, threshold: float) -> Int64:
    """c: how many references of each item are at the threshold or above, `(Q, I)`."""
    above = (cosines.cosines >= threshold - ROUNDING).astype(np.int64)
    return cast("Int64", np.add.reduceat(above, cosines.starts, axis=1))


def _by_size(cosines: Table) -> Iterator[tuple[Int64, Floats]]:
    """Items with equally many references: their places, and their cosines `(Q, items, size)`."""
    sizes = cosines.sizes
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        columns = cosines.starts[places][:, None] + np.arange(size)
        yield places, cosines.cosines[:, columns]


def item_scores(rule: Rule, cosines: Table, near: Floats | None = None) -> Floats:
    """The a of every item by the rule's method, `(Q, I)`. InputError: `cohort` without `near`."""
    if rule.method == "multi-ref":
        return largest(cosines) if rule.pool == "max" else mean(cosines)
    if rule.method == "top-k":
        return top_mean(cosines, rule.top)
    if rule.method != "cohort":
        return largest(cosines)
    if near is None:
        raise InputError(
            "cohort", "no level of unrelated pictures", do="Use a model that carries a cohort"
        )
    return largest(cosines) - near[:, None]


# From scores to a name


def _judged(rule: Rule, cosines: Table, scores: Floats, counts: Int64) -> Verdicts:
    """The best item by `scores` `(Q, I)`, -inf for items that do not compete, and its rival."""
    rows = np.arange(len(scores))
    best = scores.argmax(axis=1)
    top = scores[rows, best]
    others = scores.copy()
    others[rows, best] = -np.inf
    rival = others.argmax(axis=1)
    second = others[rows, rival]
    none = np.isneginf(second)
    second = np.where(none, np.nan, second)
    count = counts[rows, best]
    if rule.method == "simple":
        names = scores >= rule.threshold - ROUNDING
    else:
        passes = (top >= rule.threshold - ROUNDING) & _leads(rule, top, second)
        if rule.method == "multi-ref":
            passes &= count >= rule.least
        names = np.zeros(scores.shape, bool)
        names[rows, best] = passes
    return Verdicts(
        items=np.where(np.isneginf(top), -1, cosines.items[best]),
        scores=top,
        rivals=np.where(none, -1, cosines.items[rival]),
        seconds=second,
        counts=count,
        places=cosines.items,
        names=names,
    )


def _leads(rule: Rule, scores: Floats, seconds: Floats) -> Bools:
    """Whether the lead is large enough, or there is nothing to lead over."""
    if rule.method == "simple":
        return np.ones(len(scores), bool)
    return np.isnan(seconds) | (scores - seconds >= rule.margin - ROUNDING)


def _between_references(rule: Rule, cosines: Table) -> Verdicts:
    """The margin rule: the two best references, whose items may be one."""
    rows, owners = np.arange(len(cosines.cosines)), cosines.owners
    first = cosines.cosines.argmax(axis=1)
    top = cosines.cosines[rows, first]
    others = cosines.cosines.copy()
    others[rows, first] = -np.inf
    next_one = others.argmax(axis=1)
    lone = cosines.cosines.shape[1] < 2
    second = np.full(len(rows), np.nan) if lone else others[rows, next_one]
    names = np.zeros((len(rows), len(cosines.items)), bool)
    names[rows, owners[first]] = (top >= rule.threshold - ROUNDING) & _leads(rule, top, second)
    return Verdicts(
        items=cosines.items[owners[first]],
        scores=top,
        rivals=np.full(len(rows), -1) if lone else cosines.items[owners[next_one]],
        seconds=second,
        counts=matching(cosines, rule.threshold)[rows, owners[first]],
        places=cosines.items,
        names=names,
    )


def _nothing(count: int) -> Verdicts:
    """No item is enrolled."""
    none, empty = np.full(count, -1, np.int64), np.full(count, np.nan)
    lowest = np.full(count, -math.inf)
    zero = np.zeros(count, np.int64)
    return Verdicts(none, lowest, none, empty, zero, none[:0], np.zeros((count, 0), bool))
