"""Two evaluations of the same queries held against each other, and seen items against unseen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from kenspeckle import stats
from kenspeckle.evaluate import figures
from kenspeckle.evaluate.report_markup import Html, Part, rate, section, table, tag
from kenspeckle.evaluate.result import Answer, Evaluation
from kenspeckle.match.promise import percent

Pair = tuple[Answer, Answer]


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
        """`better`, `worse`, or that no difference lies beyond the interval."""
        if self.difference.beyond:
            gain = self.difference.mean * self.question.better
            return "better" if gain > 0 else "worse"
        return "none beyond the interval"


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
        difference = stats.paired(new, old, [b.item for _, b in mine])
        won = sum(b and not a for a, b in zip(old, new, strict=True))
        lost = sum(a and not b for a, b in zip(old, new, strict=True))
        ends = sum(old) / len(mine), sum(new) / len(mine)
        made.append(Change(question, *ends, difference, len(mine), won, lost))
    return made


def comparison(evaluations: Mapping[str, Evaluation], seen: Collection[str]) -> Html:
    """Every evaluation against the first, on the queries that both answered."""
    named = list(evaluations.items())
    if len(named) < 2:
        return Html("")
    (base, before), parts = named[0], []
    for name, after in named[1:]:
        joined = pairs(before, after)
        parts.append(tag("h3", f"{name} against {base}"))
        if not joined:
            parts.append(tag("p", "No query is in both, so they cannot be compared.", cls="about"))
            continue
        left = len(before.answers) + len(after.answers) - 2 * len(joined)
        if left:
            parts.append(tag("p", f"Left out, for want of a counterpart: {left:,}."))
        parts.append(_table(changes(joined)))
        for title, wanted in (("Seen in training", True), ("Not seen in training", False)):
            chosen = [
                pair for pair in joined if pair[1].enrolled and known(pair[1], seen) == wanted
            ]
            if seen and chosen:
                parts += [tag("h4", title), _table(changes(chosen))]
    about = (
        "The same queries answered by each, every one by its own threshold. The interval is of the "
        "difference, by drawing items; a gain inside it is none."
    )
    return section("Before and after", about, *parts)


def _table(rows: Sequence[Change]) -> Html:
    cells: list[tuple[Part, ...]] = [
        (
            row.question.name,
            percent(row.before),
            percent(row.after),
            points(row.difference.mean),
            f"{points(row.difference.low)} … {points(row.difference.high)}",
            tag("span", row.verdict, cls=f"verdict {row.verdict.split()[0]}"),
            f"+{row.won:,} −{row.lost:,}",
            f"{row.queries:,}",
        )
        for row in rows
    ]
    heads = (
        "figure",
        "before",
        "after",
        "change",
        "95 % interval",
        "verdict",
        "won, lost",
        "queries",
    )
    return table(heads, cells)


def points(share: float) -> str:
    """A difference in percentage points.

    >>> points(0.034), points(-0.1)
    ('+3.4 points', '−10.0 points')
    """
    return f"{100 * share:+.1f} points".replace("-", "−")


def known(answer: Answer, seen: Collection[str]) -> bool:
    """Whether the query shows an item that took part in the training."""
    return any(label in seen for label in answer.truth)


def familiar(one: Evaluation, seen: Collection[str]) -> Html:
    """Figures of seen and unseen items apart; nothing where none is known to be seen."""
    if not seen:
        return Html("")
    rows = []
    for title, wanted in (("seen in training", True), ("not seen in training", False)):
        mine = [a for a in one.answers if a.enrolled and known(a, seen) == wanted]
        found = figures.rates(mine) if mine else {}
        names = ("tpir", "misidentified", "rank-1")
        cells = (rate(found[name]) if name in found else "–" for name in names)
        items = len({answer.item for answer in mine})
        rows.append((title, f"{items:,}", f"{len(mine):,}", *cells))
    heads = ("items", "how many", "photos", "named rightly", "named wrongly", "nearest is right")
    about = (
        "What a model was trained on it knows better. Only the second row says what new items do."
    )
    return section("Seen and unseen", about, table(heads, rows))
