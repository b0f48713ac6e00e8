"""The vectors of an open index: appended, removed, searched exactly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.store.base import Hits, check_queries
from kenspeckle.types import Float32, Int64

if TYPE_CHECKING:
    from numpy.typing import NDArray


class VectorIndex:
    """Rows by ascending id, with the item number that owns each."""

    def __init__(self, width: int, dtype: type[np.floating] = np.float16) -> None:
        self.width = width
        self._lock = threading.Lock()
        self._ids: Int64 = np.empty(0, np.int64)
        self._owners: Int64 = np.empty(0, np.int64)
        self._rows: NDArray[np.floating] = np.empty((0, width), dtype)

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Int64, owners: Int64, rows: NDArray[np.floating]) -> None:
        """Append rows; `ids` ascend and are greater than all before them."""
        with self._lock:
            self._ids = np.concatenate([self._ids, ids])
            self._owners = np.concatenate([self._owners, owners])
            self._rows = np.concatenate([self._rows, rows.astype(self._rows.dtype)])

    def discard(self, ids: Int64) -> int:
        """Remove rows by id; how many there were."""
        with self._lock:
            keep = ~np.isin(self._ids, ids)
            self._ids, self._owners = self._ids[keep], self._owners[keep]
            self._rows = self._rows[keep]
            return int(len(keep) - keep.sum())

    def ids(self) -> Int64:
        """All ids, ascending."""
        return self._ids.copy()

    def _find(self, ids: Int64) -> Int64:
        places = np.searchsorted(self._ids, ids)
        found = places < len(self._ids)
        found[found] = self._ids[places[found]] == ids[found]
        if not found.all():
            raise KeyError(int(ids[~found][0]))
        return places.astype(np.int64)

    def rows(self, ids: Int64 | None = None) -> Float32:
        """Rows `(n, D)` in the order of `ids`. KeyError names an unknown id."""
        with self._lock:
            chosen = self._rows if ids is None else self._rows[self._find(ids)]
            return chosen.astype(np.float32)

    def owners(self, ids: Int64 | None = None) -> Int64:
        """Item numbers in the order of `ids`. KeyError names an unknown id."""
        with self._lock:
            return self._owners.copy() if ids is None else self._owners[self._find(ids)]

    def search(
        self,
        queries: Float32,
        k: int,
        *,
        ids: Int64 | None = None,
        threads: int = 1,  # noqa: ARG002
    ) -> Hits:
        """The `k` best rows of each query; see `Store.search`."""
        queries = check_queries(queries, self.width)
        with self._lock:
            all_ids, owners, rows = self._ids, self._owners, self._rows
        if ids is not None:
            keep = np.isin(all_ids, ids)
            all_ids, owners, rows = all_ids[keep], owners[keep], rows[keep]
        exact = queries.astype(np.float64) @ rows.astype(np.float64).T
        shape = (len(queries), k)
        hits = Hits(
            np.full(shape, -1, np.int64),
            np.full(shape, -1, np.int64),
            np.full(shape, -np.inf, np.float32),
        )
        for q, scores in enumerate(exact):
            best = np.lexsort((all_ids, -scores))[:k]
            hits.ids[q, : len(best)] = all_ids[best]
            hits.items[q, : len(best)] = owners[best]
            hits.scores[q, : len(best)] = scores[best]
        return hits
