"""What several steps come to is one commit: a reader sees all of it, and a kill leaves none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.store.disk import DiskStore

DUMMY = Settings(models=ModelSettings(name="dummy"))


class Killed(BaseException):
    """Stands for the end of the process: nothing that comes after it is done."""


@pytest.fixture
def photo(drawn, tmp_path) -> Path:
    drawn(3).rotate(8).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def gallery(drawn, tmp_path):
    folder = tmp_path / "things"
    folder.mkdir()
    for place in range(4):
        drawn(place).save(folder / f"thing {place}.png")
    with Gallery.create(tmp_path / "g.ken", settings=DUMMY) as made:
        made.index(folder)
        yield made


def state(gallery: Gallery) -> list[Any]:
    """What the file holds, as another process reads it."""
    with Gallery.open(gallery.store.path, settings=DUMMY) as reader:
        store = reader.store
        said = [(one.id, one.kind, one.key) for one in store.feedback()]
        return [list(store.references()), said, store.manifest, store.standing(), reader.stale]


CHANGES = {
    "rename": lambda gallery, photo: gallery.rename("thing 3", "Tower", new_key="tower"),
    "confirm": lambda gallery, photo: gallery.confirm(photo, "thing 2"),
    "undo": lambda gallery, photo: gallery.undo_feedback(1),
    "remove": lambda gallery, photo: gallery.remove("thing 3"),
    "exchange": lambda gallery, photo: gallery.enrol([], instead_of=[4, 5]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_is_cut_off_leaves_everything_as_it_was(gallery, photo, change, monkeypatch):
    if change != "confirm":
        gallery.confirm(photo, "thing 3")
    gallery.calibrate(0.2)
    before = state(gallery)
    during: list[list[Any]] = []

    def cut_off(*_: object) -> None:
        during.append(state(gallery))
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(DiskStore, "add_feedback", cut_off)
        patched.setattr(DiskStore, "remove_feedback", cut_off)
        with pytest.raises(Killed):
            CHANGES[change](gallery, photo)
    assert during == [before]
    assert state(gallery) == before
    CHANGES[change](gallery, photo)  # and can be done again
    assert state(gallery) != before


def test_a_rename_keeps_a_calibration_fresh_for_every_reader(gallery, photo, monkeypatch):
    gallery.confirm(photo, "thing 3")
    gallery.calibrate(0.2)
    stale: list[str] = []

    def watched(name: str) -> None:
        real = getattr(DiskStore, name)

        def done(*given: Any, **more: Any) -> Any:
            found = real(*given, **more)
            stale.append(state(gallery)[-1])
            return found

        monkeypatch.setattr(DiskStore, name, done)

    for name in ("add", "relabel", "add_feedback", "set_calibration", "set_manifest"):
        watched(name)
    gallery.rename("thing 3", "Tower", new_key="tower")
    assert len(stale) >= 4
    assert set(stale) == {""}
    assert state(gallery)[-1] == ""
    assert [one.key for one in gallery.feedback()] == ["tower"]
    assert gallery.info().confirmed == 1
    gallery.undo_feedback(1)
    assert [one.path for one in gallery.references("tower")] == ["thing 3.png"]
