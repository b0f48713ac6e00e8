"""References by name and by set code: what is read of the index, and how often."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from falcon import dummy

from kenspeckle.gallery import Gallery
from kenspeckle.serve.routes import falcon_names
from kenspeckle.serve.routes.falcon_names import Names, below, name_of
from kenspeckle.store import Enrolled
from kenspeckle.types import Reference

PLACES = (
    "/pictures/LOCH-JP001_b.png",
    "C:\\pictures\\a.png",
    "https://example.com/a.png",
    "../up.png",
)


def enrolled(*paths: str, view: str = "") -> list[Enrolled]:
    rng = np.random.default_rng(len(paths))
    rows = rng.normal(size=(len(paths), 192)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Enrolled(Reference(f"key {path}", path, path, view=view), row)
        for path, row in zip(paths, rows, strict=True)
    ]


@pytest.fixture(params=["ken", "npz"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / f"g.{request.param}", settings=dummy()) as made:
        made.store.add(enrolled(*PLACES, "a b.png", "x/LOCH-JP001_a.png", "LOCH-JP002_c.png"))
        made.store.add(enrolled("view.png", "/view.png", view="1"))
        yield made


@pytest.fixture
def read(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many paths each reading told; reading references one and all is an error."""
    told: list[int] = []
    paths = gallery.store.paths

    def counted(**asked: Any) -> list[tuple[int, str]]:
        found = paths(**asked)
        told.append(len(found))
        return found

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the whole gallery was read")

    monkeypatch.setattr(gallery.store, "paths", counted)
    for name in ("references", "items", "snapshot"):
        monkeypatch.setattr(gallery.store, name, refused)
    return told


def test_every_reference_is_found_by_its_name(gallery: Gallery) -> None:
    names = Names(gallery)
    for number, one in gallery.store.page():
        assert names.find(name_of(one)) == (number, one)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing",
        "added",
        "added/",
        "added/0000000000000000/a.png",
        "added/0000000000000000",
        "view.png",
        "x",
        *PLACES,
        name_of(Reference("a", "A", "/view.png")),
        name_of(Reference("a", "A", PLACES[0]))[:-1],
        name_of(Reference("a", "A", PLACES[0])) + "x",
    ],
)
def test_what_is_no_name_finds_nothing(gallery: Gallery, name: str) -> None:
    assert Names(gallery).find(name) is None


def test_the_paths_are_read_once_and_then_those_that_are_new(
    gallery: Gallery, read: list[int]
) -> None:
    names = Names(gallery)
    assert names.find("a b.png") is not None
    assert names.find("no such") is None
    assert read == []  # a path is a question to the index
    for _ in range(5):
        assert names.find("added/0000000000000000/a.png") is None
        assert names.first_of(["ABCD-EN001"]) == {}
        assert read == [7, 0]
    (new,) = gallery.store.add(enrolled("/late/LOCH-JP003_d.png"))
    found = names.find(name_of(gallery.store.get([new])[0]))
    assert found is not None
    assert found[0] == new
    assert names.first_of(["LOCH-JP003"])["LOCH-JP003"].path == "/late/LOCH-JP003_d.png"
    assert read == [7, 0, 1, 0]


def test_whoever_asks_meanwhile_waits_for_that_one_reading(
    gallery: Gallery, read: list[int]
) -> None:
    names, start, found = Names(gallery), threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        found.append(names.first_of(["LOCH-JP001"])["LOCH-JP001"].path)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == ["/pictures/LOCH-JP001_b.png"] * 8
    assert read == [7, 0]


def test_the_first_of_a_code_goes_and_comes(gallery: Gallery) -> None:
    names = Names(gallery)
    (first,) = gallery.store.select({"path": PLACES[0]}).tolist()
    assert names.first_of(["LOCH-JP001", "LOCH-JP002"]).keys() == {"LOCH-JP001", "LOCH-JP002"}
    gallery.store.remove([first])
    assert names.first_of(["LOCH-JP001"])["LOCH-JP001"].path == "x/LOCH-JP001_a.png"
    assert names.find(name_of(Reference("a", "A", PLACES[0]))) is None
    gallery.store.add(enrolled("a/LOCH-JP001_z.png"))
    assert names.first_of(["LOCH-JP001"])["LOCH-JP001"].path == "a/LOCH-JP001_z.png"


def test_no_more_is_remembered_than_there_may_be(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(falcon_names, "SPARE", 10)
    names = Names(gallery)
    for number in range(60):
        ids = gallery.store.add(enrolled(f"/{number}.png", f"/also/{number}.png"))
        assert names.find(name_of(Reference("a", "A", f"/{number}.png"))) is not None
        assert len(names._elsewhere) <= 2 * len(gallery.store) + 10 + 2
        gallery.store.remove(ids)


def test_a_file_in_its_place_is_read_anew(tmp_path: Path) -> None:
    for name, path in (("a", "/one/LOCH-JP001_a.png"), ("b", "/two/LOCH-JP001_a.png")):
        with Gallery.create(tmp_path / f"{name}.ken", settings=dummy()) as made:
            made.store.add(enrolled("first.png", path))
    shutil.copy(tmp_path / "a.ken", tmp_path / "g.ken")
    with Gallery.open(tmp_path / "g.ken", settings=dummy()) as gallery:
        names = Names(gallery)
        assert names.first_of(["LOCH-JP001"])["LOCH-JP001"].path == "/one/LOCH-JP001_a.png"
        (tmp_path / "b.ken").replace(tmp_path / "g.ken")
        assert names.first_of(["LOCH-JP001"])["LOCH-JP001"].path == "/two/LOCH-JP001_a.png"
        assert names.find(name_of(Reference("a", "A", "/one/LOCH-JP001_a.png"))) is None


@pytest.mark.parametrize(
    ("path", "is_below"),
    [
        ("a.png", True),
        ("x/a..b.png", True),
        ("c:a.png", True),
        ("a:b/c.png", True),
        ("C:/a.png", False),
        ("C:\\a.png", False),
        ("\\\\host\\share\\a.png", False),
        ("\\a.png", False),
        ("/a.png", False),
        ("x/../a.png", False),
        ("..", False),
        ("http://a/b.png", False),
        ("", False),
    ],
)
def test_what_lies_below_the_folder(path: str, is_below: bool) -> None:
    assert below(path) is is_below
