"""Enrolling pictures that somebody hands in: looked at one by one, stored all or none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kenspeckle.catalog.entry import Entry, shown
from kenspeckle.catalog.naming import Scheme, name_item, stem, tidy
from kenspeckle.errors import GalleryError, InputError, NotEnrolled
from kenspeckle.flows import feedback, index
from kenspeckle.flows.opened import Opened
from kenspeckle.store.base import Enrolled, Manifest, Store
from kenspeckle.types import NO_METADATA, Item, Reference

ADDED = "added"
"""Origin of references that a later `index` leaves alone, and the room of those without a path."""
LONGEST_NAME = 100
_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A picture to be enrolled, and what is said of it.

    `path` is what the gallery will call it; where it is empty one is made of the bytes and `name`,
    which may be a file's. Without a label and a key the name says which item it shows.
    """

    data: bytes
    name: str = ""
    path: str = ""
    label: str = ""
    key: str = ""
    variant: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)


def filename(name: str) -> str:
    """The file's own name in what a client calls it: no folders, nothing that cannot be printed.

    >>> filename("C:\\\\pictures\\\\red mug.jpg"), filename("../../a#1 50%.png"), filename("..")
    ('red mug.jpg', 'a#1 50%.png', '')
    """
    plain = tidy(_FOLDERS.sub("", name))[-LONGEST_NAME:]
    return "" if not plain.strip(".") else plain


def path_of(name: str, data: bytes) -> str:
    """What a picture is called that has no place of its own: the same for the same bytes."""
    own = filename(name)
    made = f"{ADDED}/{hashlib.sha256(data).hexdigest()[:16]}"
    return f"{made}/{own}" if own else made


def reference_of(newcomer: Newcomer, manifest: Manifest) -> Reference:
    """The reference that a picture will be, by the naming scheme of the gallery. InputError."""
    label, key = tidy(newcomer.label), tidy(newcomer.key)
    path = newcomer.path or path_of(newcomer.name, newcomer.data)
    own = label or key or stem(filename(newcomer.name or path))
    if not own:
        raise InputError(
            newcomer.name or "picture",
            "nothing says what it shows",
            expected="a label, a key or a file name",
        )
    scheme: Scheme = "cards" if manifest.naming == "cards" else "plain"
    named = name_item(own, scheme)
    return Reference(
        key=key or named.key,
        label=label or named.label,
        path=shown(path),
        variant=tidy(newcomer.variant) or ("" if label else named.variant),
        size=len(newcomer.data),
        origin=ADDED,
        metadata={**named.metadata, **newcomer.metadata},
    )


def prepared(opened: Opened, newcomer: Newcomer) -> list[Enrolled]:
    """One picture, looked at and not yet stored. Raises PictureError, InputError, ModelError."""
    reference = reference_of(newcomer, opened.store.manifest)
    return index.enrol(opened, Entry(reference, newcomer.name or reference.path), newcomer.data)


def store_all(
    store: Store, pictures: Sequence[Sequence[Enrolled]], *, instead_of: Sequence[int] = ()
) -> list[int]:
    """Store pictures in one commit, in place of the references `instead_of` with their views.

    What was said of those goes in the same one. An item that is enrolled keeps its label. Returns
    the ids of the pictures, in order; a picture that comes twice has one. Raises GalleryError for a
    picture that is a reference of another item, IndexBusy, IndexReadOnly.
    """
    with store.one_commit():
        return _store(store, pictures, instead_of)


def _store(
    store: Store, pictures: Sequence[Sequence[Enrolled]], instead_of: Sequence[int]
) -> list[int]:
    gone = _with_views(store, instead_of)
    labels: dict[str, str] = {}
    rows: list[Enrolled] = []
    news = [row for picture in pictures for row in picture]
    for one in news:
        key = one.reference.key
        if key not in labels:
            labels[key] = _label(store, key) or one.reference.label
        _check(store, one.reference, gone)
        rows.append(replace(one, reference=replace(one.reference, label=labels[key])))
    ids = store.add(rows, instead_of=list(gone))
    if gone:
        feedback.forget(store, [one for one in gone.values() if not one.view])
    pictures_alone = [n for n, row in zip(ids, rows, strict=True) if not row.reference.view]
    return list(dict.fromkeys(pictures_alone))


def erase(store: Store, names: Sequence[str]) -> int:
    """Erase items by key or label, or references by path, and what was said of them, in one commit.

    Returns how many references there were. GalleryError names one that is not there.
    """
    with store.one_commit():
        rows, going = list(store.references()), dict[int, Reference]()
        for name in names:
            found = {n: one for n, one in rows if name in (one.key, one.label, one.path)}
            if not found:
                raise GalleryError(
                    name,
                    "not in this gallery",
                    expected="a key, a label or a path",
                    do="See `kenspeckle list`",
                )
            going |= found
        count = store.remove(sorted(going))
        feedback.forget(store, list(going.values()))
        return count


def item_of(store: Store, key: str) -> Item:
    """The item of exactly that key. NotEnrolled."""
    item = feedback.item_with(store, key)
    if item is None:
        raise NotEnrolled(key, "no such item", expected="the key of one that is listed")
    return item


def _with_views(store: Store, ids: Sequence[int]) -> dict[int, Reference]:
    try:
        paths = dict.fromkeys(reference.path for reference in store.get(ids))
        gone = [n for path in paths for n in store.select({"path": path}).tolist()]
        return dict(zip(gone, store.get(gone), strict=True))
    except KeyError as error:
        raise NotEnrolled(f"reference {error}", "not in this gallery") from error


def _label(store: Store, key: str) -> str:
    """The label of an enrolled item, empty if there is none: one item has one name."""
    found = store.page(key=key, most=1)
    return found[0][1].label if found else ""


def _check(store: Store, new: Reference, gone: Mapping[int, Reference]) -> None:
    """Refuse to take a picture away from the item that it is a reference of."""
    for number in store.select({"path": new.path}).tolist():
        (old,) = store.get([number])
        if old.key != new.key and number not in gone:
            raise GalleryError(
                new.filename,
                f"it is a reference of '{old.key}' already",
                expected=f"another picture of '{new.key}'",
                do="Remove it there first, if it shows something else",
            )


def check_files(store: Store, news: Sequence[Reference], instead_of: Sequence[int] = ()) -> None:
    """Refuse one file as a reference of two items, whatever it is called. Raises GalleryError.

    `instead_of` are references that go, with their views.
    """
    gone = _with_views(store, instead_of)
    keys: dict[str, str] = {}
    for new in news:
        if not new.sha256:
            continue
        if new.sha256 not in keys:
            keys[new.sha256] = _key_of_file(store, new.sha256, gone) or new.key
        if (key := keys[new.sha256]) != new.key:
            raise GalleryError(
                new.filename,
                f"the same file is a reference of '{key}' already",
                expected=f"another picture of '{new.key}'",
                do=f"Name the key '{key}', or remove it there first",
            )


def _key_of_file(store: Store, sha256: str, gone: Mapping[int, Reference]) -> str:
    """The key of the item that has a file of this hash, empty if none has."""
    while True:
        ids = [n for n in store.select({"sha256": sha256}).tolist() if n not in gone]
        try:
            return store.get(ids[-1:])[0].key if ids else ""
        except KeyError:  # another process has just removed it
            continue
