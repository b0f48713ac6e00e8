"""An evaluation as lines of text: the figures, and the summary of the logo bench."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kenspeckle.evaluate.result import Counts, Details, Distribution, DrawFigures, Evaluation, Rate
from kenspeckle.match.promise import percent

TOLD = {
    "rank-1": "likeliest item is right",
    "rank-5": "right item among the five likeliest",
    "tpir": "enrolled, named right (TPIR)",
    "fnir": "enrolled, not named right (FNIR)",
    "misidentified": "  of these, given a wrong name",
    "fpir": "strangers given a name (FPIR, per photo)",
    "fpir per region": "the same per region",
    "right when named": "of all names given, right",
}
"""Shares by name, in the order in which they are told."""
NUMBERS = {
    "auroc": "known before stranger (AUROC)",
    "oscr": "right and before stranger (OSCR area)",
    "ece": "confidence off by (ECE, 10 bins of equal mass)",
    "brier": "confidence, squared error (Brier)",
}
WIDTH = 50


def lines(evaluation: Evaluation) -> list[str]:
    """Everything, for people."""
    return [
        evaluation.name,
        *_configuration(evaluation),
        "",
        *_rates(evaluation),
        *_regions(evaluation),
        *_draws(evaluation.draws),
        "",
        *(text for one in evaluation.counts for text in counted(one)),
        *mistakes(evaluation),
        *(_details(evaluation.details) if evaluation.details else ()),
        *_left_out(evaluation),
    ]


def answers(evaluation: Evaluation) -> Iterator[str]:
    """Every answer, a line each."""
    yield "Answers (draw, photo, shows, said, likeliest, score)"
    for one in evaluation.answers:
        box = "" if one.box is None else f" {' '.join(map(str, one.box))}"
        truth = ", ".join(one.truth) or "nothing with a name"
        yield (
            f"  {one.draw} {one.query}{box}: shows {truth}; said {one.said or 'unknown'}; "
            f"likeliest {one.best or 'none'}, {one.score:.4f}; {one.outcome}"
        )


def _configuration(evaluation: Evaluation) -> Iterator[str]:
    for name, value in evaluation.settings.items():
        if value not in (None, ""):
            yield f"  {name}: {value:g}" if isinstance(value, float) else f"  {name}: {value}"


def _rates(evaluation: Evaluation) -> Iterator[str]:
    """The rates in their order, each with interval and N."""
    sizes = sorted({one.items for one in evaluation.draws})
    if sizes:
        span = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        yield f"Gallery of N = {span} items; 95 % intervals"
    query = "box" if evaluation.settings.get("regions") == "truth" else "photo"
    for name, about in TOLD.items():
        if name in evaluation.rates:
            yield _line(about.replace("photo", query), evaluation.rates[name], share=True)
    for name, about in NUMBERS.items():
        if name in evaluation.rates:
            yield _line(about, evaluation.rates[name], share=False)
    if "ece" in evaluation.rates and evaluation.confidence_from == "views":
        yield "  (the confidence is synthetic: it was fitted on camera views, not on photos)"
    if "ece" not in evaluation.rates:
        yield "  (this rule states no confidence)"


def _line(about: str, rate: Rate, *, share: bool) -> str:
    items = f"{rate.items:,} item" + ("" if rate.items == 1 else "s")
    kind = "no interval of one item" if rate.interval == "none" else rate.interval
    asked = f"n {rate.n:,} of {items}, {kind}"
    known = math.isfinite(rate.low) and math.isfinite(rate.high)
    if math.isnan(rate.value):
        return f"  {about.ljust(WIDTH)} nothing to count"
    if share:
        ends = f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %" if known else "–"
        return f"  {about.ljust(WIDTH)} {100 * rate.value:5.1f} %  {ends:>15}  {asked}"
    ends = f"{rate.low:.3f} to {rate.high:.3f}" if known else "–"
    return f"  {about.ljust(WIDTH)} {rate.value:7.3f}  {ends:>14}  {asked}"


def _regions(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.regions is None:
        return
    found = evaluation.regions
    yield "Finding and naming apart (true boxes)"
    for about, rate in (
        ("boxes met by a region (IoU ≥ 0.5)", found.recall),
        ("enrolled and met, named right", found.naming),
        ("enrolled, met and named right (end to end)", found.end_to_end),
    ):
        yield _line(about, rate, share=True)


def _draws(draws: Sequence[DrawFigures]) -> Iterator[str]:
    """One line a draw, where there are several."""
    if len(draws) < 2:
        return
    yield "Draw  items  references  mated  strangers  threshold  rank-1    TPIR    FPIR"
    differ = len({one.rule for one in draws}) > 1
    for one in draws:
        rates = [_percent(one.rates.get(name)) for name in ("rank-1", "tpir", "fpir")]
        yield (
            f"{one.draw:4d}  {one.items:5d}  {one.references:10d}  {one.mated:5d}  "
            f"{one.strangers:9d}  {one.threshold:9.4f}  {'  '.join(rates)}"
            + (f"  {one.rule}" if differ else "")
        )


def _percent(value: float | None) -> str:
    return "     -" if value is None or math.isnan(value) else f"{100 * value:5.1f}%"


def counted(one: Counts) -> list[str]:
    """TP, FP, FN, expected and the three scores, as the bench printed them."""
    about = {
        ("ours", "boxes"): "one name to one true box at IoU ≥ 0.5",
        ("ours", "names of photos"): "the names said of a photo against those it shows",
    }.get((one.rule, one.unit), "as the former bench: hits by region, misses by photo and name")
    found = [f"Counted {one.rule} ({about})"]
    found.append(
        f"  true positives {one.tp}, false positives {one.fp}, false negatives {one.fn}, "
        f"expected {one.expected}"
    )
    scores = (("precision", one.precision), ("recall", one.recall), ("F1", one.f1))
    told = (
        f"{name} -" if math.isnan(value) else f"{name} {value:.4f} ({100 * value:.1f}%)"
        for name, value in scores
    )
    return [*found, f"  {', '.join(told)}"]


def mistakes(evaluation: Evaluation) -> list[str]:
    """The first false hits and misses, photos with the number of their draw."""
    found = []
    for title, pairs in (
        ("First false hits", evaluation.counts[0].false),
        ("First misses", evaluation.counts[0].missed),
    ):
        if pairs:
            found.append(title)
            found += [f"  {photo}: {label}" for photo, label in pairs]
    return found


def _details(details: Details) -> Iterator[str]:
    """Distributions, overlap, and the first regions with their likeliest names."""
    yield ""
    yield "Cosines in detail"
    for one in details.distributions:
        yield _spread(one)
    lap = details.overlap
    if lap is None:
        yield "  right and wrong do not overlap"
    else:
        yield (
            f"  right and wrong overlap from {lap.low:.3f} to {lap.high:.3f}, with "
            f"{percent(lap.right_inside)} of the right and {percent(lap.wrong_inside)} of the wrong"
        )
    if details.best is not None:
        yield (
            f"  these answers are parted best at {details.best.threshold:.3f} "
            f"(F1 {details.best.f1:.3f}), which describes them and is no threshold to use"
        )
    yield f"The first {len(details.regions)} regions"
    for seen in details.regions:
        names = ", ".join(f"{label} {value:.3f}" for label, value in seen.top)
        truth = ", ".join(seen.truth) or "nothing with a name"
        box = " ".join(map(str, seen.box))
        yield f"  {seen.query} {seen.kind} {box} ({seen.score:.2f}) shows {truth}: {names}"


def _spread(one: Distribution) -> str:
    if not one.n:
        return f"  {one.name}: none"
    above = "" if math.isnan(one.share_above) else f", {percent(one.share_above)} at T or above"
    return (
        f"  {one.name}: n {one.n:,}, {one.least:.3f} to {one.most:.3f}, mean {one.mean:.3f}, "
        f"sd {one.sd:.3f}, median {one.median:.3f}, P10 {one.p10:.3f}, P25 {one.p25:.3f}, "
        f"P75 {one.p75:.3f}, P90 {one.p90:.3f}{above}"
    )


def _left_out(evaluation: Evaluation) -> Iterator[str]:
    yield ""
    if evaluation.excluded:
        yield "Left out"
        for why, count in evaluation.excluded.items():
            yield f"  {count:,} × {why}"
    else:
        yield "Nothing was left out."
    yield from evaluation.notes
