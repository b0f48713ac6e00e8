"""What the camera views of a gallery come to, a block at a time, and what was left out of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kenspeckle.flows.opened import ReadOnly
from kenspeckle.flows.trials import (
    BLOCK,
    Asked,
    Known,
    Query,
    ask,
    beside_prints,
    blocks,
    stood_in,
)
from kenspeckle.match.aggregate import ScoreKind
from kenspeckle.match.calibrate import Subject
from kenspeckle.match.prints import Views, look_alike_level
from kenspeckle.match.similar import nearer_than
from kenspeckle.match.trials import Trials, joined
from kenspeckle.regions.base import effective, most
from kenspeckle.store.base import Standing

MOST_STOOD_IN = 1000
"""Items asked about by their stored vectors at most; a search is a millisecond or less."""


USUAL_LEVEL = 0.77
"""Cosine from which on two items look alike where no view tells it: the highest of five sets."""


def subject_of(opened: ReadOnly, known: Known, standing: Standing) -> Subject:
    """What a calibration made now is for. `standing` is from before the first trial: what came
    since, it does not know."""
    return Subject(
        regions=effective(opened.regions),
        space_id=opened.embedder.space_id,
        items=len(known.references),
        references=sum(len(rows) for rows in known.references.values()),
        change=standing.change,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        feedback=standing.feedback,
    )


@dataclass(slots=True)
class Gathered:
    """What the views have come to so far, by score; with `again` their hits are kept as well, to
    be judged once more with the evidence of a second look."""

    kinds: Sequence[ScoreKind]
    mated_parts: dict[ScoreKind, list[Trials]] = field(default_factory=dict)
    left_out_parts: dict[ScoreKind, list[Trials]] = field(default_factory=dict)
    items: list[int] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    lead: list[float] = field(default_factory=list)
    tried: int = 0
    made: int = 0
    again: bool = False
    asked: list[Asked] = field(default_factory=list)

    def add(self, opened: ReadOnly, known: Known, block: Sequence[Query | None]) -> None:
        """Judge some views; None is one that was not made."""
        queries = [query for query in block if query is not None]
        self.tried += len(block)
        self.made += len(queries)
        if queries:
            self.judge(opened, known, queries)

    def judge(self, opened: ReadOnly, known: Known, queries: Sequence[Query]) -> None:
        """Ask the gallery, and keep what comes of it."""
        asked = ask(opened, known, queries)
        if self.again:
            self.asked.append(asked)
        for kind in self.kinds:
            self.mated_parts.setdefault(kind, []).append(asked.mated(kind))
            self.left_out_parts.setdefault(kind, []).append(asked.left_out(kind))
        for query in queries:
            if query.unchanged:  # its cosine to itself says nothing about photos
                continue
            level, lead = beside_prints(opened, known, query)
            self.items.append(query.item)
            self.level.append(level)
            self.lead.append(lead)

    def mated(self, kind: ScoreKind) -> Trials:
        """Views asked about the whole gallery."""
        return joined(self.mated_parts.get(kind, ()))

    def left_out(self, kind: ScoreKind) -> Trials:
        """Views asked about the gallery without their item."""
        return joined(self.left_out_parts.get(kind, ()))

    def views(self) -> Views:
        """The views by themselves."""
        level, lead = (np.array(values, np.float64) for values in (self.level, self.lead))
        return Views(np.array(self.items, np.int64), level, lead)

    def level_of_twins(self) -> float | None:
        """The cosine from which on two items look alike, by the views, or as usual where items were
        asked about without any; None where nothing was asked."""
        level = look_alike_level(self.views())
        return USUAL_LEVEL if level is None and self.left_out_parts else level

    @property
    def failed(self) -> int:
        """Views that were not made."""
        return self.tried - self.made

    def stand_in(self, opened: ReadOnly, known: Known) -> int:
        """Ask about items whose views could not be made by their stored vectors; how many.

        Left out of the gallery such an item is a stranger like the others. It tells nothing of how
        photos of it are named.
        """
        if not self.failed:
            return 0
        seen = set(self.items)
        lacking = [(item, *rows[0]) for item, rows in known.references.items() if item not in seen]
        queries = [stood_in(opened, *one) for one in lacking[:MOST_STOOD_IN]]
        for first in range(0, len(queries), BLOCK):
            self.judge(opened, known, queries[first : first + BLOCK])
        return len(queries)


def gather(
    opened: ReadOnly,
    known: Known,
    kinds: Sequence[ScoreKind],
    views: Iterator[Query | None],
    *,
    again: bool = False,
) -> Gathered:
    """Trials of all views."""
    made = Gathered(kinds, again=again)
    for block in blocks(views):
        made.add(opened, known, block)
    return made


def look_alikes(opened: ReadOnly, known: Known, level: float | None) -> set[int]:
    """Items that look like another one: left out of the gallery, they are still in it.

    A view of one is rightly found near the other, which says nothing about strangers; as trials,
    two pictures of one thing under two names would make all other items unknown.
    """
    if level is None:
        return set()
    numbers = [number for rows in known.references.values() for number, _ in rows]
    items = {rows[0][1].key: item for item, rows in known.references.items()}
    pairs = nearer_than(opened.store, numbers, level)
    return {items[one.key] for pair in pairs for one in (pair.a, pair.b)}


def exclusions(
    opened: ReadOnly, made: Gathered, twins: int, planned: int, stood: int = 0
) -> tuple[str, ...]:
    """What the views did not come to, and why; `stood` items are known by stored vectors alone."""
    notes = []
    if opened.embedder.cohort is not None and most(opened.regions) > 1:
        notes.append(
            f"a general stranger is {most(opened.regions)} cohort vectors in place of regions"
        )
    if twins:
        notes.append(
            f"{twins} items look like another one: photos may take one for the other, and they are "
            "not taken for strangers"
        )
    if made.tried < planned:
        notes.append(f"{made.tried} of {planned} views in the time given")
    if made.failed:
        views = "1 view" if made.failed == 1 else f"{made.failed} views"
        notes.append(f"{views} not made: originals moved, behind an address, or unreadable")
    if stood:
        things = "item" if stood == 1 else "items"
        notes.append(
            f"{stood} {things} without a picture at hand: asked about, as strangers like the "
            "others, by stored vectors"
        )
    return tuple(notes)
