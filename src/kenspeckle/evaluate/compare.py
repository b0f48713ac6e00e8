"""Two evaluations of the same queries held against each other, and seen items against unseen."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kenspeckle import stats
from kenspeckle.evaluate import figures
from kenspeckle.evaluate.result import Answer, Evaluation, Rate, plain
from kenspeckle.match.promise import percent

Pair = tuple[Answer, Answer]
ONE = "one item tells no interval"
SEEN, UNSEEN = "seen in training", "not seen in training"
APART = ("tpir", "misidentified", "rank-1")
"""Rates that are told of seen and of unseen items."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared: of which answers, what counts, and whether more of it is better."""

    name: str
    enrolled: bool
    counts: Callable[[Answer], bool]
    better: int = 1


QUESTIONS = (
    Question("named rightly (TPIR)", True, lambda a: a.outcome == "right"),
    Question("named wrongly", True, lambda a: a.outcome == "wrong", -1),
    Question("nearest item is right (rank-1)", True, lambda a: a.right),
    Question("strangers named (FPIR)", False, lambda a: a.outcome == "false hit", -1),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One question before and after on the same queries, paired by item."""

    question: Question
    before: float
    after: float
    difference: stats.Difference
    queries: int
    won: int
    lost: int

    @property
    def verdict(self) -> str:
        """`better`, `worse`, that no difference lies beyond the interval, or that there is none."""
        if math.isnan(self.difference.low):
            return ONE
        if self.difference.beyond:
            gain = self.difference.mean * self.question.better
            return "better" if gain > 0 else "worse"
        return "none beyond the interval"

    @property
    def interval(self) -> str:
        """The ends of the difference; a dash where there is none."""
        if math.isnan(self.difference.low):
            return "–"
        return f"{points(self.difference.low)} … {points(self.difference.high)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        ends = {"change": self.difference.mean, "low": self.difference.low}
        numbers = {"before": self.before, "after": self.after, **ends}
        counts = {"queries": self.queries, "won": self.won, "lost": self.lost}
        high = {"high": self.difference.high, "verdict": self.verdict}
        return {"figure": self.question.name, **plain(numbers | high), **counts}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`after` against `before`: the changes on the queries of both, how many answers have no
    counterpart, and, where some labels are known to be seen, the same for seen and unseen items."""

    before: str
    after: str
    changes: tuple[Change, ...]
    alone: int
    apart: tuple[tuple[str, tuple[Change, ...]], ...] = ()

    def lines(self) -> Iterator[str]:
        """For people."""
        yield ""
        yield f"Before and after, each at its own threshold: {self.after} against {self.before}"
        if not self.changes:
            yield "  no query is in both, so they cannot be compared"
            return
        if self.alone:
            yield f"  left out, for want of a counterpart: {self.alone:,}"
        yield from map(_line, self.changes)
        for title, rows in self.apart:
            yield f"  of items {title}"
            yield from (f"  {_line(one)}" for one in rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "alone": self.alone,
            "changes": [one.to_dict() for one in self.changes],
            "apart": {title: [one.to_dict() for one in rows] for title, rows in self.apart},
        }


@dataclass(frozen=True, slots=True)
class Familiar:
    """Enrolled items that a model was trained on, or those that it was not, with their figures."""

    title: str
    items: int
    photos: int
    rates: dict[str, Rate]

    def line(self) -> str:
        """For people."""
        named = [f"{name} {_share(self.rates[name])}" for name in APART if name in self.rates]
        told = ", ".join(named) or "nothing to count"
        return f"  {self.title}: {told} ({self.photos:,} photos of {self.items:,} items)"


def compared(
    before: Evaluation, after: Evaluation, seen: Collection[str] = (), names: Sequence[str] = ()
) -> Comparison:
    """One evaluation against another; `names` are what to call them, where theirs do not do."""
    joined = pairs(before, after)
    apart = []
    for title in (SEEN, UNSEEN) if seen else ():
        mine = [p for p in joined if p[1].enrolled and known(p[1], seen) == (title == SEEN)]
        if mine:
            apart.append((title, tuple(changes(mine))))
    first, second = names or (before.name, after.name)
    alone = len(before.answers) + len(after.answers) - 2 * len(joined)
    return Comparison(first, second, tuple(changes(joined)), alone, tuple(apart))


def pairs(before: Evaluation, after: Evaluation) -> list[Pair]:
    """Answers to one query in one draw, where both agree on what it shows and whether that is
    enrolled."""
    first = {(a.draw, a.query, a.box): a for a in before.answers}
    both = ((first.get((a.draw, a.query, a.box)), a) for a in after.answers)
    return [(a, b) for a, b in both if a is not None and _same(a, b)]


def _same(a: Answer, b: Answer) -> bool:
    return a.enrolled == b.enrolled and a.truth == b.truth


def changes(joined: Sequence[Pair]) -> list[Change]:
    """Every question that the queries can answer."""
    made = []
    for question in QUESTIONS:
        mine = [pair for pair in joined if pair[0].enrolled == question.enrolled]
        if not mine:
            continue
        old = [question.counts(a) for a, _ in mine]
        new = [question.counts(b) for _, b in mine]
        items = [b.item for _, b in mine]
        difference = stats.paired(new, old, items)
        if len(set(items)) < 2:  # nothing to draw
            difference = difference._replace(low=math.nan, high=math.nan)
        won = sum(b and not a for a, b in zip(old, new, strict=True))
        lost = sum(a and not b for a, b in zip(old, new, strict=True))
        ends = sum(old) / len(mine), sum(new) / len(mine)
        made.append(Change(question, *ends, difference, len(mine), won, lost))
    return made


def known(answer: Answer, seen: Collection[str]) -> bool:
    """Whether the query shows an item that took part in the training."""
    return any(label in seen for label in answer.truth)


def familiar(one: Evaluation, seen: Collection[str]) -> list[Familiar]:
    """Seen and unseen items apart; nothing where none is known to be seen."""
    found = []
    for title in (SEEN, UNSEEN) if seen else ():
        mine = [a for a in one.answers if a.enrolled and known(a, seen) == (title == SEEN)]
        rates = dict(figures.rates(mine)) if mine else {}
        found.append(Familiar(title, len({answer.item for answer in mine}), len(mine), rates))
    return found


def _line(row: Change) -> str:
    gain = row.difference
    return (
        f"  {row.question.name}: {percent(row.before)} to {percent(row.after)}, "
        f"{points(gain.mean)} ({row.interval}): {row.verdict}; "
        f"won {row.won:,}, lost {row.lost:,} of {row.queries:,}"
    )


def _share(one: Rate) -> str:
    if one.interval == "none":
        return percent(one.value)
    return f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)})"


def points(share: float) -> str:
    """A difference in percentage points.

    >>> points(0.034), points(-0.1)
    ('+3.4 points', '−10.0 points')
    """
    return f"{100 * share:+.1f} points".replace("-", "−")
