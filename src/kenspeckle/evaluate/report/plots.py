"""The report's plots: figures drawn with matplotlib, written as SVG that takes the page's colours.

Every colour is drawn as a stand-in and replaced by a variable of the stylesheet, so that one
picture serves light and dark. Text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import numpy as np

from kenspeckle._extras import need
from kenspeckle.evaluate.report.markup import Html, tag
from kenspeckle.evaluate.report.numbers import Bar, Curve, Floats

PURPOSE = "the HTML report's plots"
INK, SOFT, LINE, GROUND = "#010101", "#020202", "#030303", "#040404"
RIGHT, MISS, WRONG, STRANGER, ACCENT = "#050505", "#060606", "#070707", "#080808", "#090909"
VARIABLES = {
    INK: "ink", SOFT: "soft", LINE: "line", GROUND: "card", RIGHT: "right", MISS: "miss",
    WRONG: "wrong", STRANGER: "stranger", ACCENT: "accent",
}  # fmt: skip
SERIES = (ACCENT, STRANGER, RIGHT, WRONG, SOFT)
STYLES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
"""Told apart by dashes as well, for those who do not see the colours."""

SIZE = (5.2, 3.5)
SCALE = 112
"""Pixels of the page to an inch of a plot, at most."""
STYLE = {
    "svg.fonttype": "none", "text.parse_math": False, "axes.unicode_minus": True,
    "font.size": 10.0, "axes.labelsize": 10.0, "axes.titlesize": 10.0, "legend.fontsize": 9.0,
    "xtick.labelsize": 9.0, "ytick.labelsize": 9.0,
    "text.color": INK, "axes.labelcolor": SOFT, "xtick.color": LINE, "ytick.color": LINE,
    "xtick.labelcolor": SOFT, "ytick.labelcolor": SOFT, "axes.edgecolor": LINE,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.grid": True, "grid.color": LINE, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "xtick.minor.visible": False, "lines.linewidth": 1.8,
}  # fmt: skip
LABEL = 44
TICKS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def required() -> None:
    """Raises MissingExtra, in one sentence, where the plots cannot be drawn."""
    need("matplotlib", PURPOSE)


@contextmanager
def _figure(size: tuple[float, float] = SIZE, **kind: Any) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes under our style, without the global state of `pyplot`."""
    figure = need("matplotlib.figure", PURPOSE).Figure
    with need("matplotlib", PURPOSE).rc_context(STYLE):
        made = figure(figsize=size, layout="constrained")
        yield made, made.subplots(**kind)


