"""index(references, gallery): decode → reduce → resize → vector → store.add.

Unchanged pictures are not embedded again; what has vanished is removed last, so that a run that
is cut off has lost nothing and the next one goes on from where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from kenspeckle.catalog.entry import Entry
from kenspeckle.catalog.sync import Plan, Relabel, Row
from kenspeckle.catalog.walk import place
from kenspeckle.errors import CatalogError, GalleryError, KenspeckleError, ModelError
from kenspeckle.flows import meanwhile
from kenspeckle.flows.opened import Opened
from kenspeckle.image.decode import decode, read
from kenspeckle.image.fetch import fetch
from kenspeckle.image.thumbnail import thumbnail
from kenspeckle.image.views import camera_views
from kenspeckle.match.similar import Pair
from kenspeckle.store.base import Enrolled, Store
from kenspeckle.types import Calibration, Reference
from kenspeckle.vectors.pipeline import StageTimes, pooled
from kenspeckle.vectors.preprocess import reduced

COMMIT_SECONDS = 2.0
"""At most this much work is lost when a run is killed."""
COMMIT_ROWS = 512
"""Keeps what waits for a commit small, whatever the folder's size."""
VIEW_SEED = 7
SHOWN = 3
"""Paths that a sentence names."""


@dataclass(frozen=True, slots=True)
class Step:
    """Progress: `done` of `total` pictures, the last one's path, and its error if it failed."""

    done: int
    total: int
    path: str
    error: KenspeckleError | None = None


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run did. Pictures are counted, enrolled views left out; `stages` adds all callers.

    `skipped` are files that are no references `(path, why)`, `failed` references that could not be
    read; of a changed one the former picture still answers, as `notes` say. `look_alikes` and
    `calibration` are filled in by who asked for them.
    """

    added: int
    changed: int
    relabelled: int
    removed: int
    same: int
    failed: tuple[tuple[str, KenspeckleError], ...]
    stages: StageTimes
    seconds: float
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    look_alikes: tuple[Pair, ...] = ()
    calibration: Calibration | None = None


def index(
    opened: Opened, plan: Plan, edition: int, progress: Progress | None = None
) -> IndexReport:
    """Carry out a plan for the file of that `edition`. Pictures that fail are reported; the rest is
    stored.

    Names that are given meanwhile hold, and what is erased meanwhile stays so. Raises
    IndexBusy, IndexReadOnly, SpaceMismatch of the store, ModelError of the model.
    """
    start, stages = time.perf_counter(), StageTimes()
    new = {entry.reference.path for entry in plan.add}
    known = {change.entry.reference.path for change in plan.change}
    failed: list[tuple[str, KenspeckleError]] = []
    stored: list[str] = []

    entries = [*plan.add, *(change.entry for change in plan.change)]
    for batch in _batches(_embedded(opened, entries, stages, failed, progress)):
        with stages.stage("store"), meanwhile.commit(opened.store, edition):
            batch = meanwhile.named(opened.store, batch, known)
            opened.store.add(batch)
        stored += (one.reference.path for one in batch if not one.reference.view)
    report = rearrange(opened.store, plan, edition)
    return replace(
        report,
        added=sum(path in new for path in stored),
        changed=sum(path in known for path in stored),
        failed=tuple(failed),
        stages=stages,
        seconds=time.perf_counter() - start,
    )


def outdated(report: IndexReport, plan: Plan) -> tuple[str, ...]:
    """A sentence on pictures that have changed and cannot be read: what they were still answers."""
    failed = {path for path, _ in report.failed}
    changed = [change.entry.reference.path for change in plan.change]
    paths = [path for path in changed if path in failed]
    if not paths:
        return ()
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    one = len(paths) == 1
    return (
        f"{', '.join(paths[:SHOWN])}{more} {'has' if one else 'have'} changed and cannot be used "
        f"now, so the former {'picture' if one else 'pictures'} still "
        f"{'answers' if one else 'answer'}",
    )


def check_there(report: IndexReport, folder: Path, before: tuple[int, int] | None) -> None:
    """Refuse to call a run done whose folder vanished before all of it was read. CatalogError."""
    if report.failed and before is not None and place(folder) != before:
        count = report.added + report.changed
        raise CatalogError(
            str(folder),
            f"it vanished while it was indexed, so {len(report.failed)} of "
            f"{count + len(report.failed)} pictures could not be read",
            expected="a folder that stays",
            do="What was read before is kept; put it back and run it again",
        )


def note(store: Store, naming: str, refs: str, edition: int) -> None:
    """Keep which folder or table a gallery was made of, and by which scheme it was read.

    Raises IndexBusy where its file is no longer the one of that `edition`.
    """
    meanwhile.check(store, edition)
    if (store.manifest.naming, store.manifest.refs) != (naming, refs):
        with meanwhile.commit(store, edition):
            store.set_manifest(replace(store.manifest, naming=naming, refs=refs))


def guard(store: Store, plan: Plan, refs: str) -> None:
    """Refuse to empty a gallery because another folder was named by mistake. GalleryError."""
    former, gone = store.manifest.refs, len(plan.remove) + len(plan.change)
    if former in ("", refs) or gone <= len(store) // 2:
        return
    raise GalleryError(
        Path(refs),
        f"it lacks, or has other pictures for, {gone} of the {len(store)} references that "
        f"{Path(store.path).name} holds of {former}",
        expected="the same folder, or one that was moved",
        do="Use --replace to exchange them, `kenspeckle add` to add, or another --out",
    )


def rearrange(store: Store, plan: Plan, edition: int) -> IndexReport:
    """The part of a plan that needs no model: new names, new file times, what has vanished."""
    start = time.perf_counter()
    relabelled = _relabel(store, plan.relabel, edition)
    if plan.touch:
        with meanwhile.commit(store, edition):
            store.touch(plan.touch)
    gone: dict[int, Row] = {}
    if plan.remove:
        with meanwhile.commit(store, edition):
            gone = meanwhile.there(store, plan.remove)
            store.remove([number for number, _ in gone.values()])
    return IndexReport(
        added=0,
        changed=0,
        relabelled=relabelled,
        removed=sum(not reference.view for _, reference in gone.values()),
        same=len(plan.same) + plan.touched,
        failed=(),
        stages=StageTimes(),
        seconds=time.perf_counter() - start,
    )


def enrol(
    opened: Opened, entry: Entry, data: bytes | None = None, stages: StageTimes | None = None
) -> list[Enrolled]:
    """One picture, ready to be stored, followed by its camera views if any are asked for.

    `data` are its bytes where the caller has them already. Raises PictureError, FetchError.
    """
    settings, reference = opened.settings, entry.reference
    space = opened.made_by.space_id
    stages = stages or StageTimes()
    if data is None:
        with stages.stage("read"):
            data = _bytes(opened, entry)
    with stages.stage("decode"):
        picture = decode(data, name=reference.path, limits=settings.image)
    recipe = opened.embedder.fingerprint.recipe
    with stages.stage("reduce"):
        image = reduced(picture.image, recipe.side) if recipe.reduce else picture.image
    vector = opened.embedder.vector(image, stages, full=picture.size)
    with stages.stage("thumbnail"):
        small = thumbnail(image, settings.index.thumbnail)
    reference = replace(reference, sha256=picture.sha256)
    enrolled = [Enrolled(reference, vector, small, space)]
    if settings.index.views:
        with stages.stage("views"):
            views = camera_views(image, settings.index.views, VIEW_SEED)
            enrolled += [
                Enrolled(
                    replace(reference, view=f"camera-{n}"),
                    opened.embedder.vector(view),
                    space=space,
                )
                for n, view in enumerate(views, 1)
            ]
    return enrolled


def _bytes(opened: Opened, entry: Entry) -> bytes:
    if isinstance(entry.source, str):
        return fetch(entry.source, opened.settings.image)
    return read(entry.source, opened.settings.image)


def _embedded(
    opened: Opened,
    entries: Sequence[Entry],
    stages: StageTimes,
    failed: list[tuple[str, KenspeckleError]],
    progress: Progress | None,
) -> Iterator[list[Enrolled]]:
    """What each picture comes to, in order; those that fail are told and passed over."""
    embedded = 0
    results = pooled(
        entries, lambda entry: enrol(opened, entry, stages=stages), opened.settings.index.callers
    )
    for done, result in enumerate(results, 1):
        path = result.source.reference.path
        if result.error is not None:
            if isinstance(result.error, ModelError) and not embedded:
                raise result.error  # the model's fault, not this picture's
            failed.append((path, result.error))
        if progress is not None:
            progress(Step(done, len(entries), path, result.error))
        if result.value is not None:
            embedded += 1
            yield result.value


def _batches(pictures: Iterator[list[Enrolled]]) -> Iterator[list[Enrolled]]:
    """Group for commits; an interrupt first stores what is done, then goes on its way."""
    batch: list[Enrolled] = []
    since = time.monotonic()
    try:
        for picture in pictures:
            batch += picture
            if len(batch) >= COMMIT_ROWS or time.monotonic() - since >= COMMIT_SECONDS:
                yield batch
                batch, since = [], time.monotonic()
    except KeyboardInterrupt:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _relabel(store: Store, rows: Sequence[Relabel], edition: int) -> int:
    """Store references under their new names with the vectors they have; how many pictures.

    A picture and its views stay together: what is stored of a path replaces all that was.
    """
    batch: list[Relabel] = []
    count = 0
    for _, group in groupby(rows, key=lambda row: row.reference.path):
        batch += group
        if len(batch) >= COMMIT_ROWS:
            count += _relabelled(store, batch, edition)
            batch = []
    return count + (_relabelled(store, batch, edition) if batch else 0)


def _relabelled(store: Store, planned: Sequence[Relabel], edition: int) -> int:
    """Some of them, and their old places dropped, in one commit."""
    with meanwhile.commit(store, edition):
        rows = meanwhile.relabels(store, planned)
        relabel(store, rows)
        store.remove([row.id for row in rows if row.reference.path != row.former.path])
    return sum(not row.reference.view for row in rows)


def relabel(store: Store, rows: Sequence[Relabel]) -> None:
    """Store references under their new names; vectors and all else go along. In one commit.

    All have to be there. One that stays where it was, of the same item, keeps its id.
    """
    moving = {row.reference.path for row in rows if not _stays(row)}
    moved = [row for row in rows if row.reference.path in moving]
    store.relabel({row.id: row.reference for row in rows if row.reference.path not in moving})
    if moved:
        _move(store, moved)


def _stays(row: Relabel) -> bool:
    old, new = row.former, row.reference
    return (old.key, old.path, old.sha256) == (new.key, new.path, new.sha256)


def _move(store: Store, rows: Sequence[Relabel]) -> None:
    """Store references anew in one commit, with the vectors and all else they have."""
    former, space = [row.id for row in rows], store.manifest.fingerprint.space_id
    vectors = store.rows(former)
    features = {kind: store.features(former, kind) for kind in store.feature_kinds()}
    ids = store.add(
        [
            Enrolled(row.reference, vector, store.thumbnail(row.id), space)
            for row, vector in zip(rows, vectors, strict=True)
        ]
    )
    now = dict(zip(former, ids, strict=True))
    for kind, kept in features.items():
        store.set_features(kind, {now[number]: data for number, data in kept.items()})


def listed(store: Store) -> Iterator[tuple[int, Reference]]:
    """The rows that a references folder or table accounts for; what was added by hand is not."""
    return ((number, reference) for number, reference in store.references() if not reference.origin)


def by_hand(store: Store) -> Iterator[tuple[int, Reference]]:
    """The other rows: what was added, and the photos that were confirmed."""
    return ((number, reference) for number, reference in store.references() if reference.origin)
