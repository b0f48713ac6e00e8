"""The report's pictures: the worst mistakes side by side, first hits and misses, single regions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kenspeckle.evaluate.report.markup import Html, folded, join, number, section, table, tag
from kenspeckle.evaluate.report.pictures import Pictures
from kenspeckle.evaluate.result import Answer, Counts, Details, Evaluation, Outcome
from kenspeckle.match.promise import percent

SHOWN = 12
KINDS: tuple[tuple[Outcome, str, str], ...] = (
    ("false hit", "Strangers that got a name", "The surest first: highest above the threshold."),
    ("wrong", "Items that got another item's name", "The surest first."),
    ("missed", "Items that got no name", "Those furthest below the threshold first."),
)


def worst(one: Evaluation, pictures: Pictures) -> Html:
    """For each kind of mistake the worst: query, what was answered, what it really shows."""
    known = {a.best: a.reference for a in one.answers if a.best and a.reference}
    limits = {draw.draw: draw.threshold for draw in one.draws}
    parts = []
    for kind, title, order in KINDS:
        found = sorted(_of(one, kind), key=lambda a: _badness(a, limits), reverse=True)
        alike = _alike(found)
        if not found:
            parts.append(tag("h3", f"{title}: none"))
            continue
        shown = f" {SHOWN} of {len(alike):,} confusions are shown." if len(alike) > SHOWN else ""
        parts.append(tag("h3", f"{title}: {len(found):,}"))
        parts.append(tag("p", order + shown, cls="about"))
        cards = (_card(group, limits, pictures, known) for group in alike[:SHOWN])
        parts.append(tag("div", *cards, cls="cards"))
    return section("The worst mistakes", "A figure says how many; these say why.", *parts)


def _of(one: Evaluation, kind: Outcome) -> list[Answer]:
    return [answer for answer in one.answers if answer.outcome == kind]


def _badness(answer: Answer, limits: Mapping[int, float]) -> float:
    """How far the score is on the wrong side of the threshold."""
    above = answer.score - limits.get(answer.draw, 0.0)
    if math.isnan(above):
        return math.inf
    return -above if answer.outcome == "missed" else above


def _alike(answers: Iterable[Answer]) -> list[list[Answer]]:
    """Answers that confuse the same two items together, in the order of the first of each: one
    confusion asked about in many photos and draws would fill the page."""
    groups: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.item, answer.best), []).append(answer)
    return list(groups.values())


def _card(
    group: Sequence[Answer],
    limits: Mapping[int, float],
    pictures: Pictures,
    references: Mapping[str, str],
) -> Html:
    answer = group[0]
    truth = ", ".join(answer.truth) or "nothing with a name"
    query = pictures.figure(answer.query, answer.box, "asked", truth)
    told = "answered" if answer.said else "nearest, not named"
    other = pictures.reference(answer.best, answer.reference, told, answer.best or "nothing")
    own = Html("")
    if answer.enrolled and answer.truth and answer.best not in answer.truth:
        label = answer.truth[0]
        own = pictures.reference(label, references.get(label, ""), "should be", truth)
    why = tag("ul", *(tag("li", line) for line in _lines(group, limits)))
    kind = answer.outcome.replace(" ", "-")
    return tag("article", tag("div", query, other, own, cls="trio"), why, cls=f"card {kind}")


def _lines(group: Sequence[Answer], limits: Mapping[int, float]) -> Iterator[str]:
    answer = group[0]
    yield f"score {number(answer.score)}, threshold {number(limits.get(answer.draw))}"
    yield f"cosine {number(answer.similarity)}, margin {number(answer.margin)}"
    if answer.confidence is not None:
        yield f"confidence {percent(answer.confidence)}"
    if answer.runner:
        yield f"next: {answer.runner}"
    if answer.rank > 1:
        yield f"the right item came {ordinal(answer.rank)}"
    if len(group) > 1:
        photos = len({(one.query, one.box) for one in group})
        yield f"{len(group):,} times, in {photos:,} photo{'' if photos == 1 else 's'}; the worst:"
    yield answer.query


def ordinal(value: int) -> str:
    """A place in a row.

    >>> [ordinal(value) for value in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{'th' if value % 100 in (11, 12, 13) else ending}"


def counts(one: Evaluation) -> Html:
    """TP, FP, FN and expected by our count and by the logo bench's; first hits and misses."""
    rows = [_counted(row) for row in one.counts]
    about = ""
    if any(row.rule == "legacy" and row.tp + row.fn != row.expected for row in one.counts):
        about = "The bench counts hits per region and misses per photo, so its hits and misses "
        about += "need not add up to what was expected."
    heads = ("count", "unit", "TP", "FP", "FN", "expected", "precision", "recall", "F1")
    lists = (
        folded(f"The first {what}, {_RULES[row.rule]}", table(("photo", "name"), pairs))
        for row in _different(one.counts)
        for what, pairs in (("false hits", row.false), ("misses", row.missed))
        if pairs
    )
    return section("Hits and misses, counted", about, table(heads, rows), *lists)


_RULES = {"ours": "one name to one truth", "legacy": "as the logo bench counted"}


def _different(rows: Sequence[Counts]) -> list[Counts]:
    """Those whose lists say something new."""
    return [
        r
        for n, r in enumerate(rows)
        if (r.false, r.missed) not in [(q.false, q.missed) for q in rows[:n]]
    ]


def _counted(row: Counts) -> tuple[str, ...]:
    whole = (f"{value:,}" for value in (row.tp, row.fp, row.fn, row.expected))
    scores = (row.precision, row.recall, row.f1)
    return (
        _RULES[row.rule],
        row.unit,
        *whole,
        *(f"{number(value, 4)} ({_percent(value)})" for value in scores),
    )


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else percent(value)


def regions(details: Details | None, pictures: Pictures) -> Html:
    """Single regions with their truth and the five likeliest names."""
    if details is None or not details.regions:
        return Html("")
    cards = []
    for row in details.regions:
        figure = pictures.figure(row.query, row.box, row.kind, ", ".join(row.truth) or "nothing")
        names = (
            tag("li", tag("b", name) if name in row.truth else name, f" {number(value)}")
            for name, value in row.top
        )
        score = tag("p", f"score of the region {number(row.score, 2)}", cls="about")
        cards.append(tag("article", figure, score, tag("ol", *names), cls="card"))
    about = "What each shows, and the five likeliest names; the right one is bold."
    title = f"{len(cards)} regions" if len(cards) != 1 else "One region"
    return section(title, about, tag("div", *cards, cls="cards small"))


def gallery(one: Evaluation, pictures: Pictures) -> Html:
    """All parts with pictures, in the order of reading."""
    return join((worst(one, pictures), counts(one), regions(one.details, pictures)))
