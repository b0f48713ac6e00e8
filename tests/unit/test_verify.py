"""The check of stored rows, against the whole matrix that it never makes."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.errors import InputError
from kenspeckle.evaluate.verify import neighbours as blocks
from kenspeckle.evaluate.verify.neighbours import item_codes, neighbours
from kenspeckle.evaluate.verify.perturbed import judge
from kenspeckle.evaluate.verify.rows import verify
from kenspeckle.evaluate.verify.rows_text import lines


def unit(count, width=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def names_of(count):
    return [f"Thing {i}" for i in range(count)]


def report_of(rows, keys=None, **more):
    names = names_of(len(rows))
    return verify(rows, names, keys or names, **more)


def whole_matrix(rows, keys, top):
    """The definitions, straight from the product of everything with everything."""
    product = rows.astype(np.float64) @ rows.T.astype(np.float64)
    alone = ~np.eye(len(rows), dtype=bool)
    same = np.array([[a == b for b in keys] for a in keys])
    best, other, mate = (
        np.array([max(line[ok], default=np.nan) for line, ok in zip(product, mask, strict=True)])
        for mask in (alone, ~same, same & alone)
    )
    upper = [(product[i, j], i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]
    return best, other, mate, sorted(upper, key=lambda pair: -pair[0])[:top]


@given(
    st.integers(1, 40), st.integers(1, 8), st.integers(0, 12), st.integers(1, 9), st.integers(0, 99)
)
def test_blocks_give_what_the_whole_matrix_gives(count, items, top, block, seed):
    rows = unit(count, 8, seed)
    rng = np.random.default_rng(seed)
    keys = [str(key) for key in rng.integers(0, items, count)]
    former = blocks.BLOCK_BYTES
    blocks.BLOCK_BYTES = 4 * count * block
    try:
        found = neighbours(rows, item_codes(keys), top)
    finally:
        blocks.BLOCK_BYTES = former
    best, other, mate, pairs = whole_matrix(rows, keys, top)
    for got, wanted in ((found.best, best), (found.other, other), (found.mate, mate)):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    np.testing.assert_allclose([p[0] for p in found.pairs], [p[0] for p in pairs], atol=1e-6)
    product = rows @ rows.T
    for score, i, j in found.pairs:
        assert i < j
        assert score == pytest.approx(product[i, j], abs=1e-6)
    assert len({(i, j) for _, i, j in found.pairs}) == len(pairs)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("top", [0, 1, 5, 1000])
def test_few_rows(count, top):
    report = report_of(unit(count), top=top)
    assert (report.correct, report.passed) == (count, True)
    assert len(report.nearest.pairs) == min(top, count * (count - 1) // 2)
    text = list(lines(report))
    assert text[0] == f"[verify] {count} rows × 16 dims"
    assert f"{count}/{count} = 100.0% top-1 self-id" in text
    json.dumps(report.to_dict(), allow_nan=False)


def test_one_row_has_no_rival():
    report = report_of(unit(1))
    assert np.isnan(report.gap)
    assert report.threshold == 0.5
    assert report.to_dict()["gap"] is None


def test_one_doubled_row_in_twenty_fails_the_check():
    rows = unit(20)
    rows[12] = rows[4]
    report = report_of(rows)
    assert (report.correct, report.passed) == (19, False)
    assert "19/20 = 95.0% top-1 self-id" in list(lines(report))
    (failure,) = report.failures
    assert (failure.row, failure.by) == (12, 4)
    assert report.duplicates == ((4, 12),)
    assert "same vector, different items: Thing 4, Thing 12" in list(lines(report))


@pytest.mark.parametrize(("doubled", "passed"), [(1, True), (2, False)])
def test_the_exit_rule_is_ninety_nine_percent(doubled, passed):
    rows = unit(100)
    rows[50 : 50 + doubled] = rows[:doubled]
    assert report_of(rows).passed is passed


def test_a_longer_neighbour_beats_a_row():
    rows = unit(5)
    rows[3] = rows[1] * np.float32(1.01)
    report = report_of(rows)
    assert [(f.row, f.by) for f in report.failures] == [(1, 3)]
    assert report.failures[0].top > report.failures[0].own
    assert report.not_unit == (3,)
    assert "1 rows that are not of length 1: Thing 3" in list(lines(report))


def test_prints_of_one_item_do_not_compete():
    rows = unit(4)
    rows[1] = rows[0] + np.float32(0.05) * rows[2]
    rows[1] /= np.linalg.norm(rows[1])
    apart = report_of(rows, ["a", "b", "c", "d"])
    prints = report_of(rows, ["a", "a", "c", "d"])
    assert apart.nearest.other[0] > 0.99
    assert prints.nearest.other[0] < 0.9
    product = rows @ rows.T
    assert prints.margins[0] == pytest.approx(product[0, 1] - product[0, 2:].max(), abs=1e-6)
    assert np.isnan(prints.margins[2])
    assert prints.nearest.pairs[0][1:] == apart.nearest.pairs[0][1:] == (0, 1)
    assert prints.to_dict()["confusable"][0]["one_item"] is True


def test_a_doubled_row_of_one_item_is_called_a_print():
    rows = unit(4)
    rows[2] = rows[0]
    assert "same vector, prints of one item: Thing 0, Thing 2" in list(
        lines(report_of(rows, ["a", "b", "a", "c"]))
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_damaged_rows_are_named_and_spoil_nothing_else(bad):
    rows = unit(6)
    sound = report_of(np.delete(rows, 2, axis=0))
    rows[2, 3] = bad
    report = report_of(rows)
    assert report.damaged == (2,)
    assert (report.correct, report.passed) == (5, False)
    assert (report.self_median, report.wrong_median) == (sound.self_median, sound.wrong_median)
    assert all(2 not in pair[1:] for pair in report.nearest.pairs)
    assert np.isnan(report.nearest.best[2])
    assert "1 rows with values that are not finite numbers: Thing 2" in list(lines(report))
    json.dumps(report.to_dict(), allow_nan=False)


def test_nothing_but_damage():
    report = report_of(np.full((3, 4), np.nan, np.float32))
    assert (report.correct, report.passed, report.threshold) == (0, False, 0.5)
    assert "0/3 = 0.0% top-1 self-id" in list(lines(report))


def test_the_numbers_are_those_of_the_contract():
    rows = unit(30, 8)
    report = report_of(rows)
    product = rows @ rows.T
    own = np.median(np.diag(product))
    np.fill_diagonal(product, -1)
    wrong = np.median(product.max(axis=1))
    assert report.self_median == pytest.approx(own, abs=1e-6)
    assert report.wrong_median == pytest.approx(wrong, abs=1e-6)
    assert report.gap == pytest.approx(own - wrong, abs=1e-6)
    assert report.threshold == pytest.approx(max(0.5, wrong + 0.05), abs=1e-6)
    text = list(lines(report))
    score, i, j = report.nearest.pairs[0]
    assert f"  {score:.3f}  Thing {i}  ↔  Thing {j}" in text
    assert f"recommended similarity threshold: {report.threshold:.2f}" in text


def test_long_names_are_cut_and_failures_limited():
    rows = np.repeat(unit(1), 30, axis=0)
    report = verify(rows, ["x" * 100] * 30, names_of(30))
    text = list(lines(report))
    assert f"  1.000  {'x' * 42}  ↔  {'x' * 42}" in text
    assert len(report.failures) == 29
    assert sum("top 1.000" in line for line in text) == 10


def test_lengths_must_agree():
    with pytest.raises(InputError, match="2 rows, 1 names"):
        verify(unit(2), ["a"], ["a", "b"])
    with pytest.raises(InputError, match="0 rows"):
        verify(unit(0), [], [])


def test_memory_stays_far_below_the_matrix():
    rows = unit(6000, 32)
    names = names_of(6000)
    tracemalloc.start()
    verify(rows, names, names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 4 * 0.5


def test_many_near_equal_rows_are_judged_like_the_definition():
    rows = np.repeat(unit(1, 32), 300, axis=0)
    rows += np.random.default_rng(1).normal(0, 1e-5, rows.shape).astype(np.float32)
    product = rows.astype(np.float64) @ rows.T.astype(np.float64)
    right = int((product.argmax(axis=1) == np.arange(300)).sum())
    assert report_of(rows).correct == right
    assert right < 300


# perturbed queries


def test_perturbed_queries_are_judged_by_item():
    rows = np.eye(8, dtype=np.float32)
    keys = ["a", "a", "b", "c", "d", "e", "f", "g"]
    queries = np.zeros((4, 8), np.float32)
    queries[0, 1] = 1.0  # a print of a: right although made from row 0
    queries[1, 2], queries[1, 3] = 0.8, 0.6  # b, runner-up c
    queries[2, 2], queries[2, 3] = 0.6, 0.8  # b, but c is better
    queries[3] = [0.1, 0.1, 0, 0.2, 0.3, 0.4, 0.5, 0.6]  # b is the last of seven
    result = judge(rows, keys, queries, np.array([0, 2, 2, 2]), "by hand")
    assert (result.top1, result.top5) == (0.5, 0.75)
    np.testing.assert_allclose(result.margins, [1.0, 0.2, -0.2, -0.6], atol=1e-6)
    assert result.median_margin == pytest.approx(0.0, abs=1e-6)
    text = list(lines(verify(rows, keys, keys, perturbed=result)))
    said = next(line for line in text if line.startswith("perturbed queries"))
    assert said.startswith("perturbed queries (by hand): top-1 50.0%, top-5 75.0% of 4, median")
    assert text[-2:] == ["  -0.600  b", "  -0.200  b"]


def test_a_tie_with_another_item_is_no_answer():
    rows = np.repeat(np.eye(2, dtype=np.float32)[:1], 2, axis=0)
    result = judge(rows, ["a", "b"], rows[:1], np.array([0]), "")
    assert (result.top1, result.top5) == (0.0, 1.0)
    assert result.margins.tolist() == [0.0]


def test_one_item_has_no_margin():
    rows = unit(2)
    result = judge(rows, ["a", "a"], rows, np.array([0, 1]), "")
    assert result.top1 == 1.0
    assert np.isnan(result.margins).all()
    assert np.isnan(result.median_margin)
    data = verify(rows, ["x", "y"], ["a", "a"], perturbed=result).to_dict()
    json.dumps(data, allow_nan=False)
    assert data["perturbed"]["median_margin"] is None


def test_without_perturbed_queries_it_says_so():
    assert list(lines(report_of(unit(3))))[-1].startswith("perturbed queries: not measured")
