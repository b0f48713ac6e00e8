"""Tables `role,label,path[,box][,capture]`: CSV, JSON lines or a JSON list."""

from __future__ import annotations

import re
from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.rows import Row, read_rows
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.samples import Found, Role, Sample, Truth
from kenspeckle.types import Box

ROLES: dict[str, Role] = {
    "reference": "reference",
    "gallery": "reference",
    "query": "query",
    "stranger": "stranger",
    "unknown": "stranger",
}
PATHS = ("path", "filename")
EDGES = ("x0", "y0", "x1", "y1")
BOXES = "boxes.csv"
"""A table `path,x0,y0,x1,y1` beside one without boxes says where its queries show their item."""


def table(path: Path) -> Found:
    """The samples that a table names; relative paths start at its folder.

    Rows of one query that differ in label or box make one sample with several truths. Raises
    CatalogError for a table that cannot be read or lacks a column.
    """
    found = Found(path.parent, "table", path.stem)
    merged: dict[tuple[Role, Path], list[tuple[Truth, str]]] = {}
    boxes: dict[Path, Box] | None = None
    for row in read_rows(path):
        where = f"{shown(path.name)}, line {row.line}"
        _check_columns(row, path)
        if boxes is None:
            boxes = {} if {"box", *EDGES} & set(row.cells) else _beside(found)
        try:
            role, file, truth = _sample(row, found.folder)
        except ValueError as error:
            found.leave_out(where, str(error))
            continue
        if truth is not None and truth.box is None and role != "reference":
            truth = Truth(truth.label, boxes.get(file))
        _take(found, merged, where, (role, file), truth, row.cells.get("capture", ""))
    for (role, file), truths in merged.items():
        name = found.name_of(file)
        if role == "reference":
            found.samples += [Sample(role, file, name, (t,), c) for t, c in truths]
        else:
            shows = tuple(t for t, _ in truths if t != Truth(""))
            found.samples.append(Sample(role, file, name, shows, truths[0][1]))
    return found


def _take(
    found: Found,
    merged: dict[tuple[Role, Path], list[tuple[Truth, str]]],
    where: str,
    place: tuple[Role, Path],
    truth: Truth | None,
    capture: str,
) -> None:
    """Put one row to those of the same picture, or count why not."""
    role, file = place
    truth = truth or Truth("")
    other: Role = "stranger" if role == "query" else "query"
    if role != "reference" and (other, file) in merged:
        found.leave_out(where, f"a {role} that an earlier row calls a {other}")
    elif any(truth == former for former, _ in merged.get(place, [])):
        found.leave_out(where, "says the same as an earlier row")
    else:
        merged.setdefault(place, []).append((truth, capture))


def _check_columns(row: Row, path: Path) -> None:
    lacking = [name for name in ("role", "label") if name not in row.cells]
    if not any(name in row.cells for name in PATHS):
        lacking.append("path")
    if lacking:
        raise CatalogError(
            f"{shown(str(path))}, line {row.line}",
            f"no column {', '.join(lacking)} beside {', '.join(map(shown, row.cells))}",
            expected="columns role, label, path and possibly box and capture",
        )


def _sample(row: Row, folder: Path) -> tuple[Role, Path, Truth | None]:
    """Role, file and truth of a row. ValueError says why there is none."""
    said, label = row.cells["role"], shown(row.cells["label"])
    role = ROLES.get(said.lower())
    if role is None:
        raise ValueError(f"unknown role '{shown(said)[:40]}'")
    where = next((row.cells[c] for c in PATHS if row.cells.get(c)), "")
    if not where:
        raise ValueError("no path")
    if not label and role != "stranger":
        raise ValueError(f"a {role} without a label")
    box = _box(row)
    return role, folder / where, Truth(label, box) if label or box else None


def _box(row: Row) -> Box | None:
    """The box of a row: `x0 y0 x1 y1` in one cell, or in four."""
    text = row.cells.get("box", "") or " ".join(row.cells.get(edge, "") for edge in EDGES).strip()
    if not text:
        return None
    try:
        x0, y0, x1, y1 = (round(float(part)) for part in re.split(r"[\s,;]+", text.strip("[]() ")))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"a box '{shown(text)[:40]}' that is not x0 y0 x1 y1") from error
    return x0, y0, x1, y1


def _beside(found: Found) -> dict[Path, Box]:
    """The boxes of `boxes.csv` in the same folder, if there is one."""
    path = found.folder / BOXES
    if not path.is_file():
        return {}
    boxes: dict[Path, Box] = {}
    for row in read_rows(path):
        try:
            box = _box(row)
        except ValueError as error:
            found.leave_out(f"{BOXES}, line {row.line}", str(error))
            continue
        if box and row.cells.get("path"):
            boxes[found.folder / row.cells["path"]] = box
    found.notes.append(f"{BOXES}: where {len(boxes)} pictures show their item")
    return boxes
