"""Prepare LogoDet-3K: a crop of every box, a copy of every picture, and a database of both.

`OUT/reference_logos/`, `OUT/test_images/` and `OUT/test_data_mapping.db`, whose tables keep the
names that the logo bench knows. Items are keyed by category and brand.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kenspeckle._aside import written
from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError, PictureError
from kenspeckle.evaluate.drawing import shuffled
from kenspeckle.evaluate.layouts.logodet import (
    Annotated,
    annotated,
    brands_of,
    root_of,
    truths_of,
)
from kenspeckle.evaluate.layouts.mapping import CROPS, DATABASE, PICTURES
from kenspeckle.evaluate.samples import Found, Truth, clipped
from kenspeckle.image.decode import decode, read

SPLITS = ("train", "val", "test")
SHARES = (0.7, 0.15)
SEED = 42
EACH = 200
"""Pictures after which what was done is on disk: a stopped run goes on from there."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS logo_names (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, category TEXT NOT NULL,
    brand TEXT NOT NULL, split TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS test_images (
    id INTEGER PRIMARY KEY, filename TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS reference_logos (
    filename TEXT NOT NULL UNIQUE, logo_name_id INTEGER NOT NULL REFERENCES logo_names(id),
    test_image_id INTEGER NOT NULL REFERENCES test_images(id),
    x0 INTEGER NOT NULL, y0 INTEGER NOT NULL, x1 INTEGER NOT NULL, y1 INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS test_image_logos (
    test_image_id INTEGER NOT NULL REFERENCES test_images(id),
    logo_name_id INTEGER NOT NULL REFERENCES logo_names(id),
    PRIMARY KEY (test_image_id, logo_name_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prepared (
    picture TEXT PRIMARY KEY, stamp TEXT NOT NULL,
    test_image_id INTEGER REFERENCES test_images(id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS left_out (what TEXT NOT NULL, why TEXT NOT NULL, picture TEXT);
CREATE INDEX IF NOT EXISTS crops_of ON reference_logos (test_image_id);
"""


class Progress(Protocol):
    """Told of every picture."""

    def __call__(self, done: int, total: int, name: str) -> None:
        """`done` of `total` are finished; `name` is the latest."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation holds and what this run did.

    `added`, `same` and `removed` count pictures; `excluded` are the `(what, why)` of everything
    that was left out, now or before.
    """

    folder: Path
    items: int
    pictures: int
    crops: int
    added: int
    same: int
    removed: int
    splits: dict[str, int]
    excluded: tuple[tuple[str, str], ...]


def prepare(
    dataset: Path, out: Path, *, seed: int = SEED, progress: Progress | None = None
) -> Prepared:
    """Prepare a data set in the layout of LogoDet-3K.

    What is already done and whose picture and XML are as they were (size and time) is left alone,
    so a second run does nothing and a stopped one goes on. Pictures that vanished are removed.

    Raises CatalogError when `dataset` holds no picture with a box, or `out` holds another
    program's database, OSError where `out` cannot be written.
    """
    root = root_of(dataset)
    if not root.is_dir():
        raise CatalogError(shown(str(dataset)), "no such folder", expected="LogoDet-3K")
    if out.resolve().is_relative_to(root.resolve()):
        raise CatalogError(shown(str(out)), "a folder in the data set", expected="one outside")
    found = Found(root, "logodet")
    entries = list(annotated(root, found))
    if not entries:
        raise CatalogError(
            shown(str(root)), "no picture with XML", expected="<category>/<brand>/ with both"
        )
    for folder in (CROPS, PICTURES):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with closing(_opened(out / DATABASE)) as database:
        work = _Work(root, out, database)
        before = work.stamps()
        names = {found.name_of(one.picture): one for one in entries}
        gone = sorted(before.keys() - names.keys())
        if before and len(gone) == len(before):
            raise CatalogError(
                shown(str(out)), "prepared from another data set", do="Give another --out"
            )
        for name in gone:
            work.remove(name)
        added = 0
        for done, (name, one) in enumerate(names.items(), 1):
            stamp = _stamp(one)
            if before.get(name) != stamp:
                work.remove(name)
                work.add(name, one, stamp)
                added += 1
                if added % EACH == 0:
                    database.commit()
            if progress is not None:
                progress(done, len(names), name)
        work.finish(found.excluded, seed)
        database.commit()
        if not work.count(CROPS):
            raise CatalogError(shown(str(root)), "no box that can be used")
        return Prepared(
            out,
            work.count("logo_names"),
            work.count(PICTURES),
            work.count(CROPS),
            added,
            len(names) - added,
            len(gone),
            work.splits(),
            work.excluded(),
        )


@dataclass(slots=True)
class _Work:
    """The folders and the open database of one preparation."""

    root: Path
    out: Path
    database: sqlite3.Connection
    brands: dict[str, frozenset[str]] | None = None

    def stamps(self) -> dict[str, str]:
        """What is done, and how its files were then."""
        return dict(self.database.execute("SELECT picture, stamp FROM prepared").fetchall())

    def remove(self, name: str) -> None:
        """Take back what one picture gave."""
        row = self.database.execute(
            "SELECT test_image_id, filename FROM prepared LEFT JOIN test_images "
            "ON id = test_image_id WHERE picture = ?",
            (name,),
        ).fetchone()
        if row is None:
            return
        number, file = row
        crops = self.database.execute(
            "SELECT filename FROM reference_logos WHERE test_image_id = ?", (number,)
        ).fetchall()
        for table in ("reference_logos", "test_image_logos"):
            self.database.execute(f"DELETE FROM {table} WHERE test_image_id = ?", (number,))  # noqa: S608
        self.database.execute("DELETE FROM prepared WHERE picture = ?", (name,))
        self.database.execute("DELETE FROM test_images WHERE id = ?", (number,))
        self.database.execute("DELETE FROM left_out WHERE picture = ?", (name,))
        for (crop,) in crops:
            (self.out / CROPS / crop).unlink(missing_ok=True)
        if file:
            (self.out / PICTURES / file).unlink(missing_ok=True)

    def add(self, name: str, one: Annotated, stamp: str) -> None:
        """Cut, copy and note one picture; what cannot be used is noted with its reason."""
        found = Found(self.root, "logodet")
        number = self._cut(name, one, found)
        self.database.execute(
            "INSERT INTO prepared VALUES (?, ?, ?)",
            (name, stamp, number),
        )
        self._leave_out(found.excluded, name)

    def _cut(self, name: str, one: Annotated, found: Found) -> int | None:
        """The number of the picture, once its crops are on disk; None when nothing is usable."""
        self.brands = self.brands if self.brands is not None else {}
        if one.category not in self.brands:
            self.brands[one.category] = brands_of(self.root / one.category)
        truths = truths_of(one, found, self.brands[one.category])
        try:
            data = read(one.picture) if truths else b""
            image = decode(data, name=name).image if truths else None
        except PictureError as error:
            found.leave_out(name, f"unreadable: {error.found}")
            return None
        usable = list(_usable(truths, image.size if image else (0, 0), name, found))
        if image is None or not usable:
            return None
        stem = _flat(Path(name).with_suffix("").as_posix())
        file = self._free(stem, one.picture.suffix.lower())
        with written(self.out / PICTURES / file) as target:
            target.write(data)
        number = self.database.execute(
            "INSERT INTO test_images (filename) VALUES (?)", (file,)
        ).lastrowid
        for count, truth in enumerate(usable, 1):
            assert truth.box is not None  # noqa: S101  only boxes are usable
            crop = f"{file.replace('.', '_')}_{count}.png"
            with written(self.out / CROPS / crop) as target:
                image.crop(truth.box).save(target, "PNG")
            self._note(number, truth, crop)
        return number

    def _note(self, number: int | None, truth: Truth, crop: str) -> None:
        category, _, brand = truth.label.partition("/")
        self.database.execute(
            "INSERT OR IGNORE INTO logo_names (name, category, brand) VALUES (?, ?, ?)",
            (truth.label, category, brand),
        )
        (logo,) = self.database.execute(
            "SELECT id FROM logo_names WHERE name = ?", (truth.label,)
        ).fetchone()
        self.database.execute(
            "INSERT INTO reference_logos VALUES (?, ?, ?, ?, ?, ?, ?)",
            (crop, logo, number, *(truth.box or ())),
        )
        self.database.execute(
            "INSERT OR IGNORE INTO test_image_logos VALUES (?, ?)", (number, logo)
        )

    def _free(self, stem: str, suffix: str) -> str:
        """A file name that no other picture has."""
        name, count = f"{stem}{suffix}", 1
        while self.database.execute(
            "SELECT 1 FROM test_images WHERE filename = ?", (name,)
        ).fetchone():
            count += 1
            name = f"{stem}~{count}{suffix}"
        return name

    def _leave_out(self, excluded: Iterable[tuple[str, str]], picture: str | None) -> None:
        rows = [(what, why, picture) for what, why in excluded]
        self.database.executemany("INSERT INTO left_out VALUES (?, ?, ?)", rows)

    def finish(self, excluded: Iterable[tuple[str, str]], seed: int) -> None:
        """Drop logos that nothing shows, share out the rest, note what belongs to no picture."""
        self.database.execute(
            "DELETE FROM logo_names WHERE id NOT IN (SELECT logo_name_id FROM reference_logos)"
        )
        names = [name for (name,) in self.database.execute("SELECT name FROM logo_names")]
        for split, part in zip(SPLITS, shared_out(names, seed), strict=True):
            self.database.executemany(
                "UPDATE logo_names SET split = ? WHERE name = ? AND split != ?",
                [(split, name, split) for name in part],
            )
        former = self.database.execute("SELECT what, why FROM left_out WHERE picture IS NULL")
        if sorted(former.fetchall()) != sorted(excluded):
            self.database.execute("DELETE FROM left_out WHERE picture IS NULL")
            self._leave_out(excluded, None)

    def count(self, table: str) -> int:
        """The rows of a table."""
        (count,) = self.database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return int(count)

    def splits(self) -> dict[str, int]:
        """How many items fell to each split."""
        rows = self.database.execute("SELECT split, count(*) FROM logo_names GROUP BY split")
        counts = dict(rows.fetchall())
        return {split: counts.get(split, 0) for split in SPLITS}

    def excluded(self) -> tuple[tuple[str, str], ...]:
        """Everything that was left out."""
        return tuple(self.database.execute("SELECT what, why FROM left_out ORDER BY 1, 2"))


def shared_out(names: Iterable[str], seed: int) -> tuple[list[str], list[str], list[str]]:
    """Names for training, validation and test: shuffled by seed, cut at ⌊.7n⌋ and + ⌊.15n⌋.

    >>> [len(part) for part in shared_out(map(str, range(20)), 42)]
    [14, 3, 3]
    """
    order = shuffled(names, f"{seed}:split")
    train, val = (int(share * len(order) + 1e-9) for share in SHARES)
    return order[:train], order[train : train + val], order[train + val :]


def _usable(
    truths: Iterable[Truth], size: tuple[int, int], name: str, found: Found
) -> Iterator[Truth]:
    for truth in truths:
        box = truth.box and clipped(truth.box, size)
        if box is None:
            x0, y0, x1, y1 = truth.box or (0, 0, 0, 0)
            why = "a box outside its picture" if x0 < x1 and y0 < y1 else "an empty box"
            found.leave_out(f"{name} {truth.box}", why)
        else:
            yield Truth(truth.label, box)


def _opened(path: Path) -> sqlite3.Connection:
    """The database of a former run, or a new one. CatalogError for one that is not ours."""
    database = sqlite3.connect(path)
    try:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        if tables and "prepared" not in tables:
            raise CatalogError(
                shown(str(path)),
                "a mapping database of another program",
                do="Give another --out, or evaluate that folder as it is",
            )
        database.executescript(_SCHEMA)
    except sqlite3.DatabaseError as error:
        database.close()
        raise CatalogError(shown(str(path)), f"not our database ({error})") from error
    except CatalogError:
        database.close()
        raise
    return database


def _stamp(one: Annotated) -> str:
    """Size and time of a picture and its XML."""
    states = [path.stat() for path in (one.picture, one.xml)]
    return " ".join(f"{state.st_size}:{state.st_mtime_ns}" for state in states)


def _flat(path: str) -> str:
    """A path as one file name that any system takes: `Food/Nestle/1` is `Food__Nestle__1`."""
    return re.sub(r'[\x00-\x1f\\:*?"<>|]', "_", shown(path).replace("/", "__")).strip(". ")
