"""A grid of rules, models and numbers on one draw: a row for each, and nothing embedded twice.

Each row is counted by both ways, and beside the thresholds that were asked for stands one that was
fitted on other items (largest F1 there), anew for every model, mode, head and rule.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle.config import ImageSettings, ModelSettings
from kenspeckle.engines.files import file_sha256
from kenspeckle.errors import InputError
from kenspeckle.evaluate.asking import Gallery, Query, ask
from kenspeckle.evaluate.bank import TRUTH, Bank, Progress, check_regions, quiet
from kenspeckle.evaluate.cache import VectorCache
from kenspeckle.evaluate.details import details
from kenspeckle.evaluate.judges import Ruled
from kenspeckle.evaluate.result import plain
from kenspeckle.evaluate.samples import Dataset, Sample
from kenspeckle.evaluate.sweep.counts import counted, rates
from kenspeckle.evaluate.sweep.draw import Side, SweepDraw, draw
from kenspeckle.evaluate.sweep.fit import best_threshold
from kenspeckle.evaluate.sweep.grid import NO_HEAD, Cell, Sampling
from kenspeckle.evaluate.sweep.ledger import Ledger, Row, key_of
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.embed import open_embedder


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is swept: cells on a draw of a dataset. `models` holds all that the cells do not say.

    `regions` empty: the true boxes where there are any, else whole pictures.

    Raises SettingError for a region rule that the dataset cannot follow.
    """

    dataset: Dataset
    cells: Sequence[Cell]
    sampling: Sampling = field(default_factory=Sampling)
    regions: str = ""
    models: ModelSettings = field(default_factory=ModelSettings)
    limits: ImageSettings = field(default_factory=ImageSettings)
    callers: int = 0
    details: bool = False

    @property
    def boxed(self) -> bool:
        """Whether anything that may be asked about has true boxes."""
        return any(one.boxes for one in (*self.dataset.queries, *self.dataset.strangers))


def run(
    sweep: Sweep,
    cache: VectorCache,
    ledger: Ledger,
    progress: Progress = quiet,
    *,
    drawn: SweepDraw | None = None,
) -> Iterator[Row]:
    """The rows of all cells, in their order; those that the ledger holds are not made again.

    `drawn` is the draw where it was made already.

    Raises ModelError before anything is embedded when one of the models cannot be had, CatalogError
    when there is nothing to ask about, GalleryError where rows or vectors cannot be kept.
    """
    regions = check_regions(sweep.regions or (TRUTH if sweep.boxed else "whole"), sweep.boxed)
    drawn = drawn or draw(sweep.dataset, sweep.sampling)
    digest = _Digest()
    embedders = {one: _opened(one, sweep.models) for one in dict.fromkeys(map(_space, sweep.cells))}
    try:
        for space, embedder in embedders.items():
            cells = [cell for cell in sweep.cells if _space(cell) == space]
            yield from _Space(sweep, drawn, embedder, regions, digest).rows(
                cells, cache, ledger, progress
            )
            embedder.close()  # one model in memory at a time
    finally:
        for embedder in embedders.values():
            embedder.close()


Space = tuple[str, str, str]


def _space(cell: Cell) -> Space:
    return cell.model, cell.head, cell.mode


def _opened(space: Space, models: ModelSettings) -> Embedder:
    model, head, mode = space
    chosen = replace(
        models,
        name=model or models.name,
        head="" if head == NO_HEAD else head or models.head,
        mode=mode or models.mode or "default",
    )
    return open_embedder(chosen)


def _with_fits(cells: Sequence[Cell], *, fit: bool) -> Iterator[tuple[Cell, bool]]:
    """The cells, and after the last one that differs in T alone the cell whose T is fitted."""
    alike = [replace(cell, threshold=0.0) for cell in cells]
    last = {cell: place for place, cell in enumerate(alike)}
    for place, cell in enumerate(cells):
        yield cell, False
        if fit and last[alike[place]] == place:
            yield alike[place], True


class _Digest:
    """Stands for samples by their content: labels, boxes and the bytes of the files."""

    def __init__(self) -> None:
        self._files: dict[Any, str] = {}

    def of(self, samples: Sequence[Sample]) -> str:
        return key_of({"samples": [self._sample(one) for one in samples]})

    def _sample(self, one: Sample) -> list[Any]:
        if one.path not in self._files:
            try:
                self._files[one.path] = file_sha256(one.path)
            except OSError:
                self._files[one.path] = "unreadable"
        return [self._files[one.path], [[truth.label, truth.box] for truth in one.truths]]


