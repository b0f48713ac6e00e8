"""Local features and feedback, in stores of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored import CALIBRATION, FINGERPRINT, MANIFEST, ODD, WIDTH, enrolled, vectors

from kenspeckle.errors import IndexReadOnly, InputError, SpaceMismatch
from kenspeckle.store import Store, copy_store, open_store
from kenspeckle.store.checks import MAX_FEATURES
from kenspeckle.types import Feedback


def said(n: int = 0, regions: int = 3) -> Feedback:
    kind = "rejected" if n % 2 else "confirmed"
    name, rows = f"/photos/{n}/{ODD}", vectors(regions, n)
    return Feedback(kind, f"item{n}", name, f"{n:064x}", "2026-02-01", "whole+center", rows)


def equal(one: Feedback, other: Feedback) -> bool:
    same = replace(one, rows=None, id=0) == replace(other, rows=None, id=0)  # type: ignore[arg-type]
    return same and np.array_equal(one.rows, other.rows) and one.rows.dtype == np.float32


def test_features_are_kept_by_kind_and_change_nothing(store: Store) -> None:
    ids = store.add(enrolled(6))
    change = store.standing().change
    assert (store.features(ids, "dots"), store.feature_kinds()) == ({}, [])
    store.set_features("dots", {ids[0]: b"\x00one", ids[3]: b"", 10**6: b"nobody's"})
    store.set_features("lines", {ids[0]: b"other"})
    store.set_features("dots", {ids[3]: b"new"})
    store.set_features("empty", {})
    assert store.features(ids, "dots") == {ids[0]: b"\x00one", ids[3]: b"new"}
    assert store.features([ids[3], 10**6], "dots") == {ids[3]: b"new"}
    assert store.features(ids, "lines") == {ids[0]: b"other"}
    assert store.feature_kinds() == ["dots", "lines"]
    assert store.standing().change == change
    assert store.standing().feedback == 0


def test_features_go_with_their_reference(store: Store) -> None:
    given = enrolled(4)
    ids = store.add(given)
    store.set_features("dots", dict.fromkeys(ids, b"kept"))
    store.remove(ids[:1])
    (again,) = store.add(given[1:2])  # embedded again: features are of other pixels
    assert store.features([*ids, again], "dots") == dict.fromkeys(ids[2:], b"kept")


def test_features_that_no_file_could_hold_are_refused(store: Store) -> None:
    (identifier,) = store.add(enrolled(1))
    with pytest.raises(InputError, match=f"local features.*{MAX_FEATURES} bytes"):
        store.set_features("dots", {identifier: bytes(MAX_FEATURES)})
    assert store.features([identifier], "dots") == {}


def test_feedback_comes_back_by_id(store: Store) -> None:
    assert (store.feedback(), store.standing().feedback) == ([], 0)
    change = store.standing().change
    ids = [store.add_feedback(said(n, n + 1)) for n in range(3)]
    assert len(set(ids)) == 3
    assert store.standing().feedback == 3
    assert [one.id for one in store.feedback()] == ids == sorted(ids)
    assert all(equal(one, said(n, n + 1)) for n, one in enumerate(store.feedback()))
    assert store.standing().change == change


def test_feedback_can_be_taken_back_and_exchanged(store: Store) -> None:
    first, second = (store.add_feedback(said(n)) for n in range(2))
    assert store.remove_feedback(first)
    assert not store.remove_feedback(first)
    assert store.standing().feedback == 3
    assert store.add_feedback(replace(said(4), id=second)) == second
    third = store.add_feedback(replace(said(5), id=first))  # its place is gone
    assert third not in (first, second)
    assert [one.key for one in store.feedback()] == ["item4", "item5"]
    assert store.standing().feedback == 5


def test_feedback_is_looked_up_by_what_it_says(store: Store) -> None:
    numbers = [store.add_feedback(said(n)) for n in range(5)]

    def ids(*where: dict[str, str], **which: int) -> list[int]:
        return [one.id for one in store.feedback(*where, **which)]

    assert ids({"kind": "rejected"}) == [numbers[1], numbers[3]]
    assert ids({"sha256": said(2).sha256}) == [numbers[2]]
    assert ids({"key": "item4", "name": said(4).name}) == [numbers[4]]
    assert ids({"key": "item4", "kind": "rejected"}) == ids({"key": ODD}) == []
    assert ids(after=numbers[0], most=2) == numbers[1:3]
    assert ids({"kind": "confirmed"}, after=numbers[0], most=1) == [numbers[2]]
    assert ids(after=numbers[4]) == ids(most=0) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kind": "guessed"}, InputError),
        ({"key": ""}, InputError),
        ({"rows": vectors(2)[:, :5]}, SpaceMismatch),
        ({"rows": vectors(2)[0]}, SpaceMismatch),
        ({"rows": np.full((1, WIDTH), np.nan, np.float32)}, InputError),
        ({"rows": np.ones((1, WIDTH), np.float32)}, InputError),
        ({"rows": np.zeros((MAX_FEATURES // 4 // WIDTH + 1, WIDTH), np.float32)}, InputError),
    ],
)
def test_what_is_no_feedback_is_refused(store: Store, change: dict, error: type) -> None:
    with pytest.raises(error):
        store.add_feedback(replace(said(), **change))
    assert (store.feedback(), store.standing().feedback) == ([], 0)


def test_rows_of_another_model_are_set_aside(store: Store) -> None:
    identifier = store.add_feedback(said())
    other = replace(FINGERPRINT, width=WIDTH + 8, weights="ef" * 32)
    store.set_manifest(replace(MANIFEST, fingerprint=other))
    (found,) = store.feedback()
    assert (found.id, found.key, found.rows.shape) == (identifier, "item0", (0, WIDTH + 8))
    rows = np.eye(WIDTH + 8, dtype=np.float32)[:2]
    store.add_feedback(replace(found, rows=rows))
    (found,) = store.feedback()
    assert (found.id, found.rows.tolist()) == (identifier, rows.tolist())


def test_all_of_it_is_there_when_opened_again(kind: str, path: Path, store: Store) -> None:
    if kind == "memory":
        pytest.skip("nothing to open again")
    ids = store.add(enrolled(3))
    store.set_features("dots", {ids[1]: b"kept"})
    store.add_feedback(said(0))
    number = store.add_feedback(replace(said(1), rows=np.empty((0, WIDTH), np.float32)))
    last = store.add_feedback(said(2))
    store.remove_feedback(last)
    store.close()
    with open_store(path) as again:
        kept = {ids[1]: b"kept"} if kind == "disk" else {}  # an .npz leaves them out
        assert again.features(ids, "dots") == kept
        assert equal(again.feedback()[0], said(0))
        assert again.feedback()[1].rows.shape == (0, WIDTH)
        assert (again.feedback()[1].id, again.standing().feedback) == (number, 4)
        for change in (
            lambda: again.add_feedback(said()),
            lambda: again.remove_feedback(1),
            lambda: again.set_features("dots", {ids[0]: b"new"}),
        ):
            with pytest.raises(IndexReadOnly):
                change()
    with open_store(path, write=True) as again:
        assert again.add_feedback(said(5)) > last


def test_a_reader_sees_feedback_as_it_is_given(kind: str, path: Path, store: Store) -> None:
    if kind != "disk":
        pytest.skip("read and written as a whole")
    with open_store(path) as reader:
        assert reader.standing().feedback == 0
        store.add_feedback(said())
        assert reader.standing().feedback == 1
        assert equal(reader.feedback()[0], said())


@pytest.mark.parametrize("suffix", ["ken", "npz"])
def test_a_copy_takes_both_along(store: Store, suffix: str, tmp_path: Path) -> None:
    ids = store.add(enrolled(5))
    store.remove(ids[:1])
    store.set_features("dots", {ids[2]: b"two", ids[4]: b"four"})
    store.remove_feedback(store.add_feedback(said(0)))
    store.add_feedback(said(1))
    store.set_calibration(replace(CALIBRATION, change=store.standing().change, feedback=3))
    out = tmp_path / f"copy.{suffix}"
    copy_store(store, out)
    with open_store(out) as copy:
        (found,) = copy.feedback()
        assert equal(found, said(1))
        paths = {one.path: n for n, one in copy.references()}
        found = copy.features(list(paths.values()), "dots")
        if suffix == "ken":
            assert found == {paths["1/0002.jpg"]: b"two", paths["2/0004.jpg"]: b"four"}
        else:
            assert found == {}
        rule = copy.calibration()
        assert rule is not None
        assert (rule.change, rule.feedback) == (copy.standing().change, copy.standing().feedback)


def test_a_copy_of_a_stale_rule_is_stale(store: Store, tmp_path: Path) -> None:
    store.add(enrolled(2))
    store.set_calibration(replace(CALIBRATION, change=store.standing().change, feedback=0))
    store.add_feedback(said(1))
    copy_store(store, tmp_path / "copy.ken")
    with open_store(tmp_path / "copy.ken") as copy:
        rule = copy.calibration()
        assert rule is not None
        assert rule.change == copy.standing().change
        assert rule.feedback != copy.standing().feedback


def test_a_snapshot_holds_the_feedback_of_its_moment(store: Store) -> None:
    store.add_feedback(said(0))
    taken = store.snapshot()
    store.add_feedback(said(1))
    store.remove_feedback(1)
    assert [one.key for one in taken.feedback()] == ["item0"]
    assert taken.standing().feedback == 1
