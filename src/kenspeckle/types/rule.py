"""The rule that decides, what it promises, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Promise:
    """A false-positive rate that trials support, for one kind of stranger.

    `fpir` is the expected rate, `low` and `high` its 95 % interval, measured on `trials` trials of
    `items` independent stranger items.
    """

    strangers: Literal["given", "like your items", "general"]
    fpir: float
    low: float
    high: float
    trials: int
    items: int


@dataclass(frozen=True, slots=True)
class SecondLookRule:
    """How much agreeing local features count, as fitted on trials.

    Of the `shortlist` best items each cosine is raised by `weight` times its evidence (formula in
    `kenspeckle.match.second_look`) before the score is taken. A weight of 0 abstains.
    """

    features: str
    estimator: str
    shortlist: int
    weight: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The rule fitted for one gallery, one space and one region rule.

    score
        Which number is compared with the threshold: `cosine`, `margin`, `cohort`,
        `margin+cohort` or `3margin+cohort` (formulas in `kenspeckle.match.aggregate`).
    threshold
        A region is named when its score is above it.
    slope, intercept
        Confidence = 1 / (1 + exp(-(slope · score + intercept))).
    promises
        What the threshold keeps, for which strangers, on how many trials. Empty means that the
        trials supported no rate at all.
    variant_margin
        By how much the best print of an item must lead its next print to be certain, as a cosine;
        None when the trials could not tell.
    view_level
        The cosine to its own reference that nine in ten camera views stay below; references of
        two items that are nearer to each other are look-alikes.
    second_look
        How the second look takes part; None: it does not.
    confidence_from, labelled
        Whether the confidence was fitted on camera `views` (synthetic) or on labelled `photos`,
        and how many of those there were.
    feedback
        The store's feedback counter at the time.
    """

    score: Literal["cosine", "margin", "cohort", "margin+cohort", "3margin+cohort"]
    threshold: float
    slope: float
    intercept: float
    promises: tuple[Promise, ...]
    fpir: float
    regions: str
    space_id: str
    items: int
    references: int
    change: int
    date: str
    mated_trials: int
    named_right: float
    method: Literal["quick", "full"] = "quick"
    notes: tuple[str, ...] = ()
    variant_margin: float | None = None
    view_level: float | None = None
    second_look: SecondLookRule | None = None
    confidence_from: Literal["views", "photos"] = "views"
    labelled: int = 0
    feedback: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Read back what `to_dict` wrote. Raises KeyError or TypeError on foreign data."""
        promises = tuple(Promise(**promise) for promise in data["promises"])
        look = data.get("second_look")
        return cls(
            **{
                **data,
                "promises": promises,
                "notes": tuple(data["notes"]),
                "second_look": SecondLookRule(**look) if look else None,
            }
        )
