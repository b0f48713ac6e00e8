"""A folder an item, with or without folders that say what is enrolled and what is asked."""

from __future__ import annotations

from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.walk import walk_through
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.samples import Found, Role, Sample, Truth

ROLE_FOLDERS: dict[str, Role] = {
    "reference": "reference",
    "references": "reference",
    "refs": "reference",
    "gallery": "reference",
    "query": "query",
    "queries": "query",
    "photos": "query",
    "stranger": "stranger",
    "strangers": "stranger",
    "unknown": "stranger",
}


def folders(root: Path) -> Found:
    """`root/<item>/…`: every picture may be enrolled or asked about; a draw says which.

    With folders named `references` and `queries` (and `strangers`) in `root`, each holding a
    folder an item, roles are fixed. What lies in `strangers` itself shows nothing with a name.
    """
    found = Found(root, "folders")
    walk = walk_through(str(root), flat=False)
    for what, why in walk.skipped:
        found.leave_out(what, why)
    tops = {top: role for top in _folders(root) if (role := ROLE_FOLDERS.get(top.lower()))}
    fixed = {"reference", "query"} <= set(tops.values())
    for picture in sorted(walk.pictures):
        parts = picture.path.split("/")
        path, name = Path(picture.file), found.name_of(Path(picture.file))
        if not fixed:
            if len(parts) == 1:
                found.leave_out(picture.path, "lies in no item's folder")
                continue
            truth = (Truth(shown(parts[0])),)
            found.samples.append(Sample("reference", path, name, truth))
            found.samples.append(Sample("query", path, name, truth))
            continue
        role = tops.get(parts[0])
        if role is None:
            found.leave_out(picture.path, "lies outside the folders that say a role")
        elif len(parts) > 2:
            found.samples.append(Sample(role, path, name, (Truth(shown(parts[1])),)))
        elif role == "stranger":
            found.samples.append(Sample(role, path, name))
        else:
            found.leave_out(picture.path, "lies in no item's folder")
    if fixed:
        found.notes.append(", ".join(f"'{top}': {role}" for top, role in sorted(tops.items())))
    return found


def _folders(root: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    except OSError as error:
        raise CatalogError(str(root), f"cannot be read: {error.strerror}") from error
