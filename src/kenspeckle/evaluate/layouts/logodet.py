"""LogoDet-3K as published: `<category>/<brand>/` with pictures and VOC XML of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.layouts.voc import Voc, read_voc
from kenspeckle.evaluate.samples import Found, Sample, Truth
from kenspeckle.image.decode import SUFFIXES
from kenspeckle.types import Box

INNER = "LogoDet-3K"


@dataclass(frozen=True, slots=True)
class Annotated:
    """One picture with its XML. `category/brand` is where it lies."""

    picture: Path
    xml: Path
    category: str
    brand: str


def root_of(folder: Path) -> Path:
    """The folder of the categories: `folder`, or `LogoDet-3K` in it."""
    return folder / INNER if (folder / INNER).is_dir() else folder


def annotated(folder: Path, found: Found) -> Iterator[Annotated]:
    """Every picture that has an XML, by category, brand and name; what has none is left out."""
    for category in _folders(folder, found):
        for brand in _folders(category, found):
            files = sorted(p for p in brand.iterdir() if p.is_file())
            xmls = {p.stem: p for p in files if p.suffix.lower() == ".xml"}
            for file in files:
                xml = xmls.get(file.stem)
                if file.suffix.lower() not in SUFFIXES:
                    if file.suffix.lower() != ".xml":
                        found.leave_out(found.name_of(file), "neither a picture nor XML")
                elif xml is None:
                    found.leave_out(found.name_of(file), "a picture without XML")
                else:
                    yield Annotated(file, xml, category.name, brand.name)
            pictures = {p.stem for p in files if p.suffix.lower() in SUFFIXES}
            for stem in sorted(xmls.keys() - pictures):
                found.leave_out(found.name_of(xmls[stem]), "XML without a picture")


def truths_of(one: Annotated, found: Found, brands: frozenset[str]) -> tuple[Truth, ...]:
    """What a picture shows, items keyed `category/brand`; unreadable XML or boxes are left out.

    An object named like another brand of the category is that brand, any other is the folder's:
    names in the XML are spelt freely.
    """
    try:
        voc = read_voc(one.xml)
    except CatalogError as error:
        found.leave_out(found.name_of(one.xml), error.found)
        return ()
    for name in voc.broken:
        found.leave_out(f"{found.name_of(one.xml)} '{name}'", "a box that cannot be read")
    if not voc.boxes and not voc.broken:
        found.leave_out(found.name_of(one.xml), "XML without a box")
    truths = {
        Truth(shown(f"{one.category}/{name if name in brands else one.brand}"), box): None
        for name, box in _boxes(voc, found, one)
    }
    return tuple(truths)


def _boxes(voc: Voc, found: Found, one: Annotated) -> tuple[tuple[str, Box], ...]:
    """The boxes, unless the XML speaks of the picture before its EXIF rotation."""
    size = found.size_of(one.picture)
    if size is None:
        return ()
    if voc.size is not None and voc.size != size and voc.size == size[::-1]:
        found.leave_out(found.name_of(one.xml), "boxes of the picture before its EXIF rotation")
        return ()
    return voc.boxes


def logodet(folder: Path) -> Found:
    """Every box may be a reference, every picture a query."""
    root = root_of(folder)
    found = Found(root, "logodet")
    seen: dict[str, frozenset[str]] = {}
    for one in annotated(root, found):
        if one.category not in seen:
            seen[one.category] = brands_of(root / one.category)
        truths = truths_of(one, found, seen[one.category])
        name = found.name_of(one.picture)
        if truths:
            found.samples.append(Sample("query", one.picture, name, truths, name))
            found.samples += [
                Sample("reference", one.picture, name, (truth,), name) for truth in truths
            ]
    return found


def brands_of(category: Path) -> frozenset[str]:
    """The names of the folders in a category."""
    return frozenset(entry.name for entry in category.iterdir() if entry.is_dir())


def _folders(place: Path, found: Found) -> Iterator[Path]:
    try:
        entries = sorted(place.iterdir())
    except OSError as error:
        raise CatalogError(shown(str(place)), f"cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            yield entry
        else:
            found.leave_out(found.name_of(entry), "lies in no brand's folder")
