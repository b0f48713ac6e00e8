"""A folder of reference pictures → entries. Nothing is opened but `labels.csv` and `manifest.json`.

    mug.jpg, mug__2.jpg          two references of the item `mug`
    mug/front.jpg, mug/old/1.png two references of the item `mug`: the first folder names it

What says more about a picture wins: `labels.csv` over `manifest.json` over folder over file name.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from kenspeckle.catalog.entry import Entry, Listing, settle, shown
from kenspeckle.catalog.naming import (
    Name,
    Scheme,
    carries_code,
    choose_scheme,
    gathered,
    name_item,
    stem,
)
from kenspeckle.catalog.override import LABELS, MANIFEST, Override, read_labels, read_manifest
from kenspeckle.catalog.table import tabled
from kenspeckle.catalog.walk import Found, Walk, check_place, place, walk_through
from kenspeckle.errors import CatalogError
from kenspeckle.image.decode import SUFFIXES
from kenspeckle.types import Reference


def scan(
    folder: str | os.PathLike[str],
    *,
    naming: str = "auto",
    table: str | os.PathLike[str] | None = None,
    label_from: str = "query",
    flat: bool = False,
) -> Listing:
    """List the references in a folder, or those that a table names.

    naming
        `cards`, `plain`, or `auto`: cards if any file name carries a set code.
    table
        A CSV or JSON-lines file that names pictures and items; `folder` then is where its paths
        start. `folder` may be the table itself.
    label_from
        `query` or `title`: which column of a `manifest.json` is the label.
    flat
        Only files directly in the folder, and only JPEG, PNG and WebP.

    Raises CatalogError when there is nothing to enrol, and SettingError for an unknown scheme.
    """
    if not os.fspath(folder):  # as a path it would be the working folder
        raise CatalogError("references", "an empty name", expected="a folder or a table")
    root = Path(folder)
    if table is not None or root.is_file():
        base = root if table is not None else root.parent
        return tabled(Path(table if table is not None else root), base, naming)
    if not root.is_dir():
        raise CatalogError(
            shown(str(root)),
            "no such folder",
            expected="a folder of pictures, or a table (.csv, .jsonl)",
        )
    before = place(root)
    walk = walk_through(str(root), flat)
    check_place(root, before)
    if not walk.pictures:
        raise _nothing(root, walk)
    pictures = sorted(walk.pictures)
    words = [word for found in pictures for word in found.path.split("/")]
    scheme = choose_scheme(words, naming)
    overrides, notes = _overrides(root, walk, label_from)
    if naming == "auto" and scheme == "cards":
        notes.append(f"cards naming, because '{shown(carries_code(words))}' carries a set code")
    return _list(root, pictures, walk, scheme, overrides, notes)


def _nothing(root: Path, walk: Walk) -> CatalogError:
    if "" in walk.unread:
        return CatalogError(shown(str(root)), walk.skipped[-1][1])
    kinds = Counter(Path(path).suffix.lower() or "no suffix" for path, _ in walk.skipped)
    others = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(4))
    return CatalogError(
        shown(str(root)),
        f"no pictures ({others})" if others else "an empty folder",
        expected=f"files ending in {' '.join(sorted(SUFFIXES))}",
        do="Put one picture of each item into it, named like the item",
    )


def _overrides(root: Path, walk: Walk, label_from: str) -> tuple[dict[str, Override], list[str]]:
    """What `labels.csv` and gather's manifests say, by raw path below the root."""
    overrides: dict[str, Override] = {}
    notes: list[str] = []
    paths = [found.path for found in walk.pictures]
    for manifest in sorted(walk.manifests):
        said, why = read_manifest(root, manifest, paths, label_from)
        overrides |= said
        notes += why
    if walk.labels:
        said, why = read_labels(root / LABELS, paths)
        overrides |= said
        notes += why
    named_by_nothing = [
        path for path in paths if path not in overrides and gathered(stem(path.rsplit("/")[-1]))
    ]
    if len(named_by_nothing) == len(paths) and not any("/" in path for path in paths):
        raise CatalogError(
            shown(str(root)),
            f"nothing but gathered files like '{shown(paths[0])}', whose names are no labels",
            expected=f"the {MANIFEST} of the gather step, or a {LABELS} (filename,label)",
            do=f"Copy {MANIFEST} into the folder, or name each file like its item",
        )
    return overrides, notes


def _list(
    root: Path,
    pictures: list[Found],
    walk: Walk,
    scheme: Scheme,
    overrides: dict[str, Override],
    notes: list[str],
) -> Listing:
    """Name every picture; count those that an override leaves out."""
    entries: list[Entry] = []
    skipped = list(walk.skipped)
    folders: dict[str, Name] = {}
    taken: set[str] = set()
    for found in pictures:
        override = overrides.get(found.path)
        path = shown(found.path)
        why = override.dropped if override is not None else ""
        if path in taken:
            why = "its name reads like that of another file"
        if why:
            skipped.append((path, why))
            continue
        taken.add(path)
        name = _named(found.path, scheme, folders)
        if override is not None:
            name = override.over(name)
        reference = Reference(
            key=name.key,
            label=name.label,
            path=path,
            variant=name.variant,
            size=found.size,
            mtime_ns=found.mtime_ns,
            metadata=name.metadata,
        )
        entries.append(Entry(reference, Path(found.file)))
    if not entries:
        raise CatalogError(
            shown(str(root)), f"all {len(pictures)} pictures are left out ({skipped[-1][1]})"
        )
    settled, merged = settle(entries)
    return Listing(
        settled,
        tuple(sorted(skipped)),
        scheme,
        tuple(notes + merged + _doubled(pictures, overrides) + _deep(pictures)),
        tuple(walk.unread),
    )


def _named(path: str, scheme: Scheme, folders: dict[str, Name]) -> Name:
    """The item of a path: its first folder names it, a file at the top names itself."""
    top, _, rest = path.partition("/")
    if not rest:
        return name_item(stem(top), scheme)
    name = folders.get(top)
    if name is None:
        name = folders[top] = name_item(top, scheme)
    if scheme == "plain":
        return name
    own = name_item(stem(path.rsplit("/")[-1]), scheme)
    if not own.variant:
        return name
    kept = {k: own.metadata[k] for k in ("set_code", "rarity") if k in own.metadata}
    return replace(name, variant=own.variant, metadata={**name.metadata, **kept})


def _doubled(pictures: list[Found], overrides: dict[str, Override]) -> list[str]:
    """Tell of files at the top whose names differ in nothing that makes an item."""
    alike: dict[str, list[str]] = {}
    for found in pictures:
        if "/" not in found.path and found.path not in overrides:
            alike.setdefault(normalize("NFC", stem(found.path)), []).append(shown(found.path))
    return [
        f"{' and '.join(map(repr, paths))} are one item: their names differ only in suffix or "
        "Unicode form"
        for paths in alike.values()
        if len(paths) > 1
    ]


def _deep(pictures: list[Found]) -> list[str]:
    """Warn of a folder of folders, each of which looks like an item of its own."""
    below: dict[str, set[str]] = {}
    for found in pictures:
        parts = found.path.split("/", 2)
        if len(parts) == 3:
            below.setdefault(parts[0], set()).add(parts[1])
    return [
        f"'{shown(top)}' holds {len(inner)} folders, all taken as references of one item; "
        f"index '{shown(top)}' itself if each of them is an item"
        for top, inner in sorted(below.items())
        if len(inner) > 1
    ]
