"""Sentences that several commands say the same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kenspeckle.cli.console import counted
from kenspeckle.config import IdentifySettings
from kenspeckle.errors import KenspeckleError
from kenspeckle.flows.renewal import renewal
from kenspeckle.match.promise import promise_lines
from kenspeckle.types import Calibration, Decision


def promise(calibration: Calibration | None, stale: str = "") -> str:
    """What a gallery promises about strangers, in a few sentences."""
    return " ".join(promise_lines(calibration, stale))


def stale(
    why: str,
    path: str,
    rule: Calibration | None,
    refs: str = "",
    asked: IdentifySettings | None = None,
) -> str:
    """That a calibration is out of date, and the command that renews it."""
    again = renewal(path, rule, refs, asked)
    return f"The calibration is out of date ({why}); {again} renews it."


def second_look(calibration: Calibration) -> str:
    """Whether and how a second look takes part."""
    look = calibration.second_look
    if look is None:
        return "none"
    return f"{look.features} on the {look.shortlist} nearest items, weight {look.weight:g}"


def confidence(calibration: Calibration) -> str:
    """What the confidence was fitted on."""
    if calibration.slope == 0:
        kinds = {one.strangers for one in calibration.promises}
        if kinds == {"general"} and calibration.confidence_from == "views":
            return (
                "none: all strangers are unrelated pictures, which say nothing about what looks "
                "like your items; give photos of such things (--strangers)"
            )
        return "none: no name was right, or a higher score meant no better chance"
    if calibration.confidence_from == "photos":
        return f"from {counted(calibration.labelled, 'labelled photo')}"
    return "from camera views, not from photos: synthetic"


def answer(decision: Decision) -> str:
    """The name in a decision, or `unknown`; a variant that is not certain carries a `?`."""
    if not decision.known:
        return "unknown"
    if not decision.variant:
        return decision.label
    return f"{decision.label} ({decision.variant}{'' if decision.variant_certain else '?'})"


def shortly(decision: Decision) -> str:
    """The one reason for a table: which items are nearest, else the rule that decided."""
    if any(one.kind == "code" and one.verdict != "abstains" for one in decision.evidence):
        return decision.reasons[0]  # a code that has decided is told first
    nearest = (reason for reason in decision.reasons if reason.startswith("nearest "))
    return next(nearest, decision.reasons[0])


def shared(decisions: Sequence[Decision]) -> Iterator[tuple[str, str]]:
    """Reasons that do not tell photos apart, told once: for whom, and the reason.

    Those of every answer are of the rule (what it promises of strangers), and so are those of
    every answer with a name (what its confidence is from).
    """
    told: set[str] = set()
    named = [one for one in decisions if one.known]
    for whom, some in (("For every photo", decisions), ("For every name", named)):
        if len(some) < 2:
            continue
        common = set[str].intersection(*(set(one.reasons) for one in some)) - told
        for reason in some[0].reasons:
            if reason in common:
                yield whom, reason
        told |= common


def because(error: KenspeckleError | None, name: str) -> str:
    """What is wrong and what to do, without the name that stands beside it."""
    return str(error).removeprefix(f"{name}: ")


def number(value: float | None, form: str) -> str:
    """A number in the given form, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def decision_data(photo: str, decision: Decision) -> dict[str, Any]:
    """A decision as plain data for JSON."""
    region = decision.region
    return {
        "photo": photo,
        "known": decision.known,
        "label": decision.label,
        "key": decision.key,
        "variant": decision.variant,
        "variant_certain": decision.variant_certain,
        "confidence": decision.confidence,
        "score": decision.score,
        "threshold": decision.threshold,
        "similarity": decision.similarity,
        "margin": decision.margin,
        "reasons": list(decision.reasons),
        "region": {"kind": region.kind, "box": list(region.box), "corners": region.corners},
        "candidates": [
            {
                "label": candidate.label,
                "key": candidate.key,
                "similarity": candidate.similarity,
                "reference": candidate.reference.path,
                "variant": candidate.reference.variant,
                "metadata": dict(candidate.reference.metadata),
            }
            for candidate in decision.candidates
        ],
        "evidence": [
            {"kind": one.kind, "verdict": one.verdict, "numbers": dict(one.numbers)}
            for one in decision.evidence
        ],
    }


def reasons_counted(pairs: Iterable[tuple[str, str]]) -> str:
    """How often each reason occurs among `(name, why)` pairs.

    >>> reasons_counted([("a", "hidden file"), ("b", "hidden file"), ("c", "not a picture file")])
    '2 × hidden file, 1 × not a picture file'
    """
    counts: dict[str, int] = {}
    for _, why in pairs:
        counts[why] = counts.get(why, 0) + 1
    return ", ".join(f"{count} × {why}" for why, count in counts.items())


def stages(seconds: Mapping[str, float]) -> str:
    """Seconds per stage on one line.

    >>> stages({"decode": 1.234, "model": 2.0})
    'decode 1.2, model 2.0'
    """
    return ", ".join(f"{name} {spent:.1f}" for name, spent in seconds.items())
