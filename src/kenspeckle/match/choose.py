"""Which score decides: the one whose threshold moves least between camera views and real photos.

For every score a threshold is fitted to camera views, each with its item left out of the gallery,
and the rate is counted at which real strangers' photos are named there. The nearer that rate is to
the asked one, the better the score keeps its promise when pictures change. Scores that no interval
tells from the best are equal in this; of them the one is taken that names most rightly, each at the
threshold fitted to the real photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kenspeckle.match.aggregate import Floats, ScoreKind
from kenspeckle.match.trials import NO_TRIALS, Strangers, Trials, joined
from kenspeckle.stats import expected_threshold, fpir_by_item, tpir

SAMPLES, SEED = 1000, 0


@dataclass(frozen=True, slots=True)
class Material:
    """All trials of one score.

    `mated` and `left_out` are camera views, asked about the gallery and about the gallery without
    their item; `photos` and `photos_out` the same of labelled photos. `given` and `general` are
    strangers, `rejected` photos that are still taken for what a person said they do not show.
    """

    mated: Trials = NO_TRIALS
    left_out: Trials = NO_TRIALS
    photos: Trials = NO_TRIALS
    photos_out: Trials = NO_TRIALS
    given: Trials = NO_TRIALS
    general: Trials = NO_TRIALS
    rejected: Trials = NO_TRIALS

    def strangers(self) -> dict[Strangers, Trials]:
        """By kind. Real photos stand for strangers like the items where they show more of them;
        rejected ones count with the strangers that were given, where there are any."""
        like = self.left_out
        if self.photos_out.independent >= max(like.independent, 1):
            like = self.photos_out
        given = joined([self.given, self.rejected]) if len(self.given) else NO_TRIALS
        return {"given": given, "like your items": like, "general": self.general}

    @property
    def real(self) -> Trials:
        """Photos of strangers: those given, else labelled photos with their item left out."""
        return self.given if len(self.given) else self.photos_out

    @property
    def known(self) -> Trials:
        """What there is to name rightly: labelled photos, else camera views."""
        return self.photos if len(self.photos) else self.mated

    @property
    def labelled(self) -> Trials:
        """All photos whose answer is known, enrolled things and strangers."""
        return joined([self.photos, self.given, self.rejected])


@dataclass(frozen=True, slots=True)
class Tried:
    """One score: the rate at which real strangers are named above the threshold of the views (nan:
    not measured), and the share of known things named rightly above that of the photos."""

    kind: ScoreKind
    moved_to: float
    named: float
    least: bool = False


def tried(materials: Mapping[ScoreKind, Material], fpir: float) -> list[Tried]:
    """Each score side by side; `least` marks those that no other moves less than, as far as the
    items can tell (a paired bootstrap over stranger items)."""
    rows = {}
    for kind, material in materials.items():
        if not len(material.real):
            rows[kind] = Tried(kind, float("nan"), float("nan"))
            continue
        above = expected_threshold(material.real.scores, material.real.items, fpir)
        known = material.known
        named = tpir(known.scores, known.right, above) if len(known) else 0.0
        rows[kind] = Tried(kind, _moved(material, fpir), named)
    steady = _steady(materials, rows, fpir)
    return [Tried(r.kind, r.moved_to, r.named, r.kind in steady) for r in rows.values()]


def choose(rows: list[Tried], usual: ScoreKind) -> ScoreKind:
    """Of the scores that move least the one that names most; the usual one where nothing tells."""
    steady = [row for row in rows if row.least]
    if not steady:
        return usual
    most = max(row.named for row in steady)
    best = [row.kind for row in steady if row.named == most]
    return usual if usual in best else best[0]


def _moved(material: Material, fpir: float) -> float:
    views = material.left_out
    if not len(views):
        return float("nan")
    above = expected_threshold(views.scores, views.items, fpir)
    return fpir_by_item(material.real.scores, material.real.items, above)


def _steady(
    materials: Mapping[ScoreKind, Material], rows: Mapping[ScoreKind, Tried], fpir: float
) -> set[ScoreKind]:
    """The scores that move least. Where views or photos are missing, all that could be tried."""
    known = {kind: row for kind, row in rows.items() if not np.isnan(row.moved_to)}
    if not known:
        return {kind for kind, row in rows.items() if not np.isnan(row.named)}
    shares = {kind: _shares(materials[kind], fpir) for kind in known}
    first = min(known, key=lambda kind: abs(known[kind].moved_to - fpir))
    found = {first}
    for kind in known:
        if len(shares[kind]) == len(shares[first]) and kind != first:
            weight = _resampled(len(shares[kind]))
            worse = np.abs(weight @ shares[kind] - fpir) - np.abs(weight @ shares[first] - fpir)
            if np.percentile(worse, 2.5) <= 0:
                found.add(kind)
    return found


def _shares(material: Material, fpir: float) -> Floats:
    """Of each real stranger item, the share of its photos above the threshold of the views."""
    views, real = material.left_out, material.real
    above = expected_threshold(views.scores, views.items, fpir)
    _, of = np.unique(real.items, return_inverse=True)
    shares: Floats = np.bincount(of, real.scores > above) / np.bincount(of)
    return shares


def _resampled(count: int) -> Floats:
    """Weights of `count` items in each of the bootstrap samples."""
    rng = np.random.default_rng(SEED)
    drawn: Floats = rng.multinomial(count, np.full(count, 1 / count), SAMPLES) / count
    return drawn
