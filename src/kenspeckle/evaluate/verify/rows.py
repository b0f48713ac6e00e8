"""Check the rows of an index against each other: what is damaged, doubled or too alike.

Self-identification of stored rows says only that no two rows are the same; how photos will fare,
perturbed queries tell (`kenspeckle.evaluate.verify.perturbed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kenspeckle.errors import InputError
from kenspeckle.evaluate.verify.neighbours import Neighbours, beaten, item_codes, neighbours
from kenspeckle.evaluate.verify.perturbed import PerturbedResult
from kenspeckle.types import Float32, Int64

PASS = 0.99
"""Share of self-identified rows from which `verify` exits with 0."""
UNIT = 1e-3
"""How far from 1 the length of a row may be."""
NEAR = 1e-5
"""Similarities closer than this are compared again in float64."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that is not most similar to itself: what beats it, and both similarities."""

    row: int
    by: int
    top: float
    own: float


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found. Row numbers count from 0; similarities are cosines.

    failures
        All rows that failed self-identification; damaged rows are not among them, but count as
        failed.
    duplicates
        Groups of rows with the same bytes.
    damaged, not_unit
        Rows that hold a value which is no finite number; rows whose length is not 1.
    self_median, wrong_median
        Median similarity of a row with itself, and with the nearest other row (NaN for one row).
    nearest
        Per row the similarities of `Neighbours`; NaN in damaged rows.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    width: int
    failures: tuple[Failure, ...]
    duplicates: tuple[tuple[int, ...], ...]
    damaged: tuple[int, ...]
    not_unit: tuple[int, ...]
    self_median: float
    wrong_median: float
    nearest: Neighbours
    perturbed: PerturbedResult | None = None

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.names)

    @property
    def correct(self) -> int:
        """Rows that are most similar to themselves."""
        return self.count - len(self.failures) - len(self.damaged)

    @property
    def passed(self) -> bool:
        """Whether at least 99 % of the rows identify themselves."""
        return self.correct >= PASS * self.count

    @property
    def gap(self) -> float:
        """Difference of the two medians; NaN for one row."""
        return self.self_median - self.wrong_median

    @property
    def item_gap(self) -> float:
        """The first of the two medians less that of the nearest rows of another item; NaN for one
        item."""
        other = self.nearest.other[np.isfinite(self.nearest.other)]
        return self.self_median - float(np.median(other)) if len(other) else float("nan")

    @property
    def threshold(self) -> float:
        """Recommended similarity threshold: `max(0.50, wrong_median + 0.05)`."""
        return 0.5 if np.isnan(self.wrong_median) else max(0.5, self.wrong_median + 0.05)

    @property
    def margins(self) -> Float32:
        """Per row, nearest other reference of its item less nearest reference of another item.

        `(N,)` float32, NaN where the item has one reference, or where there is one item. No row
        is compared with itself.
        """
        return self.nearest.mate - self.nearest.other

    def weakest(self, count: int = 10) -> Int64:
        """Rows nearest to another item, the nearest first."""
        other = self.nearest.other
        known = np.flatnonzero(np.isfinite(other))
        return known[np.argsort(-other[known], kind="stable")[:count]].astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a number that does not exist is null."""
        rows = zip(
            self.names, self.keys, self.nearest.other, self.nearest.mate, self.margins, strict=True
        )
        return {
            "rows": self.count,
            "items": len(set(self.keys)),
            "width": self.width,
            "passed": self.passed,
            "self_id": {
                "correct": self.correct,
                "share": self.correct / self.count,
                "failures": [
                    {"row": f.row, "name": self.names[f.row], "by": self.names[f.by]}
                    | {"top": f.top, "self": f.own}
                    for f in self.failures
                ],
            },
            "confusable": [
                {"similarity": score, "rows": [i, j], "names": [self.names[i], self.names[j]]}
                | {"one_item": self.keys[i] == self.keys[j]}
                for score, i, j in self.nearest.pairs
            ],
            "self_median": number(self.self_median),
            "wrong_median": number(self.wrong_median),
            "gap": number(self.gap),
            "threshold": self.threshold,
            "duplicates": [list(group) for group in self.duplicates],
            "damaged": list(self.damaged),
            "not_unit": list(self.not_unit),
            "references": [
                {"name": name, "key": key, "other": number(other), "own": number(mate)}
                | {"margin": number(margin)}
                for name, key, other, mate, margin in rows
            ],
            "perturbed": None
            if self.perturbed is None
            else perturbed_dict(self.perturbed, self.keys),
        }


def number(value: Any) -> float | None:
    """For JSON: null where there is no number."""
    return float(value) if np.isfinite(value) else None


def perturbed_dict(result: PerturbedResult, keys: Sequence[str]) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "description": result.description,
        "queries": len(result.sources),
        "top1": result.top1,
        "top5": result.top5,
        "top1_interval": list(result.top1_interval(keys)),
        "median_margin": number(result.median_margin),
        "low_margin": number(result.low_margin),
        "margins": [
            {"row": int(row), "margin": number(margin)}
            for row, margin in zip(result.sources, result.margins, strict=True)
        ],
    }


def verify(
    rows: Float32,
    names: Sequence[str],
    keys: Sequence[str],
    *,
    top: int = 5,
    perturbed: PerturbedResult | None = None,
) -> VerifyReport:
    """Check stored rows `(N, D)` with their names and item keys; `top` confusable pairs.

    Memory stays near twice the rows whatever N is. Raises InputError when the lengths differ or
    there are no rows.
    """
    if not len(rows) or len({len(rows), len(names), len(keys)}) > 1:
        raise InputError(
            "verify",
            f"{len(rows)} rows, {len(names)} names, {len(keys)} keys",
            expected="as many of each, at least 1",
        )
    finite = np.isfinite(rows).all(axis=1)
    sound = np.flatnonzero(finite)
    good = np.ascontiguousarray(rows[sound], np.float32)
    own = np.einsum("ij,ij->i", good, good)
    near = neighbours(good, item_codes([keys[int(i)] for i in sound]), top)
    twins = _twins(good)
    failures = _failures(good, own, near.best, twins)
    groups = [sound[np.flatnonzero(twins == first)] for first in _doubled(twins)]
    return VerifyReport(
        names=tuple(names),
        keys=tuple(keys),
        width=int(rows.shape[1]),
        failures=tuple(
            Failure(int(sound[f.row]), int(sound[f.by]), f.top, f.own) for f in failures
        ),
        duplicates=tuple(tuple(int(i) for i in group) for group in groups),
        damaged=tuple(int(i) for i in np.flatnonzero(~finite)),
        not_unit=tuple(int(i) for i in sound[np.abs(np.sqrt(own) - 1) > UNIT]),
        self_median=_median(own),
        wrong_median=_median(near.best),
        nearest=Neighbours(
            best=_spread(near.best, finite),
            other=_spread(near.other, finite),
            mate=_spread(near.mate, finite),
            pairs=tuple((score, int(sound[i]), int(sound[j])) for score, i, j in near.pairs),
        ),
        perturbed=perturbed,
    )


def _median(values: Float32) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _spread(values: Float32, where: Any) -> Float32:
    full = np.full(len(where), np.nan, np.float32)
    full[where] = values
    return full


def _twins(rows: Float32) -> Int64:
    """For each row the first row with the same bytes, `(N,)` int64."""
    first: dict[bytes, int] = {}
    return np.fromiter(
        (first.setdefault(row.tobytes(), i) for i, row in enumerate(rows)), np.int64, len(rows)
    )


def _doubled(twins: Int64) -> Int64:
    values, counts = np.unique(twins, return_counts=True)
    return values[counts > 1]


def _failures(rows: Float32, own: Float32, best: Float32, twins: Int64) -> list[Failure]:
    """Rows whose largest product, the first of equal ones, is not the one with themselves."""
    winners = np.where(twins != np.arange(len(rows)), twins, -1)
    with np.errstate(invalid="ignore"):  # one row has no other
        suspects = np.flatnonzero((winners < 0) & (best > own - NEAR)).astype(np.int64)
    winners[suspects] = beaten(rows, suspects, twins)
    return [
        Failure(int(row), int(winners[row]), float(rows[winners[row]] @ rows[row]), float(own[row]))
        for row in np.flatnonzero(winners >= 0)
    ]
