"""Ways to name logos, and what each came to on a table of scenes: counts by logo and by query.

A way is a judge for each threshold, on one or several references of each logo. Everything that is
said is counted one to one at IoU ≥ 0.5 and, beside it, as the former bench counted. All is kept by
item, so that two ways are compared on the same logos drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks._logo_looks import Looks, name_of
from benchmarks._logo_scenes import OTHER
from benchmarks.names_more import at
from kenspeckle import stats
from kenspeckle.evaluate import judges
from kenspeckle.evaluate.asking import Gallery, Query, Said, ask, photo_of
from kenspeckle.evaluate.counting import Detection, Truth, by_photo, legacy, one_to_one
from kenspeckle.evaluate.judges import Judge, Ruled, Scored
from kenspeckle.evaluate.result import Answer
from kenspeckle.evaluate.run import Prepared
from kenspeckle.match.aggregate import ScoreKind
from kenspeckle.match.methods import Rule, Table, averaged, largest
from kenspeckle.match.trials import Trials
from kenspeckle.types import Float32

SAMPLES = 2000
SHORTLIST = 10
"""Logos that a second look is given; those looked at reach as deep with half of them enrolled."""
References = Literal["plain", "averaged", "with views", "views averaged in", "views and average"]
"""The references as they are; their average; with camera views beside them, as `index --views`
enrols; each averaged with its views; and these with their average beside them."""
REFERENCES: tuple[References, ...] = get_args(References)
Views = Mapping[str, Float32]
"""By the name of a reference, the vectors of its camera views."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """One draw of a table: what is enrolled and what is asked about."""

    number: int
    gallery: Gallery
    queries: tuple[Query, ...]
    items: tuple[str, ...]
    """Of each query, what is drawn anew in intervals."""


@dataclass(frozen=True, eq=False)
class Part:
    """All draws of a table under one region rule."""

    name: str
    regions: str
    draws: tuple[Asked, ...]
    views: Views
    looks: Looks = field(default_factory=dict)
    """What a second look at the queries found; empty where there was none."""


def part(name: str, prepared: Prepared, views: Views) -> Part:
    """The draws of a table. A mark of nobody is a stranger of its own, not one of all of them."""
    return Part(
        name,
        prepared.regions,
        tuple(
            Asked(
                number,
                one.gallery,
                tuple(map(_own, one.queries)),
                tuple(map(_item, one.queries)),
            )
            for number, one in enumerate(prepared.draws)
        ),
        views,
    )


def _own(query: Query) -> Query:
    if query.box is None:
        return query
    return replace(query, truth=()) if query.truth == (OTHER,) else query


def _item(query: Query) -> str:
    """The logo of the scene, with all that it holds, else the scene."""
    return next((label for label, _ in query.true if label != OTHER), query.photo)


def enrolled(gallery: Gallery, references: References, views: Views) -> Gallery:
    """The gallery that is compared with."""
    rows, owners, files = gallery.rows, gallery.owners, gallery.files
    if references in ("plain", "averaged"):
        extra, of = np.empty((0, rows.shape[1]), np.float32), owners[:0]
    else:
        extra = np.concatenate([views[file] for file in files])
        of = np.repeat(np.arange(len(rows)), [len(views[file]) for file in files])
    if references == "with views":
        named = (*files, *(files[place] for place in of))
        return Gallery(
            gallery.labels,
            np.concatenate([owners, owners[of]]),
            np.concatenate([rows, extra]),
            named,
        )
    every = np.concatenate([rows, extra])
    if references.startswith("views"):
        rows, _ = averaged(every, np.concatenate([np.arange(len(rows)), of]))
    if references in ("averaged", "views and average"):
        means, of_mean = averaged(every, np.concatenate([owners, owners[of]]))
        told = tuple(f"average of {gallery.labels[owner]}" for owner in of_mean)
        if references == "averaged":
            return Gallery(gallery.labels, of_mean, means, told)
        rows, owners = np.concatenate([rows, means]), np.concatenate([owners, of_mean])
        files = (*files, *told)
    return Gallery(gallery.labels, owners, rows, files)


@dataclass(frozen=True, slots=True)
class Way:
    """A score or a rule, and the references it compares with.

    `every`: every region that gets a name says it, as in the former bench, not the best one alone.
    """

    how: ScoreKind | Rule
    references: References = "plain"
    every: bool = False
    weight: float = 0.0
    """Of a second look."""

    def __str__(self) -> str:
        if isinstance(self.how, Rule):
            said = f"multi-ref max, n {self.how.least}"
            said += "" if self.every else ", best region"
            return said if self.references == "plain" else f"{said}, {self.references}"
        look = f", second look {self.weight:g}" if self.weight else ""
        return f"{self.how}, {self.references}{look}"

    def judge(self, threshold: float) -> Judge:
        """The way at a threshold."""
        if isinstance(self.how, Rule):
            return Ruled(replace(self.how, threshold=threshold))
        return Scored(self.how, threshold)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a way says of every query of a part at one threshold: its answer, whether that is a
    name, and the item of the query."""

    answers: list[tuple[Answer, bool, str]]
    spoken: list[Detection]
    every: list[Detection]
    truths: list[Truth]
    items: dict[str, str]
    """Photo as in counts → item."""


