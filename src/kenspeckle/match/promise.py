"""What a promise about strangers says, in words that hold on every surface."""

from __future__ import annotations

import math

from kenspeckle.stats import supported_rate, trials_needed
from kenspeckle.types import Calibration, Promise

STRANGERS = {
    "given": "the strangers that you gave",
    "like your items": "those like your items",
    "general": "unrelated pictures",
}
VIEWS = "your items were judged by camera views of their references, not by photos"
"""The note of a calibration whose strangers like your items are camera views."""
BEYOND = "real photos of such things can get one twice as often"
"""What the figures of docs/explanation/decision.md say about a rate found on camera views."""

UNTRIED = "what looks like your items was not tried, and may well get one"
"""Said where unrelated pictures are all that a rule knows of strangers."""

FEW = 0.5
"""Below this share of right names a gallery is told what would name more."""
ADVICE = (
    "The others are called unknown, since a stranger could look like that. Photos of strangers, or "
    "a second look, let more through: kenspeckle calibrate --strangers FOLDER, --second-look."
)


def promises(calibration: Calibration) -> str:
    """What is promised for each kind of stranger, as a list of clauses."""
    by_views = VIEWS in calibration.notes
    clauses = [promised(one, by_views) for one in calibration.promises]
    if clauses and all(one.strangers == "general" for one in calibration.promises):
        clauses.append(UNTRIED)
    return ", ".join(clauses)


def promise_lines(calibration: Calibration | None, stale: str = "") -> list[str]:
    """What a gallery promises about strangers, a sentence each; `stale` says why it is out of date.

    >>> promise_lines(None)
    ['Not calibrated: the nearest item is named, and nothing is promised of strangers.']
    """
    if calibration is None:
        return ["Not calibrated: the nearest item is named, and nothing is promised of strangers."]
    if calibration.promises:
        lines = [f"Strangers, things that are not enrolled: {promises(calibration)}."]
        if short := shortfall(calibration):
            lines.append(f"{short[:1].upper()}{short[1:]}.")
    else:
        lines = [
            "Strangers: no rate is promised, the trials are too few for "
            f"{percent(calibration.fpir)}."
        ]
    if calibration.mated_trials:
        seen = "camera view" if calibration.method == "quick" else "trial"
        plural = "" if calibration.mated_trials == 1 else "s"
        lines.append(
            f"Of {calibration.mated_trials:,} {seen}{plural} of your items "
            f"{percent(calibration.named_right)} are named right."
        )
        if calibration.named_right < FEW and calibration.method == "quick":
            lines.append(ADVICE)
    if stale:
        lines.append(f"Out of date: {stale}; run `kenspeckle calibrate`.")
    return lines


def promised(promise: Promise, by_views: bool = False) -> str:
    """One clause: for whom, how many get a name, and how well that is known.

    `by_views` says that those like your items were camera views, which photos can differ from.

    A rate that no number of trials so small could fall below is a bound, not an estimate.

    >>> promised(Promise("like your items", 1 - 0.05 ** (1 / 14), 0.0, 0.22, 140, 14))
    'of those like your items at most 19 % get a name (as far as 14 items can tell)'
    >>> promised(Promise("general", 0.012, 0.008, 0.019, 2723, 2723))
    'of unrelated pictures about 1.2 % get a name (of as many others 0.8 % to 1.9 %, 2,723 trials)'
    """
    whom = f"of {STRANGERS[promise.strangers]}"
    beyond = f"; {BEYOND}" if by_views and promise.strangers == "like your items" else ""
    if is_bound(promise):
        reach = f"as far as {promise.items:,} {_noun(promise)} can tell{beyond}"
        return f"{whom} at most {percent(promise.fpir)} get a name ({reach})"
    counted = f"{promise.trials:,} trials"
    if promise.trials != promise.items:
        counted += f" of {promise.items:,} {_noun(promise)}"
    return (
        f"{whom} about {percent(promise.fpir)} get a name "
        f"(of as many others {percent(promise.low)} to {percent(promise.high)}, {counted}{beyond})"
    )


def is_bound(promise: Promise) -> bool:
    """Whether the rate is only the least that so few items can support: 1 - 0.05^(1/n)."""
    return math.isclose(promise.fpir, supported_rate(promise.items), rel_tol=1e-6)


def shortfall(calibration: Calibration) -> str:
    """Why a rate is above the one asked for, and what it would take; empty where it is not.

    Where strangers were given, the rate was asked for them. Rates up to a tenth above the asked one
    are not called short: the threshold is one of the trials' scores, so a rate can be met only in
    steps.
    """
    given = [p for p in calibration.promises if p.strangers == "given"]
    short = [p for p in given or calibration.promises if p.fpir > 1.1 * calibration.fpir]
    if not short:
        return ""
    needed = trials_needed(calibration.fpir)
    least = min(short, key=lambda promise: promise.items)
    if least.items >= needed:
        return f"asked for were {percent(calibration.fpir)}"
    return (
        f"asked for were {percent(calibration.fpir)}, which takes {needed:,} {_noun(least, needed)}"
    )


def percent(share: float) -> str:
    """A share for people, two digits where it is small.

    >>> percent(0.19), percent(0.012), percent(1e-9)
    ('19 %', '1.2 %', '0 %')
    """
    if share < 0.00005:  # rounding noise
        return "0 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _noun(promise: Promise, count: int = 0) -> str:
    """What `count` (0: the promise's own) trials of this kind are trials of."""
    noun = "unrelated picture" if promise.strangers == "general" else "item"
    return noun if (count or promise.items) == 1 else f"{noun}s"
