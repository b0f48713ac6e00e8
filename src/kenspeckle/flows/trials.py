"""Trials of a gallery: its own camera views, and the cohort, asked about one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from kenspeckle import _threads
from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.errors import ModelError, PictureError
from kenspeckle.flows.opened import ReadOnly
from kenspeckle.flows.second_look import look
from kenspeckle.image.decode import decode
from kenspeckle.image.views import camera_views
from kenspeckle.match.aggregate import Floats, ScoreKind, cohort_level, reach
from kenspeckle.match.second_look import NOTHING, Looked, raised
from kenspeckle.match.trials import NO_TRIALS, Trials, joined, judge
from kenspeckle.regions.base import cut, most, split
from kenspeckle.store.base import Hits
from kenspeckle.types import Float32, Int64, Picture, Reference, SecondLookRule
from kenspeckle.vectors.pipeline import pooled

SEED = 1_000_003
"""Far from the seeds of enrolled views: a view is never judged against itself."""
UNCHANGED = -1
"""In place of a seed: the reference itself is asked about."""
WANTED = 200
"""Views that are made of a small gallery; a large one gets `LEAST_EACH` an item, time allowing."""
LEAST_EACH, MOST_EACH = 2, 10
BLOCK = 64
"""Queries searched at once: keeps the products small."""


@dataclass(frozen=True, slots=True)
class Query:
    """One picture that is asked about: the item that it shows, and its regions' vectors `(k, D)`.

    `reference` is what a view was made of, None for a photo; `unchanged` that it is the reference
    itself, not a view. `sha256` is of a photo's bytes. A stranger's item is a negative number.
    `evidence` is what a second look found, by item.
    """

    item: int
    reference: Reference | None
    rows: Float32
    sha256: str = ""
    unchanged: bool = False
    evidence: Mapping[int, float] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Known:
    """What the trials need to know of the gallery: references by item, views by path, items that
    share a file with another one (left out of the gallery, such an item is still in it), and the
    ids that come of each file, by its hash."""

    references: dict[int, list[tuple[int, Reference]]]
    views: dict[str, list[int]]
    twins: set[int]
    files: dict[str, list[int]]


def known_of(opened: ReadOnly) -> Known:
    """Read once what the trials ask for again and again."""
    references: dict[int, list[tuple[int, Reference]]] = {}
    views: dict[str, list[int]] = {}
    rows = list(opened.store.references())
    owners = opened.store.owners([number for number, _ in rows])
    for (number, reference), item in zip(rows, owners.tolist(), strict=True):
        if reference.view:
            views.setdefault(reference.path, []).append(number)
        else:
            references.setdefault(item, []).append((number, reference))
    files: dict[str, list[int]] = {}
    for number, reference in rows:
        if reference.sha256:
            files.setdefault(reference.sha256, []).append(number)
    return Known(references, views, _twins(references), files)


def _twins(references: dict[int, list[tuple[int, Reference]]]) -> set[int]:
    sharing: dict[str, set[int]] = {}
    for item, rows in references.items():
        for _, reference in rows:
            if reference.sha256:
                sharing.setdefault(reference.sha256, set()).add(item)
    return set().union(*(items for items in sharing.values() if len(items) > 1))


def plan_views(
    known: Known, seed: int, each: int | None = None
) -> list[tuple[int, int, Reference, int]]:
    """(item, id, reference, seed of the view) in the order of work: every item once, then again.

    `each` views an item; None for the usual number.
    """
    rng = np.random.default_rng(seed)
    items = sorted(known.references)
    each = each or min(max(-(-WANTED // max(len(items), 1)), LEAST_EACH), MOST_EACH)
    plan = []
    for turn in range(each):
        for place in rng.permutation(len(items)).tolist():
            rows = known.references[items[place]]
            number, reference = rows[turn % len(rows)]
            plan.append((items[place], number, reference, SEED + each * number + turn))
    return plan


def unchanged(known: Known) -> list[tuple[int, int, Reference, int]]:
    """The first reference of every item, to be asked about as it is.

    With its item left out of the gallery it is a stranger as sharp and as clean as the references
    are, which no camera view is.
    """
    return [(item, *rows[0], UNCHANGED) for item, rows in sorted(known.references.items())]


def asked_about(
    opened: ReadOnly, picture: Picture, again: SecondLookRule | None
) -> tuple[Float32, Mapping[int, float]]:
    """The vectors of a picture's regions, and the evidence of a second look where one is wanted.

    One item more than its shortlist is looked at, since one may be left out of the gallery.
    """
    parts = [cut(picture.image, region) for region in split(picture, opened.regions)]
    rows = opened.embedder.vectors(parts)
    if again is None:
        return rows, NOTHING
    wide = replace(again, shortlist=again.shortlist + 1)
    found = reach(opened.store.search, rows, len(opened.store), distinct=wide.shortlist)
    return rows, look(opened, picture, found, wide).evidence


def stood_in(opened: ReadOnly, item: int, number: int, reference: Reference) -> Query:
    """A reference whose picture is not at hand, by the vector that is stored of it."""
    return Query(item, reference, opened.store.rows([number]), unchanged=True)


def make_views(
    opened: ReadOnly,
    plan: Sequence[tuple[int, int, Reference, int]],
    deadline: float,
    again: SecondLookRule | None = None,
) -> Iterator[Query | None]:
    """The queries in order, None for one that failed, until the deadline. Raises ModelError."""
    folder = base_of(opened.store.manifest.refs)

    def in_time() -> Iterator[tuple[int, int, Reference, int]]:
        for task in plan:
            if time.monotonic() >= deadline:
                return
            yield task

    def work(task: tuple[int, int, Reference, int]) -> Query | None:
        if time.monotonic() >= deadline:  # what waited in the queue is too late as well
            return None
        item, number, reference, seed = task
        as_is = seed == UNCHANGED
        try:
            picture = decode(on_disk(folder, reference.path), limits=opened.settings.image)
        except PictureError:
            if as_is and again is None:
                return stood_in(opened, item, number, reference)
            raise
        image = picture.image if as_is else camera_views(picture.image, 1, seed)[0]
        rows, evidence = asked_about(opened, Picture(image, reference.path), again)
        return Query(item, reference, rows, unchanged=as_is, evidence=evidence)

    for result in pooled(in_time(), work, opened.settings.index.callers):
        if isinstance(result.error, ModelError):
            raise result.error
        if result.value is not None or result.error is not None:
            yield result.value


def blocks(queries: Iterator[Query | None]) -> Iterator[list[Query | None]]:
    """Up to `BLOCK` of them at a time."""
    block: list[Query | None] = []
    for query in queries:
        block.append(query)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gallery answered to some queries: the hits of all their regions.

    `held` is `found` without the references that a mated trial does without; `near` the cohort
    level of each region, `owner` its query, `items` the item that each query shows, `evidence`
    what a second look found for each.
    """

    found: Hits
    held: Hits
    near: Floats | None
    owner: Int64
    items: Int64
    evidence: tuple[Mapping[int, float], ...] = ()

    def weighted(self, weight: float) -> Asked:
        """The same after a second look whose evidence has this weight."""
        return replace(
            self, found=self._raised(self.found, weight), held=self._raised(self.held, weight)
        )

    def _raised(self, found: Hits, weight: float) -> Hits:
        ids, items, scores = found.ids.copy(), found.items.copy(), found.scores.copy()
        for number, evidence in enumerate(self.evidence):
            mine = self.owner == number
            own = Hits(found.ids[mine], found.items[mine], found.scores[mine])
            more = raised(own, {item: weight * value for item, value in evidence.items()})
            ids[mine], items[mine], scores[mine] = more.ids, more.items, more.scores
        return Hits(ids, items, scores)

    def looked(self, *, enrolled: bool) -> Iterator[Looked]:
        """The queries one by one, to fit the weight on: as enrolled things, or as strangers."""
        source = self.held if enrolled else self.found
        for number, evidence in enumerate(self.evidence):
            mine, item = self.owner == number, int(self.items[number])
            items = source.items[mine]
            hidden = items if enrolled else np.where(items == item, -1, items)
            found = Hits(source.ids[mine], hidden, source.scores[mine])
            near = None if self.near is None else self.near[mine]
            if (hidden >= 0).any():
                yield Looked(found, near, evidence, item, enrolled)

    def by_region(self, kind: ScoreKind) -> Floats:
        """The score of every region by itself, with the item that it shows left out."""
        own = np.arange(len(self.owner))
        shows = self.items[self.owner]
        return judge(kind, self.found, self.near, own, shows, without=shows).scores

    def mated(self, kind: ScoreKind) -> Trials:
        """Each query asked about the whole gallery."""
        return judge(kind, self.held, self.near, self.owner, self.items)

    def left_out(self, kind: ScoreKind) -> Trials:
        """Each query asked about the gallery without the item that it shows."""
        return judge(kind, self.found, self.near, self.owner, self.items, without=self.items)


