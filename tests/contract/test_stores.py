"""What every store does, against a float64 product as the judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored import CALIBRATION, FINGERPRINT, MANIFEST, ODD, WIDTH, enrolled, vectors

from kenspeckle.errors import (
    GalleryError,
    IndexReadOnly,
    InputError,
    SpaceMismatch,
)
from kenspeckle.store import Enrolled, Manifest, Store, copy_store, create_store, open_store, peek
from kenspeckle.types import Item, Reference


def judge(store: Store, queries: np.ndarray, k: int, ids: np.ndarray) -> tuple:
    rows = store.rows(ids).astype(np.float64)
    scores = queries.astype(np.float64) @ rows.T
    order = np.stack([np.lexsort((ids, -line))[:k] for line in scores])
    return ids[order], np.take_along_axis(scores, order, 1)


def test_an_empty_store_answers(store: Store) -> None:
    hits = store.search(vectors(2), 3)
    assert hits.ids.tolist() == [[-1] * 3] * 2
    assert hits.items.tolist() == [[-1] * 3] * 2
    assert np.isneginf(hits.scores).all()
    assert (len(store), store.items(), list(store.references())) == (0, [], [])
    assert store.calibration() is None
    assert store.rows().shape == (0, WIDTH)
    assert not store.refresh()


def test_what_is_added_comes_back(store: Store) -> None:
    given = enrolled(31)
    ids = store.add(given)
    assert len(set(ids)) == 31
    assert store.get(ids) == [one.reference for one in given]
    assert dict(store.references()) == dict(zip(ids, (one.reference for one in given), strict=True))
    stored, exact = store.rows(ids), np.stack([one.vector for one in given])
    np.testing.assert_allclose(stored, exact, rtol=2.0**-11)  # half a step of float16
    assert [store.thumbnail(n) for n in ids] == [one.thumbnail for one in given]
    assert store.ids().tolist() == sorted(ids)
    assert store.prints(store.owners([ids[4]])[0]) == 2  # the plain one and b
    with pytest.raises(KeyError):
        store.prints(10**6)
    assert len(store.items()) == 16
    assert store.items()[0] == Item("item0", "Item 0", ("b",), 2)


def test_references_come_by_path_then_view(store: Store) -> None:
    rows = vectors(4)
    names = [("b.jpg", ""), ("a.jpg", "1"), ("a.jpg", ""), (ODD, "")]
    store.add(
        [
            Enrolled(Reference("k", "K", path, view=view), row)
            for (path, view), row in zip(names, rows, strict=True)
        ]
    )
    assert [(one.path, one.view) for _, one in store.references()] == sorted(names)
    assert store.items() == [Item("k", "K", (), 3)]


def test_odd_names_survive_a_round_trip(kind: str, path: Path, store: Store) -> None:
    given = Reference(
        f"key {ODD}", ODD, ODD, variant="\udc80", metadata={ODD: ODD, "": "\x00 \u2028"}
    )
    identifier = store.add([Enrolled(given, vectors(1)[0])])[0]
    assert store.get([identifier]) == [given]
    assert store.select({"path": ODD, ODD: ODD, "key": f"key {ODD}"}).tolist() == [identifier]
    if kind != "memory":
        store.close()
        with open_store(path) as again:
            assert [one for _, one in again.references()] == [given]
            assert again.items()[0].key == f"key {ODD}"


@pytest.mark.parametrize("k", [1, 10, 50, 200])
def test_search_equals_a_float64_product(store: Store, k: int) -> None:
    ids = np.array(store.add(enrolled(150)))
    queries = vectors(5, 1)
    hits = store.search(queries, k)
    best, scores = judge(store, queries, k, ids)
    kept = min(k, 150)
    assert hits.ids[:, :kept].tolist() == best.tolist()
    assert (hits.ids[:, kept:] == -1).all()
    np.testing.assert_allclose(hits.scores[:, :kept], scores, atol=1e-7)
    assert hits.items[:, 0].tolist() == store.owners(hits.ids[:, 0]).tolist()


def test_equal_scores_are_ordered_by_id(store: Store) -> None:
    row = vectors(1)[0]
    ids = store.add([Enrolled(Reference(f"k{n}", "K", f"{n}.jpg"), row) for n in range(40)])
    assert store.search(row[None], 12).ids[0].tolist() == sorted(ids)[:12]


def test_a_filter_answers_in_full(store: Store) -> None:
    ids = np.array(store.add(enrolled(300)))
    chosen = ids[::100]
    queries = vectors(4, 2)
    hits = store.search(queries, 3, ids=chosen)
    assert hits.ids.tolist() == judge(store, queries, 3, chosen)[0].tolist()
    assert store.search(queries, 3, ids=np.array([10**9])).ids.max() == -1


def test_select_by_own_fields_and_metadata(store: Store) -> None:
    store.add(enrolled(30))
    assert [one.path for one in store.get(store.select({"key": "item3"}))] == [
        "3/0006.jpg",
        "3/0007.jpg",
    ]
    both = store.get(store.select({"variant": "b", "colour": "green"}))
    assert {(one.variant, one.metadata["colour"]) for one in both} == {("b", "green")}
    assert len(both) == 4
    assert [one.filename for one in store.get(store.select({"filename": "0003.jpg"}))] == [
        "0003.jpg"
    ]
    assert store.select({"colour": "no such"}).tolist() == []


def test_the_same_path_and_view_is_replaced(store: Store) -> None:
    given = enrolled(6)
    ids = store.add(given)
    new = replace(given[2].reference, label="New", key="new", sha256="ff")
    view = replace(given[2].reference, view="rotated")
    other = vectors(2, 9)
    again = store.add([Enrolled(new, other[0]), Enrolled(view, other[1])])
    assert len(store) == 7
    assert not set(again) & set(ids)
    assert store.search(other[:1], 1).ids[0, 0] == again[0]
    assert store.thumbnail(again[0]) == b""
    with pytest.raises(KeyError):
        store.get([ids[2]])
    assert Item("item1", "Item 1", ("b",), 1) in store.items()


def test_the_last_of_two_with_one_name_stays(store: Store) -> None:
    first, second = enrolled(2)
    same = Enrolled(replace(second.reference, path=first.reference.path), second.vector)
    ids = store.add([first, same])
    assert ids[0] == ids[1]
    assert len(store) == 1
    assert store.get(ids[:1])[0].variant == "b"


def test_removal_is_complete(store: Store) -> None:
    ids = store.add(enrolled(40))
    queries = store.rows(ids[:4])
    assert store.remove([*ids[:4], 10**9]) == 4
    assert len(store) == 36
    assert not set(store.search(queries, 36).ids.ravel().tolist()) & set(ids[:4])
    assert store.search(queries, 40, ids=np.array(ids[:4])).ids.max() == -1
    assert store.thumbnail(ids[0]) == b""
    assert [item.key for item in store.items() if item.key in ("item0", "item1")] == []
    for call in (store.get, store.rows, store.owners):
        with pytest.raises(KeyError):
            call([ids[0]])
    assert store.remove([]) == 0
    assert min(store.add(enrolled(2))) > max(ids)


def test_changes_are_counted(store: Store) -> None:
    assert store.standing().change == 0
    ids = store.add(enrolled(3))
    assert store.standing().change == 1
    store.touch([(ids[0], 5, 6)])
    store.set_calibration(CALIBRATION)
    store.set_manifest(replace(MANIFEST, refs="elsewhere"))
    assert store.standing().change == 1
    assert store.get(ids[:1])[0].size == 5
    assert store.get(ids[:1])[0].mtime_ns == 6
    assert store.calibration() == CALIBRATION
    store.remove(ids[:1])
    assert store.standing().change == 2
    store.set_calibration(None)
    assert store.calibration() is None


def test_other_words_leave_a_reference_its_id(store: Store) -> None:
    given = enrolled(3)
    view = replace(given[0].reference, view="camera-1")
    first, *rest = store.add([*given, Enrolled(view, given[0].vector)])
    store.set_features("dots", {first: b"kept"})
    change, owners = store.standing().change, store.owners().tolist()
    said = {"label": "New", "variant": "gold", "metadata": {"a": "b"}}
    new = replace(given[0].reference, **said, sha256="ff" * 32)
    other = replace(given[1].reference, **said)
    store.relabel(
        {
            first: new,
            rest[-1]: replace(view, **said),
            rest[0]: replace(other, key="another item"),
            rest[1]: replace(other, path=given[2].reference.path + "x"),
            10**6: new,
        }
    )
    store.relabel({})
    assert store.standing().change == change + 1
    assert store.get([first, rest[-1]]) == [
        replace(given[0].reference, **said),
        replace(view, **said),
    ]
    assert store.get(rest[:-1]) == [one.reference for one in given[1:]]
    assert store.owners().tolist() == owners
    assert np.array_equal(store.rows([first])[0], store.rows([rest[-1]])[0])
    assert store.thumbnail(first) == given[0].thumbnail
    assert store.features([first], "dots") == {first: b"kept"}
    assert store.select({"label": "New"}).tolist() == sorted([first, rest[-1]])
    item = next(one for one in store.items() if one.key == new.key)
    assert item.label == "New"


def test_a_vector_of_another_space_is_refused_whatever_its_width(store: Store) -> None:
    """What the model of an index that lay here before made is not taken for this one's."""
    (given,) = enrolled(1)
    with pytest.raises(SpaceMismatch, match="a vector of space 0123456789abcdef"):
        store.add([replace(given, space="0123456789abcdef")])
    assert len(store) == 0
    assert store.add([replace(given, space=store.manifest.fingerprint.space_id)])


