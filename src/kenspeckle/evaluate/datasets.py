"""Read labelled pictures from a disk, whatever layout they lie in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.layouts.folders import folders
from kenspeckle.evaluate.layouts.table import table
from kenspeckle.evaluate.samples import Dataset, Found, Sample, Truth, settle

__all__ = ["LAYOUTS", "Dataset", "Sample", "Truth", "read"]

LAYOUTS: dict[str, Callable[[Path], Found]] = {
    "table": table,
    "folders": folders,
}
"""Each layout by name, with its reader."""


def read(path: str | os.PathLike[str], layout: str = "auto") -> Dataset:
    """The labelled pictures in a folder or file.

    layout
        A name of `LAYOUTS`, or `auto`: told by what is there.

    Nothing is decoded; sizes are read where there are boxes. Raises CatalogError when the layout
    cannot be told, or says nothing usable.
    """
    place = Path(path)
    if not place.exists():
        raise CatalogError(shown(str(path)), "no such file or folder", do="Check the name")
    if layout == "auto":
        layout, place = told(place)
    reader = LAYOUTS.get(layout)
    if reader is None:
        raise CatalogError("layout", f"'{shown(layout)}'", expected=" or ".join(("auto", *LAYOUTS)))
    return settle(reader(place))


def told(place: Path) -> tuple[str, Path]:
    """The layout of a file or folder, and where its reader starts."""
    if place.is_file():
        return "table", place
    tables = sorted(p for p in place.glob("*.csv") if _names_roles(p))
    if len(tables) == 1:
        return "table", tables[0]
    if tables:
        raise CatalogError(
            shown(str(place)),
            f"the tables {', '.join(shown(p.name) for p in tables)}",
            expected="one",
            do=f"Name the one that is meant: {shown(str(tables[0]))}",
        )
    return "folders", place


def _names_roles(path: Path) -> bool:
    """Whether the first line of a table has the columns role and label."""
    with path.open("rb") as file:
        head = file.readline(4096).decode("utf-8", "replace").lower()
    return "role" in head and "label" in head