def ask(
    opened: ReadOnly, known: Known, queries: Sequence[Query], ids: Int64 | None = None
) -> Asked:
    """Search for some queries at once, in all references or those of some `ids`.

    Where an item has another reference of the same print, the one that a view was made of takes no
    part in the mated trial. A reference that is asked about itself, and has no such other one, has
    no mated trial.
    """
    rows = np.concatenate([query.rows for query in queries])
    owner = np.repeat(np.arange(len(queries)), [len(query.rows) for query in queries])
    items = np.array([query.item for query in queries], np.int64)
    cohort = opened.embedder.cohort
    near = None if cohort is None else cohort_level(rows, cohort)
    total = len(opened.store) if ids is None else len(ids)
    found = reach(partial(opened.store.search, ids=ids), rows, total, distinct=_deep(queries))
    hidden, free = found.items.copy(), found.items >= 0
    for number, query in enumerate(queries):
        own = _held_out(known, query)
        hide = np.isin(found.ids, own) if own or not query.unchanged else np.ones_like(free)
        hidden[hide & (owner == number)[:, None]] = -1
    evidence = tuple(query.evidence for query in queries)
    return Asked(found, Hits(found.ids, hidden, found.scores), near, owner, items, evidence)


def _deep(queries: Sequence[Query]) -> int:
    """How many items a search has to see: the best, the next and one left out, and all those that
    a second look may raise."""
    return max(3, *(len(query.evidence) for query in queries))


