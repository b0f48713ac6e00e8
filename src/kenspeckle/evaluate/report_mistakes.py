"""The report's pictures: the worst mistakes side by side, first hits and misses, single regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kenspeckle.evaluate.report_markup import Html, folded, join, number, section, table, tag
from kenspeckle.evaluate.report_pictures import Pictures
from kenspeckle.evaluate.result import Answer, Counts, Evaluation, Outcome
from kenspeckle.match.promise import percent

SHOWN = 12
FIRST = 5
KINDS: tuple[tuple[Outcome, str, str], ...] = (
    ("false hit", "Strangers that got a name", "The surest first: highest above the threshold."),
    ("wrong", "Items that got another item's name", "The surest first."),
    ("missed", "Items that got no name", "Those furthest below the threshold first."),
)


def worst(one: Evaluation, pictures: Pictures, references: Mapping[str, str]) -> Html:
    """For each kind of mistake the worst: query, what was answered, what it really shows.

    `references` gives a picture for a label; those that answers name are added.
    """
    known = {a.best: a.reference for a in one.answers if a.best and a.reference} | dict(references)
    limits = {draw.draw: draw.threshold for draw in one.draws}
    parts = []
    for kind, title, order in KINDS:
        found = _once(sorted(_of(one, kind), key=lambda a: _badness(a, limits), reverse=True))
        count = len(_of(one, kind))
        if not found:
            parts += [tag("h3", f"{title}: none")]
            continue
        shown = (
            f" {min(SHOWN, len(found)):,} of {len(found):,} photos" if len(found) > SHOWN else ""
        )
        parts.append(tag("h3", f"{title}: {count:,}"))
        parts.append(tag("p", f"{order}{shown and f' Shown:{shown}.'}", cls="about"))
        cards = (_card(answer, limits, pictures, known) for answer in found[:SHOWN])
        parts.append(tag("div", *cards, cls="cards"))
    return section("The worst mistakes", "A figure says how many; these say why.", *parts)


def _of(one: Evaluation, kind: Outcome) -> list[Answer]:
    return [answer for answer in one.answers if answer.outcome == kind]


def _badness(answer: Answer, limits: Mapping[int, float]) -> float:
    """How far the score is on the wrong side of the threshold."""
    above = answer.score - limits.get(answer.draw, 0.0)
    if above != above:
        return float("inf")
    return -above if answer.outcome == "missed" else above


def _once(answers: Iterable[Answer]) -> list[Answer]:
    """The first answer about each query, since draws ask about the same photos again."""
    seen: dict[tuple[str, object], Answer] = {}
    for answer in answers:
        seen.setdefault((answer.query, answer.box), answer)
    return list(seen.values())


def _card(
    answer: Answer, limits: Mapping[int, float], pictures: Pictures, references: Mapping[str, str]
) -> Html:
    truth = ", ".join(answer.truth) or "nothing with a name"
    query = pictures.figure(answer.query, answer.box, "asked", truth)
    named = answer.said or answer.best
    found = answer.reference or references.get(named, "")
    told = "answered" if answer.said else "nearest, not named"
    other = pictures.figure(found, None, told, named or "nothing")
    own = Html("")
    if answer.enrolled and answer.truth and named not in answer.truth:
        path = next((references[t] for t in answer.truth if t in references), "")
        own = pictures.figure(path, None, "should be", truth)
    limit = limits.get(answer.draw)
    lines = [f"score {number(answer.score)}, threshold {number(limit)}"]
    lines.append(f"cosine {number(answer.similarity)}, margin {number(answer.margin)}")
    if answer.runner:
        lines.append(f"next: {answer.runner}")
    if answer.rank > 1:
        lines.append(f"the right item came {answer.rank}.")
    if answer.confidence is not None:
        lines.append(f"confidence {percent(answer.confidence)}")
    lines.append(answer.query)
    kind = answer.outcome.replace(" ", "-")
    why = tag("ul", *(tag("li", line) for line in lines))
    return tag("article", tag("div", query, other, own, cls="trio"), why, cls=f"card {kind}")


def counts(one: Evaluation) -> Html:
    """TP, FP, FN and expected by our count and by the logo bench's; first hits and misses."""
    rows = [_counted(row) for row in one.counts]
    about = ""
    if any(row.rule == "legacy" and row.tp + row.fn != row.expected for row in one.counts):
        about = "The bench counts hits per region and misses per photo, so its hits and misses "
        about += "need not add up to what was expected."
    heads = ("count", "unit", "TP", "FP", "FN", "expected", "precision", "recall", "F1")
    wrong = [a for a in one.answers if a.outcome in ("false hit", "wrong")]
    missed = _of(one, "missed")
    lists = (
        folded(f"The first {FIRST} false hits", _first(wrong)),
        folded(f"The first {FIRST} misses", _first(missed)),
    )
    return section("Hits and misses, counted", about, table(heads, rows), *lists)


def _counted(row: Counts) -> tuple[str, ...]:
    rule = "one name to one truth" if row.rule == "ours" else "as the logo bench counted"
    whole = (f"{value:,}" for value in (row.tp, row.fp, row.fn, row.expected))
    scores = (row.precision, row.recall, row.f1)
    return (
        rule,
        row.unit,
        *whole,
        *(f"{number(value, 4)} ({_percent(value)})" for value in scores),
    )


def _percent(value: float) -> str:
    return "–" if value != value else percent(value)


def _first(answers: Sequence[Answer]) -> Html:
    rows = [
        (a.query, ", ".join(a.truth) or "–", a.said or "unknown", a.best, number(a.score))
        for a in _once(answers)[:FIRST]
    ]
    if not rows:
        return tag("p", "None.", cls="about")
    return table(("photo", "shows", "said", "nearest", "score"), rows)


def regions(one: Evaluation, pictures: Pictures) -> Html:
    """Single regions with their truth and the five likeliest names."""
    if one.details is None or not one.details.regions:
        return Html("")
    cards = []
    for row in one.details.regions:
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


def gallery(one: Evaluation, pictures: Pictures, references: Mapping[str, str]) -> Html:
    """All parts with pictures, in the order of reading."""
    return join((worst(one, pictures, references), counts(one), regions(one, pictures)))
