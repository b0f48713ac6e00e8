"""The threshold of the largest F1 on some items, for use on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kenspeckle.evaluate.asking import CELLS, Gallery, Query
from kenspeckle.match.methods import Rule, compared, item_scores, verdicts

TRIED = 101
"""Thresholds tried: percentiles of the best scores, so that they lie where scores lie."""


def best_threshold(rule: Rule, gallery: Gallery, queries: Sequence[Query]) -> float:
    """The T at which the names of photos have the largest F1, all else of the rule as it is.

    F1 = 2 TP / (names said + names true), both as pairs of question and name. The middle of the
    range of equal ones is taken, so that a threshold does not sit on a single picture's score.
    """
    numbers = {label: place for place, label in enumerate(gallery.labels)}
    blocks = list(_blocks(queries, len(gallery.rows)))
    scores = np.concatenate([_best_scores(rule, gallery, block) for block in blocks])
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return rule.threshold
    tried = np.unique(np.quantile(scores, np.linspace(0, 1, TRIED)))
    true = np.zeros(len(tried))
    said = np.zeros(len(tried))
    expected = 0
    for block in blocks:
        rows = np.concatenate([one.rows for one in block])
        table = compared(rule, rows, gallery.rows, gallery.owners)
        near = _near(block)
        starts = np.cumsum([0, *(len(one.rows) for one in block[:-1])])
        truth = np.zeros((len(block), len(gallery)), bool)
        for place, one in enumerate(block):
            truth[place, [numbers[label] for label in one.truth if label in numbers]] = True
        expected += int(truth.sum())
        for place, threshold in enumerate(tried):
            found = verdicts(replace(rule, threshold=float(threshold)), table, near)
            names = np.zeros((len(rows), len(gallery)), bool)
            names[:, found.places] = found.names
            heard = np.logical_or.reduceat(names, starts, axis=0)
            said[place] += heard.sum()
            true[place] += (heard & truth).sum()
    f1 = 2 * true / np.maximum(said + expected, 1)
    top = np.flatnonzero(f1 >= f1.max() - 1e-12)
    low = tried[top[0] - 1] if top[0] else tried[0]
    return float((low + tried[top[0]]) / 2) if len(top) == 1 else float(np.median(tried[top]))


def _best_scores(
    rule: Rule, gallery: Gallery, block: Sequence[Query]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rows = np.concatenate([one.rows for one in block])
    table = compared(rule, rows, gallery.rows, gallery.owners)
    best: np.ndarray[tuple[int], np.dtype[np.float64]] = item_scores(rule, table, _near(block)).max(
        axis=1
    )
    return best


def _near(block: Sequence[Query]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    near = [one.near for one in block if one.near is not None]
    return np.concatenate(near) if len(near) == len(block) else None


def _blocks(queries: Sequence[Query], references: int) -> list[list[Query]]:
    """Queries in runs whose cosines fit into memory."""
    blocks: list[list[Query]] = [[]]
    cells = 0
    for query in queries:
        size = len(query.rows) * max(references, 1)
        if blocks[-1] and cells + size > CELLS:
            blocks.append([])
            cells = 0
        blocks[-1].append(query)
        cells += size
    return [block for block in blocks if block]
