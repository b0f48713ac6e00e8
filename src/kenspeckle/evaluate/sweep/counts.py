"""Hits and misses of a row by both ways of counting, by item, and how far two rows lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kenspeckle.evaluate.asking import Said
from kenspeckle.evaluate.counting import Counts, by_photo, legacy, one_to_one
from kenspeckle.evaluate.result import plain
from kenspeckle.evaluate.sweep.ledger import Row
from kenspeckle.stats import bootstrap_of
from kenspeckle.types import Int64

DRAWS = 400
"""Bootstrap samples behind an interval."""
FIRST = 5
"""False hits and misses that are listed."""
HITS, FALSE, MISSED = range(3)

ByItem = Mapping[str, Sequence[int]]
"""Label → hits, false names, misses. A false name counts for the item in whose name it was said."""


def counted(said: Said, *, boxed: bool) -> dict[str, Any]:
    """Both counts. Ours pairs names with true boxes where regions are looked for, else compares
    the names said of each photo with those that are true of it."""
    boxed = boxed and any(one.box is not None for one in said.truths)
    ours = one_to_one(said.spoken, said.truths) if boxed else by_photo(said.spoken, said.truths)
    pairs = [(one.picture, one.label) for one in said.truths]
    items = by_item(ours, pairs if boxed else sorted(set(pairs)))
    low, high = interval([items])
    old = legacy(said.detections, said.truths)
    return {
        "ours": {
            **_plain(ours),
            "unit": "boxes" if boxed else "names of photos",
            "f1_low": low,
            "f1_high": high,
            "by_item": items,
        },
        "legacy": {**_plain(old), "unit": "names of photos"},
    }


def _plain(one: Counts) -> dict[str, Any]:
    data: dict[str, Any] = plain(one.to_dict())
    for name in ("false", "missed"):  # without the number of the draw: there is one
        data[name] = [[photo.partition(": ")[2], label] for photo, label in data[name][:FIRST]]
    return data


def by_item(counts: Counts, true: Sequence[tuple[str, str]]) -> dict[str, list[int]]:
    """Hits, false names and misses of each item; `true` are the pairs that there were to find."""
    items: dict[str, list[int]] = {}
    for place, pairs, by in (
        (HITS, true, 1),
        (HITS, counts.missed, -1),
        (FALSE, counts.false, 1),
        (MISSED, counts.missed, 1),
    ):
        for _, label in pairs:
            items.setdefault(label, [0, 0, 0])[place] += by
    return dict(sorted(items.items()))


def difference(row: Row, first: Row) -> tuple[float, float | None, float | None] | None:
    """F1 of a row less that of another, and its 95 % interval by drawing the items of both alike.

    None where one of the two has no F1. Only rows of the same draw may be compared.
    """
    ours, others = row["ours"], first["ours"]
    if ours["f1"] is None or others["f1"] is None:
        return None
    return (ours["f1"] - others["f1"], *interval([ours["by_item"], others["by_item"]]))


def interval(rows: Sequence[ByItem]) -> tuple[float | None, float | None]:
    """95 % of the F1 of a row, or of the difference of two, by drawing items; None below 2 items.

    >>> interval([{"a": [5, 0, 0], "b": [0, 0, 5]}])
    (0.0, 1.0)
    """
    labels = sorted({label for row in rows for label in row})
    if len(labels) < 2:
        return None, None
    tables = [np.array([row.get(label, (0, 0, 0)) for label in labels]) for row in rows]

    def statistic(drawn: Int64) -> float:
        first, *rest = (_f1(table[drawn].sum(axis=0)) for table in tables)
        return first - rest[0] if rest else first

    ends = bootstrap_of(statistic, np.arange(len(labels)), samples=DRAWS)
    low, high = (round(end, 4) if math.isfinite(end) else None for end in ends)
    return low, high


def _f1(counts: Int64) -> float:
    below = 2 * counts[HITS] + counts[FALSE] + counts[MISSED]
    return float(2 * counts[HITS] / below) if below else math.nan


def rates(said: Said) -> dict[str, Any]:
    """Shares of questions: named rightly among those that show an enrolled item, and named among
    those that show none; null where there are none."""
    mated = [one for one in said.answers if one.enrolled]
    others = [one for one in said.answers if not one.enrolled]
    return {
        "tpir": _share([one.outcome == "right" for one in mated]),
        "fpir": _share([bool(one.said) for one in others]),
        "mated": len(mated),
        "strangers": len(others),
    }


def _share(true: Sequence[bool]) -> float | None:
    return round(sum(true) / len(true), 6) if true else None


def best(rows: Sequence[Row], count: str = "ours") -> Row | None:
    """The row with the largest F1 among those whose threshold was asked for."""
    asked = [row for row in rows if row["settings"]["threshold"] is not None]
    return max(asked, key=lambda row: row[count]["f1"] or 0.0, default=None)
