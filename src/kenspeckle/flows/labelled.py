"""Photos whose answer is known: a folder of strangers, and a table of labelled photos.

A stranger is counted by the thing it shows. Below a folder of strangers the files of one folder
show one thing, and each file at the top is a thing; in a table the column `item` says, else the
label, else each file is one.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.naming import key_of, name_item
from kenspeckle.catalog.rows import Row, read_rows
from kenspeckle.catalog.walk import walk_through
from kenspeckle.errors import CatalogError
from kenspeckle.image.decode import SUFFIXES
from kenspeckle.store.snapshot import Readable

NOBODY = frozenset({"", "unknown"})
"""Labels of a photo that shows nothing enrolled."""
COLUMNS = ("path", "label", "item", "role")
ENROLLED = frozenset({"reference", "gallery"})
"""Roles of a table's rows that are not asked about."""
TOLD = 3
"""Names given in a note; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A photo: where it is, the number of the item it shows (-1: a stranger), and, of a stranger,
    the name of the thing that it is counted by."""

    file: Path
    item: int
    thing: str = ""


@dataclass(frozen=True, slots=True)
class Photos:
    """Photos to be asked about, and what was left out or read in a way worth telling."""

    rows: tuple[Labelled, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Photos) -> Photos:
        return Photos(self.rows + other.rows, self.notes + other.notes)


def strangers_in(folder: Path) -> Photos:
    """All pictures below a folder, as strangers. Raises CatalogError when there is none."""
    name = shown(str(folder))
    if not folder.is_dir():
        raise CatalogError(name, "not a folder", expected="a folder of photos of other things")
    walk = walk_through(str(folder), flat=False)
    if not walk.pictures:
        raise CatalogError(
            name, "no pictures", expected=f"files ending in {' '.join(sorted(SUFFIXES))}"
        )
    rows = tuple(
        Labelled(Path(one.file), -1, one.path.rpartition("/")[0] or one.path)
        for one in walk.pictures
    )
    why = Counter(reason for _, reason in walk.skipped)
    notes = tuple(f"strangers: {count} left out, {reason}" for reason, count in why.items())
    return Photos(tuple(sorted(rows, key=lambda row: str(row.file))), notes)


def photos_in(table: Path, store: Readable) -> Photos:
    """The photos of a table with the columns `path`, `label` and, if it has one, `item`.

    Paths are relative to the table. A label is that of an item, its key or file name; an empty
    one, or `unknown`, is a stranger's, and so is one that is not enrolled, unless it is written
    almost like one that is: such rows are left out, as are those whose `role` says that they are
    references. Raises CatalogError for a table that cannot be
    read, lacks a column or names no photo that is there.
    """
    name = shown(str(table))
    names = _names(store)
    found: list[Labelled] = []
    missing: list[str] = []
    foreign: Counter[str] = Counter()
    misspelt: Counter[str] = Counter()
    columns: set[str] = set()
    enrolled = 0
    for row in read_rows(table):
        columns |= row.cells.keys()
        _check(row, name)
        if row.cells.get("role", "").strip().lower() in ENROLLED:
            enrolled += 1
            continue
        label = row.cells["label"].strip()
        file = Path(os.path.normpath(table.absolute().parent / row.cells["path"]))
        item = names.get(key_of(label), names.get(name_item(label, "plain").key, -1))
        if not row.cells["path"] or not file.is_file():
            missing.append(row.cells["path"] or f"line {row.line}, no path")
            continue
        if item < 0 and key_of(label) not in NOBODY:
            near = difflib.get_close_matches(key_of(label), names, 1, 0.85)
            (misspelt if near else foreign)[label] += 1
            if near:
                continue
        other = "" if key_of(label) in NOBODY else label
        found.append(Labelled(file, item, row.cells.get("item") or other or str(file)))
    if not found:
        told = f"none of {len(missing)} photos is there" if missing else "no rows"
        raise CatalogError(name, told, expected="columns path and label, paths from the table on")
    notes = _told(missing, foreign, misspelt, columns)
    if enrolled:
        notes.insert(0, f"photos: {enrolled} left out, references by their role")
    return Photos(tuple(found), tuple(notes))


def _check(row: Row, name: str) -> None:
    lacking = [column for column in COLUMNS[:2] if column not in row.cells]
    if lacking:
        raise CatalogError(
            f"{name}, line {row.line}",
            f"no column {' and no column '.join(lacking)}",
            expected="path, label and, of strangers, item",
        )


def _names(store: Readable) -> dict[str, int]:
    """Item number by key and label, whatever case and spacing; a key wins over another's label."""
    names: dict[str, int] = {}
    numbers = [number for number, _ in store.references()]
    owners = dict(zip(numbers, store.owners(numbers).tolist(), strict=True))
    for number, reference in store.references():
        names.setdefault(key_of(reference.label), owners[number])
    for number, reference in store.references():
        names[key_of(reference.key)] = owners[number]
    return names


def _told(
    missing: list[str],
    foreign: Mapping[str, int],
    misspelt: Mapping[str, int],
    columns: Iterable[str],
) -> list[str]:
    notes = []
    if missing:
        notes.append(f"photos: {len(missing)} left out, no such file: {_few(missing)}")
    if foreign:
        notes.append(
            f"photos: {sum(foreign.values())} with labels that are not enrolled are taken for "
            f"strangers: {_few(foreign)}"
        )
    if misspelt:
        notes.append(
            f"photos: {sum(misspelt.values())} left out, written almost like an item: "
            f"{_few(misspelt)}"
        )
    if unknown := sorted(set(columns) - set(COLUMNS)):
        notes.append(f"photos: columns not used: {_few(unknown)}")
    return notes


def _few(names: Iterable[str]) -> str:
    """Some of the names, and how many more."""
    all_names = [shown(name) for name in names]
    more = len(all_names) - TOLD
    return ", ".join(all_names[:TOLD]) + (f" and {more} more" if more > 0 else "")
