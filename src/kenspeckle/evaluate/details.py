"""Similarities in detail: what accepted, missed and rejected names looked like in cosines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kenspeckle.evaluate.asking import Gallery, Query
from kenspeckle.evaluate.result import (
    Answer,
    Details,
    Distribution,
    Overlap,
    Parting,
    SeenRegion,
)
from kenspeckle.evaluate.similarities import similarity_details
from kenspeckle.match.aggregate import Floats

SHOWN = 20
"""Regions listed with their likeliest names."""
TOP = 5
PAIRS = 2_000_000
"""Pairs of a region and a reference that are kept; of more, every n-th."""

NAMES = {
    "right": "accepted, right",
    "wrong": "accepted, wrong",
    "missed": "missed, best cosine of the right name",
    "pairs_right": "pairs of one item",
    "pairs_wrong": "pairs of two items",
}


def details(
    draws: Sequence[tuple[Gallery, Sequence[Query]]],
    answers: Sequence[Answer],
    threshold: float | None,
) -> Details:
    """The report of the logo bench. `threshold` is the T that cosines are compared with, None for
    a rule that compares something else."""
    right = [one.similarity for one in answers if one.said and one.said in one.truth]
    wrong = [one.similarity for one in answers if one.said and one.said not in one.truth]
    own, others, missed = _pairs(draws, answers)
    found = similarity_details(
        _finite(right),
        _finite(wrong),
        missed,
        threshold=2.0 if threshold is None else threshold,
        pairs_right=own,
        pairs_wrong=others,
    )
    return Details(
        tuple(_distribution(NAMES[name], found[name], threshold) for name in NAMES),
        _overlap(found["overlap"]),
        tuple(_seen(draws[0])) if draws else (),
        Parting(**found["best_f1_all"]) if found["best_f1_all"] else None,
    )


def _overlap(lap: Mapping[str, float] | None) -> Overlap | None:
    if not lap:
        return None
    inside = {"right_inside": lap["right"], "wrong_inside": lap["wrong"]}
    return Overlap(low=lap["low"], high=lap["high"], **inside)


def _distribution(name: str, spread: dict[str, Any], threshold: float | None) -> Distribution:
    def number(key: str) -> float:
        return math.nan if spread[key] is None else float(spread[key])

    return Distribution(
        name=name,
        n=spread["n"],
        least=number("min"),
        most=number("max"),
        mean=number("mean"),
        sd=number("sd"),
        median=number("median"),
        p10=number("p10"),
        p25=number("p25"),
        p75=number("p75"),
        p90=number("p90"),
        share_above=math.nan if threshold is None else number("share"),
    )


def _pairs(
    draws: Sequence[tuple[Gallery, Sequence[Query]]], answers: Sequence[Answer]
) -> tuple[Floats, Floats, list[float]]:
    """Cosines of regions to references of a name that is true of the photo, of the others, and the
    best cosine of each enrolled name that was missed."""
    own: list[Floats] = []
    others: list[Floats] = []
    missed: list[float] = []
    told = iter(answers)
    total = sum(len(q.rows) * len(g.rows) for g, queries in draws for q in queries)
    step = max(1, math.ceil(total / PAIRS))
    for gallery, queries in draws:
        for query in queries:
            answer = next(told)
            cosines = (query.rows @ gallery.rows.T).astype(np.float64)
            places = [gallery.index[label] for label in query.truth if label in gallery.index]
            mine = np.isin(gallery.owners, places)
            own.append(cosines[:, mine].ravel()[::step])
            others.append(cosines[:, ~mine].ravel()[::step])
            missed += [
                float(cosines[:, gallery.owners == place].max())
                for place in places
                if len(cosines) and gallery.labels[place] != answer.said
            ]
    nothing: Floats = np.empty(0)
    return np.concatenate([nothing, *own]), np.concatenate([nothing, *others]), missed


def _seen(draw: tuple[Gallery, Sequence[Query]]) -> Iterable[SeenRegion]:
    """The first regions with their likeliest names."""
    gallery, queries = draw
    shown = 0
    for query in queries:
        cosines = query.rows @ gallery.rows.T
        for region, row in zip(query.regions, cosines, strict=True):
            if shown == SHOWN:
                return
            shown += 1
            best = np.full(len(gallery), -2.0)
            np.maximum.at(best, gallery.owners, row)
            order = np.argsort(-best, kind="stable")[:TOP]
            top = tuple((gallery.labels[item], float(best[item])) for item in order)
            yield SeenRegion(query.photo, region.box, region.kind, region.score, query.truth, top)


def _finite(scores: Iterable[float]) -> list[float]:
    return [one for one in scores if math.isfinite(one)]