def test_another_model_is_refused(store: Store) -> None:
    store.add(enrolled(1))
    with pytest.raises(SpaceMismatch, match="other"):
        store.set_manifest(Manifest(replace(FINGERPRINT, model="other", weights="cd" * 32)))
    with pytest.raises(SpaceMismatch, match="width"):
        store.search(np.ones((1, WIDTH + 1), np.float32), 1)
    with pytest.raises(SpaceMismatch, match="width"):
        store.add([Enrolled(Reference("a", "A", "a"), np.ones(WIDTH + 1, np.float32))])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 3.0])
def test_rows_that_are_not_unit_are_refused(store: Store, wrong: float) -> None:
    row = vectors(1)[0]
    row[3] = wrong
    with pytest.raises(InputError, match=r"a\.jpg"):
        store.add([Enrolled(Reference("a", "A", "a.jpg"), row)])
    assert len(store) == 0


def test_a_query_that_is_not_finite_is_refused(store: Store) -> None:
    query = vectors(1)
    query[0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        store.search(query, 1)


def test_it_opens_again(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("has no file")
    ids = store.add(enrolled(25))
    store.remove(ids[:1])
    store.set_calibration(CALIBRATION)
    rows, references = store.rows(), list(store.references())
    change = store.standing().change
    store.close()
    summary = peek(path)
    assert (summary.references, summary.items, summary.vectors) == (24, 13, 24)
    assert (summary.manifest, summary.calibration) == (MANIFEST, CALIBRATION)
    assert (summary.kind, summary.format) == (kind, {"disk": 3, "npz": 2}[kind])
    with open_store(path) as again:
        assert (again.manifest, again.calibration()) == (MANIFEST, CALIBRATION)
        assert again.standing().change == change
        assert list(again.references()) == references
        assert again.rows().tolist() == rows.tolist()
        for call in (
            lambda: again.add(enrolled(1)),
            lambda: again.remove(ids[5:6]),
            lambda: again.set_calibration(None),
        ):
            with pytest.raises(IndexReadOnly, match="write=True"):
                call()
    with open_store(path, write=True) as again:
        assert min(again.add(enrolled(1, prefix="x"))) > max(ids)
    with pytest.raises(GalleryError, match="already"):
        create_store(path, MANIFEST)


def test_a_copy_says_the_same(store: Store, tmp_path: Path) -> None:
    store.add(enrolled(30))
    store.set_calibration(replace(CALIBRATION, change=store.standing().change))
    for name in ("copy.ken", "copy.npz"):
        copy_store(store, tmp_path / name)
        with open_store(tmp_path / name) as copy:
            pairs = zip(store.references(), copy.references(), strict=True)
            assert all(one == other for (_, one), (_, other) in pairs)
            assert copy.manifest == MANIFEST
            calibration = copy.calibration()
            assert calibration is not None
            assert calibration.change == copy.standing().change
            hits, other = store.search(vectors(3, 3), 5), copy.search(vectors(3, 3), 5)
            np.testing.assert_allclose(hits.scores, other.scores, atol=1e-3)


def test_all_rows_of_a_path_are_replaced_at_once(store: Store) -> None:
    one, other = enrolled(2)
    views = [Enrolled(replace(one.reference, view=f"camera-{n}"), one.vector) for n in range(2)]
    store.add([one, *views, other])
    changed = Enrolled(replace(one.reference, sha256="ff"), vectors(1, 8)[0])
    (new,) = store.add([changed])
    assert [row for _, row in store.references()] == [changed.reference, other.reference]
    assert len(store) == len(store.rows()) == 2
    assert store.search(one.vector[None], 4).ids[0].tolist().count(-1) == 2
    assert store.select({"path": one.reference.path}).tolist() == [new]


def test_an_id_named_twice_is_removed_once(store: Store) -> None:
    ids = store.add(enrolled(4))
    assert store.remove([ids[0], ids[0], 10**9, ids[1], ids[0]]) == 2
    assert store.ids().tolist() == sorted(ids[2:])
    assert [number for number, _ in store.references()] == ids[2:]
    before = store.standing().change
    assert store.remove(ids[:2]) == 0
    assert store.standing().change == before


def test_memory_counts_what_is_held(store: Store) -> None:
    assert store.memory() == 0
    ids = store.add(enrolled(3000))
    number = 2 if store.path.endswith(".ken") else 4
    rows = 3000 * (WIDTH * number + 16)
    assert store.memory() == rows
    store.search(vectors(1), 1)
    assert rows + 3000 * WIDTH <= store.memory() <= rows + 3000 * (WIDTH + 8)
    store.remove(ids[:2900])
    assert store.memory() <= rows // 10


def test_a_snapshot_stays_as_it_was(store: Store) -> None:
    given = enrolled(50)
    ids = store.add(given)
    store.set_calibration(CALIBRATION)
    taken, rows = store.snapshot(), store.rows(ids)
    store.remove(ids[:20])
    store.add([Enrolled(given[30].reference, vectors(1, 9)[0]), *enrolled(5, 7, "new")])
    store.set_calibration(None)
    standing = taken.standing()
    assert (len(taken), standing.change, standing.calibration) == (50, 1, CALIBRATION)
    assert taken.manifest == MANIFEST
    assert dict(taken.references()) == dict(zip(ids, taken.get(ids), strict=True))
    assert taken.get(ids) == [one.reference for one in given]
    assert taken.rows(ids).tolist() == rows.tolist()
    assert taken.ids().tolist() == sorted(ids)
    assert taken.search(rows[:3], 1).ids[:, 0].tolist() == ids[:3]
    assert taken.search(rows[:3], 1).items[:, 0].tolist() == taken.owners(ids[:3]).tolist()
    assert len(store) == 35


def test_a_rule_is_assumed_by_one_handle_as_long_as_none_is_stored(store, kind):
    assert store.calibration() is None
    store.assume(CALIBRATION)
    assert store.calibration() == store.standing().calibration == CALIBRATION
    assert store.snapshot().standing().calibration is None
    stored = replace(CALIBRATION, threshold=0.5)
    store.set_calibration(stored)
    assert store.calibration() == stored
    store.set_calibration(None)
    assert store.calibration() == CALIBRATION
    store.assume(None)
    assert store.calibration() is None
    if kind == "disk":
        store.assume(CALIBRATION)
        with open_store(store.path) as other:
            assert other.calibration() is None
