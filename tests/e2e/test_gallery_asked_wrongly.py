"""The Python API asked after it was closed, or with what it cannot use: one sentence each."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawing import draw_folder
from started import DUMMY

from kenspeckle import Gallery
from kenspeckle.catalog.folder import scan
from kenspeckle.errors import CatalogError, GalleryError, InputError
from kenspeckle.store.open import open_store

if TYPE_CHECKING:
    from commands import Command

Ask = Callable[[Gallery], object]

EVERYTHING: dict[str, Ask] = {
    "plan": lambda g: g.plan("things"),
    "index": lambda g: g.index("things"),
    "add": lambda g: g.add("photo.png"),
    "remove": lambda g: g.remove("a"),
    "confirm": lambda g: g.confirm("photo.png", "a"),
    "reject": lambda g: g.reject("photo.png"),
    "look": lambda g: g.look("photo.png", "confirmed", "a"),
    "rename": lambda g: g.rename("a", "b"),
    "feedback": lambda g: g.feedback(),
    "take_feedback": lambda g: g.take_feedback("gallery.ken"),
    "undo_feedback": lambda g: g.undo_feedback(1),
    "calibrate": lambda g: g.calibrate(1),
    "identify": lambda g: g.identify("photo.png"),
    "answer": lambda g: g.answer("photo.png"),
    "search": lambda g: g.search("photo.png"),
    "vector": lambda g: g.vector("photo.png"),
    "nearest": lambda g: g.nearest(np.ones(384, np.float32)),
    "search_text": lambda g: g.search_text("a mug"),
    "items": lambda g: g.items(),
    "item": lambda g: g.item("a"),
    "references": lambda g: g.references(),
    "thumbnail": lambda g: g.thumbnail(1),
    "export": lambda g: g.export("new.ken"),
    "info": lambda g: g.info(),
    "len": len,
    "stale": lambda g: g.stale,
    "calibration": lambda g: g.calibration,
    "store": lambda g: g.store,
    "embedder": lambda g: g.embedder,
    "opened": lambda g: g.opened,
    "folder": lambda g: g.folder,
    "writing": lambda g: g.writing().__enter__(),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("asked")
    draw_folder(place / "things")
    picture = sorted((place / "things").iterdir())[0].read_bytes()
    (place / "photo.png").write_bytes(picture)
    for name in ("gallery.ken", "gallery.npz"):
        with Gallery.create(place / name, settings=DUMMY) as gallery:
            gallery.index(place / "things")
    return place


@pytest.fixture(scope="module", params=["gallery.ken", "gallery.npz"])
def closed(place: Path, request: pytest.FixtureRequest) -> Gallery:
    with Gallery.open(place / request.param, settings=DUMMY, write=True) as gallery:
        gallery.identify(place / "photo.png")
    return gallery


@pytest.fixture(scope="module")
def open_one(place: Path) -> Iterator[Gallery]:
    with Gallery.open(place / "gallery.ken", settings=DUMMY, write=True) as gallery:
        yield gallery


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_closed_gallery_says_that_it_was_closed(closed, place, monkeypatch, name):
    monkeypatch.chdir(place)
    with pytest.raises(GalleryError, match="this gallery was closed; expected an open one"):
        EVERYTHING[name](closed)
    assert not (place / "new.ken").exists()


def test_every_method_is_asked():
    public = {
        name
        for kind in Gallery.__mro__[:-1]
        for name in vars(kind)
        if not name.startswith("_") and name not in ("create", "open")
    }
    # what needs the file only when what it is given was made of the file, or not at all
    apart = {"close", "picture", "settings", "model", "prepare", "enrol", "steady", "keep"}
    assert public - apart == set(EVERYTHING) - {"len"}


def test_closing_twice_is_no_error(closed):
    closed.close()


def test_a_closed_index_file_is_not_called_damaged(place):
    with open_store(place / "gallery.ken") as store:
        pass
    with pytest.raises(GalleryError, match="this index was closed"):
        store.items()


WRONG: dict[str, tuple[Ask, str]] = {
    "a short vector": (lambda g: g.nearest([1, 2]), "2 numbers; expected"),
    "no vector": (lambda g: g.nearest(5), "single numbers; expected"),
    "a vector of words": (lambda g: g.nearest(["a"]), "of type list; expected a list of numbers"),
    "none near": (lambda g: g.nearest(np.ones(384), top=0), "top: 0; expected a whole number, at"),
    "a number as a picture": (lambda g: g.add(5), "picture: a int; expected a path"),
    "text as a picture": (lambda g: g.add(io.StringIO("a")), "a file opened as text"),
    "a number as a label": (lambda g: g.add("photo.png", label=5), "label: a value of type int"),
    "no text as metadata": (
        lambda g: g.add("photo.png", metadata={"a": 1}),
        r"metadata\['a'\]: a value of type int; expected text",
    ),
    "a list as metadata": (lambda g: g.add("photo.png", metadata=["a"]), "expected a dictionary"),
    "a number as a key": (lambda g: g.item(5), "key: a value of type int; expected text"),
    "references of a number": (lambda g: g.references(5), "key: a value of type int"),
    "a number to remove": (lambda g: g.remove(5), "name: a value of type int"),
    "a number to confirm": (lambda g: g.confirm("photo.png", 5), "key: a value of type int"),
    "a number to reject": (lambda g: g.reject("photo.png", 5), "key: a value of type int"),
    "a number to rename": (lambda g: g.rename("a", 5), "label: a value of type int"),
    "text as a number": (lambda g: g.undo_feedback("x"), "number: a value of type str"),
    "text as an id": (lambda g: g.thumbnail("x"), "reference_id: a value of type str"),
    "many in words": (lambda g: g.search("photo.png", top="x"), "top: a value of type str"),
    "fewer than none": (lambda g: g.search("photo.png", top=-1), "top: -1; expected a whole"),
    "words of another kind": (lambda g: g.search_text(5), "words: a value of type int"),
    "a number as a folder": (lambda g: g.index(5), "refs: a value of type int; expected a path"),
    "a number as a file": (lambda g: Gallery.open(5), "path: a value of type int; expected a path"),
    "a number to make": (lambda g: Gallery.create(5), "path: a value of type int"),
    "no folder": (lambda g: g.index(""), "refs: an empty name; expected a path"),
    "no folder to plan": (lambda g: g.plan(""), "refs: an empty name"),
    "no table": (lambda g: g.index("things", table=""), "table: an empty name"),
    "a zero byte in a table": (
        lambda g: g.index("things", table="a\0b"),
        "table: a zero byte in it; expected a path",
    ),
    "no strangers": (lambda g: g.calibrate(strangers=""), "strangers: an empty name"),
    "no photos": (lambda g: g.calibrate(photos=""), "photos: an empty name"),
    "no copy": (lambda g: g.export(""), "path: an empty name"),
    "no source": (lambda g: g.take_feedback(""), "path: an empty name"),
    "no file": (lambda g: Gallery.create(""), "path: an empty name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_an_error_of_its_own(open_one, place, monkeypatch, name):
    monkeypatch.chdir(place / "things")  # an empty name must not be taken for this folder
    before = open_one.references()
    ask, said = WRONG[name]
    with pytest.raises(InputError, match=said):
        ask(open_one)
    assert open_one.references() == before


def test_lists_of_numbers_are_taken(open_one, place):
    row = open_one.vector(place / "photo.png")
    assert open_one.nearest(row.tolist(), 2) == open_one.nearest(row, 2)


def test_a_folder_without_a_name_is_not_the_working_folder(place, monkeypatch):
    monkeypatch.chdir(place / "things")
    with pytest.raises(CatalogError, match="an empty name"):
        scan("")
    assert len(scan("."))


@pytest.mark.parametrize(
    "words",
    [
        ("caption", ""),
        ("scrape-prices", "--site", "yuyu-tei", "--refs", ""),
        ("evaluate", ""),
        ("export", "--index", "gallery.ken", ""),
    ],
    ids=lambda words: words[0],
)
def test_no_command_takes_an_empty_name_for_the_working_folder(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert "an empty name; expected a path" in command(*words, code=1).err
    assert sorted(place.rglob("*")) == before