def svg(figure: Any, name: str, says: str) -> str:
    """The figure as an inline `<svg>`. `name` keeps its ids apart from other plots', `says` is read
    out in its stead."""
    file = io.StringIO()
    with need("matplotlib", PURPOSE).rc_context({**STYLE, "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\sxmlns(:\w+)?=\"[^\"]*\"", "", text).replace("xlink:href", "href")
    text = re.sub(r"(?<=<svg)[^>]*?(?=\sviewBox)", "", text, count=1)
    text = re.sub(r"\bid=\"([^\"]+)\"", rf'id="{name}-\1"', text)
    text = re.sub(r"(href=\"|url\()#", rf"\1#{name}-", text)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    # Letters of all plots come out alike, however wide a plot is.
    wide = f"max-width:{SCALE * figure.get_figwidth():.0f}px"
    return text.replace("<svg", f'<svg style="{wide}" role="img" aria-label="{escape(says)}"', 1)


def panel(figure: Any, name: str, says: str, caption: str) -> Html:
    """The plot as a figure of the page, with its caption."""
    return tag("figure", Html(svg(figure, name, says)), tag("figcaption", caption), cls="plot")


def roc(curves: Mapping[str, Curve], working: Mapping[str, Point], supported: float | None) -> Any:
    """Named rightly over strangers named, FPIR on a log axis, each working point marked."""
    with _figure() as (figure, axes):
        _rates(axes, curves, working, missed=False)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("named rightly (TPIR)")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        _doubtful(axes, supported)
    return figure


def det(curves: Mapping[str, Curve], working: Mapping[str, Point], supported: float | None) -> Any:
    """Not named rightly over strangers named, both on log axes, each working point marked."""
    with _figure() as (figure, axes):
        _rates(axes, curves, working, missed=True)
        least = min((1 - float(one.tpir.max()) for one in curves.values()), default=1.0)
        lowest = max(min(0.1, least / 1.5), 1e-3)
        axes.set_yscale("log")
        axes.set_ylim(lowest, 1.1)
        _percent(axes.yaxis, [tick for tick in TICKS if tick >= lowest])
        axes.set_ylabel("not named rightly (FNIR)")
        _doubtful(axes, supported)
    return figure


Point = tuple[float, float, tuple[float, float], tuple[float, float]]
"""FPIR, TPIR and their 95 % intervals."""


def _rates(
    axes: Any, curves: Mapping[str, Curve], working: Mapping[str, Point], *, missed: bool
) -> None:
    least = min((float(one.fpir[0]) for one in curves.values()), default=0.01)
    left = min(least, 0.05) / 1.25
    for number, (name, one) in enumerate(curves.items()):
        colour, style = SERIES[number % len(SERIES)], STYLES[number % len(STYLES)]
        y, low, high = one.tpir, one.low, one.high
        if missed:
            y, low, high = 1 - y, 1 - high, 1 - low
        if one.draws > 1:
            axes.fill_between(one.fpir, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(one.fpir, y, color=colour, linestyle=style, label=_label(name))
        if name in working:
            _mark(axes, working[name], colour, left, missed=missed)
    axes.set_xscale("log")
    axes.set_xlim(left, 1.1)
    _percent(axes.xaxis, [tick for tick in TICKS if tick >= left])
    axes.set_xlabel("strangers named (FPIR)")
    if len(curves) > 1:
        axes.legend(loc="best")


def _label(name: str) -> str:
    """A name in a legend: not too long, and shown though it begins with an underscore."""
    short = name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
    return f"\u200b{short}" if short.startswith("_") else short


def _mark(axes: Any, point: Point, colour: str, left: float, *, missed: bool) -> None:
    """The working point with its intervals; a rate of 0 is drawn at the left edge."""
    x, y, across, up = point
    if missed:
        y, up = 1 - y, (1 - up[1], 1 - up[0])
    shown = max(x, left * 1.05)
    axes.errorbar(
        [shown], [y],
        xerr=[[max(0.0, shown - max(across[0], left))], [max(0.0, across[1] - shown)]],
        yerr=[[max(0.0, y - up[0])], [max(0.0, up[1] - y)]],
        fmt="o", color=colour, markersize=7, markeredgecolor=GROUND, markeredgewidth=1.5,
        elinewidth=1.2, capsize=2.5, zorder=5,
    )  # fmt: skip


def _percent(axis: Any, ticks: Sequence[float]) -> None:
    axis.set_major_locator(need("matplotlib.ticker", PURPOSE).FixedLocator(ticks))
    axis.set_minor_locator(need("matplotlib.ticker", PURPOSE).NullLocator())
    axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _doubtful(axes: Any, supported: float | None) -> None:
    """Shade the rates that so few stranger items cannot tell from 0."""
    left, right = axes.get_xlim()
    if supported is not None and supported > left:
        axes.axvspan(left, min(supported, right), color=SOFT, alpha=0.1, linewidth=0, zorder=0)


def distributions(
    groups: Mapping[str, tuple[Floats, str]], thresholds: Sequence[float], score: str
) -> Any:
    """One histogram below the other for each kind of answer, on one axis of scores.

    `groups`: kind → its finite scores and the colour. `thresholds`: that of every draw.
    """
    kinds = {kind: one for kind, one in groups.items() if len(one[0])}
    every = np.concatenate([scores for scores, _ in kinds.values()])
    low, high, near = _room(every, thresholds)
    edges = np.linspace(low, high, 49)
    size = (5.2, 0.55 + 0.72 * len(kinds))
    with _figure(size, nrows=len(kinds), sharex=True, squeeze=False) as (figure, grid):
        for axes, (kind, (scores, colour)) in zip(grid[:, 0], kinds.items(), strict=True):
            heights, _ = np.histogram(scores, edges)
            axes.stairs(heights / len(scores), edges, fill=True, color=colour, alpha=0.55)
            axes.stairs(heights / len(scores), edges, color=colour, linewidth=1.2)
            for threshold in near:
                axes.axvline(threshold, color=INK, linewidth=1.0, linestyle="--")
            axes.grid(visible=False)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.set_ylim(0, None)
            words = f"{kind}, {len(scores):,}"
            axes.set_title(words, loc="left", color=colour, fontsize=9.5, pad=2)
        grid[-1, 0].set_xlabel(f"score: {score}")
    return figure


def _room(scores: Floats, thresholds: Sequence[float]) -> tuple[float, float, list[float]]:
    """The ends of the axis, and the thresholds on it: one that names everything or nobody lies far
    from all scores, and is left out so that they are not squeezed together."""
    low, high = float(scores.min()), float(scores.max())
    span = high - low or 0.05
    near = [value for value in thresholds if low - span <= value <= high + span]
    spare = 0.02 * span
    return min(low, *near, low) - spare, max(high, *near, high) + spare, near


def reliability(bars: Sequence[Bar]) -> Any:
    """How often answers of a stated confidence were right; on the diagonal it is honest."""
    stated = [one.stated for one in bars]
    true = [one.true for one in bars]
    down = [one.true - one.low for one in bars]
    up = [one.high - one.true for one in bars]
    with _figure() as (figure, axes):
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1.0, linestyle="--")
        axes.errorbar(
            stated, true, yerr=[down, up], fmt="o-", color=ACCENT, markersize=5, linewidth=1.4,
            elinewidth=1.0, capsize=2,
        )  # fmt: skip
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("stated confidence")
        axes.set_ylabel("share that was right")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return figure


def lines(series: Mapping[str, Sequence[tuple[float, float, float, float]]], x: str, y: str) -> Any:
    """A rate over a setting: name → rows of (x, rate, low, high). The interval is drawn as a band,
    of many series that of the first alone."""
    with _figure() as (figure, axes):
        for number, (name, rows) in enumerate(series.items()):
            at, rate, low, high = np.array(sorted(rows), np.float64).reshape(-1, 4).T
            colour, style = SERIES[number % len(SERIES)], STYLES[number % len(STYLES)]
            if number == 0 or len(series) < 3:  # more bands hide each other
                axes.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0)
            axes.plot(
                at,
                rate,
                linestyle=style,
                marker="o",
                markersize=4,
                color=colour,
                label=_label(name),
            )
        places = sorted({row[0] for rows in series.values() for row in rows})
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.set_ylim(0, None)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        if len(series) > 1:
            axes.legend(loc="best")
    return figure