def _held_out(known: Known, query: Query) -> list[int]:
    """Ids that a mated trial does without: the reference of the view, if it has an equal, or the
    reference that is the photo itself."""
    if query.reference is None:
        return known.files.get(query.sha256, [])
    rows = known.references[query.item]
    equals = [number for number, other in rows if other.variant == query.reference.variant]
    if len(equals) < 2:
        return []
    own = [number for number, other in rows if other.path == query.reference.path]
    return own + known.views.get(query.reference.path, [])


def beside_prints(opened: ReadOnly, known: Known, query: Query) -> tuple[float, float]:
    """The view's cosine to its own reference, and the lead of its print over the item's others."""
    assert query.reference is not None  # noqa: S101  a view has one
    rows = known.references[query.item]
    near = query.rows @ opened.store.rows([number for number, _ in rows]).T
    region = near[int(near.max(axis=1).argmax())]
    own = np.array([other.path == query.reference.path for _, other in rows])
    right = np.array([other.variant == query.reference.variant for _, other in rows])
    lead = np.nan if right.all() else region[right].max() - region[~right].max()
    return float(region[own].max()), float(lead)


def general_trials(
    opened: ReadOnly,
    cohort: Float32,
    kind: ScoreKind,
    deadline: float,
    seed: int,
    tried: Callable[[], None] | None = None,
) -> Trials:
    """Trials of the cohort: as many vectors a trial as the rule has regions at most, drawn without
    repetition.

    The cohort has whole pictures only; unrelated vectors stand for the regions of a photo. They
    differ more from each other than its regions would, so the best of them is rather too good: the
    threshold errs to the careful side. `tried` is called before each block of them.
    """
    regions = most(opened.regions)
    drawn = np.random.default_rng(seed).permutation(len(cohort))
    drawn = drawn[: len(drawn) - len(drawn) % regions].astype(np.int64)
    parts: list[Trials] = []
    search = partial(opened.store.search, threads=_threads.callers(opened.settings.index.callers))
    step = max(1, 4 * BLOCK // regions) * regions
    for first in range(0, len(drawn), step):
        if first and time.monotonic() >= deadline:
            break
        if tried is not None:
            tried()
        own: Int64 = drawn[first : first + step]
        rows = cohort[own]
        owner = np.repeat(np.arange(len(own) // regions), regions)
        items = first // regions + np.arange(len(own) // regions)
        found = reach(search, rows, len(opened.store))
        near = cohort_level(rows, cohort, own)
        trials = judge(kind, found, near, owner, items)
        parts.append(Trials(trials.scores, trials.items, np.zeros(len(trials), bool)))
    return joined(parts) if parts else NO_TRIALS
