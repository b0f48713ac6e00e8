"""Read labelled pictures from a disk, whatever layout they lie in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.layouts.coco import coco, is_coco
from kenspeckle.evaluate.layouts.folders import folders
from kenspeckle.evaluate.layouts.logodet import logodet, root_of
from kenspeckle.evaluate.layouts.mapping import DATABASE, mapping
from kenspeckle.evaluate.layouts.prefixed import named, photo_folder, prefixed
from kenspeckle.evaluate.layouts.table import table
from kenspeckle.evaluate.samples import Dataset, Found, Sample, Truth, settle
from kenspeckle.flows.given import places

__all__ = ["LAYOUTS", "Dataset", "Sample", "Truth", "read"]

LAYOUTS: dict[str, Callable[[Path], Found]] = {
    "table": table,
    "mapping": mapping,
    "coco": coco,
    "logodet": logodet,
    "prefixed": prefixed,
    "folders": folders,
}
"""Each layout by name, with its reader. The first two and `coco` take a file."""
FILES = {"table": "*.csv", "mapping": DATABASE, "coco": "*.json"}
"""Which files in a folder may be the one to read."""


def read(path: str | os.PathLike[str], layout: str = "auto") -> Dataset:
    """The labelled pictures in a folder or file.

    layout
        A name of `LAYOUTS`, or `auto`: told by what is there.

    Nothing is decoded; sizes are read where there are boxes. Raises CatalogError when the layout
    cannot be told, or says nothing usable.
    """
    places(path=path)
    place = Path(path)
    if not place.exists():
        raise CatalogError(shown(str(path)), "no such file or folder", do="Check the name")
    if layout == "auto":
        layout, place = told(place)
    elif layout in FILES and place.is_dir():
        place = _only(place, layout)
    reader = LAYOUTS.get(layout)
    if reader is None:
        expected = " or ".join(("auto", *LAYOUTS))
        raise CatalogError("layout", f"'{shown(layout)}'", expected=expected)
    if layout not in FILES and not place.is_dir():
        raise CatalogError(shown(str(path)), "a file", expected=f"a folder for {layout}")
    try:
        return settle(reader(place))
    except OSError as error:
        raise CatalogError(shown(str(path)), f"cannot be read: {error.strerror}") from error


def told(place: Path) -> tuple[str, Path]:
    """The layout of a file or folder, and where its reader starts.

    Of a folder, in this order: `test_data_mapping.db`; one table with role and label; one COCO
    file; `<category>/<brand>/*.xml`; a folder of photos named by its neighbours; a folder an item.
    """
    try:
        if place.is_file():
            return _told_file(place), place
        for layout in FILES:
            if any(_fits(layout, file) for file in place.glob(FILES[layout])):
                return layout, _only(place, layout)
        if next(root_of(place).glob("*/*/*.xml"), None):
            return "logodet", place
        return ("prefixed" if _is_prefixed(place) else "folders"), place
    except OSError as error:
        raise CatalogError(shown(str(place)), f"cannot be read: {error.strerror}") from error


def _told_file(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(16) == b"SQLite format 3\0":
            return "mapping"
    return "coco" if path.suffix.lower() == ".json" and is_coco(path) else "table"


def _fits(layout: str, path: Path) -> bool:
    if layout == "table":
        with path.open("rb") as file:
            head = file.readline(4096).decode("utf-8", "replace").lower()
        return "role" in head and "label" in head
    return layout == "mapping" or is_coco(path)


def _only(folder: Path, layout: str) -> Path:
    """The one file of a layout in a folder. CatalogError when there is none, or several."""
    files = [file for file in sorted(folder.glob(FILES[layout])) if _fits(layout, file)]
    if len(files) == 1:
        return files[0]
    names = ", ".join(shown(file.name) for file in files) or "no such file"
    do = f"Name the one that is meant: {shown(str(files[0]))}" if files else ""
    raise CatalogError(shown(str(folder)), names, expected=f"one {FILES[layout]}", do=do)


def _is_prefixed(folder: Path) -> bool:
    """Whether photos are named by the folders beside theirs."""
    photos = photo_folder(folder)
    if photos is None:
        return False
    tops = [p for p in folder.iterdir() if p.is_dir() and p != photos]
    items = [*tops, *(p for top in tops for p in top.iterdir() if p.is_dir())]
    names = frozenset(p.name.lower() for p in items)
    return any(named(p.stem, names) for p in photos.iterdir() if p.is_file())
