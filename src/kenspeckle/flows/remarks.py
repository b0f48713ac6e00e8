"""Notes of a full calibration beside its rule: how it came to it, and how far it goes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kenspeckle.flows.material import Answers
from kenspeckle.match.choose import LEAST, Material, Tried
from kenspeckle.match.promise import percent
from kenspeckle.match.trials import Trials
from kenspeckle.types import Calibration, SecondLookRule


def side_by_side(rows: Sequence[Tried], fpir: float) -> Iterator[str]:
    """What every score came to, where photos could tell."""
    for row in rows:
        told = []
        if not math.isnan(row.moved_to):
            told.append(
                f"fitted to camera views for {percent(fpir)} it names {percent(row.moved_to)} of "
                "real strangers"
            )
        if not math.isnan(row.named):
            told.append(f"with its own threshold {percent(row.named)} of labelled photos rightly")
        if told:
            yield f"{row.kind}: {', '.join(told)}"


def too_few(material: Material) -> Iterator[str]:
    """Whether photos were too few to choose a score by."""
    photos, real = material.photos.independent, material.real.independent
    if 0 < photos < LEAST or 0 < real < LEAST:
        yield (
            f"too few photos to choose another score by: labelled ones of {photos}, strangers of "
            f"{real} things; it takes {LEAST} of each"
        )


def unseen(rule: Calibration) -> Iterator[str]:
    """What the promise of general strangers leaves out after a second look."""
    if rule.second_look and any(one.strangers == "general" for one in rule.promises):
        yield (
            "unrelated pictures are known by vectors alone and had no second look, which raises "
            "scores: of real ones more may get a name"
        )


def weaker(
    former: Calibration | None, rule: Calibration, answers: Answers, looked: SecondLookRule | None
) -> Iterator[str]:
    """Whether the rule names fewer of the same pictures than the one that it replaces.

    `looked` is the second look that the pictures got. A former rule of another space, another
    region rule or another second look cannot be asked about them.
    """
    if former is None or (former.space_id, former.regions) != (rule.space_id, rule.regions):
        return
    look, weight = former.second_look, 0.0
    if look is not None:
        if looked is None or (look.features, look.shortlist) != (looked.features, looked.shortlist):
            return
        weight = look.weight
    if former.score not in answers.made.kinds:
        return
    own = rule.second_look.weight if rule.second_look else 0.0
    now = answers.weighted(own).material(rule.score)
    then = answers.weighted(weight).material(former.score)
    told = []
    for name, new, old in (
        ("labelled photos", now.photos, then.photos),
        ("camera views", now.mated, then.mated),
    ):
        count, before = _named(new, rule.threshold), _named(old, former.threshold)
        if count < before:
            told.append(f"{count:,} of {len(new):,} {name}, before {before:,}")
    if told:
        yield (
            f"names fewer than the rule that it replaces ({former.score} above "
            f"{former.threshold:.4g}, asked for {percent(former.fpir)}): {'; '.join(told)}"
        )


def _named(trials: Trials, threshold: float) -> int:
    return int((trials.right & (trials.scores > threshold)).sum())
