"""Look-alikes: references of different items that a photo can hardly tell apart.

How near is too near depends on the model and the pictures: a re-saved JPEG of a flat drawing may
fall to a cosine of 0.88, one of a photo stay at 0.99. So the level is measured: the calibration
notes which cosine to their own reference nine in ten camera views stay below. Two references that
are nearer than that look more like each other than most photos look like what they show. Without a
calibration only pictures of the same bytes are named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kenspeckle.match.aggregate import reach
from kenspeckle.store.snapshot import Readable
from kenspeckle.types import Reference

MOST_PRODUCTS = 100_000_000
"""Cosines computed at most, some two seconds: of a larger gallery the newest references only."""
BLOCK = 128


@dataclass(frozen=True, slots=True)
class Pair:
    """Two references of different items, their cosine, and whether the files are the same."""

    a: Reference
    b: Reference
    similarity: float
    identical: bool


def look_alikes(store: Readable) -> list[Pair]:
    """Look-alikes of a gallery, the same files first, then by cosine; the nearest of each two
    items.

    All references are compared while `MOST_PRODUCTS` allows it (10,000), else the newest with all.
    """
    rows = [(number, one) for number, one in store.references() if not one.view]
    found = _same_bytes(rows)
    calibration = store.calibration()
    space = store.manifest.fingerprint.space_id
    if calibration and calibration.space_id == space and calibration.view_level is not None:
        found += nearer_than(store, [number for number, _ in rows], calibration.view_level)
    return _nearest_of_each(found)


def _same_bytes(rows: Iterable[tuple[int, Reference]]) -> list[Pair]:
    """References of different items whose files have the same hash."""
    first: dict[str, dict[str, Reference]] = {}
    found = []
    for _, reference in rows:
        if not reference.sha256:
            continue
        others = first.setdefault(reference.sha256, {})
        if reference.key not in others:
            found += [Pair(other, reference, 1.0, True) for other in others.values()]
            others[reference.key] = reference
    return found


def nearer_than(store: Readable, numbers: list[int], level: float) -> list[Pair]:
    """For each reference the nearest one of another item, where it is nearer than `level`.

    Of the newest references only, where all would take more than `MOST_PRODUCTS` cosines.
    """
    found = []
    numbers = sorted(numbers, reverse=True)[: max(1, MOST_PRODUCTS // max(len(store), 1))]
    for start in range(0, len(numbers), BLOCK):
        block = numbers[start : start + BLOCK]
        hits = reach(store.search, store.rows(block), len(store))
        own = store.owners(block)
        other = (hits.items >= 0) & (hits.items != own[:, None]) & (hits.scores > level)
        for row in np.flatnonzero(other.any(axis=1)).tolist():
            place = int(other[row].argmax())
            a, b = store.get([block[row], int(hits.ids[row, place])])
            found.append(Pair(a, b, float(hits.scores[row, place]), False))
    return found


def _nearest_of_each(found: Iterable[Pair]) -> list[Pair]:
    """One pair for two items: the same file if there is one, else the largest cosine."""
    order = sorted(
        found, key=lambda pair: (not pair.identical, -pair.similarity, pair.a.path, pair.b.path)
    )
    best: dict[frozenset[str], Pair] = {}
    for pair in order:
        best.setdefault(frozenset((pair.a.key, pair.b.key)), pair)
    return list(best.values())