@dataclass(frozen=True, slots=True)
class Lifted(Scored):
    """A score after a second look: `lift` `(Q, I)` is added to the cosines of the shortlist of each
    query, which has one region."""

    lift: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def heard(self, cosines: Table, near: Floats | None) -> judges.Heard:
        """See `Judge`. All queries at once."""
        items = largest(cosines)
        if items.shape != self.lift.shape:
            raise ValueError(f"{items.shape} cosines, {self.lift.shape} looks")
        last = np.sort(items, axis=1)[:, -min(SHORTLIST, items.shape[1])]
        lift = np.where(items >= last[:, None], self.lift, 0.0)[:, cosines.owners]
        raised = Table(cosines.items, cosines.starts, cosines.cosines + lift)
        return Scored(self.kind, self.threshold).heard(raised, near)


def _lifted(judge: Judge, weight: float, asked: Asked, looks: Looks) -> Judge:
    if not weight or not isinstance(judge, Scored):
        return judge
    evidence = [
        [looks[name_of(query)].get(label, 0.0) for label in asked.gallery.labels]
        for query in asked.queries
    ]
    return Lifted(judge.kind, judge.threshold, lift=weight * np.array(evidence))


@lru_cache(maxsize=100)
def _said(way: Way, part: Part, threshold: float) -> tuple[Said, ...]:
    judge = way.judge(threshold)
    return tuple(
        ask(
            _lifted(judge, way.weight, one, part.looks),
            enrolled(one.gallery, way.references, part.views),
            one.queries,
            one.number,
        )
        for one in part.draws
    )


def heard(way: Way, part: Part, threshold: float) -> Heard:
    """Ask everything. A score is worked out once for all thresholds; a rule of survivors is not."""
    scored = not isinstance(way.how, Rule)
    said = _said(replace(way, every=False), part, -np.inf if scored else threshold)
    least = threshold if scored else -np.inf
    found = Heard([], [], [], [], {})
    for one, draw in zip(said, part.draws, strict=True):
        for query, answer, item in zip(draw.queries, one.answers, draw.items, strict=True):
            found.answers.append((answer, bool(answer.said) and answer.score > least, item))
            found.items[photo_of(query, draw.number)] = item
        found.spoken.extend(d for d in one.spoken if d.score > least)
        found.every.extend(d for d in one.detections if d.score > least)
        found.truths.extend(one.truths)
    return found


@dataclass(frozen=True, slots=True)
class Came:
    """What a way came to at a threshold.

    sums
        `(items, 3)`: true positives, false positives and what there was to find, of each item.
    right, mated
        `(n,)` of the queries that show an enrolled logo: named rightly, and the item of each.
    named, strangers
        The same of the others: whether they got a name, and whose they are.
    """

    sums: Floats
    right: Floats
    mated: NDArray[np.str_]
    named: Floats
    strangers: NDArray[np.str_]

    @property
    def f1(self) -> float:
        """Of the one-to-one count."""
        return f1(self.sums)

    @property
    def tpir(self) -> float:
        """Share of queries of enrolled logos named rightly."""
        return float(self.right.mean())

    @property
    def fpir(self) -> float:
        """Share of queries of nothing enrolled that got a name, each item counted once."""
        return stats.fpir_by_item(self.named, self.strangers, 0.5)


def f1(sums: Floats) -> float:
    """2 TP / (TP + FP + expected), over all items."""
    tp, fp, expected = sums.sum(axis=0)
    return float(2 * tp / max(tp + fp + expected, 1))


