"""A new name for an item, which the next run over the references folder leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kenspeckle.catalog.naming import tidy
from kenspeckle.catalog.renames import Renames, listed_key, renamed
from kenspeckle.catalog.sync import Relabel
from kenspeckle.errors import GalleryError, InputError
from kenspeckle.flows.feedback import find_item, item_with
from kenspeckle.flows.index import relabel
from kenspeckle.store.base import Store
from kenspeckle.types import Item


def rename(store: Store, name: str, label: str = "", key: str = "", *, merge: bool = False) -> Item:
    """Give the item of that key or label a new label, a new key, or both.

    What people said about it goes along. A key that another item has is refused, unless the two
    are to be one (`merge`). A calibration that was fresh stays so, unless items were merged. All of
    it is one commit. Raises GalleryError, InputError, IndexReadOnly.
    """
    with store.one_commit():
        return _rename(store, name, label, key, merge=merge)


def _rename(store: Store, name: str, label: str, key: str, *, merge: bool) -> Item:
    item = find_item(store, name)
    key, label = tidy(key) or item.key, tidy(label)
    other = item_with(store, key) if key != item.key else None
    if other is not None and not merge:
        raise GalleryError(
            key,
            f"the key of another item, '{other.label}'",
            expected="a key that is free",
            do="To make the two one item: --merge",
        )
    label = label or (other or item).label
    if (key, label) == (item.key, item.label):
        raise InputError(name, "no new name", expected="another label, or another key")
    _keep(store, item.key, key, label)
    fresh = _fresh(store)
    _exchange(store, [item.key, *([key] if other else [])], key, label)
    for one in store.feedback({"key": item.key}) if key != item.key else ():
        store.add_feedback(replace(one, key=key))
    calibration = store.calibration()
    if calibration is not None and fresh and other is None:
        now = store.standing()
        store.set_calibration(replace(calibration, change=now.change, feedback=now.feedback))
    return find_item(store, key)


def _fresh(store: Store) -> bool:
    now = store.standing()
    rule = now.calibration
    return rule is not None and (rule.change, rule.feedback) == (now.change, now.feedback)


def _keep(store: Store, former: str, key: str, label: str) -> None:
    """Note the name for later runs, by the keys that the folder or table gives."""
    manifest = store.manifest
    own = store.get(store.select({"key": former}).tolist())
    listed = sorted({listed_key(one) for one in own if not one.origin})
    names = Renames.of(manifest.options).with_(listed, key, label, former)
    options = names.into(manifest.options)
    if options != dict(manifest.options):
        store.set_manifest(replace(manifest, options=options))


def _exchange(store: Store, former: Sequence[str], key: str, label: str) -> None:
    """Store all rows of those items under the new name."""
    rows = []
    for old in former:
        ids = store.select({"key": old}).tolist()
        for number, one in zip(ids, store.get(ids), strict=True):
            new = renamed(one, key, label)
            rows.append(Relabel(number, new, one))
    relabel(store, rows)