def heat(table: Floats, rows: Sequence[str], columns: Sequence[str], names: tuple[str, str]) -> Any:
    """A rate over two settings: `table` `(rows, columns)`, absent cells NaN, the best outlined
    unless it is 0."""
    height, width = table.shape
    letters = [max((len(word) for word in words), default=0) for words in (rows, columns)]
    across = max(0.62, 0.085 * letters[1] + 0.12)
    tilted = across * width > 5.5
    across = max(0.62, 5.5 / width) if tilted else across
    size = (
        max(3.0, 0.7 + 0.08 * letters[0] + across * width),
        max(1.6, 0.9 + 0.4 * height + (0.05 * letters[1] if tilted else 0)),
    )
    best = np.unravel_index(np.nanargmax(table), table.shape) if np.isfinite(table).any() else None
    box = need("matplotlib.patches", PURPOSE).Rectangle
    top = float(np.nanmax(table)) if best is not None else 1.0
    with _figure(size) as (figure, axes):
        for (row, column), value in np.ndenumerate(table):
            if not np.isfinite(value):
                continue
            shade = 0.05 + 0.55 * (value / top if top > 0 else 0.0)
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(box(corner, 1, 1, facecolor=ACCENT, alpha=shade, linewidth=0))
            if best == (row, column) and value > 0:
                axes.add_patch(box(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.4))
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center")
        axes.grid(visible=False)
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
        turn = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
        axes.set_xticks(range(width), columns, **turn)
        axes.set_yticks(range(height), rows)
        axes.tick_params(length=0)
        axes.set_ylabel(names[0])
        axes.set_xlabel(names[1])
    return figure