def came(way: Way, part: Part, threshold: float) -> Came:
    """Ask and count."""
    told = heard(way, part, threshold)
    said = told.every if way.every else told.spoken
    place = {item: n for n, item in enumerate(sorted(set(told.items.values())))}
    sums = np.zeros((len(place), 3))
    for one, match in zip(said, one_to_one(said, told.truths).matched, strict=True):
        sums[place[told.items[one.picture]], 0 if match >= 0 else 1] += 1
    for true in told.truths:
        sums[place[told.items[true.picture]], 2] += 1
    mated = [
        (named and answer.said in answer.truth, item)
        for answer, named, item in told.answers
        if answer.enrolled
    ]
    others = [(named, item) for answer, named, item in told.answers if not answer.enrolled]
    return Came(sums, *_columns(mated), *_columns(others))


def figures(way: Way, part: Part, threshold: float) -> dict[str, Any]:
    """All three counts and both rates."""
    told, one = heard(way, part, threshold), came(way, part, threshold)
    said = told.every if way.every else told.spoken
    counts = {
        "one to one": one_to_one(said, told.truths),
        "by photo": by_photo(said, told.truths),
        "legacy": legacy(told.every, told.truths),
    }
    kept = ("tp", "fp", "fn", "expected", "precision", "recall", "f1")
    return {
        "threshold": round(threshold, 4),
        "tpir": round(one.tpir, 4),
        "fpir": round(one.fpir, 4),
        "fpir by query": round(float(one.named.mean()), 4),
        "mated": len(one.right),
        "strangers": len(one.named),
        **{name: {k: c.to_dict()[k] for k in kept} for name, c in counts.items()},
    }


def _columns(pairs: Sequence[tuple[bool, str]]) -> tuple[Floats, NDArray[np.str_]]:
    values, items = zip(*pairs, strict=True)
    return np.array(values, float), np.array(items, str)


def trials(way: Way, part: Part) -> tuple[Trials, Trials]:
    """Scores of enrolled logos and of strangers, for a way that has scores at any threshold."""
    found: dict[bool, list[tuple[float, str, bool]]] = {True: [], False: []}
    for answer, _, item in heard(way, part, -np.inf).answers:
        right = answer.enrolled and answer.best in answer.truth
        found[answer.enrolled].append((answer.score, item, right))
    mated, strangers = (_trials(found[which]) for which in (True, False))
    return mated, strangers


def _trials(rows: Iterable[tuple[float, str, bool]]) -> Trials:
    scores, items, right = zip(*rows, strict=True)
    _, numbers = np.unique(np.array(items), return_inverse=True)
    return Trials(np.array(scores), numbers.astype(np.int64), np.array(right))


def gain(ours: Came, theirs: Came) -> dict[str, list[float]]:
    """By how much the first is better than the second, with the interval by item."""
    whole = {
        "f1": (ours.f1 - theirs.f1, *_f1_interval(ours.sums, theirs.sums)),
        "tpir": tuple(stats.paired(ours.right, theirs.right, ours.mated)),
        "fpir": tuple(stats.paired(ours.named, theirs.named, ours.strangers)),
    }
    return {name: [round(float(v), 4) for v in values] for name, values in whole.items()}


def _f1_interval(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """95 % percentiles of the difference in F1 when items are drawn anew, the same for both."""
    count = len(ours)
    weight = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), SAMPLES)
    values = [2 * w[:, 0] / np.maximum(w.sum(axis=1), 1) for w in (weight @ ours, weight @ theirs)]
    low, high = np.percentile(values[0] - values[1], [2.5, 97.5])
    return float(low), float(high)


def gain_at(ours: Way, theirs: Came, part: Part) -> dict[str, Any]:
    """What ours names where it names as many strangers of this very part as the other one does."""
    mated, strangers = trials(ours, part)
    hits = at(strangers.scores, mated.scores, mated.right, int(theirs.named.sum()))
    told = stats.paired(hits, theirs.right, theirs.mated)
    return {"ours": round(float(hits.mean()), 4), "gain": [round(float(v), 4) for v in told]}


def best_threshold(tries: Iterable[float], value: Callable[[float], float]) -> tuple[float, float]:
    """The first of the thresholds with the largest value, and that value."""
    found = max(((value(t), -n, t) for n, t in enumerate(tries)), key=lambda one: one[:2])
    return found[2], found[0]
