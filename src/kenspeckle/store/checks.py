"""What may go into a store and what may be asked of it, the same for every kind of store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.errors import InputError, SpaceMismatch
from kenspeckle.store.base import Enrolled
from kenspeckle.types import Feedback, Fingerprint, Float32, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_FEATURES = 8 * 1024 * 1024
"""Local features of one reference take less than this, bytes; so do the rows of one feedback."""


def check_queries(rows: Float32, width: int) -> Float32:
    """Query rows as contiguous float32 `(Q, D)`. Raises InputError or SpaceMismatch."""
    queries = np.ascontiguousarray(rows, dtype=np.float32)
    if queries.ndim != 2:
        raise InputError("query", f"an array of shape {queries.shape}", expected="(Q, D)")
    if queries.shape[1] != width:
        raise SpaceMismatch(
            "query",
            f"{queries.shape[1]} columns",
            expected=f"{width}, the width of this index",
            do="Use the model that the index was made with",
        )
    if not np.isfinite(queries).all():
        raise InputError("query", "numbers that are not finite", expected="finite numbers")
    return queries


def check_enrolled(enrolled: Sequence[Enrolled], width: int) -> Float32:
    """Their vectors as `(n, D)` float32, unit rows. Raises InputError or SpaceMismatch."""
    for one in enrolled:
        shape = np.shape(one.vector)
        if shape != (width,):
            raise SpaceMismatch(
                one.reference.path,
                f"a vector of shape {shape}",
                expected=f"({width},), the width of this index",
                do="Use the model that the index was made with",
            )
    if not enrolled:
        return np.empty((0, width), np.float32)
    rows = np.stack([np.asarray(one.vector, np.float32) for one in enrolled])
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(length - 1) <= 1e-3))
    if len(wrong):
        first = int(wrong[0])
        raise InputError(
            enrolled[first].reference.path,
            f"a vector of length {length[first]:.4g}",
            expected="finite numbers, length 1",
        )
    return rows


def check_space(enrolled: Sequence[Enrolled], made_by: Fingerprint) -> None:
    """Refuse vectors that say to be of another space than that of `made_by`. SpaceMismatch."""
    for one in enrolled:
        if one.space not in ("", made_by.space_id):
            raise SpaceMismatch(
                one.reference.path,
                f"a vector of space {one.space}",
                expected=f"{made_by.space_id}, that of {made_by}, by which the index is made now",
                do="Add the picture again",
            )


def off_unit(rows: NDArray[np.float16]) -> list[tuple[int, float]]:
    """Number and length of each row, as stored, that is neither finite nor of length 1.

    A row is of length 1 within 0.001 when it is stored; rounding it changes that by a factor within
    1 ± 2⁻¹¹. The lengths are those of the magnitudes, whose bits are moved to where a float32 has
    them, which takes a fifth of the time of converting them; what is not finite becomes 65,536 or
    more.

    >>> off_unit(np.array([[0.6, 0.8], [0, 8], [np.nan, 0]], np.float16))
    [(1, 8.0), (2, 98304.0)]
    """
    bits = (rows.view("<u2") & np.uint16(0x7FFF)).astype(np.uint32)
    bits <<= 13
    sizes = bits.view(np.float32)
    sizes *= np.float32(2.0**112)
    length = np.sqrt(np.einsum("ij,ij->i", sizes, sizes))
    wrong = np.flatnonzero(np.abs(length - 1) > 2e-3)
    return [(int(n), float(length[n])) for n in wrong]


def check_feedback(feedback: Feedback, width: int) -> None:
    """Refuse what cannot be feedback. Raises InputError or SpaceMismatch."""
    rows, subject = feedback.rows, f"feedback on {feedback.name or 'a photo'}"
    if feedback.kind not in ("confirmed", "rejected") or not feedback.key:
        raise InputError(
            subject,
            f"kind {feedback.kind!r}, key {feedback.key!r}",
            expected="`confirmed` or `rejected`, and the key of an item",
        )
    if rows.ndim != 2 or rows.shape[1] != width:
        raise SpaceMismatch(
            subject,
            f"vectors of shape {rows.shape}",
            expected=f"(k, {width}), the width of this index",
            do="Use the model that the index was made with",
        )
    if 4 * rows.size >= MAX_FEATURES:
        raise InputError(subject, f"{len(rows)} vectors", expected="one for each region")
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not (np.abs(length - 1) <= 1e-3).all():
        raise InputError(subject, "vectors that are not finite or not of length 1")


def check_features(features: Mapping[int, bytes]) -> None:
    """Refuse what no index file could be read with. Raises InputError."""
    for identifier, data in features.items():
        if len(data) >= MAX_FEATURES:
            raise InputError(
                f"local features of reference {identifier}",
                f"{len(data)} bytes",
                expected=f"less than {MAX_FEATURES}",
                do="Keep fewer points",
            )


def last_of_each(enrolled: Sequence[Enrolled]) -> dict[tuple[str, str], int]:
    """Position of the last entry for each `(path, view)`: what stays when one call names it twice.

    >>> one = Enrolled(Reference("a", "A", "a.jpg"), np.ones(1, np.float32))
    >>> last_of_each([one, one])
    {('a.jpg', ''): 1}
    """
    return {(one.reference.path, one.reference.view): n for n, one in enumerate(enrolled)}


def matches(reference: Reference, where: Mapping[str, str]) -> bool:
    """Whether a reference equals every named value; other names mean its metadata.

    >>> matches(Reference("a", "A", "x/a.jpg", metadata={"set": "3"}), {"key": "a", "set": "3"})
    True
    """
    own = ("key", "label", "variant", "path", "view", "filename", "sha256")
    return all(
        (getattr(reference, name) if name in own else reference.metadata.get(name)) == value
        for name, value in where.items()
    )
