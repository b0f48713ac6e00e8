"""Tables that name pictures and items: one handed in, or `labels.csv` and gather's `manifest.json`.

A table handed in is its user's own word: its paths may lead anywhere. A file found inside a
folder only speaks of the pictures that were found there, so a folder from a stranger opens
nothing outside of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any

from kenspeckle.catalog.entry import Entry, Listing, settle, shown
from kenspeckle.catalog.naming import Name, gathered, key_of, stem, tidy
from kenspeckle.catalog.rows import Row, load_json, read_rows, read_text
from kenspeckle.errors import CatalogError, SettingError
from kenspeckle.types import NO_METADATA, Reference

LABELS = "labels.csv"
MANIFEST = "manifest.json"
PATH_COLUMNS = ("path", "filename", "file")
OWN_COLUMNS = frozenset({*PATH_COLUMNS, "url", "key", "label", "variant"})
KEPT_OF_MANIFEST = ("url", "source", "page", "license")

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


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


def _override(cells: Mapping[str, str]) -> Override:
    variant = cells.get("variant")
    return Override(
        label=tidy(cells.get("label", "")),
        key=tidy(cells.get("key", "")),
        variant=None if variant is None else tidy(variant),
        metadata={c: v for c, v in cells.items() if v and c not in OWN_COLUMNS},
    )


def tabled(table: Path, base: Path, naming: str) -> Listing:
    """The listing that a table gives; relative paths start at `base`.

    Columns: `path` (or `filename`) or `url`, and `key` or `label`; `variant` and any others,
    which become metadata. Without a key the label makes it, without a label the key is it.

    Raises CatalogError, with the line, for a table that cannot be read, that lacks a column, or
    that gives one picture to two items, and when no row can be used. A row that names no picture
    or no item is skipped and counted.
    """
    name, root = shown(str(table)), os.path.abspath(base)  # noqa: PTH100  resolves no link
    entries: dict[str, tuple[Entry, int]] = {}
    skipped: list[tuple[str, str]] = []
    for row in read_rows(table):
        _check_columns(row, name)
        try:
            entry = _entry(row, root)
        except ValueError as error:
            skipped.append((f"{name}, line {row.line}", str(error)))
            continue
        path, key = entry.reference.path, entry.reference.key
        former = entries.get(path)
        if former is None:
            entries[path] = (entry, row.line)
        elif former[0].reference.key == key:
            skipped.append((f"{name}, line {row.line}", f"names '{path}' again"))
        else:
            raise CatalogError(
                f"{name}, line {row.line}",
                f"gives '{path}' to '{key}'",
                expected=f"'{former[0].reference.key}', as in line {former[1]}",
            )
    if not entries:
        found = (
            f"no row that can be used ({skipped[0][0]}: {skipped[0][1]})" if skipped else "no rows"
        )
        raise CatalogError(name, found, expected="columns path or url, and key or label")
    settled, notes = settle([entry for entry, _ in entries.values()])
    by_path = tuple(sorted(settled, key=lambda entry: entry.reference.path))
    return Listing(by_path, tuple(skipped), "cards" if naming == "cards" else "plain", tuple(notes))


def _check_columns(row: Row, name: str) -> None:
    for needed in ((*PATH_COLUMNS, "url"), ("key", "label")):
        if not any(column in row.cells for column in needed):
            raise CatalogError(
                f"{name}, line {row.line}",
                f"columns {', '.join(shown(column) for column in row.cells)}"[:200],
                expected=f"one of {', '.join(needed)}",
            )


def _entry(row: Row, root: str) -> Entry:
    """The entry of a row. ValueError says why there is none."""
    said = _override(row.cells)
    label = said.label or said.key
    if not label:
        raise ValueError("no key and no label")
    named = Name(said.key or key_of(label), label, said.variant or "", said.metadata)
    where = next((row.cells[c] for c in PATH_COLUMNS if row.cells.get(c)), "")
    address = row.cells.get("url", "")
    if where and not _ADDRESS.match(where):
        if address:
            named = Name(named.key, named.label, named.variant, {**named.metadata, "url": address})
        return _file_entry(where, root, named)
    address = where or address
    if not address:
        raise ValueError("no path and no url")
    if not _ADDRESS.match(address):
        raise ValueError(f"'{shown(address)[:80]}' is not an http address")
    return Entry(_reference(named, shown(address)), address)


def _file_entry(where: str, root: str, named: Name) -> Entry:
    file = os.path.normpath(os.path.join(root, where))  # noqa: PTH118  must not resolve links
    try:
        stat = os.stat(file)  # noqa: PTH116
    except (OSError, ValueError) as error:
        raise ValueError(f"no such file '{shown(where)[:80]}'") from error
    if not S_ISREG(stat.st_mode):
        raise ValueError(f"'{shown(where)[:80]}' is not a regular file")
    inside = file.startswith(root.rstrip(os.sep) + os.sep)
    path = os.path.relpath(file, root) if inside else file
    reference = _reference(named, shown(path.replace(os.sep, "/")), stat.st_size, stat.st_mtime_ns)
    return Entry(reference, Path(file))


def _reference(named: Name, path: str, size: int = -1, mtime_ns: int = -1) -> Reference:
    return Reference(
        key=named.key,
        label=named.label,
        path=path,
        variant=named.variant,
        size=size,
        mtime_ns=mtime_ns,
        metadata=named.metadata,
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
        _check_columns(row, LABELS)
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
            overrides[path] = _override(row.cells)
    lines = ", ".join(map(str, missing[:10]))
    notes = [f"{LABELS}: no picture for {len(missing)} rows (lines {lines})"] if missing else []
    return overrides, notes


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
