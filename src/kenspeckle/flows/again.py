"""Reading an index while others change it: what was found may be gone when it is looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kenspeckle.store.base import Store

T = TypeVar("T")

FREELY = 2
"""Times that work is tried beside the changes of others; after that they wait for it."""
MOST = 8


def again(store: Store, work: Callable[[], T]) -> T:
    """The value of `work`, which searches and then looks up what it found.

    A KeyError says that a reference was removed in between, and it is done again. Raises what
    `work` raises.
    """
    for _ in range(FREELY):
        try:
            return work()
        except KeyError:
            store.refresh()
    for _ in range(MOST - FREELY):
        try:
            with store.still():
                return work()
        except KeyError:  # by another process, which waits for nobody
            continue
    return work()
