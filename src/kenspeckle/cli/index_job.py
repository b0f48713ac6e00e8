"""What `kenspeckle index` does, and how it tells about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from kenspeckle.catalog.entry import Listing
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.naming import cards_name, stem
from kenspeckle.catalog.sync import Plan, plan
from kenspeckle.cli import console, wording
from kenspeckle.cli.opening import check_regions, device
from kenspeckle.config import Settings
from kenspeckle.errors import (
    CatalogError,
    IndexCorrupt,
    IndexReadOnly,
    KenspeckleError,
    ModelMissing,
)
from kenspeckle.flows.index import IndexReport, Progress, Step
from kenspeckle.gallery import Gallery
from kenspeckle.match.promise import promise_lines
from kenspeckle.store.open import peek

SHOWN = 10
"""Pictures listed that could not be used; `--json` lists all."""
ALIKE = 5
"""Pairs of look-alikes listed; `verify` lists all."""
EVERY = 25
"""Pictures between two progress lines of an `.npz` run."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: from `source` (a folder or a table) to the index `out`."""

    settings: Settings
    source: str
    out: str
    table: str | None
    flat: bool
    rehash: bool
    replace_all: bool

    def check(self) -> None:
        """Refuse what can be refused before anything is read. CatalogError, ModelMissing."""
        head = self.settings.models.head
        if head and not Path(head).is_file():
            raise ModelMissing(
                head, "no such file", expected="a projection head", do="Check --projection"
            )
        if self.flat and not Path(self.source).is_dir():
            raise CatalogError(
                self.source, "not a folder", expected="a folder of pictures", do="Check --refs"
            )

    def listing(self) -> Listing:
        """The references that a new index would hold. Raises CatalogError."""
        naming = self.settings.index.naming
        return scan(self.source, naming=naming, table=self.table, flat=self.flat)

    def plan(self) -> Plan:
        """What a run would do; makes nothing."""
        if not Path(self.out).exists():
            return plan(self.listing(), ())
        with self._existing(write=False) as gallery:
            return gallery.plan(self.source, table=self.table, rehash=self.rehash, flat=self.flat)

    @contextmanager
    def opened(self) -> Iterator[Gallery]:
        """The gallery to write to, made if there is none.

        A new one that comes to nothing leaves no empty file behind.
        """
        new = not Path(self.out).exists()
        self._check_folder()
        if new:
            self.listing()
            gallery = Gallery.create(self.out, settings=self.settings)
        else:
            gallery = self._existing(write=True)
        try:
            if self.settings.index.calibrate:
                check_regions(gallery, self.settings)
            if not new and (self.settings.models.name or self.settings.models.head):
                gallery.embedder  # noqa: B018  another model is refused, even with nothing to do
            yield gallery
        finally:
            gallery.store.close(drop_empty=new)  # unless another process has filled it
            gallery.close()

    def _existing(self, *, write: bool) -> Gallery:
        try:
            return Gallery.open(self.out, settings=self.settings, write=write)
        except IndexCorrupt as error:
            do = "Delete it, or name another file by --out; then index again"
            if Path(self.out).is_dir():
                do = "Name a file by --out; then index again"
            raise IndexCorrupt(error.thing, error.found, expected=error.expected, do=do) from error

    def _check_folder(self) -> None:
        """Refuse an `.npz` that could not be written, before any picture is embedded.

        It is written beside its place at the end, so its folder has to take new files.
        """
        folder = Path(self.out).resolve().parent
        if not self.out.lower().endswith(".npz") or not folder.exists():
            return
        try:
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise IndexReadOnly(
                self.out,
                f"its folder takes no new files ({error.strerror or error})",
                do="Name another file by --out, or change the folder's permissions",
            ) from error

    def kept(self) -> str:
        """What a run that was stopped has left behind, and how to go on."""
        try:
            count = peek(self.out).references
        except KenspeckleError:
            return "Stopped before anything was kept; the same command starts anew."
        return (
            f"Stopped. What is done is kept: {self.out} holds {console.counted(count, 'reference')}"
            ". Run the same command again to go on."
        )

    def run(self, gallery: Gallery, progress: Progress) -> IndexReport:
        """Index `source` into an opened gallery."""
        return gallery.index(
            self.source,
            table=self.table,
            rehash=self.rehash,
            flat=self.flat,
            replace_all=self.replace_all,
            progress=progress,
        )


