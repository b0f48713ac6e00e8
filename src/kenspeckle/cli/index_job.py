"""What `kenspeckle index` does, and how it tells about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kenspeckle.catalog.entry import Listing
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.naming import cards_name, stem
from kenspeckle.catalog.sync import Plan, plan
from kenspeckle.cli import console, wording
from kenspeckle.cli.opening import device
from kenspeckle.config import Settings
from kenspeckle.errors import CatalogError, ModelMissing
from kenspeckle.flows.index import IndexReport, Progress, Step
from kenspeckle.gallery import Gallery

SHOWN = 10
"""Names listed of each kind; `--json` lists all."""
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
        with Gallery.open(self.out, settings=self.settings) as gallery:
            return gallery.plan(self.source, table=self.table, rehash=self.rehash, flat=self.flat)

    @contextmanager
    def opened(self) -> Iterator[Gallery]:
        """The gallery to write to, made if there is none.

        A new one that comes to nothing leaves no empty file behind.
        """
        new = not Path(self.out).exists()
        if new:
            self.listing()
            gallery = Gallery.create(self.out, settings=self.settings)
        else:
            gallery = Gallery.open(self.out, settings=self.settings, write=True)
        empty = False
        try:
            if not new and (self.settings.models.name or self.settings.models.head):
                gallery.embedder  # noqa: B018  another model is refused, even with nothing to do
            yield gallery
        finally:
            empty = new and not len(gallery)
            gallery.close()
            if empty:
                Path(self.out).unlink(missing_ok=True)

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
        count, width = len(gallery), made_by.width
    if report.calibration is not None:
        tell(wording.promise(report.calibration))
    size = Path(job.out).stat().st_size / 1024
    tell(f"wrote {job.out}: {count} refs × {width} dims, {size:.1f} KB")


def tell_report(out: str, report: IndexReport, items: int, references: int, seconds: float) -> None:
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
    console.line(f"{out}: {', '.join(counts)}.")
    console.line(
        f"It holds {console.counted(references, 'reference')} of {console.counted(items, 'item')}."
    )
    for text in report.notes:
        console.line(f"Note: {text}.")
    if report.skipped:
        left_out = wording.reasons_counted(report.skipped)
        console.line(f"Left out: {console.counted(len(report.skipped), 'file')} ({left_out}).")
    _tell_some(
        f"{console.counted(len(report.failed), 'picture')} could not be used:",
        [str(error) for _, error in report.failed],
    )
    _tell_some(
        "Look-alikes, pictures of different items that photos may confuse:",
        [
            f"{pair.a.path} ({pair.a.label}) and {pair.b.path} ({pair.b.label}), "
            + ("the same file" if pair.identical else f"cosine {pair.similarity:.3f}")
            for pair in report.look_alikes
        ],
    )
    console.line(wording.promise(report.calibration))
    spent = wording.stages(report.stages.seconds)
    stages = f" (summed over callers: {spent})" if spent else ""
    console.line(f"Took {seconds:.1f} s, the pictures {report.seconds:.1f} s of it{stages}.")


def _tell_some(title: str, lines: list[str]) -> None:
    if not lines:
        return
    console.line(title)
    for text in lines[:SHOWN]:
        console.line(f"  {text}")
    if len(lines) > SHOWN:
        console.line(f"  … and {len(lines) - SHOWN} more (--json lists all)")


def report_data(report: IndexReport) -> dict[str, Any]:
    """What a run did, as plain data for JSON."""
    return {
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
