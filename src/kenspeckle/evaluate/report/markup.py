"""Markup for the report: text is escaped unless it was made here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from kenspeckle.evaluate.result import Rate
from kenspeckle.match.promise import percent

_EMPTY = frozenset({"img", "meta", "br"})
_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"[-−+]?[\d.,]+( ?%)?(\s.*)?|–")


LONG = 8
"""Columns beyond which a table is set tight and scrolls sideways."""


class Html(str):
    """Markup that is safe to join as it is; every other text is escaped by `text`."""

    __slots__ = ()


Part = str | Html


def text(part: Part) -> Html:
    """Escaped, unless it is markup already; a number stays on one line with its percent sign.

    >>> text("<b>")
    '&lt;b&gt;'
    """
    return part if isinstance(part, Html) else Html(escape(part).replace(" %", "\u00a0%"))


def join(parts: Iterable[Part]) -> Html:
    """One after the other."""
    return Html("".join(map(text, parts)))


def tag(name: str, /, *parts: Part, **attributes: str) -> Html:
    """An element; `cls` is its class.

    >>> tag("p", "a & b", cls="x")
    '<p class="x">a &amp; b</p>'
    """
    named = {{"cls": "class"}.get(key, key): value for key, value in attributes.items()}
    told = "".join(f' {key}="{escape(value)}"' for key, value in named.items())
    return Html(f"<{name}{told}>" if name in _EMPTY else f"<{name}{told}>{join(parts)}</{name}>")


def table(head: Sequence[str], rows: Sequence[Sequence[Part]], caption: str = "") -> Html:
    """A table that scrolls sideways on a narrow page; columns of numbers are set to the right."""
    if not rows:
        return Html("")
    numeric = [all(_NUMBER.fullmatch(_bare(row[i])) for row in rows) for i in range(len(head))]
    kinds = ["n" if one else "" for one in numeric]

    def line(cell: str, parts: Sequence[Part]) -> Html:
        return tag(
            "tr",
            *(
                tag(cell, part, cls=kind) if kind else tag(cell, part)
                for part, kind in zip(parts, kinds, strict=True)
            ),
        )

    told = tag("caption", caption) if caption else Html("")
    body = tag("tbody", *(line("td", row) for row in rows))
    kind = "wide tight" if len(head) > LONG else "wide"
    return tag("div", tag("table", told, tag("thead", line("th", head)), body), cls=kind)


def _bare(part: Part) -> str:
    return _TAG.sub("", part) if isinstance(part, Html) else part


def section(title: str, about: Part, *parts: Part) -> Html:
    """A heading, a sentence under it and what follows."""
    lead = tag("p", about, cls="about") if about else Html("")
    return tag("section", tag("h2", title), lead, *parts)


def folded(title: str, *parts: Part) -> Html:
    """What is opened by a click."""
    return tag("details", tag("summary", title), *parts)


def rate(one: Rate) -> str:
    """A rate with its interval.

    >>> rate(Rate(0.71, 0.66, 0.75, 400, 97))
    '71 % (66 % – 75 %)'
    """
    if not math.isfinite(one.value):
        return "–"
    return percent(one.value) + (f" ({between(one)})" if between(one) else "")


def between(one: Rate) -> str:
    """Its interval alone, empty where it has none."""
    if one.interval == "none" or not (math.isfinite(one.low) and math.isfinite(one.high)):
        return ""
    return f"{percent(one.low)} – {percent(one.high)}"


def number(value: float | None, digits: int = 3) -> str:
    """A score for a table; a dash where there is none.

    >>> number(0.12345), number(None), number(float("-inf"))
    ('0.123', '–', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")