def index_npz(job: Job) -> None:
    """Index into an `.npz` and tell it line by line on stdout, as former scripts read it."""

    def tell(text: str) -> None:
        console.line(f"[index] {text}")

    def step(one: Step) -> None:
        if not one.path:  # all are done, and the rule is being fitted
            return
        if one.error is not None:
            tell(f"skip {one.path}: {one.error.found}")
        if one.done % EVERY == 0 or one.done == one.total:
            name = cards_name(stem(one.path.rsplit("/", 1)[-1]))
            tell(f"[{one.done:{len(str(one.total))}}/{one.total}] {name[:50]}")

    with job.opened() as gallery:
        tell(f"device={device(gallery, job.settings)}")
        made_by = gallery.store.manifest.fingerprint
        tell(f"loading model {made_by.model}")
        if made_by.head:
            tell(f"projection {job.settings.models.head} out_dim={made_by.width}")
        tell(f"{len(job.listing().entries)} images in {job.source}")
        report = job.run(gallery, step)
        count, width, stale = len(gallery), made_by.width, gallery.stale
    for text in (*_left_out(report), *_look_alikes(job, report)):
        tell(text)
    if report.calibration is not None:
        tell(wording.promise(report.calibration, stale))
    size = Path(job.out).stat().st_size / 1024
    tell(f"wrote {job.out}: {count} refs × {width} dims, {size:.1f} KB")


def report_lines(job: Job, report: IndexReport, gallery: Gallery, seconds: float) -> list[str]:
    """What a run did, for people. `seconds` is how long all of it took, the rule included."""
    counts = [
        f"{count:,} {word}"
        for count, word in (
            (report.added, "added"),
            (report.changed, "changed"),
            (report.relabelled, "renamed"),
            (report.removed, "removed"),
            (report.same, "unchanged"),
        )
        if count or word != "renamed"
    ]
    references = console.counted(len(gallery.references()), "reference")
    failed = _some(
        f"{console.counted(len(report.failed), 'picture')} could not be used:",
        [str(error) for _, error in report.failed],
        SHOWN,
        "--json lists all",
    )
    spent = wording.stages(report.stages.seconds)
    stages = f" (summed over callers: {spent})" if spent else ""
    return [
        f"{job.out}: {', '.join(counts)}.",
        f"It holds {references} of {console.counted(len(gallery.items()), 'item')}.",
        *_left_out(report),
        *failed,
        *_look_alikes(job, report),
        *promise_lines(report.calibration, gallery.stale),
        f"Took {seconds:.1f} s, the pictures {report.seconds:.1f} s of it{stages}.",
    ]


def _left_out(report: IndexReport) -> list[str]:
    """Remarks on the folder or table, and which files were no references."""
    lines = [f"Note: {text}." for text in report.notes]
    if report.skipped:
        why = wording.reasons_counted(report.skipped)
        lines.append(f"Left out: {console.counted(len(report.skipped), 'file')} ({why}).")
    return lines


def _look_alikes(job: Job, report: IndexReport) -> list[str]:
    every = len(report.look_alikes)
    return _some(
        "Look-alikes, pictures of different items that photos may confuse:",
        [
            f"{pair.a.path} ({pair.a.label}) and {pair.b.path} ({pair.b.label}), "
            + ("the same file" if pair.identical else f"cosine {pair.similarity:.3f}")
            for pair in report.look_alikes
        ],
        ALIKE,
        f"kenspeckle verify {shlex.quote(job.out)} --top-confusables {every}",
    )


def _some(title: str, texts: list[str], most: int, rest: str) -> list[str]:
    """The first of some texts below their title, and where the rest is; nothing for none."""
    if not texts:
        return []
    lines = [title, *(f"  {text}" for text in texts[:most])]
    if len(texts) > most:
        lines.append(f"  … and {len(texts) - most} more ({rest})")
    return lines


def report_data(job: Job, report: IndexReport, gallery: Gallery) -> dict[str, Any]:
    """What a run did, as plain data for JSON."""
    return {
        "index": job.out,
        "added": report.added,
        "changed": report.changed,
        "renamed": report.relabelled,
        "removed": report.removed,
        "unchanged": report.same,
        "failed": [{"path": path, "error": str(error)} for path, error in report.failed],
        "skipped": [{"path": path, "why": why} for path, why in report.skipped],
        "notes": list(report.notes),
        "look_alikes": [asdict(pair) for pair in report.look_alikes],
        "calibration": report.calibration.to_dict() if report.calibration else None,
        "stale": gallery.stale,
        "seconds": report.seconds,
        "stages": report.stages.seconds,
    }


def plan_data(work: Plan) -> dict[str, Any]:
    """What a run would do, as plain data for JSON."""
    return {
        "add": [entry.reference.path for entry in work.add],
        "change": [change.entry.reference.path for change in work.change],
        "rename": [[row.former.path, row.reference.path] for row in work.relabel],
        "remove": [reference.path for _, reference in work.remove if not reference.view],
        "unchanged": len(work.same),
    }
