"""The items that look most like one of the gallery: by the vectors that are stored of it."""

from __future__ import annotations

from kenspeckle.flows.again import again
from kenspeckle.flows.feedback import find_item
from kenspeckle.match.aggregate import reach
from kenspeckle.store.base import Store
from kenspeckle.types import Candidate

MOST_REFERENCES = 64
"""References of the item that are asked with; of more the oldest."""


def like(store: Store, name: str, top: int = 10) -> list[Candidate]:
    """The other items most like the one of that key or label, the most similar first.

    Two items are as similar as the nearest two of their references. Needs no model. Raises
    NotEnrolled or GalleryError, which names near ones.
    """
    store.refresh()
    return again(store, lambda: _like(store, name, top))


def _like(store: Store, name: str, top: int) -> list[Candidate]:
    item = find_item(store, name)
    own = store.select({"key": item.key, "view": ""})[:MOST_REFERENCES]
    found = reach(store.search, store.rows(own), len(store), distinct=top + 1)
    mine = set(store.owners(own).tolist())
    best: dict[int, tuple[float, int]] = {}
    for items, ids, scores in zip(
        found.items.tolist(), found.ids.tolist(), found.scores.tolist(), strict=True
    ):
        for number, reference, score in zip(items, ids, scores, strict=True):
            if number >= 0 and number not in mine:
                best[number] = max(best.get(number, (score, reference)), (score, reference))
    ranked = sorted(best.values(), key=lambda pair: (-pair[0], pair[1]))[:top]
    references = store.get([reference for _, reference in ranked])
    return [
        Candidate(one.key, one.label, score, one, number)
        for (score, number), one in zip(ranked, references, strict=True)
    ]
