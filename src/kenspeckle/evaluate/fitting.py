"""A judge's threshold, and where it is asked for its score, fitted on a draw's other items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kenspeckle.evaluate.asking import Gallery, Query, mated_trials, stranger_trials
from kenspeckle.evaluate.judges import HALF, Judge, Scored
from kenspeckle.match.aggregate import SCORES, ScoreKind, usual_score
from kenspeckle.match.choose import Material, choose
from kenspeckle.match.trials import Trials


@dataclass(frozen=True, slots=True)
class Chosen:
    """Our decision by the score that `calibrate` would choose, from photos of the fitting items and
    the strangers among them."""

    def __str__(self) -> str:
        return "ours, score chosen on the fitting items"


AnyJudge = Judge | Chosen


def plain_judge(judge: AnyJudge) -> Judge:
    """The judge where there is nothing to choose by: the usual score."""
    return Scored() if isinstance(judge, Chosen) else judge


def fitted(
    judge: AnyJudge,
    gallery: Gallery,
    others: Gallery,
    photos: Sequence[Query],
    fpir: float,
) -> tuple[Judge, Trials]:
    """The judge at the rate `fpir`, and the strangers behind its threshold.

    `photos` show the items of `others`, or nothing that has a reference: strangers to the gallery,
    and mated once their item is added to it.
    """
    share = enrolled_share(others, photos)
    if not isinstance(judge, Chosen):
        strangers = stranger_trials(judge, gallery, photos)
        mated = mated_trials(judge, gallery, others, photos)
        return judge.fitted(mated, strangers, fpir, share), strangers
    cohort = bool(photos) and all(one.near is not None for one in photos)
    kinds: list[ScoreKind] = [kind for kind in SCORES if cohort or "cohort" not in kind]
    material = {
        kind: Material(
            photos=mated_trials(Scored(kind), gallery, others, photos),
            given=stranger_trials(Scored(kind), gallery, photos),
        )
        for kind in kinds
    }
    usual = usual_score(cohort, len(gallery))
    kind, _ = choose(material, fpir, usual if usual in kinds else kinds[0])
    best = material[kind]
    return Scored(kind).fitted(best.photos, best.given, fpir, share), best.given


def enrolled_share(others: Gallery, photos: Sequence[Query]) -> float:
    """The share of a report's questions that are about enrolled items, by the fitting part.

    A data set with strangers of its own asks about both in the mix that it has. One without is
    halved: every photo shows an item, and half of the items are left out of the gallery.
    """
    mine = sum(any(label in others.index for label in one.truth) for one in photos)
    return mine / len(photos) if 0 < mine < len(photos) else HALF
