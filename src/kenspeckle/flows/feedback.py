"""What people say about answers: a photo that shows an item, or does not, kept in the gallery.

A confirmed photo becomes a reference, enrolled whole like any other, and a labelled photo for the
next calibration; a rejected answer becomes a hard negative. Both keep the vectors of the photo's
regions under the rule in force, so a calibration needs the photo itself only under another rule.
"""

from __future__ import annotations

import datetime
import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kenspeckle.catalog.entry import Entry
from kenspeckle.errors import GalleryError, KenspeckleError, NotEnrolled, SpaceMismatch
from kenspeckle.flows import index
from kenspeckle.flows.again import again
from kenspeckle.flows.identify import identify
from kenspeckle.flows.opened import Opened, ReadOnly
from kenspeckle.image.decode import decode, read
from kenspeckle.regions.base import cut, effective, split
from kenspeckle.store.base import Enrolled, Store
from kenspeckle.types import Feedback, Float32, Item, Picture, Reference

Kind = Literal["confirmed", "rejected"]

CONFIRMED = "confirmed"
"""Origin of a reference that was a photo somebody confirmed."""
COMPARED = 10_000
"""References of the largest gallery in which a name that is not there is compared with all."""
ASKED = 64
"""Items of which what was said is asked for one by one; of more, all of it is read once."""
MOST = 1_000_000
"""References of an item that are looked at."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that something is said about: what it is called, and its bytes."""

    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        """The hash of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo that was looked at because something is to be said of it: `kind`, of the item `key`.

    `rows` `(k, D)` are the vectors of its regions under the rule `regions`, in the space `space`;
    `pictures` what becomes a reference, with its views, of one that is confirmed.
    """

    photo: Photo
    kind: Kind
    key: str
    space: str
    regions: str
    rows: Float32
    pictures: tuple[Enrolled, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Feedback with rows `(k, D)` under the rule in force, and what had to be left out.

    `aside` are those whose photo would have to be seen again but is gone or another by now.
    """

    usable: tuple[Feedback, ...]
    aside: tuple[Feedback, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """A sentence on what was left out, if there was anything."""
        if not self.aside:
            return ()
        some = ", ".join(one.name for one in self.aside[:3])
        more = f" and {len(self.aside) - 3} more" if len(self.aside) > 3 else ""
        return (f"feedback left out, its photo is gone or was changed: {some}{more}",)


def item_with(store: Store, key: str) -> Item | None:
    """The item of exactly that key, if there is one."""
    found = store.page(key=key, most=MOST) if key else []
    if not found:
        return None
    variants = sorted({one.variant for _, one in found if one.variant})
    return Item(key, found[-1][1].label, tuple(variants), len(found))


def find_item(store: Store, name: str) -> Item:
    """The item of that key, else of that label. NotEnrolled names near ones where the gallery has
    at most `COMPARED` references, GalleryError the several that have the label."""
    if (item := item_with(store, name)) is not None:
        return item
    labelled = again(store, lambda: store.get(store.select({"label": name}).tolist()))
    keys = sorted({one.key for one in labelled})
    if len(keys) > 1:
        first = ", ".join(f"'{key}'" for key in keys[:5])
        raise GalleryError(name, f"the label of {len(keys)} items", expected=f"a key: {first}")
    if keys and (item := item_with(store, keys[0])) is not None:
        return item
    items = store.items() if len(store) <= COMPARED else []
    names = {text.casefold(): one for one in items for text in (one.label, one.key)}
    near = difflib.get_close_matches(name.casefold(), names, n=3)
    meant = dict.fromkeys(f"'{names[text].key}'" for text in near)
    raise NotEnrolled(
        name,
        "no such item",
        expected="a key or a label",
        do=f"Did you mean {' or '.join(meant)}?" if meant else "See `kenspeckle list`",
    )


def confirm(
    opened: Opened, photo: Photo, key: str, variant: str | None = None, *, date: str = ""
) -> Feedback:
    """Store that a photo shows an item: it becomes one of its references.

    Without a `variant` it is taken for a photo of the print that it is nearest to; `date` is now
    unless given. Raises GalleryError (no such item, said before, the opposite said before, a
    reference already), PictureError, IndexReadOnly, ModelError.
    """
    return keep(opened.store, look(opened, photo, "confirmed", key), variant, date=date)


def reject(opened: Opened, photo: Photo, key: str = "", *, date: str = "") -> Feedback:
    """Store that a photo does not show an item; without a key, the one that it is named now.

    Raises GalleryError (no such item, no name to reject, said before, the opposite said before),
    PictureError, IndexReadOnly, ModelError.
    """
    return keep(opened.store, look(opened, photo, "rejected", key), date=date)


def look(opened: Opened, photo: Photo, kind: Kind, key: str = "") -> Seen:
    """Look at a photo of which something is to be said; changes nothing, so it needs no lock.

    What can be refused already is. Raises as `confirm` and `reject`.
    """
    store, space = opened.store, opened.made_by.space_id
    key = find_item(store, key).key if key or kind == "confirmed" else _answer(opened, photo)
    check(store, photo.name, photo.sha256, key, kind)
    rules, rows = effective(opened.regions), region_rows(opened, photo)
    pictures: list[Enrolled] = []
    if kind == "confirmed":
        own = Reference(key, "", photo.name, size=len(photo.data), origin=CONFIRMED)
        pictures = index.enrol(opened, Entry(own, photo.name), photo.data)
    return Seen(photo, kind, key, space, rules, rows, tuple(pictures))


def keep(store: Store, seen: Seen, variant: str | None = None, *, date: str = "") -> Feedback:
    """Store what is said of a photo that was looked at; all is checked again, as time has passed.

    A photo that is confirmed and the reference that it becomes are one commit. Raises as `confirm`
    and `reject`, and SpaceMismatch where the index was exchanged meanwhile for one of another
    model.
    """
    with store.one_commit():
        return _keep(store, seen, variant, date)


def _keep(store: Store, seen: Seen, variant: str | None, date: str) -> Feedback:
    photo, made_by = seen.photo, store.manifest.fingerprint
    if seen.space != made_by.space_id:
        raise SpaceMismatch(
            photo.name,
            f"it was looked at for an index of space {seen.space}",
            expected=f"{made_by.space_id}, that of {made_by}, by which the index is made now",
            do="Say it again",
        )
    item = item_with(store, seen.key)
    if item is None:
        raise NotEnrolled(seen.key, "the item is not in this gallery any more")
    check(store, photo.name, photo.sha256, item.key, seen.kind)
    if seen.pictures:
        path, row = _free_path(store, photo), seen.pictures[0].vector
        print_ = _nearest_print(store, item.key, row) if variant is None else variant
        rows = []
        for one in seen.pictures:
            own = replace(one.reference, label=item.label, path=path, variant=print_)
            rows.append(replace(one, reference=own))
        store.add(rows)
    date = date or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    said = Feedback(seen.kind, item.key, photo.name, photo.sha256, date, seen.regions, seen.rows)
    return replace(said, id=store.add_feedback(said))


def undo(store: Store, number: int) -> Feedback:
    """Take feedback back, and with a confirmed photo the reference that it became, in one commit.

    Raises NotEnrolled for a number that is not there, IndexReadOnly.
    """
    with store.one_commit():
        return _undo(store, number)


def _undo(store: Store, number: int) -> Feedback:
    found = next(iter(store.feedback(after=number - 1, most=1)), None)
    if found is None or found.id != number:
        raise NotEnrolled(
            str(number), "no such feedback", expected="its number", do="See `kenspeckle feedback`"
        )
    if found.kind == "confirmed":
        store.remove([n for n, one in _of_file(store, found.sha256) if became(found, one)])
    store.remove_feedback(number)
    return found


def forget(store: Store, gone: Sequence[Reference]) -> None:
    """Erase what was said about references that were erased, and about items that went with them.

    What was said about other items is not read, unless very many items lost something.
    """
    left = {key: bool(store.page(key=key, most=1)) for key in {one.key for one in gone}}
    files = {(one.key, one.sha256) for one in gone if one.origin == CONFIRMED}
    keys = {key for key, stays in left.items() if not stays} | {key for key, _ in files}
    few = len(keys) <= ASKED
    said = (
        [one for key in keys for one in store.feedback({"key": key})] if few else store.feedback()
    )
    for one in said:
        of_file = one.kind == "confirmed" and (one.key, one.sha256) in files
        if of_file or not left.get(one.key, True):
            store.remove_feedback(one.id)


def heard(opened: ReadOnly) -> Heard:
    """All feedback on enrolled items, its rows under the region rule in force.

    What was given under another rule, or another model, is made from the photo again if that is
    still there, unchanged.
    """
    rule, keys = effective(opened.regions), {one.key for _, one in opened.store.references()}
    usable, aside = [], []
    for one in opened.store.feedback():
        if one.key not in keys:
            continue
        if len(one.rows) and one.regions == rule:
            usable.append(one)
        elif (rows := seen_again(opened, one)) is not None:
            usable.append(replace(one, rows=rows, regions=rule))
        else:
            aside.append(one)
    return Heard(tuple(usable), tuple(aside))


def seen_again(opened: ReadOnly, said: Feedback) -> Float32 | None:
    """The rows of a photo under the rule in force; None when it is gone or another by now."""
    photo = photo_of(opened, said)
    return None if photo is None else region_rows(opened, photo)


def photo_of(opened: ReadOnly, said: Feedback) -> Photo | None:
    """The photo that something was said about, if it is still there, unchanged."""
    if not Path(said.name).is_absolute():
        return None
    try:
        photo = Photo(said.name, read(said.name, opened.settings.image))
    except KenspeckleError:
        return None
    return photo if photo.sha256 == said.sha256 else None


def region_rows(opened: ReadOnly, photo: Photo) -> Float32:
    """The vectors `(k, D)` of a photo's regions under the rule in force. Raises PictureError."""
    picture = _decoded(opened, photo)
    parts = [cut(picture.image, region) for region in split(picture, opened.regions)]
    return opened.embedder.vectors(parts)


def _decoded(opened: ReadOnly, photo: Photo) -> Picture:
    return decode(photo.data, name=photo.name, limits=opened.settings.image)


def _answer(opened: Opened, photo: Photo) -> str:
    """The key that a photo is named now. GalleryError if it is named nothing."""
    decision = identify(opened, _decoded(opened, photo))
    if not decision.known:
        raise GalleryError(
            photo.name,
            "its answer is 'unknown'",
            expected="a name to reject",
            do="Say which item it does not show: kenspeckle reject PHOTO KEY",
        )
    return decision.key


def check(store: Store, name: str, sha256: str, key: str, kind: Kind) -> None:
    """Refuse what was said before, what contradicts it, and a reference as if it were a photo."""
    for one in store.feedback({"sha256": sha256}):
        if one.key == key or one.kind == kind == "confirmed":
            same = (one.kind, one.key) == (kind, key)
            raise GalleryError(
                name,
                f"it was {one.kind} as '{one.key}' on {one.date[:10]}",
                expected="" if same else "nothing that contradicts it",
                do=f"To take that back: kenspeckle feedback --undo {one.id}",
            )
    for _, reference in _of_file(store, sha256):
        if reference.view:
            continue
        own = reference.key == key
        if own and kind == reference.origin == CONFIRMED:
            continue  # what was said of it is not here
        if own or kind == CONFIRMED:
            raise GalleryError(
                name,
                f"it is a reference of '{reference.key}' already, {reference.path}",
                expected="a photo",
                do="If it shows something else: kenspeckle remove PATH",
            )


def _of_file(store: Store, sha256: str) -> list[tuple[int, Reference]]:
    """The references that have a file of this hash, enrolled views included, by id."""

    def found() -> list[tuple[int, Reference]]:
        ids = store.select({"sha256": sha256}).tolist()
        return list(zip(ids, store.get(ids), strict=True))

    return again(store, found)


def _free_path(store: Store, photo: Photo) -> str:
    """The photo's name, or one that no other photo has under which something is stored."""
    taken = store.get(store.select({"path": photo.name, "view": ""}).tolist())
    if all(one.sha256 == photo.sha256 for one in taken):
        return photo.name
    return f"{photo.name}#{photo.sha256[:8]}"


def _nearest_print(store: Store, key: str, row: Float32) -> str:
    ids = store.select({"key": key}).tolist()
    prints = [one.variant for one in store.get(ids)]
    return prints[int((store.rows(ids) @ row).argmax())] if len(set(prints)) > 1 else prints[0]


def became(said: Feedback, reference: Reference) -> bool:
    """Whether that is the reference which a confirmed photo became."""
    if said.kind != "confirmed" or reference.origin != CONFIRMED:
        return False
    return (said.sha256, said.key) == (reference.sha256, reference.key)
