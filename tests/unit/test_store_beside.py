"""Local features and feedback in files from outside, and in files of the former format."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kenspeckle.errors import IndexCorrupt
from kenspeckle.store import Enrolled, Manifest, create_store, open_store, peek
from kenspeckle.types import Feedback, Fingerprint, Recipe, Reference

WIDTH = 16
FINGERPRINT = Fingerprint("small", "ab" * 32, Recipe(32), WIDTH)
FIRST = Path(__file__).parent.parent / "golden/index/v1.ken"


def rows(count: int = 2) -> np.ndarray:
    return np.eye(WIDTH, dtype=np.float32)[:count]


def said(key: str = "a") -> Feedback:
    return Feedback("confirmed", key, "/a.jpg", "00" * 32, "2026-02-01", "whole", rows())


def made(path: Path) -> Path:
    with create_store(path, Manifest(FINGERPRINT)) as store:
        (one,) = store.add([Enrolled(Reference("a", "A", "a.jpg"), rows()[0])])
        store.set_features("dots", {one: b"kept"})
        store.add_feedback(said())
        store.add_feedback(said("b"))
    return path


def sql(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rows", b"\x00" * 7),
        ("rows", np.full((1, WIDTH), np.nan, "<f4").tobytes()),
        ("rows", np.full((1, WIDTH), 3, "<f4").tobytes()),
        ("rows", "text"),
        ("kind", "guessed"),
        ("key", 5),
        ("key", ""),
        ("name", b"\xff\xfe\xfd"),
    ],
)
def test_feedback_that_no_release_writes_is_refused(tmp_path, column, value):
    path = made(tmp_path / "g.ken")
    sql(path, f"UPDATE feedback SET {column} = ? WHERE id = 2", value)
    with open_store(path) as store:
        with pytest.raises(IndexCorrupt, match="feedback cannot be read"):
            store.feedback()
        with pytest.raises(IndexCorrupt):
            store.snapshot()


def test_features_that_no_release_writes_are_none_or_refused(tmp_path):
    path = made(tmp_path / "g.ken")
    sql(path, "UPDATE features SET data = 'text'")
    with open_store(path) as store:
        assert store.features([1], "dots") == {}
    sql(path, "UPDATE features SET kind = 7")
    with open_store(path) as store, pytest.raises(IndexCorrupt, match="kind of features"):
        store.feature_kinds()


def test_a_counter_that_is_no_number_is_refused(tmp_path):
    path = made(tmp_path / "g.ken")
    sql(path, "UPDATE state SET value = 'many' WHERE name = 'feedback'")
    with open_store(path) as store, pytest.raises(IndexCorrupt, match="'feedback'"):
        store.standing()


def changed(path: Path, change: Callable[[dict, dict], None]) -> None:
    """Rewrite an `.npz` after `change(arrays, JSON)`."""
    with np.load(path) as file:
        arrays = dict(file)
    rest = json.loads(arrays["kenspeckle"].tobytes())
    change(arrays, rest)
    arrays["kenspeckle"] = np.frombuffer(json.dumps(rest).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, rest: arrays.pop("feedback"),
        lambda arrays, rest: arrays.update(feedback=arrays["feedback"][:3]),
        lambda arrays, rest: arrays.update(feedback=arrays["feedback"].astype(np.float64)),
        lambda arrays, rest: arrays.update(feedback=arrays["feedback"] * np.nan),
        lambda arrays, rest: arrays.update(feedback=arrays["feedback"] * 2),
        lambda arrays, rest: rest["feedback"][0].update(rows=-2),
        lambda arrays, rest: rest["feedback"][0].update(rows="many"),
        lambda arrays, rest: rest["feedback"][0].update(id=2),
        lambda arrays, rest: rest["feedback"][0].update(id=-1),
        lambda arrays, rest: rest["feedback"][0].update(kind="guessed"),
        lambda arrays, rest: rest["feedback"][0].update(key=""),
        lambda arrays, rest: rest["feedback"][0].update(name=5),
        lambda arrays, rest: rest["feedback"][0].update(more="x"),
        lambda arrays, rest: rest["feedback"][0].pop("key"),
        lambda arrays, rest: rest.update(feedback=5),
        lambda arrays, rest: rest.pop("feedback_change"),
        lambda arrays, rest: rest.update(feedback_next="x"),
    ],
)
def test_an_npz_with_other_feedback_is_refused(tmp_path, change):
    path = made(tmp_path / "g.npz")
    changed(path, change)
    with pytest.raises(IndexCorrupt):
        open_store(path)


def test_an_npz_can_be_read_with_numpy_alone(tmp_path):
    with np.load(made(tmp_path / "g.npz"), allow_pickle=False) as file:
        assert file["feedback"].shape == (4, WIDTH)
        data = json.loads(file["kenspeckle"].tobytes())
    assert [(one["key"], one["rows"]) for one in data["feedback"]] == [("a", 2), ("b", 2)]


def test_a_file_of_the_first_format_is_read_as_it_is_and_brought_up_when_written(tmp_path):
    path = Path(shutil.copy(FIRST, tmp_path))
    before = path.read_bytes()
    with open_store(path) as reader:
        ids = reader.ids().tolist()
        assert (reader.feedback(), reader.standing().feedback) == ([], 0)
        assert (reader.features(ids, "dots"), reader.feature_kinds()) == ({}, [])
        assert reader.snapshot().feedback() == []
        assert (peek(path).format, path.read_bytes()) == (1, before)
        width = reader.manifest.fingerprint.width
        with open_store(path, write=True) as writer:  # another process brings it up meanwhile
            said_ = Feedback("rejected", "a", "", "", "", "whole", np.eye(width)[:1].astype("f4"))
            writer.add_feedback(said_)
            writer.set_features("dots", {ids[0]: b"kept"})
        assert peek(path).format == 3
        assert [one.key for one in reader.feedback()] == ["a"]
        assert reader.standing().feedback == 1
        assert reader.features(ids, "dots") == {ids[0]: b"kept"}


def test_erased_feedback_and_features_leave_no_bytes_behind(tmp_path):
    path = made(tmp_path / "g.ken")
    marks = [rows().tobytes(), b"/a.jpg", b"kept"]
    assert all(mark in path.read_bytes() for mark in marks)
    with open_store(path, write=True) as store:
        store.remove_feedback(1)
        store.remove_feedback(2)
        store.remove([1])
        found = path.read_bytes() + Path(f"{path}-wal").read_bytes()
    assert not any(mark in found for mark in marks)
