"""The items nearest to a vector, wherever it comes from: a picture, words, another system."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from kenspeckle.errors import InputError
from kenspeckle.flows import given
from kenspeckle.flows.again import again
from kenspeckle.match.aggregate import reach
from kenspeckle.store.base import Store
from kenspeckle.types import Candidate, Float32
from kenspeckle.vectors.base import Embedder


@runtime_checkable
class ReadsText(Protocol):
    """An embedder whose model has a text tower."""

    def text(self, words: str) -> Float32:
        """The unit vector `(D,)` of words, in the space of the pictures."""


def text_row(embedder: Embedder, words: str) -> Float32:
    """The vector `(D,)` of words. InputError where the model was made for pictures alone."""
    given.texts(words=words)
    if not isinstance(embedder, ReadsText):
        raise InputError(
            "search by text",
            f"{embedder.fingerprint.model} reads no text",
            expected="a gallery of a model with a text tower",
            do="Search by picture or by vector",
        )
    return embedder.text(words)


def nearest(store: Store, row: Float32, top: int) -> list[Candidate]:
    """The `top` items whose references are nearest to a vector `(D,)`, by cosine; best first.

    The vector may have any length but 0. Raises InputError for one that is not finite, has no
    direction, or is of another width than the gallery's.
    """
    given.whole("top", top, least=1)
    made_by = store.manifest.fingerprint
    try:
        with np.errstate(invalid="ignore"):  # a signalling NaN is told below, as any other
            wide = np.array(row, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "vector", f"a value of type {type(row).__name__}", expected="a list of numbers"
        ) from error
    if wide.shape != (made_by.width,):
        raise InputError(
            "vector",
            f"{' × '.join(map(str, wide.shape)) or 'single'} numbers",
            expected=f"{made_by.width}, the width of {made_by.model}",
        )
    largest = float(np.abs(wide).max(initial=0.0))  # against overflow of the squares
    if not 0 < largest < np.inf:
        raise InputError(
            "vector",
            "no direction" if largest == 0 else "numbers that are not finite",
            expected="finite numbers, not all 0",
        )
    wide /= largest
    unit = (wide / np.linalg.norm(wide)).astype(np.float32)[None]
    return again(store, lambda: _found(store, unit, top))


def _found(store: Store, unit: Float32, top: int) -> list[Candidate]:
    found = reach(store.search, unit, len(store), distinct=top)
    first: dict[int, tuple[int, float]] = {}
    for item, number, score in zip(
        found.items[0].tolist(), found.ids[0].tolist(), found.scores[0].tolist(), strict=True
    ):
        if item >= 0:
            first.setdefault(item, (number, score))
    best = list(first.values())[:top]
    references = store.get([number for number, _ in best])
    return [
        Candidate(one.key, one.label, score, one, number)
        for (number, score), one in zip(best, references, strict=True)
    ]
