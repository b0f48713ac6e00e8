"""The report of `verify` for people. Scripts read the lines up to the recommended threshold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kenspeckle.evaluate.verify.rows import VerifyReport

LISTED = 10
"""Failures and weakest references that are printed."""
NAME = 42
"""Longest name that is printed."""


def lines(
    report: VerifyReport, why: str = "needs the pictures and the model", *, missed: bool = True
) -> Iterator[str]:
    """The report for people, a line at a time; `why` no perturbed queries were asked, and whether
    those that were `missed` are listed."""
    names = report.names
    yield f"[verify] {report.count} rows × {report.width} dims"
    if report.nearest.pairs:
        yield "most confusable pairs:"
    for score, i, j in report.nearest.pairs:
        one = "  (one item)" if report.keys[i] == report.keys[j] else ""
        yield f"  {score:.3f}  {shortened(names[i])}  ↔  {shortened(names[j])}{one}"
    share = 100 * report.correct / report.count
    yield f"{report.correct}/{report.count} = {share:.1f}% top-1 self-id"
    for failure in report.failures[:LISTED]:
        yield (
            f"  {shortened(names[failure.row])}: top {failure.top:.3f} "
            f"({shortened(names[failure.by])}), self {failure.own:.3f}"
        )
    yield f"median self similarity:       {three(report.self_median)}"
    yield f"median best wrong similarity: {three(report.wrong_median)}"
    yield f"margin (gap of the medians):  {three(report.gap)}"
    yield f"recommended similarity threshold: {report.threshold:.2f}"
    yield "(for programs that take a fixed threshold; kenspeckle identify uses the calibration)"
    yield from _damage(report)
    yield from _items(report)
    yield from _perturbed(report, why, missed)


def shortened(name: str) -> str:
    """A name as it is printed."""
    return name[:NAME]


def three(value: float) -> str:
    """Three decimals, or a dash for no number."""
    return "–" if np.isnan(value) else f"{value:z.3f}"


def _damage(report: VerifyReport) -> Iterator[str]:
    """Rows that no index should hold."""
    for rows, what in (
        (report.damaged, "rows with values that are not finite numbers"),
        (report.not_unit, "rows that are not of length 1"),
    ):
        if rows:
            some = ", ".join(shortened(report.names[row]) for row in rows[:LISTED])
            yield f"{len(rows)} {what}: {some}"
    for group in report.duplicates[:LISTED]:
        one = len({report.keys[row] for row in group}) == 1
        what = "prints of one item" if one else "different items"
        yield f"same vector, {what}: {', '.join(shortened(report.names[row]) for row in group)}"


def _items(report: VerifyReport) -> Iterator[str]:
    """What lies between different items; prints of one item do not compete."""
    margins = report.margins[np.isfinite(report.margins)]
    if len(margins):
        yield (
            f"item margin (own other reference − best other item): "
            f"median {np.median(margins):z.3f}, least {margins.min():z.3f}, "
            f"{int((margins <= 0).sum())} of {len(margins)} at or below 0"
        )
    rows = report.weakest(LISTED)
    if len(rows):
        yield "closest to another item:"
        for row in rows:
            yield f"  {report.nearest.other[row]:.3f}  {shortened(report.names[row])}"


def _perturbed(report: VerifyReport, why: str, missed: bool) -> Iterator[str]:
    result = report.perturbed
    if result is None:
        yield f"perturbed queries: not measured ({why})"
        return
    yield (
        f"perturbed queries ({result.description}): top-1 {100 * result.top1:.1f}%, "
        f"top-5 {100 * result.top5:.1f}% of {len(result.sources)}, "
        f"median margin {three(result.median_margin)}"
    )
    for query in np.argsort(result.margins, kind="stable")[: LISTED if missed else 0]:
        if result.margins[query] <= 0:
            name = shortened(report.names[int(result.sources[query])])
            yield f"  {result.margins[query]:+.3f}  {name}"
