"""What a calibration foretells beyond its trials, as notes: by a model, and said to be so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kenspeckle.flows.opened import ReadOnly
from kenspeckle.flows.trials import BLOCK, Known, Query, ask
from kenspeckle.match.choose import Material
from kenspeckle.match.promise import percent
from kenspeckle.match.tail import grown, growth, tail_of
from kenspeckle.match.threshold import deciding
from kenspeckle.match.trials import Trials, joined
from kenspeckle.stats import supported_rate
from kenspeckle.types import Calibration

HALVES, SEED = 4, 0
SMALLER = (0.01, 0.003, 0.001)
"""Rates that people ask for: thresholds are foretold for those that the trials do not support."""


def beyond_trials(
    opened: ReadOnly,
    known: Known,
    strangers: Sequence[Query],
    material: Material,
    rule: Calibration,
) -> Iterator[str]:
    """Thresholds for smaller rates, and the rate in a gallery of twice the size."""
    present = {name: trials for name, trials in material.strangers().items() if len(trials)}
    name, trials = next(iter(deciding(present, rule.fpir).items()))
    tail = tail_of(trials)
    least = supported_rate(trials.independent)
    if tail is not None:
        told = ", ".join(
            f"{tail.threshold(rate):.3f} for {percent(rate)}"
            for rate in SMALLER
            if rate < min(least, tail.share)
        )
        if told:
            yield f"extrapolated, not promised (strangers {name}): {rule.score} above {told}"
    power = _growth(opened, known, strangers, material, rule)
    if power is not None:
        rate = next(p.fpir for p in rule.promises if p.strangers == "given")
        yield (
            "extrapolated, not promised: in a gallery of twice the items "
            f"{percent(grown(rate, 2, power))} of the strangers given would get a name"
        )


def _growth(
    opened: ReadOnly,
    known: Known,
    strangers: Sequence[Query],
    material: Material,
    rule: Calibration,
) -> float | None:
    """How the rate of the strangers given grows with the gallery, from random halves of it."""
    if not strangers or len(known.references) < 4:
        return None
    rng, store = np.random.default_rng(SEED), opened.store
    numbers = store.ids()
    owners = store.owners(numbers)
    items = np.unique(owners)
    halves: list[Trials] = []
    for _ in range(HALVES):
        half = rng.permutation(items)[: len(items) // 2]
        ids = numbers[np.isin(owners, half)]
        asked = (
            ask(opened, known, strangers[start : start + BLOCK], ids)
            for start in range(0, len(strangers), BLOCK)
        )
        weight = rule.second_look.weight if rule.second_look else 0.0
        halves.append(
            joined((one.weighted(weight) if weight else one).mated(rule.score) for one in asked)
        )
    return growth(material.given, halves, rule.threshold)
