"""What a folder says about its own pictures: `labels.csv`, and gather's `manifest.json`.

Both only speak of pictures that were found in the folder, so a folder from a stranger opens
nothing outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.naming import Name, gathered, key_of, stem, tidy
from kenspeckle.catalog.rows import Row, load_json, read_rows, read_text
from kenspeckle.errors import CatalogError, SettingError
from kenspeckle.types import NO_METADATA

LABELS = "labels.csv"
MANIFEST = "manifest.json"
PATH_COLUMNS = ("path", "filename", "file")
OWN_COLUMNS = frozenset({*PATH_COLUMNS, "url", "key", "label", "variant"})
KEPT_OF_MANIFEST = ("url", "source", "page", "license")


@dataclass(frozen=True, slots=True)
class Override:
    """What a table says about a picture, empty or None: nothing. `dropped`: why it is left out."""

    label: str = ""
    key: str = ""
    variant: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)
    dropped: str = ""

    def over(self, name: Name) -> Name:
        """The name with what this override says put over it."""
        label = self.label or name.label
        key = self.key or (key_of(self.label) if self.label else name.key)
        variant = name.variant if self.variant is None else self.variant
        return Name(key, label, variant, {**name.metadata, **self.metadata})


def override_of(cells: Mapping[str, str]) -> Override:
    """What the cells of one row say; columns without a meaning of their own are metadata."""
    variant = cells.get("variant")
    return Override(
        label=tidy(cells.get("label", "")),
        key=tidy(cells.get("key", "")),
        variant=None if variant is None else tidy(variant),
        metadata={c: v for c, v in cells.items() if v and c not in OWN_COLUMNS},
    )


def check_columns(row: Row, name: str) -> None:
    """Refuse a row that has no column for the picture or for the item. CatalogError."""
    for needed in ((*PATH_COLUMNS, "url"), ("key", "label")):
        if not any(column in row.cells for column in needed):
            raise CatalogError(
                f"{name}, line {row.line}",
                f"columns {', '.join(shown(column) for column in row.cells)}"[:200],
                expected=f"one of {', '.join(needed)}",
            )


def read_labels(table: Path, paths: Iterable[str]) -> tuple[dict[str, Override], list[str]]:
    """What a folder's `labels.csv` says, by path, and a note for each row without its picture.

    `filename` is a path below the folder, or a bare file name when only one picture has it.
    Raises CatalogError for a table without `filename` or without `label` and `key`, and for a
    bare name that several pictures have.
    """
    known, bare = {shown(path): path for path in paths}, _by_name(paths)
    overrides: dict[str, Override] = {}
    missing = []
    for row in read_rows(table):
        check_columns(row, LABELS)
        where = next((row.cells[c] for c in PATH_COLUMNS if row.cells.get(c)), "")
        path = known.get(where.removeprefix("./"))
        if path is None and len(bare.get(where, ())) > 1:
            both = " and ".join(f"'{shown(p)}'" for p in bare[where][:2])
            raise CatalogError(
                f"{LABELS}, line {row.line}",
                f"'{shown(where)}' may be {both}",
                expected="a path below the folder",
            )
        if path is None and where in bare:
            path = bare[where][0]
        if path is None:
            missing.append(row.line)
        else:
            overrides[path] = override_of(row.cells)
    return overrides, [_unpictured(missing)] if missing else []


def _unpictured(lines: Sequence[int]) -> str:
    some = ", ".join(map(str, lines[:10])) + (", …" if len(lines) > 10 else "")
    if len(lines) == 1:
        return f"{LABELS}: no picture for line {some}"
    return f"{LABELS}: no picture for {len(lines)} rows (lines {some})"


def read_manifest(
    root: Path, manifest: str, paths: Iterable[str], label_from: str
) -> tuple[dict[str, Override], list[str]]:
    """What the gather step's manifest says about the pictures in its folder and below.

    The label is `query` or `title`, the other one where it is empty. A JSON file of another kind
    is passed over with a note. Raises CatalogError for broken JSON, SettingError for an unknown
    `label_from`.
    """
    if label_from not in ("query", "title"):
        raise SettingError("--label-from", repr(label_from), expected="query or title")
    name = shown(manifest)
    data = load_json(read_text(root / manifest), name)
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    if not any("path" in row and ("query" in row or "title" in row) for row in rows):
        return {}, [f"{name} is not a gather manifest; passed over"]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        file = re.split(r"[/\\]", str(row.get("path", "")))[-1]
        by_name.setdefault(file, []).append(row)
    folder = manifest.removesuffix(MANIFEST)
    overrides = {}
    for path in paths:
        if path.startswith(folder):
            file = path.rsplit("/")[-1]
            if file in by_name:
                overrides[path] = _gathered(_closest(by_name[file], path), label_from)
            elif gathered(stem(file)):
                overrides[path] = Override(dropped=f"not in {name}")
    return overrides, []


def _closest(rows: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """Of several rows for one file name: the one for this folder, else one that was kept."""
    here = [r for r in rows if str(r["path"]).replace("\\", "/").endswith(f"/{path}")]
    return min(here or rows, key=lambda row: bool(row.get("dropped")))


def _gathered(row: Mapping[str, Any], label_from: str) -> Override:
    dropped = row.get("dropped")
    if dropped:
        why = f": {tidy(dropped)}" if isinstance(dropped, str) else ""
        return Override(dropped=f"dropped in {MANIFEST}{why}")
    label = tidy(str(row.get(label_from) or row.get("query") or row.get("title") or ""))
    if not label:
        return Override(dropped=f"no query and no title in {MANIFEST}")
    kept = {k: str(row[k]) for k in KEPT_OF_MANIFEST if row.get(k)}
    return Override(label=label, metadata=kept)


def _by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for path in paths:
        names.setdefault(shown(path.rsplit("/")[-1]), []).append(path)
    return names
