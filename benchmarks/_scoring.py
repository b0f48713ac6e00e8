"""Open-set figures of any system that names a query and scores it, paired with a baseline.

Closed: every label is enrolled. rank-1 = the name is the query's label; mAP = mean over queries of
the average precision of the ranked references.

Open, for draw = 0 … 19: the gallery's labels, sorted as text, are permuted by numpy's
RandomState(draw).permutation; the first half, rounded up, is known. References of other labels
leave the gallery, their queries are the strangers. TPIR at FPIR f: the share of known queries that
score above the threshold and are named rightly; the threshold is the (⌊f · n⌋ + 1)-th largest score
of the n strangers' queries. AUROC: the chance that a known query (named rightly or not) scores
above a stranger's, ties counting half.

`against` pairs two results on the same set: difference, and a 95 % interval from 2,000 bootstrap
samples of labels (the queries of a label together) and of draws, with each draw's thresholds as
they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kenspeckle.stats import threshold_at

DRAWS = 20
RATES = (0.01, 0.05)
SAMPLES = 2000

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a system says to every query: a name and a score, higher for surer."""

    names: Texts
    scores: Floats


System = Callable[[NDArray[np.bool_]], Answers]
"""From the references that are enrolled (a mask over all of them) to answers for all queries."""


@dataclass(frozen=True, slots=True)
class Result:
    """Each metric per draw (`values`), and its sum over the queries of each label (`sums`).

    `queries` counts the queries of each label, `known` those of the known labels, per draw.
    """

    labels: list[str]
    queries: list[int]
    known: list[list[int]]
    values: dict[str, list[float]] = field(default_factory=dict)
    sums: dict[str, list[list[float]]] = field(default_factory=dict)

    def mean(self, metric: str) -> float:
        """Over the draws."""
        return float(np.mean(self.values[metric]))

    @classmethod
    def read(cls, data: dict[str, Any], score: str) -> Result:
        """A stored baseline, with the metrics of one score under their bare names."""

        def bare(table: dict[str, Any]) -> dict[str, Any]:
            return {
                metric.removeprefix(f"{score} "): values
                for metric, values in table.items()
                if metric in ("rank-1", "mAP") or metric.startswith(f"{score} ")
            }

        return cls(
            data["labels"], data["queries"], data["known"], bare(data["values"]), bare(data["sums"])
        )


def draws(gallery: Texts) -> list[Texts]:
    """The known labels of each draw."""
    labels = np.unique(gallery)
    half = (len(labels) + 1) // 2
    return [np.random.RandomState(draw).permutation(labels)[:half] for draw in range(DRAWS)]


def average_precision(similarity: NDArray[np.float32], gallery: Texts, query: Texts) -> Floats:
    """Of each query over the ranked references: mean precision at its right ones."""
    hits = gallery[np.argsort(-similarity, axis=1, kind="stable")] == query[:, None]
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    ap: Floats = (precision * hits).sum(1) / hits.sum(1)
    return ap


def evaluate(
    gallery: Texts, query: Texts, system: System, precision: Floats | None = None
) -> Result:
    """Judge a system on a set. `precision` adds mAP for one that ranks references."""
    labels, of = np.unique(query, return_inverse=True)
    size = len(labels)
    result = Result(labels.tolist(), np.bincount(of).tolist(), [])

    def note(metric: str, values: Floats, index: NDArray[np.int64]) -> None:
        sums = np.bincount(index, values, size).round(6).tolist()
        result.values.setdefault(metric, []).append(float(values.mean()))
        result.sums.setdefault(metric, []).append(sums)

    closed = system(np.ones(len(gallery), bool))
    note("rank-1", (closed.names == query).astype(float), of)
    if precision is not None:
        note("mAP", precision, of)
    for known in draws(gallery):
        mated = np.isin(query, known)
        answers = system(np.isin(gallery, known))
        right = (answers.names == query)[mated]
        scores, strangers = answers.scores[mated], np.sort(answers.scores[~mated])
        result.known.append(np.bincount(of[mated], minlength=size).tolist())
        for rate in RATES:
            found = (scores > threshold_at(strangers, rate)) & right
            note(f"tpir@{rate:.0%}", found.astype(float), of[mated])
        beaten = np.searchsorted(strangers, scores, "left").astype(float)
        beaten += np.searchsorted(strangers, scores, "right")
        note("auroc", beaten / (2 * len(strangers)), of[mated])
    return result


def against(new: Result, old: Result, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """metric → (difference, lower, upper). Both have to be of the same set and split."""
    if (new.labels, new.queries, new.known) != (old.labels, old.queries, old.known):
        raise SystemExit("the two results are of different sets or splits")
    rng, count = np.random.default_rng(seed), len(new.labels)
    weight = rng.multinomial(count, np.full(count, 1 / count), SAMPLES)
    picked = rng.integers(0, DRAWS, (SAMPLES, DRAWS))
    table = {}
    for metric in (name for name in new.sums if name in old.sums):
        closed = len(new.sums[metric]) == 1
        queries = weight @ np.array([new.queries] if closed else new.known).T
        change = np.array(new.sums[metric]) - np.array(old.sums[metric])
        paired = weight @ change.T / np.maximum(queries, 1)
        means = paired[:, 0] if closed else np.take_along_axis(paired, picked, 1).mean(1)
        low, high = np.percentile(means, [2.5, 97.5])
        table[metric] = (new.mean(metric) - old.mean(metric), float(low), float(high))
    return table
