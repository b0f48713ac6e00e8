"""How well perturbed queries (camera views of the references) find their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.catalog.entry import on_disk
from kenspeckle.errors import InputError, KenspeckleError
from kenspeckle.evaluate.neighbours import blocks, item_codes
from kenspeckle.gallery import Gallery
from kenspeckle.image.views import camera_views
from kenspeckle.types import Float32, Int64, Reference

SEED = 0


@dataclass(frozen=True, slots=True)
class PerturbedResult:
    """Queries made from references, judged by items.

    description
        How they were made, for people: `2 camera views a reference, seed 0`.
    sources
        `(Q,)` int64: the row that each query was made from.
    top1, top5
        Share of queries whose item is the best, or among the best five.
    margins
        `(Q,)` float32: similarity of the own item less that of the best other one; NaN when
        there is no other item.
    """

    description: str
    sources: Int64
    top1: float
    top5: float
    margins: Float32

    @property
    def median_margin(self) -> float:
        """Median of the margins; NaN when there are none."""
        finite = self.margins[np.isfinite(self.margins)]
        return float(np.median(finite)) if len(finite) else float("nan")


def judge(
    rows: Float32, keys: Sequence[str], queries: Float32, sources: Int64, description: str
) -> PerturbedResult:
    """Search `queries` `(Q, D)`, made from rows `sources` `(Q,)`, among `rows` `(N, D)`.

    An item scores as its best row. Another item that scores the same as the own one counts as
    better: a tie is no answer. Q must be at least 1.
    """
    codes = item_codes(keys)
    order = np.argsort(codes, kind="stable")
    inside = np.ascontiguousarray(rows[order], np.float32)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ranks = np.empty(len(queries), np.int64)
    margins = np.full(len(queries), np.nan, np.float32)
    for start, stop in blocks(len(queries), len(rows)):
        items = np.maximum.reduceat(queries[start:stop] @ inside.T, starts, axis=1)
        lines, own = np.arange(stop - start), codes[sources[start:stop]]
        right = items[lines, own]
        items[lines, own] = -np.inf
        ranks[start:stop] = (items >= right[:, None]).sum(axis=1)
        if len(starts) > 1:
            margins[start:stop] = right - items.max(axis=1)
    return PerturbedResult(
        description,
        sources,
        top1=float((ranks < 1).mean()),
        top5=float((ranks < 5).mean()),
        margins=margins,
    )


def photographed(
    gallery: Gallery, rows: Float32, references: Sequence[Reference], count: int
) -> tuple[PerturbedResult | None, str]:
    """Ask about a camera view of up to `count` references, spread evenly over `rows` `(N, D)`.

    `references` are those of the rows. Returns the result, or None and why there is none: no
    picture is where it was indexed, or the model is not at hand.
    """
    if not count:
        return None, "not asked for"
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    folder = gallery.folder
    queries, sources = [], []
    for row in chosen:
        try:
            picture = gallery.picture(on_disk(folder, references[row].path))
        except InputError:
            continue
        (view,) = camera_views(picture.image, 1, SEED + int(row))
        try:
            queries.append(gallery.embedder.vector(view))
        except KenspeckleError as error:
            return None, str(error)
        sources.append(row)
    if not queries:
        return None, f"none of {len(chosen)} pictures is where it was indexed ({folder})"
    what = f"a camera view of each of {len(queries)} references, seed {SEED}"
    keys = [reference.key for reference in references]
    return judge(rows, keys, np.stack(queries), np.asarray(sources, np.int64), what), ""
