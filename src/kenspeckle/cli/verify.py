"""`kenspeckle verify`: the former lines and exit rule, and what they could not say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer

from kenspeckle.catalog.entry import base_of, on_disk
from kenspeckle.cli import console, options
from kenspeckle.config import Settings
from kenspeckle.errors import GalleryError, InputError, KenspeckleError
from kenspeckle.evaluate.perturbed import PerturbedResult, judge
from kenspeckle.evaluate.verify import VerifyReport
from kenspeckle.evaluate.verify import verify as check
from kenspeckle.gallery import Gallery
from kenspeckle.image.decode import decode
from kenspeckle.image.views import camera_views
from kenspeckle.types import Float32, Reference

QUICK = 32
"""References photographed anew by default: a second or two."""
SEED = 0
NAME, LISTED = 42, 10
NOT_PASSED = 1


def verify(
    index: options.Index = None,
    top_confusables: Annotated[
        int, typer.Option("--top-confusables", metavar="N", min=0, help="Pairs shown.")
    ] = 5,
    perturbed: Annotated[
        int,
        typer.Option(
            "--perturbed",
            metavar="N",
            min=0,
            help="References asked about by a camera view made from their picture; 0 is none.",
        ),
    ] = QUICK,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Check the rows of an index against each other, and against perturbed pictures.

    Exit code 0 if at least 99 % of the rows identify themselves, else 1.
    """
    given = {
        "index.path": index,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    settings = options.settings(given)
    with Gallery.open(settings=settings) as gallery:
        ids, references = _own_rows(gallery)
        rows = gallery.store.rows(ids)
        photographed, why = _photographed(gallery, rows, references, perturbed, settings)
    names = [_name(reference) for reference in references]
    keys = [reference.key for reference in references]
    report = check(rows, names, keys, top=top_confusables, perturbed=photographed)
    if as_json:
        console.json_line(report.to_dict() | {"perturbed_skipped": why})
    else:
        for text in _lines(report, why):
            console.line(text)
    raise typer.Exit(0 if report.passed else NOT_PASSED)


def _own_rows(gallery: Gallery) -> tuple[list[int], list[Reference]]:
    pairs = [(number, one) for number, one in gallery.store.references() if not one.view]
    if not pairs:
        raise GalleryError(gallery.store.path, "no references", expected="at least one")
    return [number for number, _ in pairs], [one for _, one in pairs]


def _name(reference: Reference) -> str:
    stored = reference.metadata.get("stored_name", "")
    if stored or not reference.variant:
        return stored or reference.label
    return f"{reference.label} ({reference.variant})"


def _photographed(
    gallery: Gallery,
    rows: Float32,
    references: list[Reference],
    count: int,
    settings: Settings,
) -> tuple[PerturbedResult | None, str]:
    """A camera view of up to `count` references, judged; or why there is none."""
    if not count:
        return None, "not asked for"
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    folder = base_of(gallery.store.manifest.refs or settings.index.refs)
    queries, sources = [], []
    for row in chosen:
        try:
            picture = decode(on_disk(folder, references[row].path), limits=settings.image)
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
    keys = [reference.key for reference in references]
    return judge(
        rows,
        keys,
        np.stack(queries),
        np.asarray(sources, np.int64),
        f"a camera view of each of {console.counted(len(queries), 'reference')}, seed {SEED}",
    ), ""


def _lines(report: VerifyReport, why: str) -> Iterator[str]:
    """The report for people; the former lines in their former order."""
    yield f"[verify] {report.count} rows × {report.width} dims"
    yield from _damage(report)
    if report.nearest.pairs:
        yield "most confusable pairs:"
    for score, i, j in report.nearest.pairs:
        one = "  (one item)" if report.keys[i] == report.keys[j] else ""
        yield f"  {score:.3f}  {report.names[i][:NAME]}  ↔  {report.names[j][:NAME]}{one}"
    share = 100 * report.correct / report.count
    yield f"{report.correct}/{report.count} = {share:.1f}% top-1 self-id"
    for failure in report.failures[:LISTED]:
        yield (
            f"  {report.names[failure.row][:NAME]}: nearest is {report.names[failure.by][:NAME]} "
            f"(top {failure.top:.3f}, self {failure.own:.3f})"
        )
    yield f"median self similarity:       {_number(report.self_median)}"
    yield f"median best wrong similarity: {_number(report.wrong_median)}"
    yield f"margin (gap of the medians):  {_number(report.gap)}"
    yield f"recommended similarity threshold: {report.threshold:.2f}"
    yield from _margins(report)
    yield from _perturbed(report.perturbed, why)


def _damage(report: VerifyReport) -> Iterator[str]:
    if report.damaged:
        yield f"rows with values that are no numbers: {_rows(report.damaged)}"
    if report.not_unit:
        yield f"rows that are not of length 1: {_rows(report.not_unit)}"
    for group in report.duplicates[:LISTED]:
        names = ", ".join(report.names[row][:NAME] for row in group[:LISTED])
        yield f"the same vector {len(group)} times: {names}"


def _rows(numbers: tuple[int, ...]) -> str:
    more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
    return ", ".join(map(str, numbers[:LISTED])) + more


def _margins(report: VerifyReport) -> Iterator[str]:
    weakest = report.weakest(5)
    if len(weakest):
        yield "nearest to another item:"
    for row in weakest:
        mate, other = report.nearest.mate[row], report.nearest.other[row]
        own = f", its own item's next reference {mate:.3f}" if np.isfinite(mate) else ""
        yield f"  {other:.3f}  {report.names[row][:NAME]}{own}"


def _perturbed(result: PerturbedResult | None, why: str) -> Iterator[str]:
    if result is None:
        yield f"perturbed queries: skipped, {why}"
        return
    yield f"perturbed queries ({result.description}):"
    yield f"  top-1 {100 * result.top1:.1f}%, top-5 {100 * result.top5:.1f}%"
    yield f"  median margin to the best other item {_number(result.median_margin)}"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "- (one row)"
