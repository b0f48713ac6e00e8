"""calibrate(gallery): camera views of references → regions → vectors → trials → the rule.

The quick calibration knows nothing but the gallery and the cohort. A view of a reference is a mated
query; with its item left out of the gallery the same view is a stranger *like your items*; the
cohort's pictures are strangers in *general*. Work goes on in a seeded random order until the time
is over, so a cut-off run is a smaller sample, not another one.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from kenspeckle.flows.opened import Opened
from kenspeckle.flows.trials import (
    Known,
    Query,
    ask,
    beside_prints,
    blocks,
    general_trials,
    known_of,
    make_views,
    plan_views,
)
from kenspeckle.match.aggregate import ScoreKind, usual_score
from kenspeckle.match.calibrate import Subject, fit
from kenspeckle.match.prints import Views, look_alike_level
from kenspeckle.match.similar import nearer_than
from kenspeckle.match.trials import NO_TRIALS, Strangers, Trials, but, joined
from kenspeckle.regions.base import effective, most
from kenspeckle.types import Calibration

COHORT_SHARE = 0.4
"""The most of the time that goes into the cohort, which comes first; views get what is left."""


def quick(opened: Opened, *, seconds: float, seed: int = 0) -> Calibration | None:
    """The rule fitted in about `seconds`, or None when the gallery offers no stranger at all.

    Originals that have moved or fail, and those behind addresses, are passed over and counted in
    the notes. Raises ModelError.
    """
    start = time.monotonic()
    store, cohort = opened.store, opened.embedder.cohort
    change, said, known = store.change(), store.feedback_change(), known_of(opened)
    kind = usual_score(cohort is not None, len(known.references))
    plan = plan_views(known, seed)
    general = NO_TRIALS
    if cohort is not None and known.references:
        general = general_trials(opened, cohort, kind, start + COHORT_SHARE * seconds, seed)
    made = _gather(opened, known, kind, make_views(opened, plan, start + seconds))
    views = made.views()
    twins = known.twins | _look_alikes(opened, known, look_alike_level(views))
    strangers: dict[Strangers, Trials] = {
        "like your items": but(joined(made.left_out), twins),
        "general": general,
    }
    subject = Subject(
        regions=effective(opened.regions),
        space_id=opened.embedder.space_id,
        items=len(known.references),
        references=sum(len(rows) for rows in known.references.values()),
        change=change,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        feedback=said,
    )
    return fit(
        subject,
        kind,
        joined(made.mated),
        strangers,
        opened.fpir,
        views=views,
        notes=_notes(made, len(twins), len(plan), most(opened.regions) if len(general) else 1),
    )


def _look_alikes(opened: Opened, known: Known, level: float | None) -> set[int]:
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


@dataclass(slots=True)
class _Gathered:
    """What the views have come to so far."""

    mated: list[Trials] = field(default_factory=list)
    left_out: list[Trials] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    lead: list[float] = field(default_factory=list)
    tried: int = 0

    def views(self) -> Views:
        """The views by themselves."""
        level, lead = (np.array(values, np.float64) for values in (self.level, self.lead))
        return Views(np.array(self.items, np.int64), level, lead)

    @property
    def failed(self) -> int:
        """Views that were not made."""
        return self.tried - len(self.items)


def _gather(
    opened: Opened, known: Known, kind: ScoreKind, views: Iterator[Query | None]
) -> _Gathered:
    """Trials of all views, a block at a time."""
    made = _Gathered()
    for block in blocks(views):
        queries = [query for query in block if query is not None]
        made.tried += len(block)
        if not queries:
            continue
        asked = ask(opened, known, queries)
        made.mated.append(asked.mated(kind))
        made.left_out.append(asked.left_out(kind))
        for query in queries:
            level, lead = beside_prints(opened, known, query)
            made.items.append(query.item)
            made.level.append(level)
            made.lead.append(lead)
    return made


def _notes(made: _Gathered, twins: int, planned: int, regions: int) -> tuple[str, ...]:
    """What the trials are made of, and every exclusion."""
    notes = ["your items were judged by camera views of their references, not by photos"]
    if regions > 1:
        notes.append(f"a general stranger is {regions} cohort vectors in place of regions")
    if twins:
        notes.append(
            f"{twins} items look like another one: photos may take one for the other, and they are "
            "not taken for strangers"
        )
    if made.tried < planned:
        notes.append(f"{made.tried} of {planned} views in the time given")
    if made.failed:
        notes.append(
            f"{made.failed} views not made: originals moved, behind an address, or unreadable"
        )
    return tuple(notes)
