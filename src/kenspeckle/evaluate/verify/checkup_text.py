"""What `verify` adds to the former lines, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kenspeckle.evaluate.verify.checkup import Checkup
from kenspeckle.evaluate.verify.perturbed import PerturbedResult
from kenspeckle.evaluate.verify.rows_text import lines as former_lines
from kenspeckle.evaluate.verify.rows_text import shortened, three

SHOWN = 5


def lines(found: Checkup) -> Iterator[str]:
    """The whole report, a line at a time: the former lines first."""
    yield from former_lines(found.report, found.sample.why, missed=False)
    if found.report.perturbed is not None:
        yield _interval(found.report.perturbed, found.report.keys)
        if found.held_out is not None:
            yield from _held_out(found.held_out)
        yield from _worst(found)
    yield from _pictures(found)
    yield from _pairs(found)
    yield from _prints(found)
    yield from found.advice.lines()


def _interval(result: PerturbedResult, keys: Sequence[str]) -> str:
    low, high = (100 * end for end in result.top1_interval(keys))
    text = f"  top-1 95 % interval {low:.0f}–{high:.0f} % (by item)"
    if np.isnan(result.low_margin):
        return f"{text}; one item, so no margin"
    return f"{text}; item margin: 5 % of the views below {result.low_margin:z.3f}"


def _held_out(result: PerturbedResult) -> Iterator[str]:
    yield (
        f"  {result.description}: top-1 {100 * result.top1:.1f}%, "
        f"top-5 {100 * result.top5:.1f}%, median margin {three(result.median_margin)}, "
        f"5 % below {three(result.low_margin)}"
    )


def _worst(found: Checkup) -> Iterator[str]:
    labels = {one.key: one.label for one in found.references}
    worst = found.worst
    if worst:
        yield "items that fared worst in them:"
    for one in worst:
        rival = f", nearest other {_label(found, one.rival)}" if one.rival >= 0 else ""
        yield (
            f"  {three(one.margin)}  {shortened(labels[one.key])}: "
            f"{one.right} of {one.queries} found{rival}"
        )


def _pictures(found: Checkup) -> Iterator[str]:
    """What became of the pictures behind the rows."""
    sample = found.sample
    if sample.again:
        least = min(cosine for _, cosine in sample.again)
        yield (
            f"round trip: {len(sample.again)} references embedded again, least cosine to their "
            f"rows {least:.4f}"
        )
    for row, cosine in sample.unlike[:SHOWN]:
        yield f"  {cosine:.4f}  {found.references[row].path}: not what the model makes of it now"
    if sample.left_out and not sample.why:
        told = ", ".join(f"{count} {why}" for why, count in sample.left_out)
        yield f"of {sample.chosen} references looked for left out: {told}"


def _pairs(found: Checkup) -> Iterator[str]:
    if found.pairs:
        yield "closest pictures of different items:"
    for pair in found.pairs:
        a, b = (found.references[row] for row in (pair.a, pair.b))
        yield f"  {pair.similarity:.3f}  {a.path} ({a.label})  and  {b.path} ({b.label})"
    for group in found.shared[:SHOWN]:
        keys = {found.references[row].key for row in group}
        what = "different items" if len(keys) > 1 else "one item"
        paths = ", ".join(found.references[row].path for row in group[:SHOWN])
        yield f"same file, {what}: {paths}"


def _prints(found: Checkup) -> Iterator[str]:
    if found.prints:
        count = sum(len(one.variants) for one in found.prints)
        one = "1 item has" if len(found.prints) == 1 else f"{len(found.prints):,} items have"
        yield f"prints: {one} several, {count:,} in all; they do not compete; the nearest:"
    for group in found.prints[:SHOWN]:
        a, b = (found.references[row] for row in (group.nearest.a, group.nearest.b))
        yield f"  {group.nearest.similarity:.3f}  {a.path}  and  {b.path} ({shortened(a.label)})"


def _label(found: Checkup, row: int) -> str:
    return shortened(found.references[row].label)
