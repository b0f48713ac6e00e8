"""The report's part about scores: the rates over all thresholds, where scores lie, confidence."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from kenspeckle.evaluate.report import numbers, plots
from kenspeckle.evaluate.report.markup import Html, folded, number, section, table, tag
from kenspeckle.evaluate.result import Answer, Details, Distribution, Evaluation, Overlap, Parting
from kenspeckle.evaluate.similarities import best_f1, overlap, spread
from kenspeckle.match.promise import percent
from kenspeckle.stats import brier, ece_by_mass, supported_rate

KINDS = (
    ("named rightly", "right", plots.RIGHT),
    ("named wrongly", "wrong", plots.WRONG),
    ("missed", "missed", plots.MISS),
)


def curves(evaluations: Mapping[str, Evaluation], name: str) -> Html:
    """Identification ROC and DET with the working points; `name` keeps ids apart on the page."""
    drawn = {key: numbers.curve(opened(one)) for key, one in evaluations.items()}
    whole = {key: one for key, one in drawn.items() if one is not None}
    if not whole:
        return section(
            "Every threshold",
            "Without photos of strangers and of enrolled items there is no curve.",
        )
    working = {key: point for key in whole if (point := _working(evaluations[key])) is not None}
    strangers = {a.item for one in evaluations.values() for a in one.answers if not a.enrolled}
    supported = supported_rate(len(strangers))
    says = "; ".join(
        f"{key}: {percent(y)} named rightly at {percent(x)} of strangers named"
        for key, (x, y, _, _) in working.items()
    )
    about = (
        "Whoever lets fewer strangers through names fewer things. The dot is the threshold in "
        "force, with its intervals. In the shaded part "
        f"{len(strangers):,} stranger items are too few to tell a rate from none."
    )
    if any(one.draws > 1 for one in whole.values()):
        about += (
            " The line is the mean of the draws at one rate of strangers named, the band reaches "
        )
        about += "from the least to the most. " + _dot(evaluations.values())
    roc, det = plots.roc(whole, working, supported), plots.det(whole, working, supported)
    pair = (
        plots.panel(roc, f"roc-{name}", f"ROC. {says}", "Named rightly (ROC)"),
        plots.panel(det, f"det-{name}", f"DET. {says}", "Not named rightly (DET)"),
    )
    return section("Every threshold", about, tag("div", *pair, cls="plots"), _rates(whole))


def _dot(evaluations: Collection[Evaluation]) -> str:
    """Why a dot need not lie on its line."""
    mixed = any(len({draw.rule for draw in one.draws}) > 1 for one in evaluations)
    told = "The dot is the mean of the draws as they were decided, each at its own threshold"
    if mixed:
        told += " and by the score that it chose"
    return f"{told}, so it may lie off the line."


def _rates(whole: Mapping[str, numbers.Curve]) -> Html:
    """The same as a table, at the rates that people ask for."""
    rows = []
    for wanted in (0.001, 0.003, 0.01, 0.03, 0.05, 0.1):
        cells = [_at(one, wanted) for one in whole.values()]
        if any(cell != "–" for cell in cells):
            rows.append((percent(wanted), *cells))
    heads = ("strangers named (FPIR)", *(f"named rightly: {key}" for key in whole))
    if len(whole) == 1:
        heads = ("strangers named (FPIR)", "named rightly (TPIR)")
    note = "Each threshold is read off these very answers: what the scores could do, not what a "
    note += "fitted threshold keeps."
    return folded("As a table", tag("p", note, cls="about"), table(heads, rows))


def _at(one: numbers.Curve, wanted: float) -> str:
    if wanted < one.fpir[0] * (1 - 1e-9):
        return "–"
    place = int(np.searchsorted(one.fpir, wanted * (1 + 1e-9), "right")) - 1
    return percent(float(one.tpir[place]))


def opened(one: Evaluation) -> list[numbers.Open]:
    """The answers of each draw as scores."""
    draws = []
    for draw in sorted({answer.draw for answer in one.answers}):
        mine = [answer for answer in one.answers if answer.draw == draw]
        mated = [answer for answer in mine if answer.enrolled]
        draws.append(
            numbers.Open(
                np.array([answer.score for answer in mated], np.float64),
                np.array([answer.right for answer in mated], bool),
                np.array([answer.score for answer in mine if not answer.enrolled], np.float64),
            )
        )
    return draws


def _working(one: Evaluation) -> plots.Point | None:
    if "tpir" not in one.rates or "fpir" not in one.rates:
        return None
    across, up = one.rates["fpir"], one.rates["tpir"]
    return across.value, up.value, (across.low, across.high), (up.low, up.high)


def distributions(one: Evaluation, name: str) -> Html:
    """Where the scores of right, wrong, missed and strangers lie, and how they overlap."""
    limits = {draw.draw: draw.threshold for draw in one.draws}
    mixed = len({draw.rule for draw in one.draws}) > 1
    groups = {title: [a for a in one.answers if a.outcome == kind] for title, kind, _ in KINDS}
    groups["strangers"] = [a for a in one.answers if not a.enrolled]
    scores = {kind: _scores(chosen, limits if mixed else {}) for kind, chosen in groups.items()}
    if not any(len(values) for values in scores.values()):
        return section("Where the scores lie", "No answer has a finite score.")
    colours = {title: colour for title, _, colour in KINDS} | {"strangers": plots.STRANGER}
    thresholds = sorted({value for value in limits.values() if math.isfinite(value)})
    name_of = f"{score(one)}, less its draw's threshold" if mixed else score(one)
    figure = plots.distributions(
        {kind: (values, colours[kind]) for kind, values in scores.items()},
        [0.0] if mixed else thresholds,
        name_of,
    )
    rows = [_row(kind, values, _share(groups[kind], limits)) for kind, values in scores.items()]
    says = ", ".join(f"{len(values):,} {kind}" for kind, values in scores.items())
    return section(
        "Where the scores lie",
        _dashed(mixed, len(thresholds)),
        tag(
            "div",
            plots.panel(figure, f"scores-{name}", f"Histograms. {says}", "Scores"),
            _overlaps(one, scores, limits if mixed else {}),
            cls="plots",
        ),
        table(_SPREAD, rows),
    )


def _dashed(mixed: bool, thresholds: int) -> str:
    told = (
        "The dashed line is the threshold." if thresholds == 1 else "Dashed: each draw's threshold."
    )
    if mixed:
        told = "The draws chose different scores, so each is told by its distance to the threshold "
        told += "of its draw, the dashed line."
    return (
        f"{told} What lies to its right gets a name. The less the strangers reach into the "
        "rightly named, the better a threshold can tell them apart."
    )


_SPREAD = (
    "answers", "n", "least", "P10", "P25", "median", "P75", "P90", "most", "mean", "sd",
    "at T or above",
)  # fmt: skip


def _row(kind: str, values: numbers.Floats, share: float | None) -> tuple[str, ...]:
    one = spread(values, 0.0)
    inner = (one[key] for key in ("min", "p10", "p25", "median", "p75", "p90", "max", "mean", "sd"))
    above = "–" if share is None or not len(values) else percent(share)
    return (kind, f"{one['n']:,}", *map(number, inner), above)


def _share(answers: Sequence[Answer], limits: Mapping[int, float]) -> float | None:
    """Of the answers with a score the share at the threshold of their draw or above."""
    held = [a.score >= limits[a.draw] for a in answers if a.draw in limits and a.score == a.score]
    return float(np.mean(held)) if held else None


def _kept(one: Distribution) -> tuple[str, ...]:
    inner = (one.least, one.p10, one.p25, one.median, one.p75, one.p90, one.most, one.mean, one.sd)
    above = percent(one.share_above) if math.isfinite(one.share_above) else "–"
    return (one.name, f"{one.n:,}", *map(number, inner), above)


def _scores(answers: Sequence[Answer], limits: Mapping[int, float]) -> numbers.Floats:
    """The finite scores, less the threshold of their draw where `limits` has one."""
    scores = np.array([a.score - limits.get(a.draw, 0.0) for a in answers], np.float64)
    return scores[np.isfinite(scores)]


def _overlaps(
    one: Evaluation, scores: Mapping[str, numbers.Floats], limits: Mapping[int, float]
) -> Html:
    lines = []
    for other in ("named wrongly", "missed", "strangers"):
        shared = overlap(scores["named rightly"], scores[other])
        if shared is not None:
            lines.append(
                f"Rightly named and {other} overlap from {number(shared['low'])} to "
                f"{number(shared['high'])}: {percent(shared['right'])} of the former and "
                f"{percent(shared['wrong'])} of the latter lie there."
            )
        elif len(scores["named rightly"]) and len(scores[other]):
            lines.append(f"Rightly named and {other} share no score.")
    right = [a for a in one.answers if a.right]
    wrong = [a for a in one.answers if not a.right]
    missed = sum(answer.enrolled for answer in wrong)
    best = None if limits else best_f1(_scores(right, {}), _scores(wrong, {}), missed)
    absent = sum(not math.isfinite(answer.score) for answer in one.answers)
    if absent:
        lines.append(
            f"{absent:,} answers have no finite score: they name nobody and are not drawn."
        )
    if best is not None:
        lines.append(
            f"The largest F1 of these answers is {number(best['f1'])}, at T = "
            f"{number(best['threshold'])}; it is read off the answers that it judges, so it "
            "describes them and is no threshold to use."
        )
    return tag("ul", *(tag("li", line) for line in lines), cls="plain")


def score(one: Evaluation) -> str:
    """What the score is called: as all draws do, else by the settings."""
    rules = {draw.rule for draw in one.draws}
    if len(rules) == 1 and (rule := rules.pop()):
        return rule
    for key in ("rule", "score", "method"):
        if one.settings.get(key):
            return str(one.settings[key])
    return "as compared with the threshold"


def confidence(one: Evaluation, name: str) -> Html:
    """Whether stated chances come true."""
    stated = [a for a in one.answers if a.confidence is not None and math.isfinite(a.confidence)]
    if not stated:
        told = "No answer states a confidence, so there is nothing to hold against what came true."
        return section("Is the confidence honest?", told)
    chances = [answer.confidence or 0.0 for answer in stated]
    true = [answer.right for answer in stated]
    bars = numbers.bars(chances, true)
    off, square = ece_by_mass(chances, true, numbers.BINS), brier(chances, true)
    about = (
        "On the dashed line an answer that is “80 % sure” is right in 80 of 100 cases; strangers "
        f"count as never right. ECE {number(off)} in {numbers.BINS} bins of equal mass, Brier "
        f"{number(square)}, n = {len(stated):,}."
    )
    made = {"views": " It was fitted on camera views, not on photos: take it for a rough guide.",
            "photos": " It was fitted on labelled photos."}  # fmt: skip
    about += made.get(one.confidence_from, "")
    rows = [
        (
            f"{b.count:,}",
            percent(b.stated),
            percent(b.true),
            f"{percent(b.low)} – {percent(b.high)}",
        )
        for b in bars
    ]
    heads = ("answers", "stated", "came true", "95 % interval")
    figure = plots.reliability(bars)
    drawn = plots.panel(
        figure, f"reliability-{name}", about, "Stated chance against what came true"
    )
    return section(
        "Is the confidence honest?",
        about,
        tag("div", drawn, table(heads, rows), cls="plots"),
    )


def similarities(one: Details | None, title: str = "Similarities in detail") -> Html:
    """The bench's similarity details: spreads and overlap, where they were kept."""
    if one is None:
        return Html("")
    parts = [table(_SPREAD, [_kept(row) for row in one.distributions])]
    parts.append(tag("p", _overlap(one.overlap), _parting(one.best)))
    about = "Cosines behind the answers, whatever the score was made of."
    return section(title, about, *parts)


def _overlap(one: Overlap | None) -> str:
    if one is None:
        return "Right and wrong do not overlap."
    right, wrong = percent(one.right_inside), percent(one.wrong_inside)
    return (
        f"Right and wrong overlap from {number(one.low)} to {number(one.high)}: {right} of the "
        f"right and {wrong} of the wrong lie inside."
    )


def _parting(one: Parting | None) -> str:
    if one is None:
        return ""
    return (
        f" They part best at {number(one.threshold)} (F1 {number(one.f1)} of these very scores: a "
        "description, not a threshold to use)."
    )
