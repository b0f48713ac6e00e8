"""Which score decides: the one whose threshold moves least between camera views and real photos.

For every score a threshold is fitted to camera views, each with its item left out of the gallery,
and the rate is counted at which real strangers' photos are named there. The nearer that rate is to
the asked one, the better the score keeps its promise when pictures change. Scores that no interval
tells from the best are equal in this. Of them labelled photos decide: `FAVOURITE`, which named most
over all of our sets, unless another one surely names more of these photos (at 95 %, one-sided).
Each is asked at the threshold that would be in force with it, whichever strangers set that.
Camera views are no measure of that: they favour the cosine, which photos do not. So the usual score
stays without labelled photos, and with photos of fewer than `LEAST` things: a handful would choose
by chance. See docs/decisions/score-of-the-full-calibration.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.match.aggregate import Floats, ScoreKind
from kenspeckle.match.threshold import deciding, threshold_for
from kenspeckle.match.trials import NO_TRIALS, Strangers, Trials, joined
from kenspeckle.stats import expected_threshold, fpir_by_item, tpir

SAMPLES, SEED = 1000, 0
FAVOURITE: ScoreKind = "3margin+cohort"
LEAST = 20
"""Things that photos must show, as strangers or as labelled ones, to have a say: with fewer than 19
not even a threshold at the highest of them keeps the usual 5 %, and a standard error over so few is
not to be trusted."""
SURE = 1.645
"""Standard errors that a gain has to exceed."""
AROUND = (0.5, 1.0, 2.0)
"""Multiples of the asked rate over which naming is averaged: one rate alone is a noisy judge."""


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
        """By kind. Real photos stand for strangers like the items where they show half of them;
        rejected ones count with the strangers that were given, where there are any."""
        like = self.left_out
        if 2 * self.photos_out.independent >= max(like.independent, 1):
            like = self.photos_out
        given = joined([self.given, self.rejected]) if len(self.given) else NO_TRIALS
        return {"given": given, "like your items": like, "general": self.general}

    @property
    def real(self) -> Trials:
        """Photos of strangers: those given, else labelled photos with their item left out."""
        return self.given if len(self.given) else self.photos_out

    @property
    def known(self) -> Trials:
        """What there is to name rightly: labelled photos where they show half of the items, else
        camera views, and what photos there are."""
        if 2 * self.photos.independent >= max(self.mated.independent, 1):
            return self.photos
        return joined([self.mated, self.photos])

    @property
    def labelled(self) -> Trials:
        """All photos whose answer is known, enrolled things and strangers."""
        return joined([self.photos, self.given, self.rejected])


@dataclass(frozen=True, slots=True)
class Tried:
    """One score: the rate at which real strangers are named above the threshold of the views, and
    the share of labelled photos named rightly above the threshold in force; nan: not measured."""

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
        named, photos = float("nan"), material.photos
        if len(photos):
            (above,) = _in_force(kind, material, fpir, (1.0,))
            named = tpir(photos.scores, photos.right, above)
        rows[kind] = Tried(kind, _moved(material, fpir), named)
    steady = _steady(materials, rows, fpir)
    return [Tried(r.kind, r.moved_to, r.named, r.kind in steady) for r in rows.values()]


def choose(
    materials: Mapping[ScoreKind, Material], fpir: float, usual: ScoreKind
) -> tuple[ScoreKind, list[Tried]]:
    """The score to decide by, and what each one came to."""
    rows = tried(materials, fpir)
    steady = [row.kind for row in rows if row.least]
    if not steady or any(materials[kind].real.independent < LEAST for kind in steady):
        return usual, rows
    first = usual if usual in steady else steady[0]
    if any(materials[kind].photos.independent < LEAST for kind in steady):
        return first, rows
    first = FAVOURITE if FAVOURITE in steady else first
    base, best, most = _named(first, materials[first], fpir), first, 0.0
    for kind in steady:
        gain = _named(kind, materials[kind], fpir)
        if len(gain) != len(base):
            continue
        gain = gain - base
        if gain.mean() > max(most, SURE * _error(gain, materials[kind].photos)):
            best, most = kind, float(gain.mean())
    return best, rows


def _named(kind: ScoreKind, material: Material, fpir: float) -> Floats:
    """For each labelled photo at how many of the rates `AROUND` it is named rightly, as a share."""
    photos, limits = material.photos, _in_force(kind, material, fpir, AROUND)
    hits: Floats = np.mean([photos.right & (photos.scores > limit) for limit in limits], axis=0)
    return hits


def _in_force(
    kind: ScoreKind, material: Material, fpir: float, times: Sequence[float]
) -> list[float]:
    """The thresholds that a rule by this score would get, for multiples of the rate."""
    present = {name: trials for name, trials in material.strangers().items() if len(trials)}
    decide = deciding(present, fpir).values()
    return [threshold_for(kind, decide, min(fpir * many, 0.5)) for many in times]


def _error(gain: Floats, photos: Trials) -> float:
    """Standard error of a mean over photos, with the photos of an item together."""
    _, of, sizes = np.unique(photos.items, return_inverse=True, return_counts=True)
    sums = np.bincount(of, gain)
    return float(np.sqrt(((sums - gain.mean() * sizes) ** 2).sum()) / len(gain))


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
