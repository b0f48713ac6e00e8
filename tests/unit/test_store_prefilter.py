"""The proven bound, attacked; and the search that rests on it, judged by a float64 product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle.store import memory
from kenspeckle.store.int8_product import LIMIT, Int8Product
from kenspeckle.store.memory import VectorIndex
from kenspeckle.store.prefilter import Frame, Prefilter, Query
from kenspeckle.store.selection import GROUP, group_maxima

SHAPES = ("random", "clusters", "duplicates", "near ties", "one-hot", "shared direction", "equal")


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def matrix(shape: str, count: int, width: int, seed: int) -> np.ndarray:
    """Unit rows `(count, width)` of a kind that is hard in its own way."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(count, width))
    if shape == "clusters":
        rows = draw.normal(size=(3, width))[draw.integers(0, 3, count)] + 0.05 * rows
    elif shape == "duplicates":
        rows = rows[draw.integers(0, max(1, count // 20), count)]
    elif shape == "near ties":
        rows = rows[:1] + 2e-4 * rows
    elif shape == "one-hot":
        rows = np.eye(width)[draw.integers(0, width, count)] + 1e-3 * rows
    elif shape == "shared direction":
        rows += 8 * np.eye(width)[0] + np.ones(width)
    elif shape == "equal":
        rows = np.repeat(rows[:1], count, axis=0)
    return unit(rows).astype(np.float32)


def queries(rows: np.ndarray, seed: int) -> np.ndarray:
    """Queries near and far, zero, tiny and huge."""
    draw = np.random.default_rng(seed + 1)
    far = draw.normal(size=rows.shape[1])
    near = rows[draw.integers(len(rows))] + 1e-3 * draw.normal(size=rows.shape[1])
    hot = np.eye(rows.shape[1])[draw.integers(rows.shape[1])]
    made = [far, near, hot, rows[-1], -rows[0], 0 * far, 1e-30 * far, 1e30 * near, 1e-42 * hot]
    return np.array(made, np.float32)


cases = st.tuples(
    st.sampled_from(SHAPES),
    st.integers(1, 400),
    st.sampled_from([1, 2, 3, 24, 384]),
    st.integers(0, 2**32 - 2),
)


@settings(max_examples=80, deadline=None)
@given(cases, st.sampled_from([np.float16, np.float32]), st.booleans())
def test_no_product_is_further_off_than_its_bound(
    case: tuple[str, int, int, int], kind: type, other_frame: bool
) -> None:
    rows = matrix(*case).astype(kind)
    frame = Frame.of(matrix("random", 50, rows.shape[1], 5) if other_frame else rows)
    asked = [Query.of(row, frame) for row in queries(rows, case[3]).astype(np.float64)]
    made = Prefilter(rows, frame)
    scores, bounds = made.scores(asked)
    for query, line, (factor, constant) in zip(asked, scores, bounds, strict=True):
        exact = rows.astype(np.float64) @ query.row
        allowed = factor * made.errors.astype(np.float64) + constant
        assert (np.abs(line.astype(np.float64) - exact) <= allowed).all()
        assert np.isfinite(allowed).all()


def test_the_bound_is_of_use() -> None:
    rows = matrix("random", 2000, 384, 1)
    frame = Frame.of(rows)
    made = Prefilter(rows.astype(np.float16), frame)
    query = Query.of(rows[0].astype(np.float64), frame)
    _, ((factor, constant),) = made.scores([query])
    assert (factor * made.largest + constant) / np.linalg.norm(query.row) < 0.02


@settings(max_examples=60, deadline=None)
@given(cases, st.sampled_from([1, 2, 10, 33, 500]), st.sampled_from([np.float16, np.float32]))
def test_the_best_are_those_of_a_float64_product(
    case: tuple[str, int, int, int], k: int, kind: type
) -> None:
    rows = matrix(*case).astype(kind)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(memory, "TAIL", 16)
        small.setattr(memory, "BLOCK", 128)
        small.setattr(memory, "FEW", 4)
        index = VectorIndex(rows.shape[1], kind)
        ids = np.arange(len(rows)) * 3 + 1
        for start in range(0, len(rows), 90):
            part = slice(start, start + 90)
            index.extend(ids[part], ids[part] + 7, rows[part])
        dead = ids[:: 7 + case[3] % 5]
        index.discard(dead)
        asked = queries(rows, case[3])
        check(index, rows, ids, np.setdiff1d(ids, dead), asked, k, None)
        chosen = ids[1::2]
        check(index, rows, ids, np.setdiff1d(chosen, dead), asked, k, chosen)


def check(
    index: VectorIndex,
    rows: np.ndarray,
    ids: np.ndarray,
    left: np.ndarray,
    asked: np.ndarray,
    k: int,
    chosen: np.ndarray | None,
) -> None:
    hits = index.search(asked, k, ids=chosen, threads=2)
    kept = np.isin(ids, left)
    for n, query in enumerate(asked.astype(np.float64)):
        exact = np.einsum("ij,j->i", rows[kept].astype(np.float64), query)
        order = np.lexsort((ids[kept], -exact))[:k]
        assert hits.ids[n, : len(order)].tolist() == ids[kept][order].tolist()
        assert hits.items[n, : len(order)].tolist() == (ids[kept][order] + 7).tolist()
        assert hits.scores[n, : len(order)].tolist() == exact[order].astype(np.float32).tolist()
        assert (hits.ids[n, len(order) :] == -1).all()


def test_bytes_multiply_exactly_at_their_extremes() -> None:
    """A processor that adds two byte products in 16 bits would saturate here, were they larger."""
    width = 384
    columns = np.stack([np.full(width, 127), np.full(width, -127), np.tile([127, -127], 192)], 1)
    left = np.stack([np.full(width, LIMIT), np.full(width, -LIMIT), np.tile([LIMIT, -LIMIT], 192)])
    product = Int8Product(np.ascontiguousarray(columns, np.int8))(left.astype(np.int8))
    assert product.tolist() == (left @ columns).tolist()


@given(st.integers(1, 300))
def test_every_place_is_in_one_group(count: int) -> None:
    scores = np.random.default_rng(count).normal(size=count).astype(np.float32)
    maxima = group_maxima(scores)
    assert len(maxima) == -(-count // GROUP)
    groups = [scores[first :: len(maxima)] for first in range(len(maxima))]
    assert [some.max() for some in groups] == maxima.tolist()


def test_growing_by_one_equals_growing_at_once() -> None:
    rows = matrix("clusters", 5000, 16, 3).astype(np.float16)
    one, many = VectorIndex(16), VectorIndex(16)
    ids = np.arange(5000)
    one.extend(ids, ids, rows)
    for start in range(0, 5000, 70):
        part = slice(start, start + 70)
        many.extend(ids[part], ids[part], rows[part])
    asked = queries(rows, 4)
    assert one.search(asked, 10).ids.tolist() == many.search(asked, 10).ids.tolist()
    assert many.ids().tolist() == ids.tolist()
    assert many.rows(ids[::-1]).tolist() == rows[::-1].astype(np.float32).tolist()


def test_removing_most_rows_lets_go_of_their_memory() -> None:
    rows = matrix("random", 4000, 16, 3).astype(np.float16)
    index = VectorIndex(16)
    index.extend(np.arange(4000), np.arange(4000), rows)
    assert index.discard(np.arange(3990)) == 3990
    assert len(index) == 10
    assert sum(len(block.rows) for block in index._blocks) == 10
    assert index.search(rows[3995:3996].astype(np.float32), 1).ids[0, 0] == 3995
    assert index.discard(np.arange(4000)) == 10
    assert index.search(rows[:1].astype(np.float32), 1).ids[0, 0] == -1
