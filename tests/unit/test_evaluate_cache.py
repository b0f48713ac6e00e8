"""Vectors kept between runs: found again only where nothing that makes them has changed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filling import fill
from PIL import Image

from kenspeckle.config import ModelSettings
from kenspeckle.errors import GalleryError
from kenspeckle.evaluate.cache import FILE, Found, VectorCache, Wanted, cached_vectors
from kenspeckle.types import Intake, Picture, Region
from kenspeckle.vectors.admit import drawn_pictures
from kenspeckle.vectors.base import Embedder
from kenspeckle.vectors.embed import open_embedder


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(ModelSettings(name="dummy"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for number, image in enumerate(drawn_pictures(4, side=120)):
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
    return paths


def found(embedder: Embedder, wanted: list[Wanted], folder: Path | None) -> tuple[list[Found], int]:
    """What comes out, and how many regions had to be embedded for it."""
    with VectorCache(folder) as cache:
        done = list(cached_vectors(embedder, wanted, cache))
        assert [one.error for one in done] == [None] * len(wanted)
        return [one.value for one in done if one.value], cache.embedded


def test_second_time_nothing_is_embedded_and_rows_are_the_same(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    wanted = [Wanted(path, "auto") for path in pictures]
    first, embedded = found(embedder, wanted, tmp_path / "cache")
    assert embedded == sum(len(one.regions) for one in first) > len(pictures)
    second, embedded = found(embedder, wanted, tmp_path / "cache")
    assert embedded == 0
    for one, other in zip(first, second, strict=True):
        assert one.regions == other.regions
        np.testing.assert_array_equal(one.rows, other.rows)


def test_rows_are_those_of_the_regions(embedder: Embedder, pictures: list[Path]) -> None:
    box = (10, 20, 90, 100)
    with Image.open(pictures[0]) as image:
        expected = embedder.vector(image.convert("RGB").crop(box))
    (one,), _ = found(embedder, [Wanted(pictures[0], (box, (0, 0, 999, 999)))], None)
    np.testing.assert_array_equal(one.rows[0], expected)
    assert [region.box for region in one.regions] == [box, (0, 0, 120, 120)]


def test_shared_parts_of_rules_and_boxes_are_embedded_once(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    folder, path = tmp_path / "cache", pictures[0]
    assert found(embedder, [Wanted(path, "whole")], folder)[1] == 1
    assert found(embedder, [Wanted(path, "whole+center")], folder)[1] == 1
    assert found(embedder, [Wanted(path, "center")], folder)[1] == 0
    assert found(embedder, [Wanted(path, ((0, 0, 50, 50),))], folder)[1] == 1
    assert found(embedder, [Wanted(path, ((0, 0, 50, 50), (9, 9, 70, 70)))], folder)[1] == 1


def test_moved_and_copied_files_are_known_changed_ones_are_not(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    found(embedder, [Wanted(pictures[0])], folder)
    moved = pictures[0].rename(tmp_path / "elsewhere.png")
    assert found(embedder, [Wanted(moved)], folder)[1] == 0
    state = moved.stat()
    other = pictures[1].read_bytes()
    moved.write_bytes(other)
    os.utime(moved, ns=(state.st_atime_ns, state.st_mtime_ns))
    (one,), embedded = found(embedder, [Wanted(moved)], folder)
    assert embedded == 1
    (expected,), _ = found(embedder, [Wanted(pictures[1])], None)
    np.testing.assert_array_equal(one.rows, expected.rows)


class Halves:
    """Finds the upper part of a picture; where it ends is a setting."""

    def __init__(self, share: float) -> None:
        self.share, self.asked = share, 0

    @property
    def key(self) -> str:
        return f"halves {self.share}"

    def __call__(self, picture: Picture) -> list[Region]:
        self.asked += 1
        width, height = picture.size
        return [Region((0, 0, width, int(height * self.share)), "half", label="upper")]


def test_finder_is_asked_anew_when_its_threshold_changes(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    half, third = Halves(0.5), Halves(0.3)
    for finder in (half, half, third):
        (one,), _ = found(embedder, [Wanted(pictures[0], finder)], folder)
        assert one.regions == (Region((0, 0, 120, int(120 * finder.share)), "half", 1.0, "upper"),)
    assert (half.asked, third.asked) == (1, 1)


def test_intake_makes_a_key_of_its_own(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    with VectorCache(tmp_path / "cache") as cache:
        for intake in (Intake(), Intake(alpha="drop"), replace(Intake(), rotate=False)):
            list(cached_vectors(embedder, [Wanted(pictures[0])], cache, intake=intake))
        assert cache.embedded == 3


def test_unreadable_pictures_are_errors_of_their_own(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    wanted = [Wanted(broken), Wanted(pictures[0]), Wanted(pictures[0], ((500, 500, 600, 600),))]
    with VectorCache(None) as cache:
        done = list(cached_vectors(embedder, wanted, cache))
    assert [one.error is None for one in done] == [False, True, False]
    assert "500" in str(done[2].error)


@pytest.mark.parametrize("column", ["rows", "regions", "sum"])
def test_damaged_record_is_made_anew(
    embedder: Embedder, pictures: list[Path], tmp_path: Path, column: str
) -> None:
    folder = tmp_path / "cache"
    (before,), _ = found(embedder, [Wanted(pictures[0])], folder)
    base = sqlite3.connect(folder / FILE)
    with base:
        base.execute(f"UPDATE vectors SET {column} = 'x'")
    base.close()
    with VectorCache(folder) as cache:
        (done,) = cached_vectors(embedder, [Wanted(pictures[0])], cache)
        assert (cache.damaged, cache.embedded) == (1, 1)
    assert done.value is not None
    np.testing.assert_array_equal(done.value.rows, before.rows)
    assert found(embedder, [Wanted(pictures[0])], folder)[1] == 0


def test_file_that_is_no_database_is_put_aside(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / FILE).write_bytes(b"nothing of ours " * 100)
    assert found(embedder, [Wanted(pictures[0])], folder)[1] == 1
    assert found(embedder, [Wanted(pictures[0])], folder)[1] == 0


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(GalleryError, match="--cache"):
        VectorCache(tmp_path / "file" / "below")


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_two_processes_and_a_kill_leave_it_whole(
    embedder: Embedder, pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    runs = []
    for _ in range(2):
        ready = context.Event()
        run = context.Process(
            target=fill, args=(str(folder), [str(p) for p in pictures], ready), daemon=True
        )
        run.start()
        runs.append((run, ready))
    for _, ready in runs:
        assert ready.wait(120)
    time.sleep(0.3)
    for run, _ in runs:
        assert run.is_alive(), "a writer failed beside the other"
        os.kill(run.pid or 0, signal.SIGKILL)
        run.join()
    base = sqlite3.connect(folder / FILE)
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()
    wanted = [Wanted(path, ((0, 0, 21, 60),)) for path in pictures]
    fresh, _ = found(embedder, wanted, None)
    with VectorCache(folder) as cache:
        kept = [done.value for done in cached_vectors(embedder, wanted, cache)]
        assert (cache.embedded, cache.damaged) == (0, 0)
    for one, other in zip(fresh, kept, strict=True):
        assert other is not None
        np.testing.assert_array_equal(one.rows, other.rows)
