"""Labelled pictures as evaluation sees them, whatever layout they lie in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError, PictureError
from kenspeckle.image.decode import measure
from kenspeckle.types import Box

Role = Literal["reference", "query", "stranger"]
SLACK = 1
"""Pixels by which a box may reach outside its picture and is clipped: some tools count from 1."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A thing that a picture shows, and where; without a box somewhere in it."""

    label: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture, or for a reference one box of it.

    path, name
        The file, and what reports call it: relative to the data set, with `/`.
    truths
        What it shows. A reference has exactly one. A stranger's are its true names, which no
        reference has, or none.
    capture
        What photos of one shot or burst share, and the crops with the photo they were cut from; a
        capture that gave a reference is never asked about. Empty: the file stands for itself.
    """

    role: Role
    path: Path
    name: str
    truths: tuple[Truth, ...] = ()
    capture: str = ""

    @property
    def label(self) -> str:
        """The first label; empty for a stranger without a name."""
        return self.truths[0].label if self.truths else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The different labels, sorted."""
        return tuple(sorted({truth.label for truth in self.truths if truth.label}))

    @property
    def box(self) -> Box | None:
        """The box of the first truth."""
        return self.truths[0].box if self.truths else None

    @property
    def boxes(self) -> tuple[Truth, ...]:
        """The truths that say where."""
        return tuple(truth for truth in self.truths if truth.box is not None)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled pictures by role, sorted by name, and everything that was left out of them.

    A layout that gives no roles (a folder an item, LogoDet-3K, COCO) lists a picture both as a
    reference and as a query; `kenspeckle.evaluate.protocols` draws which it is.

    folder
        Where the names start.
    excluded
        `(what, why)` of each file, row, box or truth that takes no part.
    notes
        Sentences worth telling: what was taken for what.
    """

    name: str
    folder: Path
    layout: str
    references: tuple[Sample, ...]
    queries: tuple[Sample, ...]
    strangers: tuple[Sample, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[str, ...]:
        """The labels that have a reference, sorted."""
        return tuple(sorted({sample.label for sample in self.references}))

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason for leaving something out occurs, most frequent first."""
        return dict(Counter(why for _, why in self.excluded).most_common())


@dataclass(slots=True)
class Found:
    """What a reader has found so far; `name` tells data sets of one folder apart."""

    folder: Path
    layout: str
    name: str = ""
    samples: list[Sample] = field(default_factory=list)
    excluded: dict[tuple[str, str], None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sizes: dict[Path, tuple[int, int] | None] = field(default_factory=dict)

    def size_of(self, path: Path) -> tuple[int, int] | None:
        """Width and height of a picture as it is decoded; None, and left out, if unreadable."""
        if path not in self.sizes:
            self.sizes[path] = None
            try:
                self.sizes[path] = measure(path)
            except PictureError as error:
                self.leave_out(self.name_of(path), f"unreadable: {error.found}")
        return self.sizes[path]

    def leave_out(self, what: str, why: str) -> None:
        """Count something that takes no part; the same thing for the same reason counts once."""
        self.excluded[shown(what), why] = None

    def name_of(self, path: Path) -> str:
        """What reports call a file."""
        inside = os.path.relpath(path, self.folder).replace(os.sep, "/")
        return shown(str(path) if inside.startswith("../") else inside)


def settle(found: Found) -> Dataset:
    """Check what a reader found and sort it into roles.

    Left out and counted: files that are missing, boxes outside their picture, queries of which
    nothing is enrolled, strangers that are. Raises CatalogError when no reference, or nothing to
    ask about, is left.
    """
    checked = _checked(found)
    references = [s for s in checked if s.role == "reference"]
    enrolled = {sample.label for sample in references}
    queries, strangers = [], []
    for sample in checked:
        if sample.role == "query":
            if enrolled.intersection(sample.labels):
                queries.append(sample)
            else:
                found.leave_out(sample.name, f"a query of '{sample.label}', without a reference")
        elif sample.role == "stranger":
            if enrolled.intersection(sample.labels):
                found.leave_out(sample.name, f"a stranger '{sample.label}', which has references")
            else:
                strangers.append(sample)
    name = shown("/".join(filter(None, (found.folder.resolve().name, found.name))))
    for what, part in (("reference", references), ("picture to ask about", queries + strangers)):
        if not part:
            why = (
                "; ".join(f"{a}: {b}" for a, b in list(found.excluded)[:3]) or "nothing was listed"
            )
            raise CatalogError(
                name,
                f"no {what} in the layout {found.layout} ({why})",
                expected="references and queries",
                do="See docs/reference/data-sets.md",
            )
    return Dataset(
        name,
        found.folder,
        found.layout,
        _sorted(references),
        _sorted(queries),
        _sorted(strangers),
        tuple(sorted(found.excluded)),
        tuple(found.notes),
    )


def _sorted(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple(sorted(samples, key=lambda s: (s.name, s.label, s.box or (0, 0, 0, 0))))


def _checked(found: Found) -> list[Sample]:
    """The samples whose files are there, with the boxes that lie in their pictures."""
    there: dict[Path, bool] = {}
    missing: set[Path] = set()
    kept = []
    for sample in found.samples:
        path = sample.path
        if path not in there:
            there[path] = path.is_file()
        if not there[path]:
            if path not in missing:
                found.leave_out(sample.name, "no such file")
            missing.add(path)
            continue
        if not sample.boxes:
            kept.append(sample)
            continue
        size = found.size_of(path)
        if size is not None:
            truths = _inside(sample, size, found)
            if truths:
                kept.append(replace(sample, truths=truths))
    return kept


def _inside(sample: Sample, size: tuple[int, int], found: Found) -> tuple[Truth, ...]:
    """The truths whose boxes lie in the picture."""
    kept = []
    for truth in sample.truths:
        box = truth.box and clipped(truth.box, size)
        if truth.box is not None and box is None:
            why = "a box outside its picture" if _proper(truth.box) else "an empty box"
            found.leave_out(f"{sample.name} {truth.box}", why)
        else:
            kept.append(Truth(truth.label, box))
    return tuple(kept)


def _proper(box: Sequence[int]) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def clipped(box: Box, size: tuple[int, int]) -> Box | None:
    """A box clipped by at most `SLACK` pixels; None when it is empty or reaches further outside.

    >>> clipped((1, 1, 101, 50), (100, 50)), clipped((1, 1, 120, 50), (100, 50))
    ((1, 1, 100, 50), None)
    """
    x0, y0, x1, y1 = box
    width, height = size
    if min(x0, y0) < -SLACK or x1 > width + SLACK or y1 > height + SLACK:
        return None
    box = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
    return box if _proper(box) else None
