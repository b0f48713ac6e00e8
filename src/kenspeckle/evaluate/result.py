"""What an evaluation found: every answer, the figures with their intervals, every exclusion.

Frozen values that text, JSON and the HTML report are made of. `to_dict` gives plain data for JSON;
a number that does not exist (an ECE without confidences) is None there, never nan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from kenspeckle.types import Box

Interval = Literal["wilson", "bootstrap by item", "none"]
Value = str | int | float | bool | None
Outcome = Literal["right", "wrong", "missed", "false hit", "refused"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A figure with its 95 % interval.

    `n` counts the queries it was measured on, `items` the independent items among them. `interval`
    says how the interval was made: by Wilson's formula where every item was asked about once, else
    by drawing items. One item has none to draw: its ends are nan (null in JSON), the kind `none`.
    """

    value: float
    low: float
    high: float
    n: int
    items: int
    interval: Interval = "wilson"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said about one query of one draw.

    query
        The photo, relative to `Evaluation.folder` where it lies below it.
    box
        The true box that was asked about, or None for the photo as a whole.
    truth
        Labels that the query really shows; empty for a photo of nothing with a name.
    enrolled
        Whether one of them is in the gallery of this draw: a mated query.
    said
        The name given, empty for unknown.
    best, runner
        The two likeliest names, whether they were said or not.
    score
        What is compared with the threshold of the draw; -inf where the rule has none.
    rank
        The place of the right name among the candidates, from 1; 0 where it was not among them.
    region
        The kind of the region that decided.
    reference
        The reference that `best` was found by, relative to `Evaluation.folder`.
    asked, named
        How many regions of the query were asked about, and how many of them got a name.
    """

    draw: int
    query: str
    box: Box | None
    truth: tuple[str, ...]
    enrolled: bool
    said: str
    best: str
    runner: str
    score: float
    similarity: float
    margin: float | None
    confidence: float | None
    rank: int
    region: str
    reference: str = ""
    asked: int = 1
    named: int = 0

    @property
    def right(self) -> bool:
        """Whether the best name is one that the query shows, said or not."""
        return self.enrolled and self.best in self.truth

    @property
    def item(self) -> str:
        """The independent item behind the query: its label, or the photo where it has none."""
        return self.truth[0] if self.truth else self.query

    @property
    def outcome(self) -> Outcome:
        """`right` and `wrong` name for an enrolled item, `missed` one; `false hit` and `refused`
        for a stranger."""
        if not self.enrolled:
            return "false hit" if self.said else "refused"
        if not self.said:
            return "missed"
        return "right" if self.said in self.truth else "wrong"


@dataclass(frozen=True, slots=True)
class DrawFigures:
    """One draw: its gallery, what the threshold was fitted on, and its rates.

    `threshold` is the one in force; `fitted_on` counts the stranger items behind it, 0 for a
    threshold that was given. `rates` are the bare values by the names of `Evaluation.rates`, `rule`
    is what decided: where a score is chosen, that score.
    """

    draw: int
    seed: int
    items: int
    references: int
    mated: int
    strangers: int
    threshold: float
    fitted_on: int
    rates: Mapping[str, float]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Names counted against truth.

    `rule` is `ours` (one name to one true box at IoU ≥ 0.5, or names of a photo against its names)
    or `legacy` (every accepted region against the photo's names, a miss per photo and name).
    `false` and `missed` are the first five of each, `(photo, name)`, the photo after its draw.
    """

    rule: Literal["ours", "legacy"]
    unit: Literal["boxes", "names of photos"]
    tp: int
    fp: int
    fn: int
    expected: int
    false: tuple[tuple[str, str], ...] = ()
    missed: tuple[tuple[str, str], ...] = ()

    @property
    def precision(self) -> float:
        """TP / (TP + FP); nan when nothing was said."""
        said = self.tp + self.fp
        return self.tp / said if said else math.nan

    @property
    def recall(self) -> float:
        """TP / expected; nan when nothing was expected. Legacy counting goes above 1."""
        return self.tp / self.expected if self.expected else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 where either is 0 or missing."""
        p, r = self.precision, self.recall
        return 2 * p * r / (p + r) if p > 0 and r > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RegionFigures:
    """Finding and naming apart, for a dataset with true boxes.

    `recall`: true boxes that a region meets at IoU ≥ 0.5. `naming`: of the boxes that were met and
    show an enrolled item, those named right. `end_to_end`: of all boxes of enrolled items, those
    met and named right.
    """

    recall: Rate
    naming: Rate
    end_to_end: Rate


@dataclass(frozen=True, slots=True)
class Distribution:
    """The spread of some scores. All but `name` and `n` are nan when there are none."""

    name: str
    n: int
    least: float
    most: float
    mean: float
    sd: float
    median: float
    p10: float
    p25: float
    p75: float
    p90: float
    share_above: float
    """Share at or above the threshold."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where right and wrong scores overlap: [larger of the minima, smaller of the maxima], and the
    share of each inside."""

    low: float
    high: float
    right_inside: float
    wrong_inside: float


@dataclass(frozen=True, slots=True)
class Parting:
    """The threshold that parts right and wrong scores best (largest F1 of these very scores: a
    description, not a threshold to use)."""

    threshold: float
    f1: float


@dataclass(frozen=True, slots=True)
class SeenRegion:
    """One region with what was found: its detector's score, its truth, the likeliest names."""

    query: str
    box: Box
    kind: str
    score: float
    truth: tuple[str, ...]
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Details:
    """Similarities in detail, as the logo bench listed them."""

    distributions: tuple[Distribution, ...]
    overlap: Overlap | None
    regions: tuple[SeenRegion, ...]
    best: Parting | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One system on one dataset.

    name
        What was evaluated, for the head of a report.
    folder
        What paths are relative to.
    settings
        Everything that could change the figures, by name.
    fpir
        The false-positive rate asked for; None for a threshold that was given.
    rates
        By name: `rank-1`, `rank-5`, `tpir`, `fnir`, `misidentified`, `fpir`, `fpir per region`,
        `auroc`, `oscr`, `ece`, `brier`, `right when named`. Those that cannot be measured (no
        strangers, no confidence) are absent, and `notes` say why.
    counts
        TP, FP and FN by both ways of counting.
    excluded
        Reason → how many pictures, references or answers were left out for it.
    """

    name: str
    folder: str
    settings: Mapping[str, Value]
    fpir: float | None
    answers: tuple[Answer, ...]
    draws: tuple[DrawFigures, ...]
    rates: Mapping[str, Rate]
    counts: tuple[Counts, ...]
    regions: RegionFigures | None
    excluded: Mapping[str, int]
    notes: tuple[str, ...]
    seconds: float
    confidence_from: Literal["", "views", "photos"] = ""
    details: Details | None = None
    stages: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self, *, answers: bool = True) -> dict[str, Any]:
        """Plain data for JSON; without the single answers where they are not wanted."""
        data: dict[str, Any] = plain(self)
        data["counts"] = [
            plain(one) | plain({"precision": one.precision, "recall": one.recall, "f1": one.f1})
            for one in self.counts
        ]
        if not answers:
            del data["answers"]
        return data


def plain(value: Any) -> Any:
    """Values as JSON knows them: mappings, lists, text and numbers; what is not finite is None.

    >>> plain(Rate(0.5, float("nan"), 1.0, 2, 2))["low"] is None
    True
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
