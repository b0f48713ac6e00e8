"""The threshold of the largest F1 on some items, for use on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kenspeckle.evaluate.asking import Gallery, Query, blocks
from kenspeckle.evaluate.judges import Bools
from kenspeckle.match.aggregate import Floats, best_regions
from kenspeckle.match.methods import Rule, Table, ceilings, compared, item_scores, verdicts
from kenspeckle.types import Int64

TRIED = 101
"""Thresholds tried: percentiles of the best scores, so that they lie where scores lie."""


def best_threshold(rule: Rule, gallery: Gallery, queries: Sequence[Query]) -> float:
    """The T at which the names of questions have the largest F1, all else of the rule as it is.

    F1 = 2 TP / (names said + names true), both as pairs of question and name; a question is
    answered by its deciding region. The middle of the range of equal ones is taken, so that a
    threshold does not sit on a single picture's score. Where no T names anything rightly, the
    highest one is taken.
    """
    parts = [_asked(rule, gallery, block) for block in blocks(queries, len(gallery.rows))]
    scores = np.concatenate([item_scores(rule, one.table, one.near).max(axis=1) for one in parts])
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return rule.threshold
    tried = np.unique(np.quantile(scores, np.linspace(0, 1, TRIED)))
    said, right = np.zeros(len(tried)), np.zeros(len(tried))
    for one in parts:
        for place, threshold in enumerate(tried):
            found = verdicts(replace(rule, threshold=float(threshold)), one.table, one.near)
            said[place] += found.names.sum()
            right[place] += (found.names & one.truth[:, found.places]).sum()
    if not right.any():
        return float(tried[-1])
    f1 = 2 * right / (said + sum(one.truth.sum() for one in parts))
    top = np.flatnonzero(f1 >= f1.max() - 1e-12)
    low = tried[max(top[0] - 1, 0)]
    return float((low + tried[top[0]]) / 2) if len(top) == 1 else float(np.median(tried[top]))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The deciding regions of some questions, and which items each question shows `(Q, I)`."""

    table: Table
    near: Floats | None
    truth: Bools


def _asked(rule: Rule, gallery: Gallery, block: Sequence[Query]) -> _Asked:
    rows = np.concatenate([one.rows for one in block])
    levels = [one.near for one in block if one.near is not None]
    near = np.concatenate(levels) if len(levels) == len(block) else None
    table = compared(rule, rows, gallery.rows, gallery.owners)
    truth = np.zeros((len(block), len(gallery)), bool)
    for place, one in enumerate(block):
        truth[place, [gallery.index[label] for label in one.truth if label in gallery.index]] = True
    if len(rows) > len(block):
        best = _deciding(rule, table, near, block)
        table = replace(table, cosines=table.cosines[best])
        near = None if near is None else near[best]
    return _Asked(table, near, truth)


def _deciding(rule: Rule, table: Table, near: Floats | None, block: Sequence[Query]) -> Int64:
    """The region of each question that keeps its name up to the highest T.

    Under `legacy`, where a name may come back at a higher T, the one that decides without it.
    """
    owner = np.repeat(np.arange(len(block)), [len(one.rows) for one in block])
    return best_regions(ceilings(replace(rule, legacy=False), table, near), owner)
