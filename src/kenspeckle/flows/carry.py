"""What people said in one index, taken over into another: for when the model is exchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from kenspeckle.catalog.renames import Renames
from kenspeckle.catalog.sync import Relabel
from kenspeckle.errors import GalleryError, IndexBusy, IndexMissing, IndexReadOnly, PictureError
from kenspeckle.flows import index
from kenspeckle.flows.feedback import became, check, confirm, photo_of, reject
from kenspeckle.flows.opened import Opened
from kenspeckle.store.base import Enrolled, Store
from kenspeckle.types import Feedback, Reference


@dataclass(frozen=True, slots=True)
class Carried:
    """What was taken over: feedback, how many references got another name, and what was left."""

    taken: tuple[Feedback, ...]
    renamed: int
    left: tuple[tuple[Feedback, str], ...]


def carry(opened: Opened, source: Store) -> Carried:
    """Take over names and feedback of another index.

    Vectors of the same model are copied; of another, they are made anew from the photo, if that is
    still there, unchanged. What cannot be taken over is returned with the reason, what is here
    already is passed over. Raises IndexReadOnly, ModelError.
    """
    renamed = _names(opened.store, Renames.of(source.manifest.options))
    here = {(one.kind, one.key, one.sha256) for one in opened.store.feedback()}
    keys = {item.key for item in opened.store.items()}
    taken: list[Feedback] = []
    left: list[tuple[Feedback, str]] = []
    for one in source.feedback():
        if (one.kind, one.key, one.sha256) in here:
            continue
        if one.key not in keys:
            left.append((one, f"no item '{one.key}' here"))
            continue
        try:
            taken.append(_taken(opened, source, one))
        except (GalleryError, PictureError) as error:
            if isinstance(error, IndexBusy | IndexMissing | IndexReadOnly):
                raise
            left.append((one, error.found))
    return Carried(tuple(taken), renamed, tuple(left))


def _names(store: Store, theirs: Renames) -> int:
    """Let their names hold here, where none of ours does; how many references have changed."""
    manifest = store.manifest
    own = Renames.of(manifest.options)
    both = Renames(MappingProxyType({**theirs.names, **own.names}))
    if both.names == own.names:
        return 0
    with store.one_commit():
        store.set_manifest(replace(manifest, options=both.into(manifest.options)))
        listed = list(index.listed(store))
        new = both.anew(reference for _, reference in listed)
        rows = [
            Relabel(number, now, reference)
            for (number, reference), now in zip(listed, new, strict=True)
            if now != reference
        ]
        index.relabel(store, rows)
    return sum(not row.reference.view for row in rows)


def _taken(opened: Opened, source: Store, said: Feedback) -> Feedback:
    """One feedback, stored here. GalleryError when it cannot be."""
    store = opened.store
    became_ = [(n, one) for n, one in source.references() if became(said, one)]
    photo = photo_of(opened, said)
    if photo is not None:
        if said.kind == "rejected":
            return reject(opened, photo, said.key, date=said.date)
        variant = became_[0][1].variant if became_ else None
        return confirm(opened, photo, said.key, variant, date=said.date)
    if source.manifest.fingerprint.space_id != opened.embedder.space_id or not len(said.rows):
        raise GalleryError(said.name, "the photo is gone or was changed, and the model is another")
    check(store, said.name, said.sha256, said.key, said.kind)
    with store.one_commit():
        store.add(_copies(store, source, became_))
        return replace(said, id=store.add_feedback(replace(said, id=0)))


def _copies(store: Store, source: Store, rows: list[tuple[int, Reference]]) -> list[Enrolled]:
    """References of another store, under the label that their item has here."""
    vectors = source.rows([number for number, _ in rows])
    labels = {item.key: item.label for item in store.items()}
    space = source.manifest.fingerprint.space_id
    return [
        Enrolled(replace(one, label=labels[one.key]), vector, source.thumbnail(number), space)
        for (number, one), vector in zip(rows, vectors, strict=True)
    ]
