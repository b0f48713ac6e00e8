"""Galleries drawn from labelled vectors, and the trials that a calibration would make of them.

Cosines of every photo, camera view, reference and cohort picture to every label are computed once;
a draw only chooses columns. Whole pictures, one space. The union of several sets keeps their labels
apart by the set's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks._labelled_sets import LabelledSet, best_of_each
from kenspeckle.flows.trials import LEAST_EACH, MOST_EACH, WANTED
from kenspeckle.match.aggregate import ScoreKind, cohort_level
from kenspeckle.match.choose import Material
from kenspeckle.match.trials import Trials, joined, judge
from kenspeckle.store.base import Hits
from kenspeckle.types import Float32, Int64

DEPTH = 3
"""Labels that a photo is compared with: the best, the next, and one that may be left out."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """Pictures `(n,)` with the label that each shows, their cosines to the best reference of every
    label `(n, labels)`, and their cohort level."""

    shows: Int64
    cosines: Float32
    near: Floats

    def judge(
        self, kind: ScoreKind, items: Int64, rows: Mask, *, leave_out: bool = False
    ) -> Trials:
        """Trials of some of the pictures against some of the labels."""
        chosen = np.flatnonzero(rows)
        found = top(self.cosines[np.ix_(chosen, items)], items)
        shows = self.shows[chosen]
        without = shows if leave_out else None
        return judge(kind, found, self.near[chosen], np.arange(len(chosen)), shows, without)


def top(values: Float32, items: Int64) -> Hits:
    """The best labels of each row of `(n, items)`, as a search over one reference each."""
    depth = min(DEPTH, len(items))
    best = np.argpartition(-values, depth - 1, axis=1)[:, :depth]
    order = np.argsort(-np.take_along_axis(values, best, 1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, 1)
    return Hits(best, items[best], np.take_along_axis(values, best, 1))


class World:
    """All pictures of one or several sets."""

    def __init__(self, name: str, sets: Sequence[LabelledSet], cohort: Float32) -> None:
        self.name = name
        names = [np.char.add(f"{one.name}/", one.gallery) for one in sets]
        self.labels, self.column = np.unique(np.concatenate(names), return_inverse=True)
        self.references = np.concatenate([one.references.rows for one in sets])
        self.cohort = cohort
        shows = [
            np.searchsorted(self.labels, np.char.add(f"{one.name}/", one.query)) for one in sets
        ]
        self.rows = np.concatenate([one.regions.of("whole").rows for one in sets])
        self.photos = self._asked(self.rows, np.concatenate(shows))
        starts = np.cumsum([0, *(len(one.gallery) for one in sets)])[:-1]
        made_of = np.concatenate(
            [one.views.owner + start for one, start in zip(sets, starts, strict=True)]
        )
        views = np.concatenate([one.views.rows for one in sets])
        self.views = self._asked(views, self.column[made_of])
        self.held = self._held(views, made_of)
        self.turn = np.arange(len(made_of)) - np.searchsorted(made_of, made_of)
        self.clean = self._asked(self.references, self.column)
        own = np.arange(len(cohort))
        self.general = Asked(
            -1 - own,
            best_of_each(cohort @ self.references.T, self.column, len(self.labels)),
            cohort_level(cohort, cohort, own),
        )

    def _asked(self, rows: Float32, shows: Int64) -> Asked:
        cosines = best_of_each(rows @ self.references.T, self.column, len(self.labels))
        return Asked(shows, cosines, cohort_level(rows, self.cohort))

    def _held(self, views: Float32, made_of: Int64) -> Asked:
        """The views, each without the reference that it was made of where its label has others."""
        cosines = views @ self.references.T
        several = np.bincount(self.column)[self.column[made_of]] > 1
        cosines[np.flatnonzero(several), made_of[several]] = -1
        best = best_of_each(cosines, self.column, len(self.labels))
        return Asked(self.views.shows, best, self.views.near)

    def material(
        self,
        kind: ScoreKind,
        items: Int64,
        strangers: Int64 | None = None,
        known: Int64 | None = None,
    ) -> Material:
        """What `kenspeckle calibrate` would make of a gallery of these labels, given the photos of
        some strangers and of some labels that are known."""
        each = min(max(-(-WANTED // len(items)), LEAST_EACH), MOST_EACH)
        mine = np.isin(self.views.shows, items) & (self.turn < each)
        left = [
            self.views.judge(kind, items, mine, leave_out=True),
            self.clean.judge(kind, items, np.isin(self.clean.shows, items), leave_out=True),
        ]
        labelled = np.isin(self.photos.shows, [] if known is None else known)
        given = np.isin(self.photos.shows, [] if strangers is None else strangers)
        return Material(
            mated=self.held.judge(kind, items, mine),
            left_out=joined(left),
            photos=self.photos.judge(kind, items, labelled),
            photos_out=self.photos.judge(kind, items, labelled, leave_out=True),
            given=self.photos.judge(kind, items, given),
            general=self.general.judge(kind, items, np.ones(len(self.cohort), bool)),
        )

    def judge(self, kind: ScoreKind, items: Int64, shown: Int64) -> Trials:
        """Photos of some labels asked about a gallery of others, or of the same."""
        return self.photos.judge(kind, items, np.isin(self.photos.shows, shown))


@dataclass(frozen=True, slots=True)
class Draw:
    """Labels of one draw: the gallery, half of it labelled by photos, strangers to fit on and
    strangers to report on. No label is in two groups but the labelled ones, which are enrolled."""

    gallery: Int64
    labelled: Int64
    fitting: Int64
    reporting: Int64

    @property
    def unlabelled(self) -> Int64:
        """Enrolled labels whose photos take no part in the fit."""
        return np.setdiff1d(self.gallery, self.labelled)


def draw(labels: int, size: int, seed: int) -> Draw:
    """A gallery of `size` labels; the others are strangers, half of them for the report."""
    order = np.random.default_rng(seed).permutation(labels).astype(np.int64)
    half = size + (labels - size) // 2
    return Draw(
        np.sort(order[:size]),
        np.sort(order[: size // 2]),
        np.sort(order[size:half]),
        np.sort(order[half:]),
    )
