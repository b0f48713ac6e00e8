"""The top of the report: what was measured, and what came out, in words that need no glossary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from kenspeckle.evaluate.report.markup import (
    Html,
    Part,
    between,
    folded,
    join,
    number,
    rate,
    section,
    table,
    tag,
)
from kenspeckle.evaluate.result import Evaluation, Rate
from kenspeckle.match.promise import percent
from kenspeckle.stats import supported_rate, trials_needed

FIGURES = {
    "tpir": ("named rightly (TPIR)", "photos of enrolled items that got their right name"),
    "misidentified": ("named wrongly", "photos of enrolled items that got another item's name"),
    "fnir": ("not named rightly (FNIR)", "missed or named wrongly: 1 − TPIR"),
    "fpir": ("strangers named (FPIR)", "photos of things outside the gallery that got a name"),
    "fpir per region": ("strangers named, per region", "the same for every region that was asked"),
    "right when named": ("right when named", "of all names given, strangers' included"),
    "rank-1": ("nearest item is right (rank-1)", "without a threshold, enrolled items only"),
    "rank-5": ("right item among five (rank-5)", "without a threshold, enrolled items only"),
    "auroc": ("AUROC", "an enrolled item's photo scores above a stranger's"),
    "oscr": ("OSCR", "the same, and its nearest item is right"),
    "ece": ("calibration error (ECE)", "10 bins of equal mass"),
    "brier": ("Brier score", "mean squared distance of confidence to what came true"),
}
"""Name in `Evaluation.rates` → what it is called here, and what it is."""


def head(one: Evaluation) -> Html:
    """What was measured and the figures that matter, before anything else."""
    return join((_main(one), _tiles(one), _bars(one), _doubts(one), _setting(one)))


def lead(one: Evaluation) -> str:
    """One sentence: how much was asked of how large a gallery."""
    counts = Counter(answer.enrolled for answer in one.answers)
    sizes = sorted({draw.items for draw in one.draws})
    size = (
        " – ".join(f"{value:,}" for value in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else "?"
    )
    draws = f", in {len(one.draws)} draws" if len(one.draws) > 1 else ""
    asked = f"{_count(counts[True], 'question')} about enrolled items"
    asked += f" and {_count(counts[False], 'question')} about strangers"
    return f"A gallery of N = {size} items, {asked}{draws}. {_fitted(one)}"


MAIN = ("dataset", "model", "regions", "rule", "method", "seed")
"""Settings that are told at once; the others unfold."""


def _main(one: Evaluation) -> Html:
    pairs = [
        (name, one.settings[name]) for name in MAIN if one.settings.get(name) not in (None, "")
    ]
    if "seed" not in one.settings and one.draws:
        seeds = sorted({draw.seed for draw in one.draws})
        pairs.append(("seed" if len(seeds) == 1 else "seeds", _range(seeds)))
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", str(value))) for name, value in pairs))


def _fitted(one: Evaluation) -> str:
    if one.fpir is None:
        return "The threshold was given, not fitted."
    behind = sorted({draw.fitted_on for draw in one.draws})
    told = f"fitted to name {percent(one.fpir)} of strangers"
    if behind and behind[-1]:
        return f"The threshold was {told}, on {_range(behind)} other stranger items."
    return f"The threshold was {told}."


def _range(values: list[int]) -> str:
    ends = dict.fromkeys((values[0], values[-1]))
    return " – ".join(f"{value:,}" for value in ends)


def _count(value: int, noun: str) -> str:
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


def _tiles(one: Evaluation) -> Html:
    """The figures people ask for, largest first."""
    rates, made = one.rates, []
    if "tpir" in rates:
        made.append(_tile(rates["tpir"], "of photos of your items get the right name", "right"))
    if "misidentified" in rates:
        made.append(_tile(rates["misidentified"], "of them get a wrong name", "wrong"))
    if "fpir" in rates:
        words = "of photos of strangers get a name"
        made.append(_tile(rates["fpir"], words, "stranger", _asked(one)))
    if "rank-1" in rates:
        words = "have the right item nearest, before any threshold"
        made.append(_tile(rates["rank-1"], words, ""))
    return tag("div", *made, cls="tiles")


def _asked(one: Evaluation) -> str:
    """How the measured rate of strangers compares with the asked one."""
    if one.fpir is None or "fpir" not in one.rates:
        return ""
    measured = one.rates["fpir"]
    told = f"Asked: {percent(one.fpir)}"
    if measured.interval == "none":
        return f"{told}."
    if measured.low > one.fpir:
        return f"{told}. More than asked, beyond the interval."
    if supported_rate(measured.items) > one.fpir:
        return f"{told}. Too few stranger items to tell."
    if measured.high < one.fpir:
        return f"{told}. Fewer than asked, beyond the interval."
    return f"{told}, which lies in the interval."


def _tile(one: Rate, about: str, tone: str, more: str = "") -> Html:
    interval = between(one)
    return tag(
        "div",
        tag("b", percent(one.value)),
        tag("span", about),
        tag("small", f"95 % interval {interval}") if interval else Html(""),
        tag("small", f"{_count(one.n, 'answer')}, {_count(one.items, 'item')}"),
        tag("small", more) if more else Html(""),
        cls=f"tile {tone}".strip(),
    )


OUTCOMES = {
    True: (("right", "right name"), ("missed", "no name"), ("wrong", "wrong name")),
    False: (("refused", "no name"), ("false hit", "a name")),
}


def _bars(one: Evaluation) -> Html:
    """What became of a hundred photos of each kind."""
    counts = Counter((answer.enrolled, answer.outcome) for answer in one.answers)
    bars = []
    for enrolled, words in ((True, "photos of your items"), (False, "photos of strangers")):
        total = sum(count for (kind, _), count in counts.items() if kind == enrolled)
        if not total:
            continue
        parts, legend = [], []
        for outcome, told in OUTCOMES[enrolled]:
            share = counts[enrolled, outcome] / total  # type: ignore[index]
            kind = outcome.replace(" ", "-")
            parts.append(tag("i", cls=kind, style=f"flex:{share:.4f}"))
            key = tag("i", cls=f"dot {kind}")
            legend.append(tag("span", key, f" {told} {counts[enrolled, outcome]:,}"))  # type: ignore[index]
        title = tag("p", tag("b", f"{_count(total, 'answer')} about {words}"))
        bars.append(
            tag("div", title, tag("div", *parts, cls="stack"), tag("p", *legend, cls="keys"))
        )
    return tag("div", *bars, cls="bars")


def _doubts(one: Evaluation) -> Html:
    """What these photos cannot show, said before it is asked."""
    told: list[str] = list(one.notes)
    strangers = len({answer.item for answer in one.answers if not answer.enrolled})
    if not strangers:
        told.append(
            "No photo of a stranger was asked about, so nothing here says how often one is named."
        )
    elif one.fpir is not None and one.fpir > 0 and supported_rate(strangers) > one.fpir:
        told.append(
            f"{strangers:,} stranger items cannot confirm a rate of {percent(one.fpir)}: had none "
            f"been named, the rate could still be {percent(supported_rate(strangers))}. "
            f"It takes {trials_needed(one.fpir):,}."
        )
    if not told:
        return Html("")
    return tag("ul", *(tag("li", note) for note in dict.fromkeys(told)), cls="doubts")


def _setting(one: Evaluation) -> Html:
    rows: list[tuple[Part, Part]] = [
        (name, "–" if value in (None, "") else str(value)) for name, value in one.settings.items()
    ]
    rows.append(("photos from", one.folder))
    rows.append(("seconds", f"{one.seconds:,.1f}"))
    rows += [(stage, f"{value:,.6g}") for stage, value in one.stages.items()]
    return folded("What was measured: every setting", table(("setting", "value"), rows))


def figures(one: Evaluation) -> Html:
    """Every figure with its interval and what it counts."""
    named = [*FIGURES, *(name for name in one.rates if name not in FIGURES)]
    rows = []
    for name in named:
        if name in one.rates:
            value, (called, about) = one.rates[name], FIGURES.get(name, (name, ""))
            shown = (
                number(value.value)
                if name in ("auroc", "oscr", "ece", "brier")
                else percent(value.value)
            )
            rows.append(
                (called, shown, _ends(name, value), f"{value.n:,}", f"{value.items:,}", about)
            )
    heads = ("figure", "value", "95 % interval", "answers", "items", "what it says")
    note = "Intervals by Wilson's formula where every item was asked about once, else by drawing "
    note += "items, not photos; one item has none. All rates hold for the gallery size N above."
    return section("All figures", note, table(heads, rows), _by_draw(one))


def _ends(name: str, one: Rate) -> str:
    if name in ("auroc", "oscr", "ece", "brier") and one.interval != "none":
        return f"{number(one.low)} – {number(one.high)}"
    return between(one) or "–"


def _by_draw(one: Evaluation) -> Html:
    """Each draw's own figures, for the spread between them."""
    if not one.draws:
        return Html("")
    columns = [
        name
        for name in ("tpir", "misidentified", "fpir", "rank-1")
        if any(name in d.rates for d in one.draws)
    ]
    rows = [
        (
            f"{draw.draw}", f"{draw.seed}", f"{draw.items:,}", f"{draw.references:,}",
            f"{draw.mated:,}", f"{draw.strangers:,}", number(draw.threshold),
            f"{draw.fitted_on:,}" if draw.fitted_on else "given", draw.rule or "–",
            *(_cell(draw.rates, name) for name in columns),
        )
        for draw in one.draws
    ]  # fmt: skip
    heads = ("draw", "seed", "N", "references", "mated", "strangers", "T", "T fitted on", "rule")
    return folded("Each draw", table((*heads, *(FIGURES[name][0] for name in columns)), rows))


def _cell(rates: Mapping[str, float], name: str) -> str:
    return percent(rates[name]) if name in rates else "–"


def finding(one: Evaluation) -> Html:
    """Finding a thing and naming it, apart; nothing for a dataset without true boxes."""
    if one.regions is None:
        return Html("")
    found = one.regions
    rows = [
        (
            "found: a region meets the true box (IoU ≥ 0.5)",
            rate(found.recall),
            f"{found.recall.n:,}",
        ),
        ("named, given that it was found", rate(found.naming), f"{found.naming.n:,}"),
        ("end to end: found and named rightly", rate(found.end_to_end), f"{found.end_to_end.n:,}"),
    ]
    about = "A thing that no region shows cannot be named, so the two are measured apart."
    return section("Finding and naming", about, table(("step", "share", "true boxes"), rows))


def exclusions(one: Evaluation) -> Html:
    """What was left out and why; a report that leaves things out says so even when it is none."""
    rows = [(reason, f"{count:,}") for reason, count in one.excluded.items() if count]
    if not rows:
        return section("Left out", "Nothing was left out.")
    return section("Left out", "No figure above counts these.", table(("why", "how many"), rows))
