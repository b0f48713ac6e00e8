"""All that `verify` finds out about an index: its rows, its pictures, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kenspeckle.errors import GalleryError, KenspeckleError
from kenspeckle.evaluate.verify.advice import Advice, Findings, advise
from kenspeckle.evaluate.verify.confusable import (
    PrintGroup,
    RowPair,
    item_pairs,
    print_groups,
    same_files,
)
from kenspeckle.evaluate.verify.neighbours import item_codes
from kenspeckle.evaluate.verify.perturbed import Fared, PerturbedResult, by_item, judge
from kenspeckle.evaluate.verify.photographed import Sample, own_rows, photographed
from kenspeckle.evaluate.verify.rows import VerifyReport, number, perturbed_dict, verify
from kenspeckle.gallery import Gallery
from kenspeckle.types import Float32, Reference

LISTED = 10
"""Items that are told to have fared worst."""
ROWS = "between the rows (no picture was looked at)"
"""What a margin without queries was measured on."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """The report on the rows, and what the pictures behind them add.

    references, ids
        Those of the rows, in order: `Gallery.thumbnail(id)` is the picture of a row.
    sample
        What came of the references that were looked for.
    held_out
        The queries whose item has another reference of the same print, judged without the one
        they were made of; None when there is none.
    strict
        All queries, those judged so and the others as they are: what the verdict looks at.
    pairs
        The most similar references of different items.
    prints, shared
        Items with several prints; groups of rows whose files are the same.
    """

    report: VerifyReport
    references: tuple[Reference, ...]
    ids: tuple[int, ...]
    sample: Sample
    held_out: PerturbedResult | None
    strict: PerturbedResult | None
    pairs: tuple[RowPair, ...]
    prints: tuple[PrintGroup, ...]
    shared: tuple[tuple[int, ...], ...]
    advice: Advice

    @property
    def worst(self) -> list[Fared]:
        """Items that were not found each time, or lay within no distance of another."""
        fared = by_item(self.strict, self.report.keys) if self.strict else []
        return [one for one in fared if one.right < one.queries or not one.margin > 0][:LISTED]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return (
            self.report.to_dict()
            | {
                "perturbed_skipped": self.sample.why,
                "held_out": None
                if self.held_out is None
                else perturbed_dict(self.held_out, self.report.keys),
                "worst_items": [
                    {"key": one.key, "queries": one.queries, "right": one.right}
                    | {"margin": number(one.margin), "taken_for": self._key(one.rival)}
                    for one in self.worst
                ],
                "round_trip": {
                    "references": len(self.sample.again),
                    "least": min((cosine for _, cosine in self.sample.again), default=None),
                    "unlike": [
                        self._row(row) | {"cosine": number(cosine)}
                        for row, cosine in self.sample.unlike
                    ],
                },
                "left_out": dict(self.sample.left_out),
                "changed": [self._row(row) for row in self.sample.changed],
                "closest_items": [
                    {"similarity": pair.similarity, "rows": [self._row(pair.a), self._row(pair.b)]}
                    for pair in self.pairs
                ],
                "prints": [
                    {"key": one.key, "variants": list(one.variants), "references": one.references}
                    | {"nearest": one.nearest.similarity}
                    | {"rows": [self._row(one.nearest.a), self._row(one.nearest.b)]}
                    for one in self.prints
                ],
                "same_files": [[self._row(row) for row in group] for group in self.shared],
            }
            | self.advice.to_dict()
        )

    def _row(self, row: int) -> dict[str, Any]:
        """What a reader needs to find and show the picture of a row."""
        one = self.references[row]
        return {"row": row, "id": self.ids[row], "key": one.key, "path": one.path}

    def _key(self, row: int) -> str | None:
        return self.references[row].key if row >= 0 else None


def checkup(gallery: Gallery, *, top: int = 5, perturbed: int = 64) -> Checkup:
    """Check an index that opens: `top` pairs of each kind, about `perturbed` camera views.

    Memory stays near three times the vectors, whatever their number. Raises GalleryError for an
    index without references.
    """
    now = gallery.store.snapshot()
    everything = list(now.references())
    own = [(identifier, one) for identifier, one in everything if not one.view]
    if not own:
        raise GalleryError(gallery.store.path, "no references", expected="at least one")
    ids, references = [identifier for identifier, _ in own], [one for _, one in own]
    keys = [one.key for one in references]
    rows = now.rows(ids)
    sample = photographed(gallery, rows, references, perturbed)
    every = rows if len(own) == len(everything) else now.rows([n for n, _ in everything])
    asked, strict, apart = _judged(every, everything, ids, sample)
    names = [_name(one) for one in references]
    report = verify(rows, names, keys, top=top, perturbed=asked)
    shared = tuple(same_files(references))
    named = now.manifest.fingerprint.weights
    refusal = _refusal(gallery) if perturbed or not named else None
    found = Findings(
        margin=strict.median_margin if strict else report.item_gap,
        measured=_measured(asked, apart),
        index=gallery.store.path,
        refs=gallery.store.manifest.refs,
        broken=len({*report.damaged, *report.not_unit, *(row for row, _ in sample.unlike)}),
        outdated=sample.outdated,
        doubled=_doubled(report, shared, keys),
        uncalibrated=_uncalibrated(gallery),
        worst=_worst(strict, keys),
        refused=refusal.found if refusal else "",
        remedy=refusal.do if refusal else "",
    )
    return Checkup(
        report=report,
        references=tuple(references),
        ids=tuple(ids),
        sample=sample,
        held_out=apart,
        strict=strict,
        pairs=tuple(item_pairs(rows, item_codes(keys), report.nearest.other, top)),
        prints=tuple(print_groups(rows, references)),
        shared=shared,
        advice=advise(found),
    )


def _refusal(gallery: Gallery) -> KenspeckleError | None:
    """Why `identify` would refuse the index: the model that made it cannot be had."""
    try:
        gallery.embedder  # noqa: B018  opened once for a gallery
    except KenspeckleError as error:
        return error
    return None


def _judged(
    rows: Float32, everything: Sequence[tuple[int, Reference]], ids: Sequence[int], sample: Sample
) -> tuple[PerturbedResult | None, PerturbedResult | None, PerturbedResult | None]:
    """The queries against all that is enrolled, views included; the same without the reference
    each was made of, where its item has another; and of these only the ones for which it has.

    Sources and rivals are rows of the references alone, as everywhere in a report; what a rival
    view was made of stands for it.
    """
    if not len(sample.queries):
        return None, None, None
    place = {identifier: row for row, (identifier, _) in enumerate(everything)}
    every = [one for _, one in everything]
    own = np.array([place[identifier] for identifier in ids], np.int64)
    references = [every[row] for row in own.tolist()]
    at_path = {one.path: row for row, one in enumerate(references)}
    back = np.array([at_path.get(one.path, -1) for one in every], np.int64)
    keys = [one.key for one in every]
    gone = own_rows(sample, references, every)

    def told(hidden: Sequence[Sequence[int]]) -> PerturbedResult:
        sources = own[sample.sources]
        found = judge(rows, keys, sample.queries, sources, sample.description, hidden=hidden)
        rivals = np.where(found.rivals >= 0, back[found.rivals], -1)
        return replace(found, sources=sample.sources, rivals=rivals)

    apart = np.array([query for query, some in enumerate(gone) if some], np.int64)
    asked = told(())
    if not len(apart):
        return asked, asked, None
    strict = told(gone)
    what = f"{len(apart)} of them with the reference they were made of left out"
    return asked, strict, strict.part(apart, what)


def _measured(asked: PerturbedResult | None, apart: PerturbedResult | None) -> str:
    """What the margin of the verdict was measured on."""
    if asked is None:
        return ROWS
    if apart is None:
        return "on camera views of the references themselves"
    if len(apart.sources) == len(asked.sources):
        return "on camera views, the reference they were made of left out"
    return "on camera views, the reference they were made of left out where the item has another"


def _name(reference: Reference) -> str:
    stored = reference.metadata.get("stored_name", "")
    if stored or not reference.variant:
        return stored or reference.label
    return f"{reference.label} ({reference.variant})"


def _doubled(
    report: VerifyReport, shared: Sequence[tuple[int, ...]], keys: Sequence[str]
) -> tuple[str, ...]:
    """The first two items that share a picture, or a vector."""
    for group in (*shared, *report.duplicates):
        several = tuple(dict.fromkeys(keys[row] for row in group))
        if len(several) > 1:
            return several[:2]
    return ()


def _uncalibrated(gallery: Gallery) -> str:
    if gallery.calibration is None:
        return "no calibration, so each of them gets a name"
    return f"the calibration is out of date, {gallery.stale}" if gallery.stale else ""


def _worst(strict: PerturbedResult | None, keys: Sequence[str]) -> str:
    fared = by_item(strict, keys) if strict else []
    return fared[0].key if fared else ""
