"""Trials in, rule out: the threshold for a false-positive rate, what it promises, a confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kenspeckle.match.aggregate import ScoreKind
from kenspeckle.match.confidence import enough, half_and_half, independent, platt
from kenspeckle.match.prints import NO_VIEWS, Views, look_alike_level, print_margin
from kenspeckle.match.threshold import deciding, promise, refuse, shortfalls, threshold_for
from kenspeckle.match.trials import NO_TRIALS, Strangers, Trials
from kenspeckle.stats import tpir
from kenspeckle.types import Calibration


@dataclass(frozen=True, slots=True)
class Subject:
    """What a calibration is for: region rule, space, size and commits of the gallery, and when."""

    regions: str
    space_id: str
    items: int
    references: int
    change: int
    date: str
    feedback: int = 0


def fit(
    subject: Subject,
    kind: ScoreKind,
    mated: Trials,
    strangers: Mapping[Strangers, Trials],
    fpir: float,
    *,
    strict: bool = False,
    method: Literal["quick", "full"] = "quick",
    views: Views = NO_VIEWS,
    labelled: Trials = NO_TRIALS,
    notes: tuple[str, ...] = (),
) -> Calibration | None:
    """The rule for a gallery, or None when there is no stranger to fit it on.

    Strangers that were given decide alone: they are those that the rate is asked for. Without any,
    each kind asks for the threshold at which a stranger not seen yet is named at the rate `fpir`,
    and the largest one is taken, so that it holds for every kind. Too few items to tell that rate
    ask for the strictest threshold they know, above all their trials, and the promise of their kind
    says what so many items support. Under `strict` this raises PromiseRefused instead, with the
    number of items needed.

    The confidence is fitted on `labelled` photos, of enrolled things and of strangers, where they
    are enough, else on the trials, which then count by item.
    """
    present = {name: trials for name, trials in strangers.items() if len(trials)}
    if strict:
        refuse(present, fpir)
    if not present:
        return None
    decide = deciding(present, fpir)
    threshold = threshold_for(kind, decide.values(), fpir)
    from_photos = enough(labelled)
    slope, intercept = _confidence(mated, present, labelled if from_photos else NO_TRIALS)
    return Calibration(
        score=kind,
        threshold=threshold,
        slope=slope,
        intercept=intercept,
        promises=tuple(promise(name, t, threshold) for name, t in present.items()),
        fpir=fpir,
        regions=subject.regions,
        space_id=subject.space_id,
        items=subject.items,
        references=subject.references,
        change=subject.change,
        date=subject.date,
        mated_trials=len(mated),
        named_right=tpir(mated.scores, mated.right, threshold) if len(mated) else 0.0,
        method=method,
        notes=(*notes, *shortfalls(decide, fpir)),
        variant_margin=print_margin(views),
        view_level=look_alike_level(views),
        confidence_from="photos" if from_photos else "views",
        labelled=len(labelled),
        feedback=subject.feedback,
    )


def _confidence(
    mated: Trials, present: Mapping[Strangers, Trials], labelled: Trials
) -> tuple[float, float]:
    """Slope and intercept; `labelled` are empty where they are too few."""
    if len(labelled):
        return platt([(labelled, 1.0)])
    if set(present) == {"general"}:
        return 0.0, 0.0  # unrelated pictures alone say nothing about what looks like the items
    strangers = list(present.values())
    return platt(half_and_half(mated, strangers), independent(mated, strangers))
