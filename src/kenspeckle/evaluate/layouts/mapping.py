"""`test_data_mapping.db` with the folders `reference_logos` and `test_images` beside it."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.layouts import mapping_shape as shape
from kenspeckle.evaluate.samples import Found, Role, Sample, Truth
from kenspeckle.image.decode import SUFFIXES
from kenspeckle.types import Box

DATABASE = "test_data_mapping.db"
CROPS, PICTURES = shape.REFERENCES, "test_images"
SOURCE = ("test_image_id", "x0", "y0", "x1", "y1")
"""Columns of our own preparation: from which picture a crop was cut, and where."""


@dataclass(frozen=True, slots=True)
class _Crop:
    """A reference: its file, its logo, and where it was cut from, if that is said."""

    file: str
    logo: int
    source: str = ""
    box: Box | None = None


def mapping(path: Path) -> Found:
    """The data set of a mapping database, ours or an existing one.

    What was taken for what is told in the notes. Raises CatalogError with the schema when there is
    not exactly one reading of which picture shows which logo.
    """
    found, name = Found(path.parent, "mapping"), shown(str(path))
    files = _files(path.parent / PICTURES)
    with closing(shape.opened(path)) as connection:
        try:
            known = shape.tables(connection)
            shape.named_tables(known, name)
            readings = shape.readings(connection, known, frozenset(files))
            if len(readings) != 1:
                what = " / ".join(reading.told for reading in readings) or "none"
                raise CatalogError(
                    name,
                    f"{len(readings)} readings of which picture shows which logo ({what}) in "
                    f"{shape.schema(known)}",
                    expected="exactly one",
                    do="Write a table role,label,path instead; see docs/reference/data-sets.md",
                )
            labels = _labels(connection)
            crops = _crops(connection, known, found, readings[0])
        except sqlite3.Error as error:
            raise CatalogError(name, f"a damaged database ({error})") from error
    found.notes.append(
        f"references from {CROPS}.filename, logos from {shape.NAMES}.name; {readings[0].told}"
    )
    _references(found, crops, labels)
    _queries(found, readings[0], crops, labels, files)
    return found


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise CatalogError(shown(str(folder)), "no such folder", expected="the pictures to test")
    return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _labels(connection: sqlite3.Connection) -> dict[int, str]:
    """The label of each logo; the id is added where two share a name."""
    rows = [
        (number, shown(str(name).strip()))
        for number, name in connection.execute(f"SELECT id, name FROM {shape.NAMES}")  # noqa: S608
        if name is not None
    ]
    counts = Counter(name for _, name in rows)
    return {n: name if counts[name] == 1 else f"{name} ({n})" for n, name in rows if name}


def _crops(
    connection: sqlite3.Connection,
    known: dict[str, shape.Table],
    found: Found,
    reading: shape.Reading,
) -> list[_Crop]:
    """The references, with the picture that each was cut from where it can be told."""
    ours = {*SOURCE} <= set(known[CROPS].columns) and PICTURES in known
    if ours:
        sql = (
            f"SELECT r.filename, r.logo_name_id, p.filename, r.x0, r.y0, r.x1, r.y1 FROM {CROPS} r "  # noqa: S608
            f"LEFT JOIN {PICTURES} p ON p.id = r.test_image_id"
        )
        return [
            _Crop(shape.base_name(file), logo, source or "", _box(edges))
            for file, logo, source, *edges in connection.execute(sql)
        ]
    shows: dict[int, list[str]] = defaultdict(list)
    for picture, logo in sorted(reading.pairs):
        shows[logo].append(picture)
    rows = connection.execute(f"SELECT filename, logo_name_id FROM {CROPS}").fetchall()  # noqa: S608
    crops = [_Crop(shape.base_name(f), logo, source_of(f, shows[logo])) for f, logo in rows]
    lacking = sum(not crop.source for crop in crops)
    found.notes.append(
        f"the picture that a reference was cut from is told by its name for "
        f"{len(crops) - lacking} of {len(crops)} references"
        + (f"; the pictures of the other {lacking} may be asked about" if lacking else "")
    )
    return crops


def source_of(crop: str, pictures: list[str]) -> str:
    """The picture whose name is part of the name of a crop, the longest; empty if none is.

    >>> source_of("nike_12_1.jpg", ["1.jpg", "12.jpg", "2.jpg"])
    '12.jpg'
    """
    stem = Path(shape.base_name(crop)).stem.lower()
    inside = [
        picture
        for picture in pictures
        if re.search(rf"(?<![^\W_]){re.escape(Path(picture).stem.lower())}(?![^\W_])", stem)
    ]
    return max(inside, key=lambda picture: (len(picture), picture), default="")


def _box(edges: list[object]) -> Box | None:
    if not all(isinstance(edge, int) for edge in edges):
        return None
    x0, y0, x1, y1 = (int(str(edge)) for edge in edges)
    return x0, y0, x1, y1


def _references(found: Found, crops: list[_Crop], labels: dict[int, str]) -> None:
    for crop in crops:
        path = found.folder / CROPS / crop.file
        name = found.name_of(path)
        if crop.logo not in labels:
            found.leave_out(name, "a logo without a name")
            continue
        capture = f"{PICTURES}/{crop.source}" if crop.source else ""
        truth = (Truth(labels[crop.logo]),)
        found.samples.append(Sample("reference", path, name, truth, capture))


def _queries(
    found: Found,
    reading: shape.Reading,
    crops: list[_Crop],
    labels: dict[int, str],
    files: list[str],
) -> None:
    """Every picture with what it shows, with boxes where the crops say where they were cut."""
    logos: dict[str, set[int]] = defaultdict(set)
    boxes: dict[tuple[str, int], set[Box]] = defaultdict(set)
    for picture, logo in reading.pairs:
        logos[picture].add(logo)
    for crop in crops:
        if crop.box:
            boxes[crop.source, crop.logo].add(crop.box)
    for picture in sorted({*files, *logos}):
        path = found.folder / PICTURES / picture
        name = found.name_of(path)
        truths = [
            Truth(labels[logo], box)
            for logo in sorted(logos.get(picture, ()))
            if logo in labels
            for box in sorted(boxes[picture, logo]) or (None,)
        ]
        if not truths and picture not in logos:
            found.leave_out(name, "a picture that the database does not name")
            continue
        role: Role = "query" if truths else "stranger"
        capture = f"{PICTURES}/{picture}"
        found.samples.append(Sample(role, path, name, tuple(truths), capture))
