"""A folder that cannot be read to its end: what a gallery knows of it is not taken for erased."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kenspeckle.catalog import table as tables
from kenspeckle.catalog.folder import scan
from kenspeckle.catalog.sync import plan
from kenspeckle.errors import CatalogError

NAMES = [f"thing {n}" for n in range(8)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "things"
    place.mkdir()
    for name in NAMES:
        (place / f"{name}.jpg").write_bytes(name.encode())
    return place


class Broken:
    """A listing that gives some entries, does something, and goes on."""

    def __init__(self, listing: Iterator[os.DirEntry[str]], after: int, then: Callable[[], None]):
        self._entries, self._after, self._then = sorted(listing, key=_name), after, then

    def __enter__(self) -> Broken:
        return self

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        yield from self._entries[: self._after]
        self._then()
        yield from self._entries[self._after :]

    def __exit__(self, *_: object) -> None:
        pass


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


@pytest.fixture
def breaking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do something after so many entries of the folder have been listed."""
    real = os.scandir

    def arrange(after: int, then: Callable[[], None]) -> None:
        def scandir(place: str) -> object:
            if Path(place) != folder:
                return real(place)
            with real(place) as listing:
                return Broken(listing, after, then)

        monkeypatch.setattr(os, "scandir", scandir)

    return arrange


def fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def rows(folder: Path, **asked: object) -> list:
    return [(n, one.reference) for n, one in enumerate(scan(folder, **asked).entries, 1)]


@pytest.mark.parametrize("flat", [False, True])
def test_a_listing_that_breaks_off_erases_nothing(folder, breaking, flat):
    stored = rows(folder, flat=flat)
    breaking(3, fail)
    listing = scan(folder, flat=flat)
    assert len(listing) == 3
    assert listing.unread == ("",)
    assert listing.skipped == ((".", "cannot be listed: Input/output error"),)
    work = plan(listing, stored)
    assert not work
    assert sorted(work.same) == [number for number, _ in stored]
    assert work.kept == len(NAMES) - 3


def test_a_listing_that_breaks_off_before_its_labels_renames_nothing(folder, breaking):
    (folder / "labels.csv").write_text("filename,label\nthing 0.jpg,A mug\nthing 1.jpg,A cup\n")
    stored = rows(folder)
    (folder / "labels.csv").rename(folder / "zz.csv")
    (folder / "thing 1.jpg").write_bytes(b"another")
    breaking(4, fail)
    work = plan(scan(folder), stored)
    assert not work.relabel
    assert not work.remove
    (change,) = work.change
    assert change.entry.reference.label == "A cup"


def test_a_folder_that_was_read_to_its_end_is_followed_as_before(folder):
    stored = rows(folder)
    (folder / "thing 7.jpg").unlink()
    work = plan(scan(folder), stored)
    assert [reference.path for _, reference in work.remove] == ["thing 7.jpg"]


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("again", [False, True], ids=["gone", "another in its place"])
def test_a_folder_that_vanishes_while_it_is_listed_is_an_error(
    folder, tmp_path, breaking, flat, again
):
    def vanish() -> None:
        folder.rename(tmp_path / "elsewhere")
        if again:
            folder.mkdir()

    breaking(3, vanish)
    with pytest.raises(CatalogError, match="it vanished while it was read"):
        scan(folder, flat=flat)


def test_a_folder_that_vanishes_while_its_table_is_read_is_an_error(folder, tmp_path, monkeypatch):
    table = tmp_path / "things.csv"
    table.write_text("path,label\n" + "".join(f"{name}.jpg,{name}\n" for name in NAMES))
    read = tables.read_rows

    def read_rows(path: Path) -> Iterator[object]:
        for count, row in enumerate(read(path)):
            if count == 3:
                shutil.rmtree(folder)
            yield row

    assert len(scan(folder, table=table)) == len(NAMES)
    monkeypatch.setattr(tables, "read_rows", read_rows)
    with pytest.raises(CatalogError, match="it vanished while it was read"):
        scan(folder, table=table)


def test_a_table_of_addresses_needs_no_folder(tmp_path):
    table = tmp_path / "things.csv"
    table.write_text("url,label\nhttp://example.com/a.jpg,A\n")
    assert len(scan(tmp_path / "nowhere", table=table)) == 1


def test_views_of_what_could_not_be_listed_stay_too(folder, breaking):
    stored = rows(folder)
    stored += [(n + 100, replace(one, view="camera-1")) for n, one in stored]
    breaking(3, fail)
    assert not plan(scan(folder), stored)
