"""New names for items, which hold whatever the references folder calls them.

A rename is kept by the key that the folder or table gives, so pictures that come later under the
old name join the item under its new one. The rows it was applied to note that key as metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kenspeckle.catalog.entry import Entry, Listing
from kenspeckle.catalog.sync import Plan, Relabel
from kenspeckle.types import Reference

OPTION = "renames"
"""The manifest's option that holds them, as JSON."""
LISTED_KEY = "listed_key"
"""Metadata of a renamed reference: the key that its folder or table gives."""
STORED_NAME = "stored_name"
"""Metadata that spell the old name for former programs; a renamed reference goes without."""

Names = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Renames:
    """By the key that is listed: the key and the label that hold instead."""

    names: Names = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Renames:
        """What a manifest holds. What cannot be read, as no release writes it, is none.

        >>> Renames.of({"renames": '{"a": ["b", "Bee"]}'}).names["a"]
        ('b', 'Bee')
        """
        try:
            data = dict(json.loads(options.get(OPTION) or "{}"))
            found = {str(old): (str(key), str(label)) for old, (key, label) in data.items()}
        except (ValueError, TypeError, RecursionError):
            return cls()
        return cls(MappingProxyType(found))

    def into(self, options: Mapping[str, str]) -> dict[str, str]:
        """A manifest's options with these in place of those that were there."""
        rest = {name: value for name, value in options.items() if name != OPTION}
        return rest | ({OPTION: json.dumps(dict(self.names))} if self.names else {})

    def with_(self, listed: Iterable[str], key: str, label: str, former: str) -> Renames:
        """These, and for the item `former`, which `listed` keys make up, key and label anew."""
        names = dict(self.names)
        for old, (now, _) in self.names.items():
            if now in (former, key):
                names[old] = (key, label)
        names |= dict.fromkeys(listed, (key, label))
        return Renames(MappingProxyType(names))

    def anew(self, references: Iterable[Reference]) -> list[Reference]:
        """References that were named by some of these names, under all of them.

        What was enrolled by hand keeps its key and takes the label that its item was given.

        >>> mug = Reference("mug", "Mug", "mug.jpg")
        >>> [one.label for one in Renames({"mug": ("cup", "Cup")}).anew([mug])]
        ['Cup']
        """
        labels, found = dict(self.names.values()), []
        for one in references:
            if not one.origin:
                found.append(self._over(replace(one, key=listed_key(one)), labels))
            elif label := labels.get(one.key):
                found.append(renamed(one, one.key, label))
            else:
                found.append(one)
        return found

    def listing(self, listing: Listing) -> Listing:
        """A listing under the new names."""
        if not self.names:
            return listing
        labels = dict(self.names.values())
        new = [Entry(self._over(one.reference, labels), one.source) for one in listing.entries]
        return replace(listing, entries=tuple(new))

    def _over(self, reference: Reference, labels: Mapping[str, str]) -> Reference:
        key, _ = self.names.get(reference.key, (reference.key, ""))
        label = labels.get(key, "")
        return renamed(reference, key, label) if label else reference


def listed_key(reference: Reference) -> str:
    """The key that the folder or table gives for a reference."""
    return reference.metadata.get(LISTED_KEY, reference.key)


def renamed(reference: Reference, key: str, label: str) -> Reference:
    """The same picture as one of the item `key`."""
    metadata = {name: value for name, value in reference.metadata.items() if name != STORED_NAME}
    first = metadata.pop(LISTED_KEY, reference.key)
    if key != first:
        metadata[LISTED_KEY] = first
    return replace(reference, key=key, label=label, metadata=metadata)


def follow(plan: Plan, listing: Listing, by_hand: Iterable[tuple[int, Reference]]) -> None:
    """Let pictures that were enrolled by hand take the label that a listing gives their item."""
    labels = {entry.reference.key: entry.reference.label for entry in listing.entries}
    for number, reference in by_hand:
        label = labels.get(reference.key, reference.label)
        if label != reference.label:
            metadata = dict(reference.metadata)
            metadata.pop(STORED_NAME, None)
            new = replace(reference, label=label, metadata=metadata)
            plan.relabel.append(Relabel(number, new, reference))
