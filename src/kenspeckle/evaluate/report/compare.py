"""Before and after, seen and unseen, as parts of the page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kenspeckle.evaluate import compare
from kenspeckle.evaluate.compare import APART, Change, compared, points
from kenspeckle.evaluate.report.markup import Html, Part, rate, section, table, tag
from kenspeckle.evaluate.result import Evaluation
from kenspeckle.match.promise import percent


def comparison(evaluations: Mapping[str, Evaluation], seen: Collection[str]) -> Html:
    """Every evaluation against the first, on the queries that both answered."""
    named = list(evaluations.items())
    if len(named) < 2:
        return Html("")
    (base, before), parts = named[0], []
    for name, after in named[1:]:
        found = compared(before, after, seen, (base, name))
        parts.append(tag("h3", f"{name} against {base}"))
        if not found.changes:
            parts.append(tag("p", "No query is in both, so they cannot be compared.", cls="about"))
            continue
        if found.alone:
            parts.append(tag("p", f"Left out, for want of a counterpart: {found.alone:,}."))
        parts.append(_table(found.changes))
        for title, rows in found.apart:
            parts += [tag("h4", title[0].upper() + title[1:]), _table(rows)]
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
            row.interval,
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


def familiar(one: Evaluation, seen: Collection[str]) -> Html:
    """Figures of seen and unseen items apart; nothing where none is known to be seen."""
    groups = compare.familiar(one, seen)
    if not groups:
        return Html("")
    rows = [
        (
            group.title,
            f"{group.items:,}",
            f"{group.photos:,}",
            *(rate(group.rates[name]) if name in group.rates else "–" for name in APART),
        )
        for group in groups
    ]
    heads = ("items", "how many", "photos", "named rightly", "named wrongly", "nearest is right")
    about = (
        "What a model was trained on it knows better. Only the second row says what new items do."
    )
    return section("Seen and unseen", about, table(heads, rows))
