"""One draw: a gallery as rows, queries as rows, a judge; out come answers, names and boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kenspeckle.evaluate.counting import Detection, Truth
from kenspeckle.evaluate.judges import Heard, Judge, Ruled
from kenspeckle.evaluate.result import Answer
from kenspeckle.evaluate.truth_regions import Met, pairs
from kenspeckle.match.aggregate import Floats, best_regions
from kenspeckle.match.methods import Rule, Table, compared
from kenspeckle.match.trials import NO_TRIALS, Trials
from kenspeckle.types import Box, Float32, Int64, Region

CELLS = 8_000_000
"""Cosines that are held at once."""
NAMED_FIRST = 10.0
"""Puts a region with a name before every region without one."""


@dataclass(frozen=True)
class Gallery:
    """What is enrolled: `rows` `(N, D)`, the place in `labels` of each row's item `(N,)`, and the
    file of each reference."""

    labels: tuple[str, ...]
    owners: Int64
    rows: Float32
    files: tuple[str, ...]

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each label."""
        return {label: place for place, label in enumerate(self.labels)}

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked about: a photo, or one true box of it.

    `truth` are the labels it shows, `true` the boxes of the photo with their labels. `rows`
    `(K, D)` are the vectors of its regions, `near` `(K,)` their level of chance.
    """

    photo: str
    box: Box | None
    truth: tuple[str, ...]
    true: tuple[tuple[str, Box], ...]
    regions: tuple[Region, ...]
    rows: Float32
    near: Floats | None

    @property
    def item(self) -> str:
        """The independent item behind the query."""
        return self.truth[0] if self.truth else self.photo


@dataclass(slots=True)
class Said:
    """What came of the queries of one draw."""

    answers: list[Answer] = field(default_factory=list)
    spoken: list[Detection] = field(default_factory=list)
    """The names of the deciding regions."""
    detections: list[Detection] = field(default_factory=list)
    """The names of all regions."""
    truths: list[Truth] = field(default_factory=list)
    """Every enrolled name of every photo, with its box where it has one."""
    met: list[Met] = field(default_factory=list)
    nameless: int = 0
    """Queries for which the rule has no score."""


def enrolled(labels: Sequence[str], rows: Float32, files: Sequence[str]) -> Gallery:
    """A gallery from one label, row and file a reference."""
    names, owners = np.unique(np.array(labels, str), return_inverse=True)
    return Gallery(tuple(names.tolist()), owners.astype(np.int64), rows, tuple(files))


def ask(judge: Judge, gallery: Gallery, queries: Sequence[Query], draw: int = 0) -> Said:
    """All answers of a draw, in the order of the queries. One without a region is unknown."""
    said = Said()
    for some in blocks(_seen(queries), len(gallery.rows)):
        cosines, near = _cosines(judge, gallery, some)
        heard = judge.heard(cosines, near)
        owner = _owner(some)
        best = _deciding(heard, owner)
        files = _references(gallery, some, heard, best)
        ends = np.append(np.searchsorted(owner, np.arange(len(some))), len(owner))
        for place, query in enumerate(some):
            view = _View(judge, gallery, heard, slice(ends[place], ends[place + 1]))
            answer = view.answer(query, int(best[place]), files[place], draw)
            said.answers.append(answer)
            said.nameless += not math.isfinite(answer.score)
            said.spoken += view.detections(query, draw, int(best[place]))
            said.detections += view.detections(query, draw)
            said.truths += _truths(gallery, query, draw)
            said.met += view.met(query)
    if len(said.answers) < len(queries):
        told = iter(said.answers)
        said.answers = [
            next(told) if len(one.rows) else _silent(said, gallery, one, draw) for one in queries
        ]
    return said


def _silent(said: Said, gallery: Gallery, query: Query, draw: int) -> Answer:
    """The answer for a photo in which no region was found: unknown, and nothing met."""
    said.truths += _truths(gallery, query, draw)
    said.met += [
        Met(query.photo, box, label, label in gallery.index, met=False, right=False)
        for label, box in query.true
    ]
    return Answer(
        draw=draw,
        query=query.photo,
        box=query.box,
        truth=query.truth,
        enrolled=any(label in gallery.index for label in query.truth),
        said="",
        best="",
        runner="",
        score=-math.inf,
        similarity=-1.0,
        margin=None,
        confidence=None,
        rank=0,
        region="none",
        asked=0,
    )


def _seen(queries: Sequence[Query]) -> list[Query]:
    """The queries with a region to ask about."""
    return [one for one in queries if len(one.rows)]


def stranger_trials(judge: Judge, gallery: Gallery, queries: Sequence[Query]) -> Trials:
    """Queries of things that are not enrolled, as trials; an item of several photos counts once."""
    seen = _seen(queries)
    scores: list[Floats] = []
    for some in blocks(seen, len(gallery.rows)):
        heard = judge.heard(*_cosines(judge, gallery, some))
        scores.append(heard.scores[_deciding(heard, _owner(some))])
    return _trials(scores, seen, [False] * len(seen), queries)


def mated_trials(
    judge: Judge, gallery: Gallery, others: Gallery, queries: Sequence[Query]
) -> Trials:
    """Queries of items of `others`, each asked about with its own item added to the gallery.

    So the items that a rule is fitted on are no rivals of each other, and none of those reported on
    is asked about.
    """
    scores: list[Floats] = []
    right: list[bool] = []
    kept: list[Query] = []
    mine = [one for one in queries if one.item in others.index]
    seen = _seen(mine)
    for label in sorted({one.item for one in seen}):
        own = [one for one in seen if one.item == label]
        grown = _joined(gallery, others, label)
        heard = judge.heard(*_cosines(judge, grown, own))
        best = _deciding(heard, _owner(own))
        scores.append(heard.scores[best])
        right += [grown.labels[item] == label for item in heard.order[best, 0]]
        kept += own
    return _trials(scores, kept, right, mine)


def _trials(
    scores: Sequence[Floats], seen: Sequence[Query], right: Sequence[bool], every: Sequence[Query]
) -> Trials:
    """Trials of the queries that were `seen`; the others have the lowest score there is."""
    if not every:
        return NO_TRIALS
    silent = [one for one in every if not len(one.rows)]
    names = np.array([one.item for one in (*seen, *silent)], str)
    _, items = np.unique(names, return_inverse=True)
    values = np.concatenate([*scores, np.full(len(silent), -np.inf)])
    hits = np.concatenate([np.array(right, bool), np.zeros(len(silent), bool)])
    return Trials(values, items.astype(np.int64), hits)


def _joined(gallery: Gallery, others: Gallery, label: str) -> Gallery:
    """The gallery with one item of another, behind its own."""
    own = np.flatnonzero(others.owners == others.index[label])
    return Gallery(
        (*gallery.labels, label),
        np.append(gallery.owners, np.full(len(own), len(gallery))),
        np.concatenate([gallery.rows, others.rows[own]]),
        (*gallery.files, *(others.files[place] for place in own)),
    )


@dataclass(frozen=True, slots=True)
class _View:
    """What was heard of one query: its rows of what was heard of many."""

    judge: Judge
    gallery: Gallery
    heard: Heard
    rows: slice

    def answer(self, query: Query, best: int, reference: str, draw: int) -> Answer:
        """The answer by the deciding region, row `best` of what was heard."""
        heard, score = self.heard, float(self.heard.scores[best])
        names = [self._label(item) for item in heard.order[best]]
        said = np.flatnonzero(heard.names[best])
        first = names[0] if heard.names[best, heard.order[best, 0]] else ""
        margin = float(heard.margins[best])
        region = query.regions[best - self.rows.start]
        return Answer(
            draw=draw,
            query=query.photo,
            box=query.box,
            truth=query.truth,
            enrolled=any(label in self.gallery.index for label in query.truth),
            said=first or (self._label(said[0]) if len(said) else ""),
            best=names[0],
            runner=self._label(heard.runners[best]),
            score=score,
            similarity=float(heard.similarity[best]),
            margin=None if math.isnan(margin) else margin,
            confidence=self.judge.stated(score),
            rank=next((place for place, name in enumerate(names, 1) if name in query.truth), 0),
            region=region.kind,
            reference=reference,
            asked=len(query.rows),
            named=int(heard.names[self.rows].any(axis=1).sum()),
        )

    def detections(self, query: Query, draw: int, only: int = -1) -> Iterator[Detection]:
        """Every name of every region, or of the row `only`."""
        names, scores = self.heard.names[self.rows], self.heard.scores[self.rows]
        for row, item in np.argwhere(names):
            if only >= 0 and row != only - self.rows.start:
                continue
            box = None if query.regions[row].kind == "whole" else query.regions[row].box
            yield Detection(
                photo_of(query, draw), box, self.gallery.labels[item], float(scores[row])
            )

    def met(self, query: Query) -> Iterator[Met]:
        """Finding and naming of each true box of the photo."""
        names = self.heard.names[self.rows]
        if query.box is not None:
            found = {place: 0 for place, one in enumerate(query.true) if one[1] == query.box}
        else:
            regions = [region.box for region in query.regions]
            found = dict(enumerate(pairs([box for _, box in query.true], regions)))
        for place, region in found.items():
            label, box = query.true[place]
            item = self.gallery.index.get(label, -1)
            right = region >= 0 and item >= 0 and bool(names[region, item])
            yield Met(query.photo, box, label, item >= 0, region >= 0, right)

    def _label(self, item: int) -> str:
        return self.gallery.labels[item] if item >= 0 else ""


def photo_of(query: Query, draw: int) -> str:
    """What the photo is called in counts over several draws."""
    return f"{draw}: {query.photo}"


def _truths(gallery: Gallery, query: Query, draw: int) -> Iterator[Truth]:
    """The names to be found in a query: those that are enrolled."""
    photo = photo_of(query, draw)
    if query.box is not None:
        boxes: list[tuple[str, Box | None]] = [(label, query.box) for label in query.truth]
    else:
        boxes = [*query.true]
        boxes += [(label, None) for label in query.truth if label not in dict(query.true)]
    for label, box in boxes:
        if label in gallery.index:
            yield Truth(photo, box, label)


def _cosines(
    judge: Judge, gallery: Gallery, queries: Sequence[Query]
) -> tuple[Table, Floats | None]:
    """The table that the judge works on, and the level of chance where it is known."""
    rows = np.concatenate([one.rows for one in queries])
    rule = judge.rule if isinstance(judge, Ruled) else Rule()
    near = [one.near for one in queries if one.near is not None]
    level = np.concatenate(near) if len(near) == len(queries) else None
    return compared(rule, rows, gallery.rows, gallery.owners), level


def _owner(queries: Sequence[Query]) -> Int64:
    """The query of each region."""
    return np.repeat(np.arange(len(queries)), [len(one.rows) for one in queries])


def _deciding(heard: Heard, owner: Int64) -> Int64:
    """The deciding region of each query: the largest score, one with a name before any without."""
    named = np.where(heard.names.any(axis=1), NAMED_FIRST, 0.0)
    return best_regions(heard.scores + named, owner)


def _references(gallery: Gallery, queries: Sequence[Query], heard: Heard, best: Int64) -> list[str]:
    """The file of the reference that is nearest among those of the best item."""
    rows = np.concatenate([one.rows for one in queries])[best]
    cosines = rows @ gallery.rows.T
    own = gallery.owners[None, :] == heard.order[best, 0][:, None]
    return [gallery.files[place] for place in np.where(own, cosines, -2).argmax(axis=1)]


def blocks(queries: Sequence[Query], references: int) -> Iterator[list[Query]]:
    """Queries in runs whose cosines fit into `CELLS`."""
    block: list[Query] = []
    cells = 0
    for query in queries:
        size = len(query.rows) * max(references, 1)
        if block and cells + size > CELLS:
            yield block
            block, cells = [], 0
        block.append(query)
        cells += size
    if block:
        yield block
