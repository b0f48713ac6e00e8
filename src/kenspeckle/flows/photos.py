"""Real photos as queries of a calibration: read, split, embedded; duplicates counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import KenspeckleError, ModelError
from kenspeckle.flows.index import Progress, Step
from kenspeckle.flows.labelled import Labelled, Photos
from kenspeckle.flows.opened import ReadOnly
from kenspeckle.flows.trials import Known, Query, asked_about
from kenspeckle.image.decode import decode
from kenspeckle.regions.base import effective
from kenspeckle.types import Feedback, SecondLookRule
from kenspeckle.vectors.pipeline import pooled

FIRST = -2
"""Number of the first stranger; -1 means that there is no item."""
BLOCK = 512
"""Photos compared at once when duplicates are looked for."""
COPY = 0.97
"""Cosine from which two photos are one picture, saved again or scaled."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Photos with vectors: of enrolled items, of strangers, and of answers that were rejected (the
    item of these is the one that they do not show)."""

    known: tuple[Query, ...] = ()
    strangers: tuple[Query, ...] = ()
    rejected: tuple[Query, ...] = ()
    notes: tuple[str, ...] = ()


def embed(
    opened: ReadOnly,
    photos: Photos,
    known: Known,
    progress: Progress | None,
    again: SecondLookRule | None = None,
) -> Embedded:
    """Ask the model about all photos. Those that cannot be read are counted and left out, and so
    are strangers that are a reference, byte for byte. Raises ModelError."""
    done: list[tuple[Labelled, Query]] = []
    failed: list[tuple[str, KenspeckleError]] = []

    def work(photo: Labelled) -> Query:
        picture = decode(photo.file, limits=opened.settings.image)
        rows, evidence = asked_about(opened, picture, again)
        return Query(photo.item, None, rows, picture.sha256, evidence=evidence)

    for number, one in enumerate(pooled(photos.rows, work, opened.settings.index.callers), 1):
        if isinstance(one.error, ModelError):
            raise one.error
        if one.value is not None:
            done.append((one.source, one.value))
        elif one.error is not None:
            failed.append((shown(str(one.source.file)), one.error))
        if progress:
            progress(Step(number, len(photos.rows), str(one.source.file), one.error))
    notes = list(photos.notes)
    if failed:
        notes.append(f"photos that cannot be read: {len(failed)}, the first: {failed[0][1]}")
    numbers: dict[str, int] = {}
    strangers: list[Query] = []
    for photo, query in done:
        if query.item < 0 and query.sha256 not in known.files:
            number = numbers.setdefault(photo.thing, FIRST - len(numbers))
            strangers.append(replace(query, item=number))
    mated = tuple(query for _, query in done if query.item >= 0)
    if same := len(done) - len(mated) - len(strangers):
        notes.append(f"strangers left out, since they are references, byte for byte: {same}")
    return Embedded(mated, tuple(strangers), (), tuple(notes))


def distinct(strangers: Sequence[Query]) -> tuple[tuple[Query, ...], int]:
    """The strangers, with things that share a picture counted as one, and how many things fewer.

    Two photos are of one picture when their bytes are the same, or their first regions nearer than
    `COPY`. Things that merely look alike stay apart: whoever gave them has said that they differ.
    """
    if not strangers:
        return (), 0
    parent = {query.item: query.item for query in strangers}

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first: dict[str, int] = {}
    for query in strangers:
        parent[root(query.item)] = root(first.setdefault(query.sha256, query.item))
    rows = np.stack([query.rows[0] for query in strangers])
    for start in range(0, len(rows), BLOCK):
        near = np.argwhere(rows[start : start + BLOCK] @ rows.T > COPY)
        for a, b in near[near[:, 0] + start < near[:, 1]].tolist():
            parent[root(strangers[a + start].item)] = root(strangers[b].item)
    merged = tuple(replace(query, item=root(query.item)) for query in strangers)
    return merged, len(parent) - len({query.item for query in merged})


def remembered(opened: ReadOnly, feedback: Sequence[Feedback]) -> Embedded:
    """Photos that people have said something about, where they were split by the same rule.

    A photo that was renamed (rejected as one item, confirmed as another) counts as confirmed.
    """
    store, rule = opened.store, effective(opened.regions)
    first = {one.key: number for number, one in store.references()}
    usable = [one for one in feedback if len(one.rows) and one.regions == rule]
    confirmed = {one.sha256 for one in usable if one.kind == "confirmed" and one.sha256}
    known: list[Query] = []
    rejected: list[Query] = []
    for one in usable:
        if one.key not in first:
            continue
        item = int(store.owners([first[one.key]])[0])
        query = Query(item, None, one.rows, one.sha256)
        if one.kind == "confirmed":
            known.append(query)
        elif one.sha256 not in confirmed:
            rejected.append(query)
    notes: tuple[str, ...] = ()
    if left := len(feedback) - len(known) - len(rejected):
        notes = (
            f"{left} of {len(feedback)} answers that were confirmed or rejected are not used: "
            "another region rule, an item that is gone, or said twice",
        )
    return Embedded(tuple(known), (), tuple(rejected), notes)
