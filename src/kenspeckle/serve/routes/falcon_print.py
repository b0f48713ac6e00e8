"""Which print of a card a mask shows: the set code that it is priced by, and the rarity."""

from __future__ import annotations

from kenspeckle.catalog.naming import print_of, set_code
from kenspeckle.flows.again import again
from kenspeckle.flows.enrol import ADDED
from kenspeckle.flows.feedback import CONFIRMED
from kenspeckle.store.base import Store
from kenspeckle.types import Decision, Reference

Print = tuple[str, str]
"""Set code and rarity; either may be empty."""

_BY_HAND = (ADDED, CONFIRMED)


def print_seen(store: Store, decision: Decision) -> Print:
    """The print of the winning reference; its set code alone where another one is as likely.

    A photo that was added by hand need not say its print. It then tells none from another: its item
    has the one that all its other references agree on, and none where they do not.
    """
    winner = decision.candidates[0].reference
    said = print_said(winner)
    if decision.variant_certain and not _silent(winner):
        return said
    named = again(store, lambda: _named(store, winner.key))
    return named.pop() if len(named) == 1 else (said[0], "")


def print_said(reference: Reference) -> Print:
    """What a reference says itself: by its variant, else by its file's name.

    >>> print_said(Reference("a", "A", "photo.jpg", "LOCH-JP001 PScR"))
    ('LOCH-JP001', 'PScR')
    >>> print_said(Reference("a", "A", "LOCH-JP001_a.jpg"))
    ('LOCH-JP001', '')
    """
    code, rarity = print_of(reference.variant)
    return code or set_code(reference.filename), rarity or reference.metadata.get("rarity", "")


def _named(store: Store, key: str) -> set[Print]:
    """The prints that the references of an item name. A picture of the folder whose name is that of
    the card alone names one, the plain one."""
    references = store.get(store.select({"key": key}).tolist())
    return {print_said(one) for one in references if not _silent(one)}


def _silent(reference: Reference) -> bool:
    return reference.origin in _BY_HAND and not any(print_said(reference))
