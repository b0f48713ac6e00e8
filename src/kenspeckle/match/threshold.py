"""The threshold for a false-positive rate, and what it promises about each kind of stranger."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import get_args

from kenspeckle.errors import PromiseRefused
from kenspeckle.match.aggregate import ScoreKind
from kenspeckle.match.promise import percent
from kenspeckle.match.trials import Strangers, Trials
from kenspeckle.stats import (
    expected_interval,
    expected_rate,
    expected_threshold,
    supported_rate,
    trials_needed,
)
from kenspeckle.types import Promise

ORDER: tuple[Strangers, ...] = get_args(Strangers)
"""The kinds, that which says most about the gallery's own strangers first."""


def deciding(present: Mapping[Strangers, Trials], fpir: float) -> Mapping[Strangers, Trials]:
    """The kinds that the threshold is fitted to: those given where they support the rate, else all
    there are, so that a handful can make the rule stricter and never looser."""
    given = present.get("given")
    alone = given is not None and given.independent >= trials_needed(fpir)
    return {"given": given} if given is not None and alone else present


def threshold_for(kind: ScoreKind, strangers: Iterable[Trials], fpir: float) -> float:
    """The threshold that keeps the expected rate for every one of these kinds of stranger.

    A difference to a runner-up or to unrelated pictures has to be above 0 in any case, or the item
    named would be the less likely one.
    """
    floor = -math.inf if kind == "cosine" else 0.0
    return max(floor, *(expected_threshold(t.scores, t.items, fpir) for t in strangers))


def refuse(present: Mapping[Strangers, Trials], fpir: float) -> None:
    """Raise PromiseRefused when the strangers that count have too few items for the rate.

    Those given count; where none are, those like the gallery's items; else those in general.
    """
    first: Strangers = next((name for name in ORDER if name in present), "general")
    refuse_few(first, present[first].independent if first in present else 0, fpir)


def refuse_few(kind: Strangers, count: int, fpir: float) -> None:
    """Raise PromiseRefused when `count` stranger items cannot support the rate."""
    needed = trials_needed(fpir)
    if count >= needed:
        return
    raise PromiseRefused(
        f"FPIR {percent(fpir)}",
        f"{count:,} independent strangers ({kind})",
        expected=f"at least {needed:,}",
        do=f"Ask for --fpir {_up(supported_rate(count))}, or give photos of {needed:,} other things"
        if count
        else f"Give photos of {needed:,} things that are not in the gallery",
    )


def _up(rate: float) -> str:
    """A rate rounded up, so that asking for what is written is not refused again.

    >>> _up(0.0495)
    '0.05'
    """
    return f"{min(math.ceil(rate * 1000), 999) / 1000:g}"


def promise(name: Strangers, trials: Trials, threshold: float) -> Promise:
    """The expected rate at the threshold, never below what so many items can show, and where the
    rate among as many others lies."""
    count = trials.independent
    rate = expected_rate(trials.scores, trials.items, threshold)
    low, high = expected_interval(trials.scores, trials.items, threshold)
    fpir = max(rate, supported_rate(count))
    return Promise(name, fpir, min(low, fpir), max(high, fpir), len(trials), count)


def shortfalls(strangers: Mapping[Strangers, Trials], fpir: float) -> tuple[str, ...]:
    """For each kind with too few items for the asked rate, what would be needed."""
    needed = trials_needed(fpir)
    return tuple(
        f"strangers {name}: {t.independent} "
        f"{'thing supports' if t.independent == 1 else 'things support'} "
        f"{percent(supported_rate(t.independent))}; {percent(fpir)} needs {needed}"
        for name, t in strangers.items()
        if t.independent < needed
    )
