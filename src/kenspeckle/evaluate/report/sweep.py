"""A sweep in the report: how the counted F1 moves with references, thresholds, rules and models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from typing import Any

import numpy as np

from kenspeckle.evaluate.report import plots
from kenspeckle.evaluate.report.markup import Html, Part, folded, join, number, section, table, tag
from kenspeckle.evaluate.report.scores import similarities
from kenspeckle.evaluate.result import Details, Distribution, Overlap, Parting, SeenRegion
from kenspeckle.match.promise import percent

AXES = {
    "refs": "references per item",
    "threshold": "threshold T",
    "margin": "margin m",
    "least": "matching references n",
    "method": "rule",
    "mode": "preprocessing",
    "model": "model",
    "head": "head",
}
"""Setting of a row → what the page calls it, in the order of columns."""

Row = Mapping[str, Any]
"""As `kenspeckle.evaluate.sweep.run` makes them."""
NUMERIC = ("refs", "threshold", "margin", "least")
SERIES, TOP, LONG = 5, 12, 24
FITTED = "T fitted on other items"


def sweep(rows: Sequence[Row], name: str = "sweep") -> Html:
    """Everything that the rows show; nothing without rows."""
    if not rows:
        return Html("")
    asked = [row for row in rows if row["settings"].get("threshold") is not None]
    varied = [axis for axis in AXES if len(_values(asked or rows, axis)) > 1]
    drawn = [*_lines(rows, varied, name), *_maps(asked, varied, name)]
    about = (
        "F1 counts one name to one truth; what is missed counts. A row whose T was fitted on other "
        "items says what to expect of it; the best of several T read off the same photos flatters."
    )
    return join(
        (
            section("The sweep", about, _measured(rows), tag("div", *drawn, cls="plots")),
            _table(rows, varied),
            _mistakes(rows),
            *_details(rows, varied),
            _excluded(rows),
        )
    )


def _measured(rows: Sequence[Row]) -> Html:
    """How much was asked of what, where all rows agree."""
    told = []
    for key in ("items", "photos", "mated", "strangers"):
        found = {row.get(key) for row in rows}
        if len(found) == 1 and (value := found.pop()) is not None:
            told.append((key, f"{value:,}"))
    for key in ("model", "regions", "seed"):
        found = {row["settings"].get(key) for row in rows}
        if len(found) == 1 and (value := found.pop()) is not None:
            told.append((key, str(value)))
    return tag("dl", *(tag("div", tag("dt", key), tag("dd", value)) for key, value in told))


def _values(rows: Sequence[Row], axis: str) -> list[Any]:
    """The values that a setting takes: numbers in order, words as they came."""
    found = dict.fromkeys(row["settings"].get(axis) for row in rows)
    held = [value for value in found if value is not None]
    return sorted(held) if axis in NUMERIC else held


def f1(row: Row) -> float:
    """F1 of one name to one truth; nan where nothing could be counted."""
    value = row["ours"].get("f1")
    return math.nan if value is None else float(value)


def _lines(rows: Sequence[Row], varied: Sequence[str], name: str) -> Iterator[Html]:
    """F1 over each number that takes three values or more."""
    for axis in varied:
        if axis not in NUMERIC or len(_values(rows, axis)) < 3:
            continue
        others = [other for other in varied if other != axis]
        series: dict[str, list[tuple[float, float, float, float]]] = {}
        for row in rows:
            at = row["settings"].get(axis)
            if at is not None and math.isfinite(f1(row)):
                series.setdefault(_called(row, others), []).append((float(at), *_ends(row)))
        long = {key: points for key, points in series.items() if len(points) > 2}
        best = sorted(long, key=lambda key: -max(point[1] for point in long[key]))[:SERIES]
        if not best:
            continue
        figure = plots.lines({key: long[key] for key in best}, AXES[axis], "F1")
        words = f"F1 over {AXES[axis]}"
        if len(long) > SERIES:
            words += f", the best {SERIES} of {len(long)} settings"
        words += "; band: 95 % interval" + (" of the best" if len(best) > 2 else "")
        yield plots.panel(figure, f"{name}-{axis}", words, words)


def _ends(row: Row) -> tuple[float, float, float]:
    value = f1(row)
    low, high = row["ours"].get("f1_low"), row["ours"].get("f1_high")
    return value, value if low is None else float(low), value if high is None else float(high)


def _called(row: Row, axes: Sequence[str]) -> str:
    """The settings that tell a row from others of its line."""
    settings, words = row["settings"], []
    for axis in axes:
        value = settings.get(axis)
        if value is None:
            words.append(FITTED)
        elif axis in NUMERIC:
            words.append(f"{AXES[axis]} {value:g}")
        else:
            words.append(str(value) or "none")
    if "threshold" not in axes and settings.get("threshold") is None:
        words.append(FITTED)
    return ", ".join(words) or "T as asked for"


def _maps(rows: Sequence[Row], varied: Sequence[str], name: str) -> Iterator[Html]:
    """F1 over the two settings whose combinations were tried most completely."""
    tables = {pair: _grid(rows, *pair) for pair in combinations(varied, 2)}
    full = {pair: float(np.isfinite(cells).mean()) for pair, cells in tables.items()}
    if not full or max(full.values()) < 0.5:
        return
    pair = max(full, key=lambda one: (full[one], tables[one].size))
    names = tuple([_word(axis, value) for value in _values(rows, axis)] for axis in pair)
    figure = plots.heat(tables[pair], names[0], names[1], (AXES[pair[0]], AXES[pair[1]]))
    words = f"F1 in % over {AXES[pair[0]]} and {AXES[pair[1]]}"
    if len(varied) > 2:
        words += "; each cell is the best over all else"
    yield plots.panel(figure, f"{name}-map", words, words)


def _grid(rows: Sequence[Row], down: str, across: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    first, second = _values(rows, down), _values(rows, across)
    cells = np.full((len(first), len(second)), np.nan)
    for row in rows:
        value = f1(row)
        if math.isfinite(value):
            place = (
                first.index(row["settings"].get(down)),
                second.index(row["settings"].get(across)),
            )
            cells[place] = np.nanmax([cells[place], value])
    return cells


def _word(axis: str, value: Any) -> str:
    return f"{value:g}" if axis in NUMERIC else str(value) or "none"


def _table(rows: Sequence[Row], varied: Sequence[str]) -> Html:
    """A line a row as the bench printed them, the best of those asked for in bold where any
    named something rightly."""
    shown = [axis for axis in varied if axis != "threshold"]
    asked = [row for row in rows if row["settings"].get("threshold") is not None]
    best = max((row for row in asked if f1(row) > 0), key=f1, default=None)
    heads = (
        *(AXES[axis] for axis in shown), "T", "T from", "TP", "FP", "FN", "expected", "precision",
        "recall", "F1", "95 % interval", "bench precision", "bench recall", "bench F1",
        "named rightly", "strangers named",
    )  # fmt: skip
    same = ", ".join(_same(rows, varied)) or "nothing"
    told = tag("p", f"The same in every row: {same}.", cls="about")
    if asked and best is None:
        more = "; the rows with a fitted T do" if any(f1(row) > 0 for row in rows) else ""
        words = f"No T that was asked for names anything rightly{more}."
        told = join((tag("p", words, cls="about"), told))
    whole = table(heads, [_line(row, shown, best=row is best) for row in rows])
    if len(rows) <= LONG:
        return join((whole, told))
    first = sorted(rows, key=lambda row: (math.isfinite(f1(row)), f1(row)), reverse=True)[:TOP]
    few = table(heads, [_line(row, shown, best=row is best) for row in first])
    title = tag("h3", f"The {TOP} rows with the largest F1")
    return join((title, few, told, folded(f"All {len(rows):,} rows", whole)))


def _line(row: Row, shown: Sequence[str], *, best: bool) -> tuple[Part, ...]:
    ours, old, settings = row["ours"], row["legacy"], row["settings"]
    _, low, high = _ends(row)
    asked = settings.get("threshold") is not None
    return (
        *(_word(axis, settings.get(axis, "")) for axis in shown),
        number(row.get("threshold")),
        "asked" if asked else f"{row['fitted_on']:,} items",
        *(f"{ours[key]:,}" for key in ("tp", "fp", "fn", "expected")),
        number(ours["precision"]),
        number(ours["recall"]),
        tag("b", number(f1(row))) if best else number(f1(row)),
        f"{number(low)} – {number(high)}",
        *(number(old[key]) for key in ("precision", "recall", "f1")),
        *(_rate(row.get(key)) for key in ("tpir", "fpir")),
    )


def _same(rows: Sequence[Row], varied: Sequence[str]) -> Iterator[str]:
    for axis in AXES:
        values = _values(rows, axis)
        if axis not in varied and values and values[0] != "":
            yield f"{AXES[axis]} {_word(axis, values[0])}"


def _rate(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else percent(value)


def _mistakes(rows: Sequence[Row]) -> Html:
    """The first false hits and misses of the row with the largest F1."""
    best = max(rows, key=lambda row: (math.isfinite(f1(row)), f1(row)))
    lists = (
        folded(f"The first {what} of the row with the largest F1", table(("photo", "name"), pairs))
        for what, pairs in (
            ("false hits", best["ours"].get("false")),
            ("misses", best["ours"].get("missed")),
        )
        if pairs
    )
    return join(lists)


def _excluded(rows: Sequence[Row]) -> Html:
    """What rows left out; of several that left out different amounts the largest."""
    most: dict[str, int] = {}
    for row in rows:
        for why, count in (row.get("excluded") or {}).items():
            most[why] = max(most.get(why, 0), count)
    told = [(why, f"{count:,}") for why, count in most.items() if count]
    if not told:
        return section("Left out", "Nothing was left out.")
    about = "Of rows that left out different amounts the largest."
    return section("Left out", about, table(("why", "how many"), told))


def _details(rows: Sequence[Row], varied: Sequence[str]) -> Iterator[Html]:
    """The spread of similarities of each row that kept it, and single regions."""
    for row in rows:
        if row.get("details"):
            title = f"Similarities: {_called(row, varied)}"
            kept = read_details(row["details"])
            yield folded(title, similarities(kept, title), regions(kept.regions))


_SPREAD = tuple(one.name for one in fields(Distribution) if one.name not in ("name", "n"))


def read_details(data: Mapping[str, Any]) -> Details:
    """Details as `kenspeckle.evaluate.result.plain` wrote them."""
    kept = tuple(
        Distribution(
            row["name"],
            row["n"],
            *(math.nan if row.get(key) is None else row[key] for key in _SPREAD),
        )
        for row in data["distributions"]
    )
    shared, best = data.get("overlap"), data.get("best")
    seen = tuple(
        SeenRegion(
            one["query"], tuple(one["box"]), one["kind"], one["score"], tuple(one["truth"]),
            tuple((name, value) for name, value in one["top"]),
        )
        for one in data.get("regions", ())
    )  # fmt: skip
    lap, parting = Overlap(**shared) if shared else None, Parting(**best) if best else None
    return Details(kept, lap, seen, parting)


def regions(seen: Sequence[SeenRegion]) -> Html:
    """Single regions with their truth and the likeliest names."""
    rows = [
        (
            one.query,
            f"{one.kind} {' '.join(map(str, one.box))}",
            number(one.score, 2),
            ", ".join(one.truth) or "nothing with a name",
            ", ".join(f"{name} {number(value)}" for name, value in one.top),
        )
        for one in seen
    ]
    return table(("photo", "region", "its score", "shows", "likeliest names"), rows)
