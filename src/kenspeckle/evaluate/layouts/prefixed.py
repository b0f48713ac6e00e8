"""The averaged-reference test: a folder of references an item, photos told by their names.

`<item>_….jpg` shows an item, `<a>+<b>_….jpg` both, any other name none.
"""

from __future__ import annotations

from pathlib import Path

from kenspeckle.catalog.entry import shown
from kenspeckle.catalog.walk import walk_through
from kenspeckle.errors import CatalogError
from kenspeckle.evaluate.samples import Found, Role, Sample, Truth

PHOTOS = ("test_images", "photos", "queries", "pictures", "images", "test")
REFERENCES = ("references", "reference_logos", "refs", "logos", "gallery")


def prefixed(root: Path) -> Found:
    """References from the folders of `root` (or of `references` in it), photos from the folder
    named like one of `PHOTOS`. Raises CatalogError when there is no such folder."""
    photos = photo_folder(root)
    if photos is None:
        raise CatalogError(
            shown(str(root)), "no folder of photos", expected=f"one named {' or '.join(PHOTOS)}"
        )
    found = Found(root, "prefixed")
    shelf = next((root / name for name in REFERENCES if _holds_folders(root / name)), root)
    items = {}
    for folder in sorted(p for p in shelf.iterdir() if p.is_dir() and p != photos):
        if folder.name.lower() in items:
            found.leave_out(found.name_of(folder), "a folder named like another but for case")
            continue
        items[folder.name.lower()] = shown(folder.name)
        for path in _pictures(folder, found):
            truth = (Truth(items[folder.name.lower()]),)
            found.samples.append(Sample("reference", path, found.name_of(path), truth))
    for path in _pictures(photos, found):
        shows = tuple(Truth(items[name]) for name in named(path.stem, frozenset(items)))
        role: Role = "query" if shows else "stranger"
        found.samples.append(Sample(role, path, found.name_of(path), shows))
    found.notes.append(f"references from '{found.name_of(shelf)}', photos from '{photos.name}'")
    return found


def named(stem: str, items: frozenset[str]) -> tuple[str, ...]:
    """The items (in lower case) that a file name begins with; the longest reading counts.

    >>> named("Old_Mill+Vale_003", frozenset({"old", "old_mill", "vale"}))
    ('old_mill', 'vale')
    >>> named("other_1", frozenset({"vale"}))
    ()
    """
    lower = stem.lower()
    for end in reversed([place for place, letter in enumerate(lower) if letter == "_"]):
        names = lower[:end].split("+")
        if items.issuperset(names):
            return tuple(dict.fromkeys(names))
    return ()


def photo_folder(root: Path) -> Path | None:
    """The folder of photos in `root`, by its name."""
    below = {p.name.lower(): p for p in sorted(root.iterdir()) if p.is_dir()}
    return next((below[name] for name in PHOTOS if name in below), None)


def _holds_folders(place: Path) -> bool:
    return place.is_dir() and any(entry.is_dir() for entry in place.iterdir())


def _pictures(folder: Path, found: Found) -> list[Path]:
    walk = walk_through(str(folder), flat=False)
    for what, why in walk.skipped:
        found.leave_out(f"{folder.name}/{what}", why)
    return [Path(picture.file) for picture in sorted(walk.pictures)]
