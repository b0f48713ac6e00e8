"""What a gallery says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from kenspeckle.store.base import Store, Summary
from kenspeckle.store.open import peek


@dataclass(frozen=True, slots=True)
class Info:
    """What a gallery says of itself: `summary` as `peek` reads it, and what only an open one knows.

    `memory` are the bytes of its vectors in memory, `views` the enrolled camera views. `stale`
    says why the calibration no longer fits, empty when it does. `confirmed` and `rejected` count
    what people said about answers.
    """

    summary: Summary
    views: int
    memory: int
    stale: str
    confirmed: int = 0
    rejected: int = 0


def info_of(store: Store, stale: str) -> Info:
    """Size, counts, model and calibration of an index file. `stale` is as in `Info`."""
    summary = peek(store.path)
    said = [one.kind for one in store.feedback()]
    return Info(
        summary=summary,
        views=summary.vectors - summary.references,
        memory=store.memory(),
        stale=stale,
        confirmed=said.count("confirmed"),
        rejected=said.count("rejected"),
    )
