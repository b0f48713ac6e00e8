"""The threshold for a false-positive rate, and what it promises about each kind of stranger."""

from __future__ import annotations

from collections.abc import Mapping

from kenspeckle.errors import PromiseRefused
from kenspeckle.match.trials import Strangers, Trials
from kenspeckle.stats import (
    expected_rate,
    fpir_by_item,
    supported_rate,
    trials_needed,
    wilson,
)
from kenspeckle.types import Promise


def refuse(strangers: Mapping[Strangers, Trials], fpir: float) -> None:
    """Raise PromiseRefused when no kind of stranger has the items that the rate takes."""
    needed = trials_needed(fpir)
    if any(t.independent >= needed for t in strangers.values()):
        return
    most = max((t.independent for t in strangers.values()), default=0)
    raise PromiseRefused(
        f"FPIR {fpir:.2%}",
        f"{most} independent strangers",
        expected=f"at least {needed}",
        do=f"Ask for {supported_rate(most):.1%}, or give photos of more other things"
        if most
        else "Give photos of things that are not in the gallery",
    )


def promise(name: Strangers, trials: Trials, threshold: float) -> Promise:
    """The expected rate at the threshold, never below what so many items can show."""
    count = trials.independent
    rate = expected_rate(trials.scores, trials.items, threshold)
    low, high = wilson(fpir_by_item(trials.scores, trials.items, threshold) * count, count)
    fpir = max(rate, supported_rate(count))
    return Promise(name, fpir, low, max(high, fpir), len(trials), count)


def shortfalls(strangers: Mapping[Strangers, Trials], fpir: float) -> tuple[str, ...]:
    """For each kind with too few items for the asked rate, what would be needed."""
    needed = trials_needed(fpir)
    return tuple(
        f"strangers {name}: {t.independent} items support {supported_rate(t.independent):.1%}; "
        f"{fpir:.2%} needs {needed}"
        for name, t in strangers.items()
        if t.independent < needed
    )