@dataclass
class _Asked:
    """One side as vectors, for one number of references."""

    gallery: Gallery
    queries: list[Query]


class _Space:
    """The cells of one model, head and mode."""

    def __init__(
        self, sweep: Sweep, drawn: SweepDraw, embedder: Embedder, regions: str, digest: _Digest
    ) -> None:
        self._sweep, self._drawn, self._embedder = sweep, drawn, embedder
        self._bank, self._digest = Bank(embedder, regions), digest
        self._queries: dict[int, list[Query]] = {}
        self._excluded: dict[int, Counter[str]] = {}
        self._lost: dict[int, Counter[str]] = {}

    def rows(
        self, cells: Sequence[Cell], cache: VectorCache, ledger: Ledger, progress: Progress
    ) -> Iterator[Row]:
        for cell, fitted in _with_fits(cells, fit=self._drawn.fit is not None):
            settings = self._settings(cell, fitted)
            key = key_of(settings)
            if key not in ledger.rows:
                before, start = cache.embedded, time.perf_counter()
                row = self._row(cell, fitted, cache, progress)
                spent = {
                    "embedded": cache.embedded - before,
                    "seconds": round(time.perf_counter() - start, 3),
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                ledger.add({"key": key, "settings": settings, **row, **spent})
            yield ledger.rows[key]

    def _settings(self, cell: Cell, fitted: bool) -> dict[str, Any]:
        """Everything that the row depends on."""
        said = asdict(cell) | {"method": cell.called}
        del said["pool"]
        made_by = self._embedder.fingerprint
        said |= {
            "model": made_by.model,
            "head": made_by.head[:12],
            "mode": cell.mode or self._sweep.models.mode or "default",
            "space": made_by.space_id,
            "threshold": None if fitted else cell.threshold,
            "regions": self._bank.regions,
            **asdict(self._sweep.sampling),
        }
        sides = [self._drawn.report, *([self._drawn.fit] if fitted and self._drawn.fit else [])]
        samples = [one for side in sides for one in (*side.enrolled(cell.refs), *side.photos)]
        said["data"] = self._digest.of(samples)
        if self._sweep.details:
            said["details"] = True
        return said

    def _row(self, cell: Cell, fitted: bool, cache: VectorCache, progress: Progress) -> Row:
        rule = cell.rule()
        row: Row = {"fitted_on": 0, "head": Path(cell.head or self._sweep.models.head).name}
        if fitted and self._drawn.fit is not None:
            side = self._asked(self._drawn.fit, 1, cell.refs, cache, progress)
            rule = replace(rule, threshold=best_threshold(rule, side.gallery, side.queries))
            row["fitted_on"] = len(side.gallery)
        side = self._asked(self._drawn.report, 0, cell.refs, cache, progress)
        said = ask(Ruled(rule), side.gallery, side.queries)
        row["threshold"] = round(rule.threshold, 6)
        row |= counted(said, boxed=self._bank.regions not in ("whole", "center"))
        row |= rates(said)
        row |= {
            "items": len(side.gallery),
            "references": len(side.gallery.rows),
            "most": int(np.bincount(side.gallery.owners).max()),
            "photos": len({one.photo for one in side.queries}),
            "excluded": dict(self._lost[0]),
        }
        if self._sweep.details:
            found = details([(side.gallery, side.queries)], said.answers, rule.threshold)
            row["details"] = plain(found)
        return row

    def _asked(
        self, side: Side, number: int, refs: int, cache: VectorCache, progress: Progress
    ) -> _Asked:
        """The side as vectors; only what is not there yet is embedded."""
        references = side.enrolled(refs)
        self._bank.fill(
            references,
            side.photos if number not in self._queries else (),
            cache,
            limits=self._sweep.limits,
            callers=self._sweep.callers,
            progress=progress,
        )
        if number not in self._queries:
            self._excluded[number] = Counter()
            self._queries[number] = self._bank.queries(side.photos, self._excluded[number])
        lost: Counter[str] = Counter()
        gallery = self._bank.gallery(references, lost)
        queries = []
        for one in self._queries[number]:
            # An item whose references cannot be read is no stranger: nothing is asked about it.
            if gallery.index.keys() & set(one.truth) or not set(side.labels) & set(one.truth):
                queries.append(one)
            else:
                lost["photo of an item without a readable reference"] += 1
        self._lost[number] = self._excluded[number] + lost
        if not len(gallery) or not queries:
            raise InputError(
                self._sweep.dataset.name,
                "no readable reference, or no readable picture to ask about",
                expected="both",
            )
        return _Asked(gallery, queries)
