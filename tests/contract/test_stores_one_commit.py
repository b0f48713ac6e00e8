"""Several changes as one commit: seen as a whole, by whoever reads, or not at all."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored import CALIBRATION, MANIFEST, WIDTH, enrolled, vectors

from kenspeckle.errors import IndexReadOnly
from kenspeckle.store import Store, create_store, open_store
from kenspeckle.types import Feedback


def said(key: str = "item0") -> Feedback:
    photo = ("photo.jpg", "ab" * 32, "2026-01-31", "whole")
    return Feedback("confirmed", key, *photo, vectors(1))


def test_all_changes_of_a_block_are_one_commit(kind: str, path: Path, store: Store) -> None:
    first, second, *_ = store.add(enrolled(3))
    store.close()
    with open_store(path, write=True) if kind != "memory" else store as own:
        change = own.standing().change
        with own.one_commit():
            with own.one_commit():
                (new,) = own.add(enrolled(1, 7, prefix="x"))
                own.set_features("dots", {new: b"kept"})
            assert own.remove([first]) == 1
            assert [one.key for one in own.get([second, new])] == ["item0", "xitem0"]
            number = own.add_feedback(said())
            own.set_manifest(replace(MANIFEST, refs="other"))
            now = own.standing()
            own.set_calibration(replace(CALIBRATION, change=now.change, feedback=now.feedback))
        assert own.standing().change == now.change > change
        assert own.standing().calibration == own.calibration()
        assert own.ids().tolist() == [second, second + 1, new]
        assert own.search(own.rows([new]), 1).ids.tolist() == [[new]]
        assert own.features([new], "dots") == {new: b"kept"}
        assert [one.id for one in own.feedback()] == [number]
        assert own.manifest.refs == "other"
        assert not own.refresh()


def test_an_error_undoes_a_block(tmp_path: Path) -> None:
    path = tmp_path / "a.ken"
    with create_store(path, MANIFEST) as store:
        ids = store.add(enrolled(3))
        before, rows = store.standing(), store.rows()

        def broken() -> None:
            with store.one_commit():
                store.add(enrolled(2, prefix="x"))
                store.remove(ids[:1])
                store.add_feedback(said())
                store.set_manifest(replace(MANIFEST, refs="other"))
                store.get([10**6])

        with pytest.raises(KeyError):
            broken()
        assert (store.standing(), store.manifest, store.feedback()) == (before, MANIFEST, [])
        assert store.ids().tolist() == ids
        assert np.array_equal(store.rows(), rows)
        assert [n for n, _ in store.references()] == ids
        (new,) = store.add(enrolled(1, 7, prefix="x"))
        assert store.search(store.rows([new]), 1).ids.tolist() == [[new]]


def test_nobody_sees_the_half_of_a_block(path: Path, kind: str, store: Store) -> None:
    store.add(enrolled(2))
    seen: list[int] = []
    with store.one_commit():
        store.add(enrolled(2, prefix="x"))
        asked = threading.Thread(target=lambda: seen.append(len(store.items())))
        asked.start()
        if kind == "disk":
            with open_store(path) as other:
                assert len(other.items()) == 1
        store.add(enrolled(2, prefix="y"))
        assert not seen
    asked.join()
    assert seen == [3]


def test_who_may_not_write_has_no_block(path: Path, kind: str, store: Store) -> None:
    if kind == "memory":
        return
    store.close()
    with open_store(path) as reader:
        with pytest.raises(IndexReadOnly), reader.one_commit():
            raise AssertionError
        with reader.writing(), reader.one_commit():
            reader.add(enrolled(1))
        assert reader.rows().shape == (1, WIDTH)


def test_words_for_what_is_not_there_are_no_change(store: Store) -> None:
    given = enrolled(2)
    first, _ = store.add(given)
    before = store.standing()
    store.relabel({10**6: given[0].reference, first: given[1].reference})
    assert store.standing() == before
    store.relabel({first: replace(given[0].reference, label="New")})
    assert store.standing().change == before.change + 1


def test_a_snapshot_knows_the_rule_in_force(store: Store) -> None:
    assert store.snapshot().calibration() is None
    store.assume(CALIBRATION)
    assert store.snapshot().calibration() == CALIBRATION
    store.set_calibration(replace(CALIBRATION, threshold=0.5))
    assert store.snapshot().calibration() == store.calibration() != CALIBRATION
