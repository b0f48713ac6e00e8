"""What the check of an index comes to, and the command to run next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SHIP, TRAIN = 0.3, 0.1
"""Median margins of the guideline: above the first it is ready, below the second it needs work."""

Tier = Literal["ready", "fair", "weak", "unknown", "refused"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the advice looks at. Keys are those of items; empty texts and lists mean none.

    margin
        The median item-level margin, NaN where there is none; `measured` says on what.
    broken
        Rows that no longer are what the model makes of their pictures, or no unit rows at all.
    outdated
        References whose files changed or have gone since.
    doubled
        Two items that share a picture.
    uncalibrated
        Why there is no calibration in force, empty when there is one.
    worst
        The item that fared worst, empty when all fared well.
    refused
        Why no photo can be asked about (the model that made the index is not there), empty when
        one can; `remedy` says what to do about it.
    """

    margin: float
    measured: str
    index: str
    refs: str = ""
    broken: int = 0
    outdated: int = 0
    doubled: tuple[str, ...] = ()
    uncalibrated: str = ""
    worst: str = ""
    refused: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """A tier, the verdict in words, and the next command with why."""

    tier: Tier
    verdict: str
    command: str
    why: str

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Plain data for JSON."""
        return {
            "verdict": {"tier": self.tier, "text": self.verdict},
            "next": {"command": self.command, "why": self.why},
        }

    def lines(self) -> Iterator[str]:
        """The last two lines of a report."""
        yield f"verdict: {self.verdict}"
        yield f"next: {self.command}  ({self.why})"


def advise(found: Findings) -> Advice:
    """The verdict by the guideline tiers, and what to do first.

    >>> advise(Findings(0.36, "on camera views", "a.ken")).command
    'kenspeckle identify PHOTO --index a.ken'
    """
    tier: Tier = "refused" if found.refused else tier_of(found.margin)
    verdict = _verdict(tier, found)
    command, why = _next(tier, found)
    return Advice(tier, verdict, command, why)


def tier_of(margin: float) -> Tier:
    """The tier of a median margin.

    >>> [tier_of(margin) for margin in (0.31, 0.3, 0.1, 0.09, float("nan"))]
    ['ready', 'fair', 'fair', 'weak', 'unknown']
    """
    if math.isnan(margin):
        return "unknown"
    if margin > SHIP:
        return "ready"
    return "fair" if margin >= TRAIN else "weak"


def _verdict(tier: Tier, found: Findings) -> str:
    if tier == "refused":
        return f"not ready to use, no photo can be asked about: {found.refused}"
    if tier == "unknown":
        return "no margin to judge: it takes two items"
    told = f"median margin {found.margin:z.3f} {found.measured}"
    return {
        "ready": f"{told}, above {SHIP}: ready to use",
        "fair": f"{told}, between {TRAIN} and {SHIP}: usable; more references of the items that "
        "fared worst, or a head trained on them, would help",
        "weak": f"{told}, below {TRAIN}: items lie too close; it takes more references, another "
        "model, or a trained head",
    }[tier]


def _next(tier: Tier, found: Findings) -> tuple[str, str]:
    """The first thing to do: repair, then tell apart, then calibrate, then improve.

    An index whose model is not there is indexed anew beside it: that works here and now.
    """
    index, refs = shlex.quote(found.index), shlex.quote(found.refs) if found.refs else "PICTURES"
    anew = shlex.quote(_beside(found.index))
    if tier == "refused":
        return f"kenspeckle index {refs} --out {anew}", found.remedy or "index anew"
    if found.broken:
        why = f"{found.broken} rows are not what the model makes of their pictures: index anew"
        return f"kenspeckle index {refs} --out {anew}", why
    if found.outdated:
        why = f"{found.outdated} references looked for have changed or moved"
        return f"kenspeckle index {refs} --out {index}", why
    if found.doubled:
        keys = " ".join(map(shlex.quote, found.doubled))
        why = "two items share a picture: see which, then remove one"
        return f"kenspeckle list {keys} --references --index {index}", why
    if found.uncalibrated:
        return f"kenspeckle calibrate {index}", f"unknown things: {found.uncalibrated}"
    if found.worst and tier != "ready":
        why = "another picture of the item that fared worst"
        return f"kenspeckle add PICTURE --key {shlex.quote(found.worst)} --index {index}", why
    return f"kenspeckle identify PHOTO --index {index}", "ask it about a photo"


def _beside(index: str) -> str:
    """A new file beside the index.

    >>> _beside("dir.x/things.ken"), _beside("things")
    ('dir.x/things.new.ken', 'things.new')
    """
    head, dot, suffix = index.rpartition(".")
    return f"{head}.new.{suffix}" if dot and "/" not in suffix else f"{index}.new"
